import Datasets
import Groundwork
import Simulation
import Synchronization
import SystemInterfaces
import Testing

@testable import JobScheduling

/// A workshop whose memory is tiny and whose disk is simulated.
private final class SmallWorkshop {
  let world: SimulatedWorld
  let files: any FileStore
  let folder: SpillFolder
  let workshop: Workshop
  var context: SluiceContext { workshop.context }

  init(seed: UInt64 = 1, memory: Int) throws {
    world = SimulatedWorld(seed: seed)
    files = world.makeProcess(named: "engine").world.files
    folder = try SpillFolder(files, in: "/local", owner: "1")
    workshop = Workshop(blocks: BlockStore(memory: memory, executors: 2, space: folder))
  }

  /// What a plain run of the same gives.
  func run<Element: Sendable>(_ dataset: RDD<Element>) throws -> JobEnd { try workshop.run(dataset) }

  /// Spill files by path.
  func spillFiles() throws -> [String] {
    try files.list("/local/spill-1").filter { $0 != "owner.lock" }.map { "/local/spill-1/\($0)" }
  }
}

/// Jobs whose data is larger than their memory, on a disk that may fail.
@Suite struct SpillingJobTests {
  private func pairs(_ count: Int, seed: UInt64) -> [(String, Int)] {
    var random = SeededRandom(seed: seed)
    return (0..<count).map { ("the key number \(random.next() % 3000)", $0) }
  }

  private func sums(_ pairs: [(String, Int)]) -> [String] {
    Dictionary(pairs, uniquingKeysWith: +).map { "\($0)" }.sorted()
  }

  private func text<Element>(_ elements: [(String, Element)]?) -> [String] {
    (elements ?? []).map { "(key: \"\($0.0)\", value: \($0.1))" }.sorted()
  }

  @Test func aShuffleEightTimesItsMemoryCompletes() throws {
    let small = try SmallWorkshop(memory: 64 << 10)
    let data = pairs(10_000, seed: 1)  // 512 KB as elements
    do {
      let end = try small.run(
        small.context.parallelize(data, partitionCount: 4).groupByKey().mapValues { $0.reduce(0, +) })
      #expect(text(end.elements((String, Int).self)) == sums(data))
      #expect(end.metrics.spills.records > 10_000)
      #expect(end.metrics.spills.bytes > 150_000)
      #expect(end.metrics.spills.diskBytes > 0 && end.metrics.spills.diskBytes < end.metrics.spills.bytes)
      #expect(small.context.blocks.metrics.shuffleBytes <= small.context.blocks.capacity)
    }
    #expect(try small.spillFiles() == [])
    #expect(small.context.blocks.metrics.shuffleBytes == 0)
  }

  @Test func aLostFileRunsOnlyItsMapTaskAgain() throws {
    let small = try SmallWorkshop(memory: 16 << 10)
    let data = pairs(4000, seed: 2)
    let computed = Tally()
    let watched = small.context.parallelize(data, partitionCount: 4).mapPartitions { elements, task in
      computed.add(task.partition)
      return elements
    }
    let totals = watched.reduceByKey(partitions: 3, +)
    let first = try small.run(totals)
    #expect(text(first.elements((String, Int).self)) == sums(data))
    #expect((0..<4).map { computed[$0] } == [1, 1, 1, 1])
    let written = try small.spillFiles()
    #expect(written.count == 4, "one file a map task: \(written)")
    try small.files.removeFile(written[2])
    let second = try small.run(totals)
    #expect(text(second.elements((String, Int).self)) == sums(data))
    #expect((0..<4).map { computed[$0] }.sorted() == [1, 1, 1, 2])
    #expect(second.metrics.shufflesLost == 1)
  }

