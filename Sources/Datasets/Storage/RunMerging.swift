import Groundwork

/// A place in a run that is read in order.
///
/// Used by one task.
final class RunCursor<Element> {
  private let run: SpilledRun
  private let reader: any SpillReader
  private let codec: ElementCodec<Element>
  private let locals: ExecutorLocals
  private var nextFrame = 0
  private var chunk = Chunk<Element>()
  private var index = 0
  private(set) var isAtEnd = false

  /// - Throws: where the file cannot be opened, or its first frame is lost.
  init(_ run: SpilledRun, _ codec: ElementCodec<Element>, _ locals: ExecutorLocals) throws {
    self.run = run
    self.codec = codec
    self.locals = locals
    reader = try run.file.open()
    try refill()
  }

  /// The element here; only where the end is not reached.
  var current: Element { chunk.view[index] }

  func advance() throws {
    index += 1
    if index == chunk.count { try refill() }
  }

  private func refill() throws {
    chunk.clear()
    index = 0
    while chunk.count == 0 {
      guard nextFrame < run.frames.count else {
        isAtEnd = true
        return
      }
      try SpilledRun.decode(run.frames[nextFrame], codec, reader, run.file, locals, &chunk)
      nextFrame += 1
    }
  }
}

/// How many runs are read at a time: with a thirty-second of a task's memory for each one's frame, their decoded elements
/// take about what a task may.
let runsMergedAtOnce = 16

/// Numbers 0 ..< count in a binary heap: the least by `isBefore` on top.
struct NumberHeap {
  private var numbers: [Int] = []

  var top: Int? { numbers.first }

  mutating func push(_ number: Int, _ isBefore: (Int, Int) throws -> Bool) rethrows {
    numbers.append(number)
    var child = numbers.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard try isBefore(numbers[child], numbers[parent]) else { return }
      numbers.swapAt(child, parent)
      child = parent
    }
  }

  /// The top's place may have changed, or (`isGone`) it leaves.
  mutating func settleTop(isGone: Bool, _ isBefore: (Int, Int) throws -> Bool) rethrows {
    if isGone {
      numbers.swapAt(0, numbers.count - 1)
      numbers.removeLast()
    }
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < numbers.count {
        if try isBefore(numbers[child], numbers[least]) { least = child }
      }
      if least == parent { return }
      numbers.swapAt(parent, least)
      parent = least
    }
  }
}

/// Runs of entries sorted by their keys' hashes, which a table wrote when its task's memory was full, and their merging.
///
/// Used by one task.
@usableFromInline final class HashRuns<Key: Hashable, Value> {
  private let task: TaskContext
  private let store: BlockStore
  private let space: any SpillSpace
  private let codec: ElementCodec<(Key, Value)>
  private var runs: [SpilledRun] = []

  init(_ task: TaskContext, _ store: BlockStore, _ codec: ElementCodec<(Key, Value)>) throws {
    guard let space = store.space else { throw StorageError(.noDisk(operation: "a shuffle")) }
    self.task = task
    self.store = store
    self.space = space
    self.codec = codec
  }

  private static func hash(_ key: Key) -> UInt64 { OrderedTable<Key, Value>.hash(key) }

  private func makeWriter() throws -> RunWriter<(Key, Value)> {
    RunWriter(try space.makeFile(), codec, frameSize: store.frameSize, task.locals)
  }

  private func end(_ writer: RunWriter<(Key, Value)>) throws -> SpilledRun {
    let run = SpilledRun(writer.file, try writer.endRun())
    try writer.file.seal()
    task.spills.add(writer.takeCounts())
    return run
  }

  /// Writes a table's entries, one a key.
  func add(_ entries: UnsafeBufferPointer<(Key, Value)>) throws {
    guard let base = entries.baseAddress, entries.count > 0 else { return }
    let order = entries.indices.map { (hash: HashRuns.hash(entries[$0].0), index: $0) }.sorted { $0.hash < $1.hash }
    let writer = try makeWriter()
    for entry in order { try writer.append(base + entry.index) }
    runs.append(try end(writer))
  }

  /// Hands over one entry a key, by hash; the runs are used up.
  func merge(
    _ combine: (inout Value, Value) throws -> Void, _ emit: (UnsafeBufferPointer<(Key, Value)>) throws -> Void
  ) throws {
    while runs.count > runsMergedAtOnce {
      // Neighbours become one: the order of a key's values stays.
      var merged: [SpilledRun] = []
      for start in stride(from: 0, to: runs.count, by: runsMergedAtOnce) {
        let writer = try makeWriter()
        try merge(runs[start..<min(start + runsMergedAtOnce, runs.count)], combine) { try writer.append($0) }
        merged.append(try end(writer))
      }
      runs = merged
    }
    let last = runs
    runs = []
    try merge(last[...], combine, emit)
  }

  private func merge(
    _ runs: ArraySlice<SpilledRun>, _ combine: (inout Value, Value) throws -> Void,
    _ emit: (UnsafeBufferPointer<(Key, Value)>) throws -> Void
  ) throws {
    let cursors = try runs.map { try RunCursor($0, codec, task.locals) }
    var hashes = cursors.map { $0.isAtEnd ? 0 : HashRuns.hash($0.current.0) }
    // Of equal hashes the earlier run comes first.
    let isBefore = { (a: Int, b: Int) in (hashes[a], a) < (hashes[b], b) }
    var heap = NumberHeap()
    for index in cursors.indices where !cursors[index].isAtEnd { heap.push(index, isBefore) }
    let frames = max(1, runs.reduce(0) { $0 + $1.frames.count })
    let chunkSize = min(1024, max(1, runs.reduce(0) { $0 + $1.records } / frames))
    var output = Chunk<(Key, Value)>()
    // The keys of one hash: one, but for collisions.
    var group: [(Key, Value)] = []
    var groupHash: UInt64 = 0
    while let index = heap.top {
      let hash = hashes[index]
      if hash != groupHash {
        for entry in group { output.append(entry) }
        group.removeAll(keepingCapacity: true)
        if output.count >= chunkSize {
          try emit(output.view)
          output.clear()
        }
        groupHash = hash
      }
      let entry = cursors[index].current
      if let place = group.firstIndex(where: { $0.0 == entry.0 }) {
        try combine(&group[place].1, entry.1)
      } else {
        group.append(entry)
      }
      try cursors[index].advance()
      let isGone = cursors[index].isAtEnd
      if !isGone { hashes[index] = HashRuns.hash(cursors[index].current.0) }
      heap.settleTop(isGone: isGone, isBefore)
    }
    for entry in group { output.append(entry) }
    if output.count > 0 { try emit(output.view) }
  }
}
