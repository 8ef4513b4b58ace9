import Groundwork

/// Encoded elements in memory, in frames.
///
/// Sendable: constant, see ShuffleBlock.
final class EncodedBlock: ShuffleBlock, @unchecked Sendable {
  let frames: [(bytes: Bytes, records: Int)]

  init(_ frames: [(bytes: Bytes, records: Int)]) {
    self.frames = frames
    super.init(count: frames.reduce(0) { $0 + $1.records })
  }

  func read<Element>(
    _ codec: ElementCodec<Element>, _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    var chunk = Chunk<Element>()
    for frame in frames {
      try codec.decode(frame.bytes, count: frame.records, into: &chunk)
      try emit(chunk.view)
      chunk.clear()
    }
  }
}

/// Collects one partition as its level wants it, while it is computed, and never more of it in memory than the store could
/// keep: what turns out to be larger goes to disk or, where the level has none, straight on to who asked for it.
struct PartitionKeeper<Element>: ~Copyable {
  private let persisted: PersistedPartitions
  private let codec: ElementCodec<Element>?
  private let detach = Detacher<Element>()
  private let task: TaskContext
  private var store: BlockStore { persisted.store }

  private var elements = ContiguousArray<Element>()
  private var growth: GrowthGauge
  private var buffer = ByteWriter()
  private var buffered = 0
  private var frames: [(bytes: Bytes, records: Int)] = []
  private var encodedBytes = 0
  private var writer: RunWriter<Element>?
  private var isPassing = false

  init(_ persisted: PersistedPartitions, _ task: TaskContext) {
    self.persisted = persisted
    self.task = task
    codec = persisted.level.needsCodec ? ElementCodec<Element>() : nil
    growth = GrowthGauge(limit: persisted.store.capacity)
  }

  /// Whether a partition can go to disk.
  private var hasDisk: Bool { persisted.level.usesDisk && codec != nil && store.space != nil }

  mutating func append(_ view: UnsafeBufferPointer<Element>, _ emit: RDD<Element>.Emit) throws {
    if isPassing { return try emit(view) }
    if writer == nil, !persisted.level.usesMemory { try startWriting() }
    if let writer { return try writer.append(view) }
    if persisted.level.isSerialized, let codec {
      for element in view {
        codec.encode(element, into: &buffer)
        buffered += 1
        if buffer.count >= store.frameSize || buffered == 65_536 { endFrame() }
      }
    } else {
      for element in view { elements.append(detach(element)) }
    }
    if growth.isDue(view.count) { try measure(emit) }
  }

  private mutating func endFrame() {
    guard buffered > 0 else { return }
    frames.append((buffer.copyBytes(), buffered))
    encodedBytes += buffer.count
    buffer.removeAll()
    buffered = 0
  }

  private func bytesHeld() -> Int {
    persisted.level.isSerialized
      ? encodedBytes + buffer.count : elements.withUnsafeBufferPointer { ElementSize.estimate($0, task.locals) }
  }

  private mutating func measure(_ emit: RDD<Element>.Emit) throws {
    guard growth.isOver(bytesHeld()), !(persisted.isPinned && !hasDisk) else { return }
    if hasDisk {
      try startWriting()
    } else {
      isPassing = true
      try replay(emit)
      elements = []
      frames = []
    }
  }

  /// What was collected in memory, from the start.
  private mutating func replay(_ emit: RDD<Element>.Emit) throws {
    endFrame()
    if let codec, persisted.level.isSerialized { return try EncodedBlock(frames).read(codec, emit) }
    try elements.emitChunks(emit)
  }

  /// Moves what was collected to disk; the rest follows.
  private mutating func startWriting() throws {
    guard let codec, let space = store.space else { return }
    let made = RunWriter(try space.makeFile(), codec, frameSize: store.frameSize, task.locals)
    try replay { try made.append($0) }
    elements = []
    frames = []
    encodedBytes = 0
    writer = made
  }

  private mutating func finishWriting() throws -> SpilledRun? {
    guard let writer else { return nil }
    let run = SpilledRun(writer.file, try writer.endRun())
    try writer.file.seal()
    self.writer = nil
    return run
  }

