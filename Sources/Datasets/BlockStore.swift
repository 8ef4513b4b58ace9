import Synchronization

/// The memory that datasets may use, and the disk behind it: where persisted partitions are kept (`RDD.persist`), and how
/// much of it shuffles may take.
///
/// A bounded store divides its memory once: a quarter is for what tasks work in (`taskMemory` each), the rest holds
/// persisted partitions and the shuffles' blocks. Where the rest is full, what was used least recently goes first, to disk
/// where its level says so; a shuffle may take room from persisted partitions down to `storageFraction`, never the other way
/// round; a shuffle's block that finds no room goes to disk.
///
/// Sendable: its state stands under a lock, held for a lookup or an insertion, never while a partition is computed or a
/// file is written.
public final class BlockStore: Sendable {
  /// The most bytes kept in memory, by estimate.
  public let capacity: Int
  /// What a task may work in, in bytes, before it moves data to disk; nil: as much as it wants.
  public let taskMemory: Int?
  /// The disk; nil: there is none, and shuffles stay in memory.
  public let space: (any SpillSpace)?
  /// The bytes of `capacity` that shuffles leave to persisted partitions.
  private let reserved: Int
  /// Whether shuffles' blocks are counted.
  private let holdsShuffles: Bool
  /// Told once of each operator whose data cannot leave memory.
  private let warn: @Sendable (String) -> Void

  struct Key: Hashable {
    var owner: ObjectIdentifier
    var partition: Int
  }
  /// Writes a block to disk; nil in an entry: it cannot.
  typealias Mover = @Sendable (ShuffleBlock, ExecutorLocals) throws -> SpilledRun
  fileprivate struct Entry {
    var block: ShuffleBlock?
    var run: SpilledRun?
    var bytes: Int
    var lastUse: UInt64
    var isPinned: Bool
    var mover: Mover?
    /// Somebody is writing it to disk.
    var isMoving = false
  }
  fileprivate struct State {
    var entries: [Key: Entry] = [:]
    var metrics = StorageMetrics()
    var uses: UInt64 = 0
    var lastNumber = 0
    var warned: Set<String> = []
  }
  private let state = Mutex(State())

  /// A store without disk, for persisted partitions only.
  /// - Parameter capacity: the most bytes kept, by estimate.
  public init(capacity: Int) {
    self.capacity = max(0, capacity)
    taskMemory = nil
    space = nil
    reserved = self.capacity
    holdsShuffles = false
    warn = { _ in }
  }

  /// A store that bounds everything that datasets keep and work in.
  /// - Parameters:
  ///   - memory: bytes for all of it.
  ///   - storageFraction: the part of what is kept that shuffles leave to persisted partitions, 0 to 1.
  ///   - executors: tasks that run at the same time.
  ///   - space: where data goes that does not fit; nil: shuffles stay in memory whatever their size.
  ///   - warn: told, once an operator, whose data cannot leave memory and what to do; called in tasks.
  public init(
    memory: Int, storageFraction: Double = 0.5, executors: Int, space: (any SpillSpace)?,
    warn: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    let memory = max(0, memory)
    capacity = memory - memory / 4
    taskMemory = space == nil ? nil : max(1024, memory / 4 / max(1, executors))
    self.space = space
    reserved = Int(Double(capacity) * min(1, max(0, storageFraction)))
    holdsShuffles = space != nil
    self.warn = warn
  }

  /// Bytes of a frame of spilled data before compression: small enough that a task can merge many runs at once.
  var frameSize: Int { min(128 << 10, max(512, (taskMemory ?? 8 << 20) / 32)) }

  /// Bytes that persisted partitions take in memory now, by estimate.
  public var bytes: Int { state.withLock { $0.metrics.memoryBytes } }
  /// Partitions kept now, in memory or on disk.
  public var blockCount: Int { state.withLock { $0.entries.count } }
  /// Partitions that had to leave memory for lack of room so far.
  public var evictions: Int { state.withLock { $0.metrics.evictions } }
  /// What is kept and what happened so far.
  public var metrics: StorageMetrics { state.withLock { $0.metrics } }

  /// Counts from 1: numbers for people, of broadcast values.
  func nextNumber() -> Int {
    state.withLock { state in
      state.lastNumber += 1
      return state.lastNumber
    }
  }