  @Test func aFullDiskFailsTheJobWithWhatToDo() throws {
    let small = try SmallWorkshop(memory: 16 << 10)
    small.world.disk.capacity = 20_000
    let end = try small.run(small.context.parallelize(pairs(4000, seed: 3), partitionCount: 4).groupByKey())
    let failure = try #require(end.failure)
    #expect("\(failure)".contains("the disk is full: free some space or choose another folder"), "\(failure)")
    #expect(failure.fault == .machine)
    #expect(try small.spillFiles() == [])
    small.world.disk.capacity = nil
    let again = try small.run(small.context.parallelize(pairs(4000, seed: 3), partitionCount: 4).reduceByKey(+))
    #expect(text(again.elements((String, Int).self)) == sums(pairs(4000, seed: 3)))
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>) func aDiskThatFailsNowAndThenChangesNoResult(seed: UInt64) throws {
    let small = try SmallWorkshop(seed: seed, memory: 16 << 10)
    let data = pairs(2500, seed: seed)
    var random = SeededRandom(seed: seed)
    let operations: [DiskFault.Operation] = [.open, .write, .read]
    for _ in 0..<3 {
      let operation = operations[Int(random.next() % 3)]
      let code: FileError.Code = random.next() % 2 == 0 ? .inputOutput : .diskFull
      small.world.disk.inject(
        DiskFault(operation, after: Int(random.next() % 60), pathContains: "spill", code: code, isTorn: true))
    }
    do {
      let end = try small.run(
        small.context.parallelize(data, partitionCount: 3).groupByKey().mapValues { $0.reduce(0, +) })
      // Three faults are fewer than the attempts of one task.
      #expect(text(end.elements((String, Int).self)) == sums(data), "seed \(seed): \(end.outcome)")
    }
    #expect(try small.spillFiles() == [], "seed \(seed)")
  }
}

