import Synchronization

/// Computed partitions that are kept in memory for datasets that ask for it (`RDD.cache`), up to a bound; what was used
/// least recently goes first. What is gone is computed again by lineage.
///
/// Sendable: its state stands under a lock, held for a lookup or an insertion, never while a partition is computed.
public final class BlockStore: Sendable {
  /// The most bytes kept, by estimate.
  public let capacity: Int

  private struct Key: Hashable {
    var owner: ObjectIdentifier
    var partition: Int
  }
  private struct Entry {
    var block: ShuffleBlock
    var bytes: Int
    var lastUse: UInt64
  }
  private struct State {
    var entries: [Key: Entry] = [:]
    var bytes = 0
    var uses: UInt64 = 0
    var evictions = 0
  }
  private let state = Mutex(State())

  /// - Parameter capacity: the most bytes kept, by estimate.
  public init(capacity: Int) { self.capacity = max(0, capacity) }

  /// Bytes kept now, by estimate.
  public var bytes: Int { state.withLock { $0.bytes } }
  /// Partitions kept now.
  public var blockCount: Int { state.withLock { $0.entries.count } }
  /// Partitions that were dropped for lack of room so far.
  public var evictions: Int { state.withLock { $0.evictions } }

  func block(_ owner: PersistedPartitions, _ partition: Int) -> ShuffleBlock? {
    state.withLock { state in
      let key = Key(owner: ObjectIdentifier(owner), partition: partition)
      guard var entry = state.entries.removeValue(forKey: key) else { return nil }
      state.uses += 1
      entry.lastUse = state.uses
      state.entries[key] = entry
      return entry.block
    }
  }

  func contains(_ owner: PersistedPartitions, _ partition: Int) -> Bool {
    state.withLock { $0.entries[Key(owner: ObjectIdentifier(owner), partition: partition)] != nil }
  }

  /// Keeps a partition, unless it is kept already or larger than the whole store. O(blocks) for each one evicted.
  func insert(_ owner: PersistedPartitions, _ partition: Int, _ block: ShuffleBlock, bytes: Int) {
    guard bytes <= capacity else { return }
    let dropped: [ShuffleBlock] = state.withLock { state in
      let key = Key(owner: ObjectIdentifier(owner), partition: partition)
      guard state.entries[key] == nil else { return [] }
      var dropped: [ShuffleBlock] = []
      while state.bytes + bytes > capacity, let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
      {
        state.entries[oldest.key] = nil
        state.bytes -= oldest.value.bytes
        state.evictions += 1
        dropped.append(oldest.value.block)
      }
      state.uses += 1
      state.entries[key] = Entry(block: block, bytes: bytes, lastUse: state.uses)
      state.bytes += bytes
      return dropped
    }
    withExtendedLifetime(dropped) {}  // freed here, outside of the lock
  }

  func remove(_ owner: PersistedPartitions, partitionCount: Int) {
    let owner = ObjectIdentifier(owner)
    let dropped: [ShuffleBlock] = state.withLock { state in
      (0..<partitionCount).compactMap { partition in
        guard let entry = state.entries.removeValue(forKey: Key(owner: owner, partition: partition)) else { return nil }
        state.bytes -= entry.bytes
        return entry.block
      }
    }
    withExtendedLifetime(dropped) {}
  }

  /// Forgets every kept partition; datasets stay persisted and are computed again when next used.
  public func removeAll() {
    let dropped = state.withLock { state in
      defer {
        state.entries = [:]
        state.bytes = 0
      }
      return state.entries
    }
    withExtendedLifetime(dropped) {}
  }
}

/// The kept partitions of one dataset: its name in the block store, cleared with the last reference.
@usableFromInline final class PersistedPartitions: Sendable {
  let store: BlockStore
  let partitionCount: Int

  init(_ store: BlockStore, partitionCount: Int) {
    self.store = store
    self.partitionCount = partitionCount
  }

  deinit { store.remove(self, partitionCount: partitionCount) }

  @usableFromInline func block(_ partition: Int) -> ShuffleBlock? { store.block(self, partition) }

  @usableFromInline func insert(_ block: ShuffleBlock, bytes: Int, at partition: Int) {
    store.insert(self, partition, block, bytes: bytes)
  }

  var isComplete: Bool { (0..<partitionCount).allSatisfy { store.contains(self, $0) } }
}

/// Whether a dataset is persisted: asked once a task and operator, so the common "no" is one relaxed load.
///
/// Sendable: an atomic flag and a lock.
@usableFromInline final class Persistence: Sendable {
  private let isOn = Atomic<Bool>(false)
  private let partitions = Mutex<PersistedPartitions?>(nil)

  @usableFromInline init() {}

  @usableFromInline var current: PersistedPartitions? {
    isOn.load(ordering: .relaxed) ? partitions.withLock { $0 } : nil
  }

  func set(_ new: PersistedPartitions?) {
    let old = partitions.withLock { partitions in
      defer { partitions = new }
      return partitions
    }
    isOn.store(new != nil, ordering: .relaxed)
    withExtendedLifetime(old) {}  // its blocks are freed here, outside of the lock
  }
}

/// Where a persisted dataset's partitions are kept; the names are Spark's.
public enum StorageLevel: Sendable {
  /// As elements in memory, in the context's block store; evicted partitions are computed again.
  case memoryOnly
}

extension AnyRDD {
  /// Whether every partition is kept in memory: nothing before this dataset has to be computed.
  package var isFullyPersisted: Bool { persistence.current?.isComplete ?? false }

  /// Whether the dataset is marked to be kept.
  public var isPersisted: Bool { persistence.current != nil }

  /// Stops keeping the dataset and frees what was kept.
  public func unpersist() { persistence.set(nil) }
}

extension RDD where Element: Sendable {
  /// Keeps each partition in memory once it was computed, in the context's block store; the same dataset is returned.
  ///
  /// What was derived from the dataset before profits as well.
  @discardableResult public func persist(_ level: StorageLevel = .memoryOnly) -> RDD {
    switch level {
    case .memoryOnly:
      if !isPersisted { persistence.set(PersistedPartitions(context.blocks, partitionCount: partitionCount)) }
    }
    return self
  }

  /// As `persist(.memoryOnly)`.
  @discardableResult public func cache() -> RDD { persist() }
}

extension RDD {
  @usableFromInline func computePersisted(
    _ persisted: PersistedPartitions, _ partition: Int, _ task: TaskContext, _ emit: Emit
  ) throws {
    let elements: ContiguousArray<Element>
    if let block = persisted.block(partition) {
      // Only this dataset inserts under its name, so the block is of its type.
      elements = unsafeDowncast(block, to: ArrayBlock<Element>.self).elements
    } else {
      var computed = ContiguousArray<Element>()
      try produce(partition, task) { view in
        for element in view { computed.append(detached(element)) }
      }
      elements = computed
      persisted.insert(ArrayBlock(elements), bytes: ElementSize.estimate(elements), at: partition)
    }
    try elements.withUnsafeBufferPointer { whole in
      for position in stride(from: 0, to: whole.count, by: Chunk<Element>.usualCapacity) {
        let end = Swift.min(position + Chunk<Element>.usualCapacity, whole.count)
        try emit(UnsafeBufferPointer(rebasing: whole[position..<end]))
      }
    }
  }
}