  /// Warns, once for a text.
  func warn(once text: String) {
    if state.withLock({ $0.warned.insert(text).inserted }) { warn(text) }
  }

  // MARK: Persisted partitions

  /// A kept partition, nil where it is not there.
  func find(_ owner: PersistedPartitions, _ partition: Int) -> StoredPartition? {
    state.withLock { state in
      let key = Key(owner: ObjectIdentifier(owner), partition: partition)
      guard let index = state.entries.index(forKey: key) else {
        state.metrics.misses += 1
        return nil
      }
      state.uses += 1
      state.entries.values[index].lastUse = state.uses
      let entry = state.entries.values[index]
      if let block = entry.block {
        state.metrics.memoryHits += 1
        return .memory(block)
      }
      state.metrics.diskHits += 1
      return entry.run.map { .disk($0) }
    }
  }

  func contains(_ owner: PersistedPartitions, _ partition: Int) -> Bool {
    state.withLock { $0.entries[Key(owner: ObjectIdentifier(owner), partition: partition)] != nil }
  }

  /// Keeps a partition in memory, unless it is kept already. O(blocks) for each one evicted.
  /// - Returns: whether it is kept; false: there is no room for it.
  func insert(
    _ owner: PersistedPartitions, _ partition: Int, _ block: ShuffleBlock, bytes: Int, mover: Mover?,
    _ locals: ExecutorLocals
  ) -> Bool {
    let key = Key(owner: ObjectIdentifier(owner), partition: partition)
    if state.withLock({ $0.entries[key] != nil }) { return true }
    let isForced = owner.isPinned && mover == nil
    guard isForced || reserve(bytes, locals, keeping: 0, { $0.memoryBytes += bytes }) else { return false }
    return state.withLock { state in
      if isForced { state.metrics.memoryBytes += bytes }
      guard state.entries[key] == nil else {
        state.metrics.memoryBytes -= bytes
        return true
      }
      state.uses += 1
      state.entries[key] = Entry(
        block: block, run: nil, bytes: bytes, lastUse: state.uses, isPinned: owner.isPinned, mover: mover)
      return true
    }
  }

  /// Keeps a partition on disk, unless it is kept already.
  func insert(_ owner: PersistedPartitions, _ partition: Int, _ run: SpilledRun) {
    state.withLock { state in
      let key = Key(owner: ObjectIdentifier(owner), partition: partition)
      guard state.entries[key] == nil else { return }
      state.uses += 1
      state.metrics.diskBytes += run.storedBytes
      state.entries[key] = Entry(
        block: nil, run: run, bytes: 0, lastUse: state.uses, isPinned: owner.isPinned, mover: nil)
    }
  }

  /// Forgets one partition, as where its file turned out to be lost.
  func drop(_ owner: PersistedPartitions, _ partition: Int) {
    let dropped = state.withLock { state in
      state.remove(Key(owner: ObjectIdentifier(owner), partition: partition))
    }
    withExtendedLifetime(dropped) {}
  }

  func remove(_ owner: PersistedPartitions, partitionCount: Int) {
    let owner = ObjectIdentifier(owner)
    let dropped = state.withLock { state in
      (0..<partitionCount).map { state.remove(Key(owner: owner, partition: $0)) }
    }
    withExtendedLifetime(dropped) {}  // freed here, outside of the lock
  }

  /// Forgets every kept partition (but those of a local checkpoint, which could not be made again); datasets stay persisted
  /// and are computed again when next used.
  public func removeAll() {
    let dropped = state.withLock { state in
      state.entries.filter { !$0.value.isPinned }.map { state.remove($0.key) }
    }
    withExtendedLifetime(dropped) {}
  }

  // MARK: Room

  /// Takes room in memory for a shuffle's blocks; it is given back with the last reference to the lease.
  /// - Returns: nil: there is none, the blocks belong on disk.
  func lease(_ bytes: Int, _ locals: ExecutorLocals) -> MemoryLease? {
    guard holdsShuffles else { return MemoryLease(nil, 0) }
    guard reserve(bytes, locals, keeping: reserved, { $0.shuffleBytes += bytes }) else { return nil }
    return MemoryLease(self, bytes)
  }

  func giveBack(_ bytes: Int) { state.withLock { $0.metrics.shuffleBytes -= bytes } }

