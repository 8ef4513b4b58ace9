import Groundwork
import Testing

@testable import Datasets

/// Persistence levels: what each keeps where, what it does when memory is full, and what it gives back.
@Suite struct LevelTests {
  static let levels: [StorageLevel] = [.memoryOnly, .memoryOnlySer, .memoryAndDisk, .memoryAndDiskSer, .diskOnly]

  /// A dataset of 4 partitions with 100 pairs each that counts how often each is computed.
  final class Counting: Sendable {
    let space = MemorySpace()
    let context: SluiceContext
    let dataset: RDD<(Int, String)>
    let counts = PersistenceTests.Counter()
    let wanted = (0..<400).map { ($0, "the text of number \($0)") }

    init(memory: Int, hasDisk: Bool = true) {
      let blocks = BlockStore(memory: memory, executors: 1, space: hasDisk ? space : nil)
      context = SluiceContext(runner: PlainRunner(), defaultParallelism: 4, blocks: blocks)
      dataset = context.parallelize(wanted, partitionCount: 4).mapPartitions { [counts] elements, task in
        counts.add(task.partition)
        return elements
      }
    }

    var computed: [Int] { counts.all }
    func check(_ what: String = "") throws {
      let got = try dataset.collect()
      #expect(got.map { "\($0)" } == wanted.map { "\($0)" }, "\(what)")
    }
  }

  @Test(arguments: levels) func withRoomEachPartitionIsComputedOnce(level: StorageLevel) throws {
    let counting = Counting(memory: 1 << 20)
    try counting.dataset.persist(level)
    #expect(counting.dataset.storageLevel == level)
    try counting.check()
    try counting.check()
    #expect(counting.computed == [1, 1, 1, 1])
    let metrics = counting.context.blocks.metrics
    #expect((metrics.memoryBytes > 0) == level.usesMemory)
    #expect((metrics.diskBytes > 0) == !level.usesMemory)
    #expect(metrics.misses == 4)
    #expect(level.usesMemory ? metrics.memoryHits == 4 : metrics.diskHits == 4)
    #expect(counting.dataset.isFullyPersisted)
    counting.dataset.unpersist()
    #expect(counting.context.blocks.metrics.memoryBytes == 0)
    #expect(counting.context.blocks.metrics.diskBytes == 0)
    #expect(counting.space.live == 0)
    try counting.check()
    #expect(counting.computed == [2, 2, 2, 2])
  }

  @Test(arguments: levels) func withoutRoomDiskLevelsKeepAndOthersComputeAgain(level: StorageLevel) throws {
    // A partition is 8.8 KB as elements and 2.6 KB encoded: room for one as elements, or for three encoded.
    let counting = Counting(memory: 12_800)
    try counting.dataset.persist(level)
    for turn in 0..<3 { try counting.check("\(level), turn \(turn)") }
    let metrics = counting.context.blocks.metrics
    #expect(metrics.memoryBytes <= counting.context.blocks.capacity)
    if level.usesDisk {
      #expect(counting.computed == [1, 1, 1, 1])
      #expect(metrics.diskBytes > 0)
      if level.usesMemory { #expect(metrics.evictions > 0 && metrics.evictions == metrics.evictionsToDisk) }
    } else {
      #expect(counting.computed.reduce(0, +) > 4)
      #expect(counting.space.made == 0)
    }
    counting.dataset.unpersist()
    #expect(counting.space.live == 0)
  }

  @Test(arguments: levels) func aPartitionLargerThanMemoryIsNeverHeldThere(level: StorageLevel) throws {
    let counting = Counting(memory: 2000)
    try counting.dataset.persist(level)
    try counting.check()
    try counting.check()
    #expect(counting.context.blocks.metrics.memoryBytes == 0)
    #expect(counting.computed == (level.usesDisk ? [1, 1, 1, 1] : [2, 2, 2, 2]))
  }

  @Test func encodedPartitionsAreSmaller() throws {
    func bytes(_ level: StorageLevel) throws -> Int {
      let counting = Counting(memory: 1 << 20)
      _ = try counting.dataset.persist(level).collect()
      return counting.context.blocks.metrics.memoryBytes
    }
    #expect(try bytes(.memoryOnlySer) * 2 < bytes(.memoryOnly))
  }

  @Test func levelsThatNeedACodecRefuseTypesWithoutOne() throws {
    final class Opaque: Sendable {}
    let counting = Counting(memory: 1 << 20)
    let opaque = counting.dataset.map { _ in Opaque() }
    for level in Self.levels where level != .memoryOnly {
      do {
        try opaque.persist(level)
        Issue.record("\(level) took a type without a codec")
      } catch {
        #expect("\(error)".contains("Opaque") && "\(error)".contains("StreamCodable"), "\(error)")
      }
    }
    opaque.cache()
    #expect(try opaque.count() == 400)
    #expect(counting.context.blocks.blockCount == 4)
    let diskless = Counting(memory: 1 << 20, hasDisk: false)
    #expect(throws: StorageError(.noDisk(operation: "persist(DISK_ONLY)"))) {
      try diskless.dataset.persist(.diskOnly)
    }
    try diskless.dataset.persist(.memoryOnlySer)
    try diskless.check()
    try diskless.check()
    #expect(diskless.computed == [1, 1, 1, 1])
  }

  @Test func aLostFileIsComputedAgain() throws {
    let counting = Counting(memory: 1 << 20)
    try counting.dataset.persist(.diskOnly)
    try counting.check()
    counting.space.state.withLock { $0.isLossy = true }
    // What was just written is lost again: the task fails, and its next attempt computes the partition.
    #expect(throws: StorageError.self) { try counting.dataset.collect() }
    counting.space.state.withLock { $0.isLossy = false }
    try counting.check()
    try counting.check()
    #expect(counting.computed[0] == 2)
    #expect(counting.space.live == 4)
  }

  @Test func aFullDiskDropsWhatWasToBeEvicted() throws {
    let counting = Counting(memory: 12_800)
    try counting.dataset.persist(.memoryAndDisk)
    _ = try counting.dataset.take(1)
    counting.space.state.withLock { $0.appendsLeft = 0 }
    let other = counting.context.parallelize(0..<900, partitionCount: 1).cache()
    #expect(try other.count() == 900)
    #expect(counting.context.blocks.metrics.evictions == 1)
    #expect(counting.context.blocks.metrics.evictionsToDisk == 0)
    #expect(counting.space.live == 0)
  }

  @Test func aShuffleTakesRoomFromPersistedPartitionsButNotAllOfIt() throws {
    let counting = Counting(memory: 48 << 10)
    try counting.dataset.persist(.memoryAndDisk)
    try counting.check()
    let before = counting.context.blocks.metrics.memoryBytes
    let grouped = counting.dataset.map { ($0.0, $0.1) }.partitionBy(.hash(2))
    #expect(try grouped.count() == 400)
    let metrics = counting.context.blocks.metrics
    #expect(before > 24 << 10)
    #expect(metrics.evictionsToDisk > 0)
    #expect(metrics.memoryBytes >= 18 << 10)
    #expect(metrics.memoryBytes + metrics.shuffleBytes <= counting.context.blocks.capacity)
  }
}
