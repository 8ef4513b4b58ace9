import Groundwork

/// A shuffle's elements for one reduce partition on disk: what one map task had no room for.
///
/// Sendable: constant, see ShuffleBlock.
final class SpilledBlock<Element>: ShuffleBlock, @unchecked Sendable {
  let run: SpilledRun
  let codec: ElementCodec<Element>
  /// The map partition whose elements they are.
  let mapPartition: Int

  override var byteCount: Int { run.storedBytes }

  init(_ run: SpilledRun, _ codec: ElementCodec<Element>, mapPartition: Int) {
    self.run = run
    self.codec = codec
    self.mapPartition = mapPartition
    super.init(spilled: run.records)
  }
}

/// Writes what one map task has no room for into one file: runs, each of which has a part for every reduce partition.
///
/// Used by one task.
@usableFromInline final class MapSpill<Element> {
  private let task: TaskContext
  private let writer: RunWriter<Element>
  private let codec: ElementCodec<Element>
  private var frames: [[RunFrame]]

  init(_ task: TaskContext, _ store: BlockStore, _ codec: ElementCodec<Element>, partitions: Int) throws {
    guard let space = store.space else { throw StorageError(.noDisk(operation: "a shuffle")) }
    self.task = task
    self.codec = codec
    writer = RunWriter(try space.makeFile(), codec, frameSize: store.frameSize, task.locals)
    frames = Array(repeating: [], count: partitions)
  }

  /// Writes elements of one partition; all of a partition's come before those of the next.
  func append(_ view: UnsafeBufferPointer<Element>) throws { try writer.append(view) }
  func append(_ address: UnsafePointer<Element>) throws { try writer.append(address) }

  /// What was appended since the last call belongs to this partition.
  func end(_ partition: Int) throws { frames[partition].append(contentsOf: try writer.endRun()) }

  /// The blocks: what was written, in the order in which it was.
  func blocks() throws -> [ShuffleBlock?] {
    task.spills.add(writer.takeCounts())
    try writer.file.seal()
    return frames.map { frames in
      frames.isEmpty
        ? nil : SpilledBlock(SpilledRun(writer.file, frames), codec, mapPartition: task.partition)
    }
  }
}

/// What a task that may have to move data to disk knows of the memory it may use.
@usableFromInline struct TaskRoom {
  let task: TaskContext
  @usableFromInline let store: BlockStore
  let label: String

  @usableFromInline init(_ task: TaskContext, _ store: BlockStore, label: String) {
    self.task = task
    self.store = store
    self.label = label
  }

  /// The codec for elements that have to leave memory; nil, and a warning, where there is none.
  func codec<Element>(_ type: Element.Type) -> ElementCodec<Element>? {
    if let codec = ElementCodec<Element>() { return codec }
    store.warn(
      once: "\(label) uses more memory than a task may (\(store.taskMemory ?? 0) bytes) and cannot move data to disk: "
        + "conform the parts of \(Element.self) to StreamCodable (two methods)")
    return nil
  }
}

/// Elements on their way into the blocks of a shuffle that does not combine.
public struct ShuffleBuckets<Element> {
  @usableFromInline var buckets: [ContiguousArray<Element>]
  @usableFromInline var growth: GrowthGauge
  @usableFromInline let room: TaskRoom?
  @usableFromInline var spill: MapSpill<Element>?

  /// Buckets that stay in memory whatever their size.
  @inlinable public init(_ count: Int) {
    buckets = Array(repeating: [], count: count)
    growth = GrowthGauge(limit: nil)
    room = nil
  }

  /// Buckets that go to disk where they take more than a task's memory; call `settle` after each chunk.
  /// - Parameters:
  ///   - count: reduce partitions.
  ///   - label: the operator, for a warning.
  @inlinable public init(_ count: Int, _ task: TaskContext, _ context: SluiceContext, label: String) {
    buckets = Array(repeating: [], count: count)
    growth = GrowthGauge(limit: context.blocks.taskMemory)
    room = TaskRoom(task, context.blocks, label: label)
  }

  /// The element must be detached.
  @inlinable public mutating func append(_ element: Element, to bucket: Int) { buckets[bucket].append(element) }