/// Checkpoints, broadcast values and accumulators under the scheduler.
@Suite struct SharedAndCheckpointTests {
  @Test func aCheckpointCutsTheLineageAndIsReadByOthers() throws {
    let small = try SmallWorkshop(memory: 1 << 20)
    let computed = Tally()
    let source = small.context.parallelize((0..<3000).map { ("k\($0 % 70)", $0) }, partitionCount: 3)
    let sums = source.mapPartitions { elements, task in
      computed.add(task.partition)
      return elements
    }.reduceByKey(partitions: 2, +)
    try sums.checkpoint(in: "/checkpoints/sums")
    let derived = sums.mapValues { $0 * 2 }
    #expect(sums.toDebugString().split(separator: "\n").count > 2)
    #expect(sums.toDebugString().contains("to be checkpointed in /checkpoints/sums"))
    _ = try small.workshop.run(sums, partitions: [1])
    #expect(sums.toDebugString().split(separator: "\n").count > 2, "half a checkpoint cuts nothing")
    let first = try small.run(derived).elements((String, Int).self)
    #expect(sums.toDebugString() == "(2) reduceByKey [checkpoint /checkpoints/sums]")
    #expect(sums.dependencies.isEmpty)
    #expect(derived.toDebugString().split(separator: "\n").count == 2)
    let second = try small.run(derived)
    #expect(second.elements((String, Int).self)?.map { "\($0)" } == first?.map { "\($0)" })
    #expect(second.metrics.stages == 1)
    #expect((0..<3).map { computed[$0] } == [1, 1, 1])

    let again = try small.context.checkpointed((String, Int).self, in: "/checkpoints/sums")
    #expect(again.dependencies.isEmpty && again.partitionCount == 2)
    #expect(
      try small.run(again.mapValues { $0 * 2 }).elements((String, Int).self)?.map { "\($0)" } == first?.map { "\($0)" })
    #expect(throws: StorageError.self) { try small.context.checkpointed(Int.self, in: "/checkpoints/sums") }
    #expect(throws: StorageError.self) { try small.context.checkpointed(Int.self, in: "/checkpoints/nothing") }
  }

  @Test func anExplicitCheckpointRunsItsOwnJob() throws {
    let small = try SmallWorkshop(memory: 1 << 20)
    let dataset = small.context.parallelize(0..<100, partitionCount: 4).map { $0 + 1 }
    try dataset.checkpointNow(in: "/checkpoints/numbers")
    #expect(dataset.toDebugString() == "(4) map [checkpoint /checkpoints/numbers]")
    #expect(try dataset.collect() == Array(1...100))
    small.workshop.expectIdle()
  }

  @Test func aDatasetComputedBeforeIsCheckpointedAsWell() throws {
    let small = try SmallWorkshop(memory: 1 << 20)
    let dataset = small.context.parallelize(0..<100, partitionCount: 4).map { $0 + 1 }
    #expect(try dataset.sum() == 5050)
    try dataset.checkpointNow(in: "/checkpoints/late")
    #expect(dataset.dependencies.isEmpty)
    #expect(try dataset.collect() == Array(1...100))
  }

  @Test func aCheckpointFreesWhatTheLineageKept() throws {
    let small = try SmallWorkshop(memory: 1 << 20)
    weak var ancestor: RDD<(String, Int)>?
    let sums: RDD<(String, Int)>
    do {
      let source = small.context.parallelize((0..<300).map { ("k\($0 % 7)", $0) }, partitionCount: 3)
      ancestor = source
      sums = source.reduceByKey(partitions: 2, +)
    }
    try sums.checkpoint(in: "/checkpoints/freed")
    #expect(ancestor != nil)
    _ = try small.run(sums)
    #expect(ancestor == nil)
    #expect(small.context.blocks.metrics.shuffleBytes == 0)
    #expect(try small.run(sums).elements((String, Int).self)?.count == 7)
  }

  @Test func aLocalCheckpointCutsTheLineageAndIsNeverDropped() throws {
    let small = try SmallWorkshop(memory: 40 << 10)
    let computed = Tally()
    let dataset = small.context.parallelize(0..<2000, partitionCount: 4).mapPartitions { elements, task in
      computed.add(task.partition)
      return elements.map { ("number \($0)", $0) }
    }
    dataset.localCheckpoint()
    let before = try small.run(dataset).elements((String, Int).self)
    #expect(dataset.toDebugString() == "(4) mapPartitions [local checkpoint]")
    let other = small.context.parallelize(0..<3000, partitionCount: 1).cache()
    _ = try small.run(other)
    small.context.blocks.removeAll()
    dataset.unpersist()
    let after = try small.run(dataset).elements((String, Int).self)
    #expect(after?.map { "\($0)" } == before?.map { "\($0)" })
    #expect((0..<4).map { computed[$0] } == [1, 1, 1, 1])
    for path in try small.spillFiles() { try small.files.removeFile(path) }
    let lost = try #require(try small.run(dataset).failure)
    #expect("\(lost)".contains("localCheckpoint() dropped its lineage"), "\(lost)")
  }

  @Test func aBroadcastValueIsThereUntilItIsDestroyed() throws {
    let small = try SmallWorkshop(memory: 1 << 20)
    let table = small.context.broadcast([1: "one", 2: "two"])
    let named = small.context.parallelize([1, 2, 3], partitionCount: 2).mapPartitions { numbers, _ in
      let names = try table.value
      return numbers.map { names[$0] ?? "?" }
    }
    #expect(try named.collect() == ["one", "two", "?"])
    try table.unpersist()
    #expect(try small.spillFiles().count == 1)
    #expect(try named.collect() == ["one", "two", "?"])
    #expect(try small.spillFiles() == [])
    table.destroy()
    let failure = try #require(try small.run(named).failure)
    #expect("\(failure)".contains("broadcast 1 was used after destroy()"), "\(failure)")
  }

  @Test func accumulatorsCountEachTaskOnce() throws {
    let small = try SmallWorkshop(memory: 1 << 20)
    let seen = small.context.longAccumulator("seen")
    let weight = small.context.doubleAccumulator()
    let odd = small.context.collectionAccumulator(Int.self)
    let attempts = Tally()
    let numbers = small.context.parallelize(0..<100, partitionCount: 4)
    try numbers.foreachPartition { elements, task in
      for element in elements {
        seen.add(1)
        weight.add(0.5, task)
        if element % 25 == 1 { odd.add(element) }
      }
      // Two partitions fail at first, after they have added all.
      if task.partition < 2, attempts.add(task.partition) == 1 { throw Trouble(description: "not yet") }
    }
    #expect(attempts.total == 4)
    #expect(seen.value == 100)
    #expect(weight.value == 50)
    #expect(odd.value.sorted() == [1, 26, 51, 76])
    seen.add(5)  // in the driver
    #expect(seen.value == 105)
    seen.reset()
    #expect(seen.value == 0)
  }

  @Test func accumulatorsOfOnesOwn() throws {
    struct Largest: Accumulation {
      private(set) var value: Int?
      mutating func add(_ input: Int) { value = max(value ?? input, input) }
      mutating func merge(_ other: Largest) { if let theirs = other.value { add(theirs) } }
    }
    let small = try SmallWorkshop(memory: 1 << 20)
    let largest = small.context.accumulator(Largest.self)
    try small.context.parallelize([3, 9, 4], partitionCount: 3).foreach { largest.add($0) }
    #expect(largest.value == 9)
  }
}