  /// All is there: it is kept, and handed over where that has not happened yet.
  mutating func finish(_ partition: Int, _ emit: RDD<Element>.Emit) throws {
    if isPassing { return }
    if writer == nil, !persisted.level.usesMemory { try startWriting() }  // an empty partition
    if let run = try finishWriting(), let codec {
      store.insert(persisted, partition, run)
      return try run.read(codec, task.locals, emit)
    }
    endFrame()
    let bytes = bytesHeld()
    let block: ShuffleBlock = persisted.level.isSerialized ? EncodedBlock(frames) : ArrayBlock(elements)
    let mover = hasDisk ? RDD<Element>.mover(store, codec) : nil
    if !store.insert(persisted, partition, block, bytes: bytes, mover: mover, task.locals), let mover {
      store.insert(persisted, partition, try mover(block, task.locals))
    }
    try replay(emit)
  }
}

extension RDD {
  /// Writes a kept block to disk.
  static func mover(_ store: BlockStore, _ codec: ElementCodec<Element>?) -> BlockStore.Mover? {
    guard let codec, let space = store.space else { return nil }
    let frameSize = store.frameSize
    return { block, locals in
      let writer = RunWriter(try space.makeFile(), codec, frameSize: frameSize, locals)
      if let encoded = block as? EncodedBlock {
        try encoded.read(codec) { try writer.append($0) }
      } else {
        // Only a dataset of this element type inserts under its name, so the block is of its type.
        try unsafeDowncast(block, to: ArrayBlock<Element>.self).elements.withUnsafeBufferPointer {
          try writer.append($0)
        }
      }
      let run = SpilledRun(writer.file, try writer.endRun())
      try writer.file.seal()
      return run
    }
  }

  /// Computes a partition of a dataset that is kept: takes what is there, and keeps what is not.
  @usableFromInline func computeKept(_ partition: Int, _ task: TaskContext, _ emit: Emit) throws {
    let kept = persistence.kept
    guard let persisted = kept.persisted else { return try computeCheckpointed(kept, partition, task, emit) }
    if try emitKept(persisted, partition, task, emit) { return }
    if persistence.isCut, kept.checkpoint == nil {
      throw StorageError(.checkpointLost(dataset: label, partition: partition, "its block is gone"))
    }
    var keeper = PartitionKeeper<Element>(persisted, task)
    try computeCheckpointed(kept, partition, task) { try keeper.append($0, emit) }
    try keeper.finish(partition, emit)
    if persisted.isPinned, persisted.isComplete { cutLineage() }
  }

  /// Hands over a partition that is kept.
  /// - Returns: whether it is: what turns out to be lost is forgotten.
  private func emitKept(
    _ persisted: PersistedPartitions, _ partition: Int, _ task: TaskContext, _ emit: Emit
  ) throws -> Bool {
    switch persisted.store.find(persisted, partition) {
    case nil: return false
    case .memory(let block):
      if let encoded = block as? EncodedBlock {
        guard let codec = ElementCodec<Element>() else { return false }
        try encoded.read(codec, emit)
      } else {
        // Only this dataset inserts under its name, so the block is of its type.
        try unsafeDowncast(block, to: ArrayBlock<Element>.self).elements.emitChunks(emit)
      }
      return true
    case .disk(let run):
      guard let codec = ElementCodec<Element>() else { return false }
      var hasEmitted = false
      do {
        try run.read(codec, task.locals) {
          hasEmitted = true
          try emit($0)
        }
        return true
      } catch let error as StorageError {
        guard case .lost(let what) = error.code else { throw error }
        if persisted.isPinned {
          throw StorageError(.checkpointLost(dataset: label, partition: partition, what))
        }
        persisted.store.drop(persisted, partition)
        // A part of it is out already: the next attempt of the task computes the partition again.
        if hasEmitted { throw error }
        return false
      }
    }
  }
}

extension ContiguousArray {
  /// Hands over the elements a chunk at a time.
  func emitChunks(_ emit: (UnsafeBufferPointer<Element>) throws -> Void) throws {
    try withUnsafeBufferPointer { whole in
      for position in stride(from: 0, to: whole.count, by: Chunk<Element>.usualCapacity) {
        let end = Swift.min(position + Chunk<Element>.usualCapacity, whole.count)
        try emit(UnsafeBufferPointer(rebasing: whole[position..<end]))
      }
    }
  }
}