  /// Evicts until there is room, and takes it.
  /// - Parameter keeping: persisted bytes that must stay.
  private func reserve(
    _ bytes: Int, _ locals: ExecutorLocals, keeping: Int, _ take: (inout StorageMetrics) -> Void
  ) -> Bool {
    guard bytes <= capacity else { return false }
    while true {
      enum Step {
        case done, full
        case dropped([AnyObject])
        case move(Key, ShuffleBlock, Mover)
      }
      let step: Step = state.withLock { state in
        if state.metrics.memoryBytes + state.metrics.shuffleBytes + bytes <= capacity {
          take(&state.metrics)
          return .done
        }
        let candidates = state.entries.filter {
          $0.value.block != nil && !$0.value.isMoving && !($0.value.isPinned && $0.value.mover == nil)
        }
        guard let oldest = candidates.min(by: { $0.value.lastUse < $1.value.lastUse }),
          state.metrics.memoryBytes - oldest.value.bytes >= keeping
        else { return .full }
        if let mover = oldest.value.mover, let block = oldest.value.block {
          state.entries[oldest.key]?.isMoving = true
          return .move(oldest.key, block, mover)
        }
        state.metrics.evictions += 1
        return .dropped(state.remove(oldest.key))
      }
      switch step {
      case .done: return true
      case .full: return false
      case .dropped(let dropped): withExtendedLifetime(dropped) {}
      case .move(let key, let block, let mover):
        let run: SpilledRun?
        do {
          run = try mover(block, locals)
        } catch {
          run = nil
          warn(once: "a persisted partition could not be moved to disk: \(error)")
        }
        let isStuck = state.withLock { $0.moved(key, run) }
        if isStuck { return false }
      }
    }
  }
}

extension BlockStore.State {
  /// Takes an entry out and gives what it held, to be freed outside of the lock.
  fileprivate mutating func remove(_ key: BlockStore.Key) -> [AnyObject] {
    guard let entry = entries.removeValue(forKey: key) else { return [] }
    if entry.block != nil { metrics.memoryBytes -= entry.bytes }
    metrics.diskBytes -= entry.run?.storedBytes ?? 0
    let held: [AnyObject?] = [entry.block, entry.run]
    return held.compactMap { $0 }
  }

  /// A block was written to disk, or could not be (nil).
  /// - Returns: whether it must stay in memory: it could not be written and could not be made again.
  fileprivate mutating func moved(_ key: BlockStore.Key, _ run: SpilledRun?) -> Bool {
    guard let entry = entries[key] else { return false }
    entries[key]?.isMoving = false
    if run == nil, entry.isPinned { return true }
    metrics.evictions += 1
    metrics.memoryBytes -= entry.bytes
    guard let run else {
      entries[key] = nil
      return false
    }
    metrics.evictionsToDisk += 1
    metrics.diskBytes += run.storedBytes
    entries[key]?.block = nil
    entries[key]?.run = run
    return false
  }
}

/// Where a kept partition was found.
enum StoredPartition {
  /// As an `ArrayBlock` or an `EncodedBlock`, by the owner's level.
  case memory(ShuffleBlock)
  case disk(SpilledRun)
}

/// What a block store keeps, and what happened in it so far. Bytes in memory are estimates.
public struct StorageMetrics: Sendable, Equatable {
  /// Bytes of persisted partitions in memory.
  public var memoryBytes = 0
  /// Bytes of persisted partitions on disk, compressed.
  public var diskBytes = 0
  /// Bytes of shuffles' blocks in memory.
  public var shuffleBytes = 0
  /// Persisted partitions that were found in memory.
  public var memoryHits = 0
  /// Persisted partitions that were found on disk.
  public var diskHits = 0
  /// Persisted partitions that had to be computed: for the first time, or again.
  public var misses = 0
  /// Persisted partitions that had to leave memory.
  public var evictions = 0
  /// Those of them that went to disk.
  public var evictionsToDisk = 0

  /// Nothing.
  public init() {}
}

/// Room in memory that a shuffle's blocks take.
///
/// Sendable: constant.
@usableFromInline final class MemoryLease: Sendable {
  private let store: BlockStore?
  private let bytes: Int

  init(_ store: BlockStore?, _ bytes: Int) {
    self.store = store
    self.bytes = bytes
  }

  deinit { store?.giveBack(bytes) }
}
