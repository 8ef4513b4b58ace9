import Datasets
import Groundwork
import Synchronization
import Testing

/// Datasets kept in memory: computed once, evicted within the bound, computed again where they are gone.
@Suite struct PersistenceTests {
  /// A dataset of 4 partitions with 100 numbers each that counts how often it is computed.
  final class Counting: Sendable {
    let context: SluiceContext
    let dataset: RDD<Int>
    let counts = Counter()

    init(capacity: Int) {
      context = SluiceContext(runner: PlainRunner(), defaultParallelism: 4, blocks: BlockStore(capacity: capacity))
      dataset = context.parallelize(0..<400, partitionCount: 4).mapPartitions { [counts] elements, task in
        counts.add(task.partition)
        return elements
      }
    }
  }

  final class Counter: Sendable {
    private let counts = Mutex<[Int: Int]>([:])
    func add(_ key: Int) { counts.withLock { $0[key, default: 0] += 1 } }
    var all: [Int] { counts.withLock { counts in (0..<4).map { counts[$0] ?? 0 } } }
  }

  @Test func aCachedDatasetIsComputedOnce() throws {
    let counting = Counting(capacity: 1 << 20)
    let derived = counting.dataset.map { $0 + 1 }  // derived before the dataset is marked
    #expect(counting.dataset.cache() === counting.dataset)
    #expect(counting.context.blocks.blockCount == 0, "marking computes nothing")
    #expect(try derived.sum() == 80_200)
    #expect(try derived.collect() == Array(1...400))
    #expect(try counting.dataset.count() == 400)
    #expect(counting.counts.all == [1, 1, 1, 1])
    #expect(counting.context.blocks.bytes == 400 * 8)
    counting.dataset.unpersist()
    #expect(counting.context.blocks.blockCount == 0)
    #expect(counting.context.blocks.bytes == 0)
    #expect(try derived.sum() == 80_200)
    #expect(counting.counts.all == [2, 2, 2, 2])
  }

  @Test func whatWasUsedLeastRecentlyGoesFirstAndIsComputedAgain() throws {
    let counting = Counting(capacity: 3 * 800)
    counting.dataset.cache()
    #expect(try counting.dataset.take(300).count == 300)  // 0, then 1 to 3: keeps 1, 2, 3
    #expect(counting.context.blocks.evictions == 1)
    #expect(counting.counts.all == [1, 1, 1, 1])
    _ = try counting.dataset.take(1)  // 0 again: evicts 1
    #expect(counting.counts.all == [2, 1, 1, 1])
    let context = counting.context
    _ = try context.runner.run(counting.dataset, partitions: [2, 3, 1], label: "some") { dataset, partition, task in
      try dataset.compute(partition, task) { _ in }
      return true
    }
    #expect(counting.counts.all == [2, 2, 1, 1])
    #expect(context.blocks.bytes <= context.blocks.capacity)
    #expect(try counting.dataset.collect() == Array(0..<400))
  }

  @Test func aPartitionLargerThanTheStoreIsNotKept() throws {
    let counting = Counting(capacity: 100)
    counting.dataset.cache()
    #expect(try counting.dataset.sum() == 79_800)
    #expect(counting.context.blocks.blockCount == 0)
    #expect(counting.context.blocks.evictions == 0)
  }

  @Test func theLastReferenceClearsTheStore() throws {
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 2)
    do {
      let dataset = context.parallelize(0..<10).cache()
      #expect(try dataset.sum() == 45)
      #expect(context.blocks.blockCount == 2)
    }
    #expect(context.blocks.blockCount == 0)
  }

  @Test func losingTheBlocksLosesNothingElse() throws {
    let counting = Counting(capacity: 1 << 20)
    try counting.dataset.persist(.memoryOnly)
    _ = try counting.dataset.sum()
    counting.context.blocks.removeAll()
    #expect(counting.dataset.isPersisted)
    #expect(try counting.dataset.collect() == Array(0..<400))
    #expect(counting.counts.all == [2, 2, 2, 2])
    #expect(counting.context.blocks.blockCount == 4)
  }

  @Test func longPartitionsAreEmittedInChunks() throws {
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 1)
    let dataset = context.parallelize(0..<5000).cache()
    _ = try dataset.count()
    let largest = try context.runner.run(dataset, partitions: [0], label: "chunks") { dataset, partition, task in
      var largest = 0
      try dataset.compute(partition, task) { largest = max(largest, $0.count) }
      return largest
    }
    #expect(largest == [Chunk<Int>.usualCapacity])
    #expect(try dataset.collect() == Array(0..<5000))
  }

  @Test func sizesAreEstimatedWithWhatElementsReferTo() throws {
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 1)
    func bytes<Element: Sendable>(_ elements: [Element]) throws -> Int {
      let dataset = context.parallelize(elements).cache()
      _ = try dataset.count()
      return context.blocks.bytes
    }
    #expect(try bytes([Int](repeating: 1, count: 100)) == 800)
    #expect(try bytes([Bytes](repeating: "short", count: 100)) == 2400)
    let long = String(repeating: "x", count: 1000)
    #expect(try bytes([Bytes](repeating: Bytes(long), count: 100)) == 100 * 1024)
    let pairs = try bytes((0..<100).map { ($0, long) })
    #expect(pairs > 100_000 && pairs < 120_000)
  }
}
