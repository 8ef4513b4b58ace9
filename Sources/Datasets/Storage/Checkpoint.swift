import Groundwork
import Synchronization

/// The files of one dataset's checkpoint: one a partition, written by the task that computes it.
///
/// Sendable: constant, but for what stands under the lock.
final class CheckpointParts: Sendable {
  let folder: String
  let space: any SpillSpace
  private let typeName: String
  private let runs: Mutex<[SpilledRun?]>
  private let attempts = Atomic<Int>(0)

  init(_ space: any SpillSpace, in folder: String, partitionCount: Int, typeName: String) {
    self.space = space
    self.folder = folder
    self.typeName = typeName
    runs = Mutex(Array(repeating: nil, count: partitionCount))
  }

  var isComplete: Bool { runs.withLock { !$0.contains { $0 == nil } } }

  func run(_ partition: Int) -> SpilledRun? { runs.withLock { $0[partition] } }

  func forget(_ partition: Int) { runs.withLock { $0[partition] = nil } }

  /// A file for a partition, of a name that no other attempt has.
  func makeFile(_ partition: Int) throws(StorageError) -> any SpillFile {
    let number = String(partition)
    let padded = String(repeating: "0", count: max(0, 5 - number.count)) + number
    return try space.makeDurableFile("part-\(padded)-\(attempts.add(1, ordering: .relaxed).newValue)", in: folder)
  }

  /// The first file of a partition counts.
  /// - Returns: whether this is it.
  func add(_ run: SpilledRun, at partition: Int) -> Bool {
    runs.withLock { runs in
      if runs[partition] != nil { return false }
      runs[partition] = run
      return true
    }
  }

  /// Writes what a reader needs to find the parts.
  func writeManifest() throws {
    try space.write(CheckpointManifest(typeName: typeName, runs: runs.withLock { $0 }).encoded(), in: folder)
  }
}

/// The list of a checkpoint's parts and frames: the file `manifest` in its folder, written last.
struct CheckpointManifest {
  static let fileName = "manifest"
  private static let magic: Bytes = "sluice checkpoint 1\n"
  var typeName: String
  var parts: [(file: String, frames: [RunFrame])]

  init(typeName: String, runs: [SpilledRun?]) {
    self.typeName = typeName
    parts = runs.map { run in
      (run.map { String($0.file.path.split(separator: "/").last ?? "") } ?? "", run?.frames ?? [])
    }
  }

  func encoded() -> Bytes {
    var writer = ByteWriter()
    writer.append(Self.magic)
    typeName.encode(to: &writer)
    parts.count.encode(to: &writer)
    for part in parts {
      part.file.encode(to: &writer)
      part.frames.count.encode(to: &writer)
      for frame in part.frames {
        frame.frame.position.encode(to: &writer)
        frame.frame.storedCount.encode(to: &writer)
        frame.frame.count.encode(to: &writer)
        frame.frame.checksum.encode(to: &writer)
        frame.records.encode(to: &writer)
      }
    }
    let content = writer.finish()
    var whole = ByteWriter(capacity: content.count + 8)
    whole.append(content)
    whole.append(bigEndian: content.fastHash(seed: 0))
    return whole.finish()
  }

  init(_ bytes: Bytes) throws(StreamDecodingError) {
    let wrong = StreamDecodingError(reason: "this is no manifest of a checkpoint, or a damaged one", position: 0)
    guard bytes.count >= Self.magic.count + 8 else { throw wrong }
    let content = bytes[0..<bytes.count - 8]
    let sum = bytes[(bytes.count - 8)...].reduce(0) { $0 << 8 | UInt64($1) }
    guard content.fastHash(seed: 0) == sum, content[0..<Self.magic.count] == Self.magic else { throw wrong }
    var reader = StreamReader(content[Self.magic.count..<content.count])
    typeName = try String.decode(from: &reader)
    parts = []
    for _ in 0..<(try Int.decode(from: &reader)) {
      let file = try String.decode(from: &reader)
      var frames: [RunFrame] = []
      for _ in 0..<(try Int.decode(from: &reader)) {
        let position = try Int64.decode(from: &reader)
        let storedCount = try Int.decode(from: &reader)
        let count = try Int.decode(from: &reader)
        let checksum = try UInt64.decode(from: &reader)
        frames.append(
          RunFrame(
            frame: SpillFrame(position: position, storedCount: storedCount, count: count, checksum: checksum),
            records: try Int.decode(from: &reader)))
      }
      parts.append((file, frames))
    }
  }
}

extension RDD where Element: Sendable {
  /// Writes each partition into a file of the folder when it is first computed, and drops the lineage as soon as all are
  /// there: from then on the dataset has no parents, and what they kept is freed. The same dataset is returned.
  ///
  /// Nothing is computed by the call; `checkpointNow` does that. Mark a dataset before the first job over it: one that was
  /// computed before is checkpointed as well, but keeps its parents in memory. The folder should be empty; another
  /// process reads it by `SluiceContext.checkpointed(_:in:)`.
  /// - Throws: `StorageError` where the context has no disk or the elements cannot be encoded (see `ElementCodec`).
  @discardableResult public func checkpoint(in folder: String) throws(StorageError) -> RDD {
    guard let space = context.blocks.space else { throw StorageError(.noDisk(operation: "checkpoint(in:)")) }
    guard ElementCodec<Element>() != nil else {
      throw StorageError(.noCodec(type: "\(Element.self)", operation: "checkpoint(in:)"))
    }
    persistence.change { kept in
      guard kept.checkpoint == nil else { return }
      kept.checkpoint = CheckpointParts(
        space, in: folder, partitionCount: partitionCount, typeName: "\(Element.self)")
    }
    return self
  }