  /// Moves the elements to disk where they have become too many.
  /// - Parameter more: how many were appended since the last call.
  @inlinable public mutating func settle(_ more: Int) throws {
    if growth.isDue(more) { try measure() }
  }

  /// Bytes in memory now.
  private func bytes(_ room: TaskRoom) -> Int {
    buckets.reduce(0) { sum, bucket in
      sum + bucket.withUnsafeBufferPointer { ElementSize.estimate($0, room.task.locals) }
    }
  }

  @usableFromInline mutating func measure() throws {
    guard let room, growth.isOver(bytes(room)) else { return }
    if try moveToDisk() { growth.restart() } else { growth.rest() }
  }

  /// - Returns: whether it could.
  private mutating func moveToDisk() throws -> Bool {
    guard let room else { return false }
    if spill == nil {
      guard let codec = room.codec(Element.self) else { return false }
      spill = try MapSpill(room.task, room.store, codec, partitions: buckets.count)
    }
    for index in buckets.indices where !buckets[index].isEmpty {
      try buckets[index].withUnsafeBufferPointer { try spill?.append($0) }
      try spill?.end(index)
      buckets[index] = []
    }
    return true
  }

  /// Everything, as one block for each partition that has elements: in memory where the context's store has room, else on
  /// disk.
  @inlinable public mutating func finish() throws -> [ShuffleBlock?] {
    let lease = try settleAll()
    if let spill { return try spilled(spill) }
    return buckets.map { $0.isEmpty ? nil : ArrayBlock($0, lease: lease) }
  }

  @usableFromInline func spilled(_ spill: MapSpill<Element>) throws -> [ShuffleBlock?] { try spill.blocks() }

  /// Room for what is in memory; nil: it is on disk now, or may not be counted.
  @usableFromInline mutating func settleAll() throws -> MemoryLease? {
    guard let room, room.store.taskMemory != nil else { return nil }
    if spill == nil, let lease = room.store.lease(bytes(room), room.task.locals) { return lease }
    _ = try moveToDisk()
    return nil
  }

  /// As `finish`, for buckets that stay in memory.
  @inlinable public func blocks() -> [ShuffleBlock?] { buckets.map { $0.isEmpty ? nil : ArrayBlock($0) } }
}

extension ShuffleDependency {
  /// Hands over the elements for one reduce partition, in the order of the map partitions. Only for a shuffle whose map
  /// side wrote blocks of these elements.
  /// - Throws: `ShuffleOutputMissing` where a map task's output is not there, or its file turned out to be lost.
  @inlinable public func read<Element>(
    _ partition: Int, _ task: TaskContext, _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    try read(try output.blocks(forReduce: partition), task, emit)
  }

  /// As `read(_:_:_:)`, for a shuffle whose map side never writes to disk: a sample.
  @inlinable func read<Element>(
    _ partition: Int, _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    for block in try output.blocks(forReduce: partition) {
      try unsafeDowncast(block, to: ArrayBlock<Element>.self).elements.withUnsafeBufferPointer { try emit($0) }
    }
  }

  @inlinable func read<Element>(
    _ blocks: [ShuffleBlock], _ task: TaskContext, _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    for block in blocks {
      if block.isSpilled {
        try readSpilled(block, task, emit)
      } else {
        try unsafeDowncast(block, to: ArrayBlock<Element>.self).elements.withUnsafeBufferPointer { try emit($0) }
      }
    }
  }

  @usableFromInline func readSpilled<Element>(
    _ block: ShuffleBlock, _ task: TaskContext, _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    // Only the map side of this shuffle, which writes these elements, makes its blocks.
    let block = unsafeDowncast(block, to: SpilledBlock<Element>.self)
    do {
      try block.run.read(block.codec, task.locals) { view in
        do { try emit(view) } catch { throw EmitFailure(error: error) }
      }
    } catch let failure as EmitFailure {
      throw failure.error
    } catch let error as StorageError {
      guard case .lost = error.code else { throw error }
      // Only that map task runs again.
      output.drop(ofMap: block.mapPartition, holding: block)
      throw ShuffleOutputMissing()
    }
  }
}

/// An error of who was handed the elements: not of the file they came from.
private struct EmitFailure: Error {
  var error: any Error
}
