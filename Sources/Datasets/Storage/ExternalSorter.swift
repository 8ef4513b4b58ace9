import Groundwork

/// Sorts the elements of one task: in memory, or, where they take more than a task's memory, by sorted runs on disk that
/// are merged at the end. Equal elements keep their order.
public struct ExternalSorter<Element>: ~Copyable {
  @usableFromInline var elements = ContiguousArray<Element>()
  @usableFromInline var growth: GrowthGauge
  @usableFromInline let room: TaskRoom
  @usableFromInline var runs: SortedRuns<Element>?

  /// - Parameter label: the operator, for a warning.
  @inlinable public init(_ task: TaskContext, _ context: SluiceContext, label: String) {
    growth = GrowthGauge(limit: context.blocks.taskMemory)
    room = TaskRoom(task, context.blocks, label: label)
  }

  /// Takes elements, in memory of their own.
  /// - Parameter isBefore: the order, the same in every call: a strict weak one.
  @inlinable public mutating func append(
    _ view: UnsafeBufferPointer<Element>, _ isBefore: (Element, Element) throws -> Bool
  ) throws {
    var start = 0
    while start < view.count {
      let end = Swift.min(view.count &- start, growth.step) &+ start
      for index in start..<end { elements.append(detached(view[index])) }
      if growth.isDue(end &- start), isOver() {
        try elements.sort(by: isBefore)
        try moveToDisk()
      }
      start = end
    }
  }

  @usableFromInline mutating func isOver() -> Bool {
    growth.isOver(elements.withUnsafeBufferPointer { ElementSize.estimate($0, room.task.locals) })
  }

  /// Writes the elements, which are sorted, as a run.
  @usableFromInline mutating func moveToDisk() throws {
    if runs == nil {
      guard let codec = room.codec(Element.self) else { return growth.rest() }
      runs = try SortedRuns(room.task, room.store, codec)
    }
    try elements.withUnsafeBufferPointer { try runs?.add($0) }
    elements = []
    growth.restart()
  }

  /// Hands over all elements in order, once.
  /// - Parameter isBefore: the order that `append` was called with.
  @inlinable public mutating func emitSorted(
    _ isBefore: (Element, Element) throws -> Bool, _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    try elements.sort(by: isBefore)
    if let runs { return try emitMerged(runs, isBefore, emit) }
    try elements.withUnsafeBufferPointer { whole in
      for position in stride(from: 0, to: whole.count, by: Chunk<Element>.usualCapacity) {
        let end = Swift.min(position + Chunk<Element>.usualCapacity, whole.count)
        try emit(UnsafeBufferPointer(rebasing: whole[position..<end]))
      }
    }
  }

  @usableFromInline mutating func emitMerged(
    _ runs: SortedRuns<Element>, _ isBefore: (Element, Element) throws -> Bool,
    _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    try elements.withUnsafeBufferPointer { try runs.add($0) }
    elements = []
    try runs.merge(isBefore, emit)
  }
}

/// Sorted runs on disk, and their merging.
///
/// Used by one task.
@usableFromInline final class SortedRuns<Element> {
  private let task: TaskContext
  private let store: BlockStore
  private let space: any SpillSpace
  private let codec: ElementCodec<Element>
  private var runs: [SpilledRun] = []

  init(_ task: TaskContext, _ store: BlockStore, _ codec: ElementCodec<Element>) throws {
    guard let space = store.space else { throw StorageError(.noDisk(operation: "a sort")) }
    self.task = task
    self.store = store
    self.space = space
    self.codec = codec
  }

  private func makeWriter() throws -> RunWriter<Element> {
    RunWriter(try space.makeFile(), codec, frameSize: store.frameSize, task.locals)
  }

  private func end(_ writer: RunWriter<Element>) throws -> SpilledRun {
    let run = SpilledRun(writer.file, try writer.endRun())
    try writer.file.seal()
    task.spills.add(writer.takeCounts())
    return run
  }

  func add(_ sorted: UnsafeBufferPointer<Element>) throws {
    guard !sorted.isEmpty else { return }
    let writer = try makeWriter()
    try writer.append(sorted)
    runs.append(try end(writer))
  }

  func merge(
    _ isBefore: (Element, Element) throws -> Bool, _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    while runs.count > runsMergedAtOnce {
      // Neighbours become one: equal elements keep their order.
      var merged: [SpilledRun] = []
      for start in stride(from: 0, to: runs.count, by: runsMergedAtOnce) {
        let writer = try makeWriter()
        try merge(runs[start..<min(start + runsMergedAtOnce, runs.count)], isBefore) { try writer.append($0) }
        merged.append(try end(writer))
      }
      runs = merged
    }
    let last = runs
    runs = []
    try merge(last[...], isBefore, emit)
  }

  private func merge(
    _ runs: ArraySlice<SpilledRun>, _ isBefore: (Element, Element) throws -> Bool,
    _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    let cursors = try runs.map { try RunCursor($0, codec, task.locals) }
    let isEarlier = { (a: Int, b: Int) throws -> Bool in
      if try isBefore(cursors[a].current, cursors[b].current) { return true }
      return a < b ? !(try isBefore(cursors[b].current, cursors[a].current)) : false
    }
    var heap = NumberHeap()
    for index in cursors.indices where !cursors[index].isAtEnd { try heap.push(index, isEarlier) }
    let frames = max(1, runs.reduce(0) { $0 + $1.frames.count })
    let chunkSize = min(1024, max(1, runs.reduce(0) { $0 + $1.records } / frames))
    var output = Chunk<Element>()
    while let index = heap.top {
      output.append(cursors[index].current)
      if output.count >= chunkSize {
        try emit(output.view)
        output.clear()
      }
      try cursors[index].advance()
      try heap.settleTop(isGone: cursors[index].isAtEnd, isEarlier)
    }
    if output.count > 0 { try emit(output.view) }
  }
}