  /// As `checkpoint(in:)`, and runs a job that computes every partition.
  /// - Throws: also the job's failure.
  @discardableResult public func checkpointNow(in folder: String) throws -> RDD {
    try checkpoint(in: folder)
    _ = try context.runner.run(self, partitions: Array(0..<partitionCount), label: "checkpoint") {
      dataset, partition, task in
      try dataset.compute(partition, task) { _ in }
      return true
    }
    return self
  }

  /// Keeps each partition in memory, or on disk where memory is full and there is one, and drops the lineage as soon as
  /// all are there. Fast, and lost with the process: partitions that are lost cannot be made again. The same dataset is
  /// returned; nothing is computed by the call.
  @discardableResult public func localCheckpoint() -> RDD {
    let canMove = context.blocks.space != nil && ElementCodec<Element>() != nil
    persistence.change { kept in
      kept.persisted = PersistedPartitions(
        context.blocks, partitionCount: partitionCount, level: canMove ? .memoryAndDisk : .memoryOnly, isPinned: true)
    }
    return self
  }
}

extension SluiceContext {
  /// The dataset that a checkpoint's folder holds.
  /// - Throws: `StorageError` where there is none, it is damaged, or it was written of elements of another type.
  public func checkpointed<Element: Sendable>(
    _ type: Element.Type = Element.self, in folder: String
  ) throws(StorageError) -> RDD<Element> {
    guard let space = blocks.space else { throw StorageError(.noDisk(operation: "checkpointed(in:)")) }
    guard let codec = ElementCodec<Element>() else {
      throw StorageError(.noCodec(type: "\(Element.self)", operation: "checkpointed(in:)"))
    }
    let manifest: CheckpointManifest
    do {
      manifest = try CheckpointManifest(try space.contents(of: CheckpointManifest.fileName, in: folder))
    } catch let error as StreamDecodingError {
      throw StorageError(.lost("\(folder)/\(CheckpointManifest.fileName): \(error)"))
    } catch let error as StorageError {
      throw error
    } catch {
      throw StorageError(.lost("\(folder): \(error)"))
    }
    guard manifest.typeName == "\(Element.self)" else {
      throw StorageError(.lost("\(folder) holds elements of \(manifest.typeName), not of \(Element.self)"))
    }
    var runs: [SpilledRun] = []
    for part in manifest.parts { runs.append(SpilledRun(try space.durableFile(part.file, in: folder), part.frames)) }
    let all = runs
    return RDD(
      self, label: "checkpoint \(folder)", partitionCount: max(1, runs.count), dependencies: []
    ) { partition, task, emit in
      guard partition < all.count else { return }
      task.recordsRead += all[partition].records
      try all[partition].read(codec, task.locals, emit)
    }
  }
}

extension RDD {
  /// Computes a partition of a dataset that may be checkpointed: from its file, or by its lineage and into the file.
  func computeCheckpointed(
    _ kept: Persistence.Kept, _ partition: Int, _ task: TaskContext, _ emit: Emit
  ) throws {
    guard let checkpoint = kept.checkpoint, let codec = ElementCodec<Element>() else {
      return try computeByLineage(partition, task, emit)
    }
    if let run = checkpoint.run(partition) {
      do {
        return try run.read(codec, task.locals, emit)
      } catch let error as StorageError {
        // The next attempt computes the partition again, as long as the lineage is there.
        if case .lost = error.code, !persistence.isCut { checkpoint.forget(partition) }
        throw error
      }
    }
    let writer = RunWriter(
      try checkpoint.makeFile(partition), codec, frameSize: context.blocks.frameSize, task.locals)
    try computeByLineage(partition, task) { try writer.append($0) }
    let run = SpilledRun(writer.file, try writer.endRun())
    try writer.file.seal()
    if !checkpoint.add(run, at: partition) { writer.file.discard() }
    if checkpoint.isComplete, !persistence.isCut {
      try checkpoint.writeManifest()
      cutLineage()
    }
    guard let first = checkpoint.run(partition) else { return try computeKept(partition, task, emit) }
    try first.read(codec, task.locals, emit)
  }

  private func computeByLineage(_ partition: Int, _ task: TaskContext, _ emit: Emit) throws {
    guard persistence.isKept else { return try produce(partition, task, emit) }
    // The computation of a dataset that may be cut is replaced under this lock.
    let current: Compute? = persistence.locked { _ in persistence.isCut ? nil : produce }
    if let current { return try current(partition, task, emit) }
    // Cut since this task looked: so every partition is there.
    try computeKept(partition, task, emit)
  }

  /// Drops the computation and the parents: everything is kept.
  func cutLineage() {
    let old: (Compute?, [Dependency]) = persistence.locked { kept in
      persistence.markCut()
      guard !kept.wasPlain else { return (nil, []) }
      defer {
        produce = { _, _, _ in }
        produceOwned = { _, _, _ in }
      }
      return (produce, takeLineage())
    }
    withExtendedLifetime(old) {}  // parents are released here, outside of the lock
  }
}
