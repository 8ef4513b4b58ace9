import Synchronization

/// The kept partitions of one dataset: its name in the block store, cleared with the last reference.
///
/// Sendable: constant.
@usableFromInline final class PersistedPartitions: Sendable {
  let store: BlockStore
  let partitionCount: Int
  let level: StorageLevel
  /// A local checkpoint: what is kept cannot be made again.
  let isPinned: Bool

  init(_ store: BlockStore, partitionCount: Int, level: StorageLevel, isPinned: Bool = false) {
    self.store = store
    self.partitionCount = partitionCount
    self.level = level
    self.isPinned = isPinned
  }

  deinit { store.remove(self, partitionCount: partitionCount) }

  var isComplete: Bool { (0..<partitionCount).allSatisfy { store.contains(self, $0) } }
}

/// What is kept of a dataset, in memory, on disk, or as a checkpoint. Whether anything is, is asked once a task and
/// operator, so the common "no" is one relaxed load.
///
/// Sendable: atomics and a lock.
@usableFromInline final class Persistence: Sendable {
  /// What is to be kept.
  struct Kept {
    var persisted: PersistedPartitions?
    var checkpoint: CheckpointParts?
    /// A task may have read the dataset's computation without the lock: it is then never replaced.
    var wasPlain = false
  }
  private enum Phase: UInt8 {
    /// No task has computed the dataset.
    case fresh
    /// Nothing is kept.
    case plain
    case kept
  }
  private let phase = Atomic<UInt8>(Phase.fresh.rawValue)
  /// The checkpoint is complete: the dataset has no parents any more.
  private let cut = Atomic<Bool>(false)
  private let state = Mutex(Kept())

  @usableFromInline init() {}

  /// Whether nothing is kept. From the first "yes" on the dataset's computation stays where it is.
  @usableFromInline var isPlain: Bool {
    switch phase.load(ordering: .relaxed) {
    case Phase.plain.rawValue: return true
    case Phase.kept.rawValue: return false
    default:
      let (_, seen) = phase.compareExchange(
        expected: Phase.fresh.rawValue, desired: Phase.plain.rawValue, ordering: .acquiringAndReleasing)
      return seen != Phase.kept.rawValue
    }
  }

  /// What is kept; empty where nothing is.
  var kept: Kept { isKept ? state.withLock { $0 } : Kept() }

  var isKept: Bool { phase.load(ordering: .acquiring) == Phase.kept.rawValue }

  /// Whether the parents are no longer needed for anything.
  var isCut: Bool { cut.load(ordering: .acquiring) }

  /// Changes what is to be kept; what is dropped by it is freed after the call.
  func change(_ body: (inout Kept) -> Void) {
    let old = state.withLock { kept in
      let old = kept
      body(&kept)
      let isKept = kept.persisted != nil || kept.checkpoint != nil
      let before = phase.exchange(isKept ? Phase.kept.rawValue : Phase.plain.rawValue, ordering: .acquiringAndReleasing)
      if before == Phase.plain.rawValue || !isKept { kept.wasPlain = true }
      return old
    }
    withExtendedLifetime(old) {}
  }

  /// Calls `body` where no task can read what it changes: the dataset's computation and parents.
  func locked<Output: ~Copyable>(_ body: (Kept) -> Output) -> Output {
    state.withLock { body($0) }
  }

  /// From now on the dataset has no parents.
  func markCut() { cut.store(true, ordering: .releasing) }
}

extension AnyRDD {
  /// Whether every partition is kept, in memory, on disk or in a checkpoint: nothing before this dataset has to be
  /// computed.
  package var isFullyPersisted: Bool {
    guard persistence.isKept else { return false }
    let kept = persistence.kept
    return kept.checkpoint?.isComplete == true || kept.persisted?.isComplete == true
  }

  /// Whether the dataset is marked to be kept.
  public var isPersisted: Bool { persistence.kept.persisted != nil }

  /// Where the dataset is to be kept; nil where it is not.
  public var storageLevel: StorageLevel? { persistence.kept.persisted?.level }

  /// Stops keeping the dataset and frees what was kept, in memory and on disk. A local checkpoint stays.
  public func unpersist() {
    guard persistence.isKept else { return }
    persistence.change { if $0.persisted?.isPinned != true { $0.persisted = nil } }
  }
}

extension RDD where Element: Sendable {
  /// Keeps each partition once it was computed; the same dataset is returned, and what was derived from it before
  /// profits as well. A dataset that is kept already keeps its level.
  /// - Throws: `StorageError` where the level needs a disk that the context does not have, or elements that can be encoded
  ///   (see `ElementCodec`) and these cannot.
  @discardableResult public func persist(_ level: StorageLevel) throws(StorageError) -> RDD {
    try context.check(level, keeps: Element.self)
    keep(level)
    return self
  }

  /// As `persist(.memoryOnly)`, which is possible with elements of any type.
  @discardableResult public func persist() -> RDD {
    keep(.memoryOnly)
    return self
  }

  /// As `persist()`.
  @discardableResult public func cache() -> RDD { persist() }

  private func keep(_ level: StorageLevel) {
    persistence.change { kept in
      guard kept.persisted == nil else { return }
      kept.persisted = PersistedPartitions(context.blocks, partitionCount: partitionCount, level: level)
    }
  }
}

extension SluiceContext {
  /// Whether datasets of such elements can be kept at a level.
  /// - Throws: `StorageError` where the level needs a disk that the context does not have, or elements that can be encoded
  ///   (see `ElementCodec`) and these cannot.
  public func check<Element>(_ level: StorageLevel, keeps type: Element.Type) throws(StorageError) {
    if level.usesDisk, blocks.space == nil { throw StorageError(.noDisk(operation: "persist(\(level))")) }
    if level.needsCodec, ElementCodec<Element>() == nil {
      throw StorageError(.noCodec(type: "\(Element.self)", operation: "persist(\(level))"))
    }
  }
}
