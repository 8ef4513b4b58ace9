import Datasets
import Groundwork
import Synchronization
import Testing

/// What operators make of lineage: what is computed when, what is shuffled, what is said of it, and that neither deep nor
/// wide graphs exhaust anything.
@Suite struct LineageTests {
  func context(_ runner: PlainRunner = PlainRunner(), _ parallelism: Int = 3) -> SluiceContext {
    SluiceContext(runner: runner, defaultParallelism: parallelism)
  }

  func shuffles(_ dataset: AnyRDD) -> Int {
    dataset.dependencies.reduce(0) { count, dependency in
      switch dependency {
      case .narrow: count
      case .shuffle: count + 1
      }
    }
  }

  @Test func definingRunsNothing() {
    let runner = PlainRunner()
    let source = context(runner).parallelize(0..<100).map { ($0 % 7, $0) }
    _ = source.sortByKey().zipWithIndex()
    _ = source.partitionBy(.range(4, of: source)).distinctKeys()
    _ = source.repartition(2).values().sortBy { $0 }.randomSplit([1, 2])
    #expect(runner.mapTasks == 0)
    #expect(runner.resultTasks == 0)
  }

  @Test func whatIsPlacedAlikeIsNotShuffled() throws {
    let runner = PlainRunner()
    let pairs = context(runner).parallelize(0..<200, partitionCount: 5).map { ($0 % 20, $0) }
    let placed = pairs.partitionBy(.hash(4))
    let sums = placed.reduceByKey(+)
    #expect(sums.partitionCount == 4, "the partitioner that is there is taken over")
    #expect(shuffles(sums) == 0)
    #expect(shuffles(placed.groupByKey()) == 0)
    #expect(shuffles(placed.aggregateByKey(0, add: +, merge: +)) == 0)
    #expect(shuffles(placed.cogroup(sums, sums.mapValues { $0 })) == 0)
    #expect(shuffles(placed.join(pairs)) == 1)
    #expect(shuffles(placed.reduceByKey(partitions: 3, +)) == 1, "another number was asked for")
    #expect(shuffles(pairs.reduceByKey(+)) == 1)
    #expect(pairs.reduceByKey(+).partitionCount == 3, "the default level of parallelism")
    _ = try placed.join(sums).fullOuterJoin(placed.filter { $0.0 > 3 }).collect()
    #expect(runner.mapTasks == 5, "one shuffle of five partitions in all")

    let sorted = pairs.sortByKey(partitions: 4)
    #expect(shuffles(sorted.reduceByKey(+)) == 0)
    #expect(shuffles(sorted.join(sorted.mapValues { -$0 })) == 0)
    #expect(shuffles(sorted.join(pairs)) == 1)
    #expect(try sorted.reduceByKey(+).keys().collect() == Array(0..<20))
    let unions = sums.union(sums.mapValues { -$0 })
    #expect(unions.partitioning == sums.partitioning)
    #expect(unions.partitionCount == 4)
    #expect(shuffles(unions.reduceByKey(+)) == 0)
    #expect(try unions.reduceByKey(+).values().collect().allSatisfy { $0 == 0 })
  }

  @Test func placementIsKeptOnlyWhereKeysStay() {
    let placed = context().parallelize(0..<9).map { ($0, $0) }.partitionBy(.hash(2))
    #expect(placed.map { $0 }.partitioning == nil)
    #expect(placed.filter { $0.0 > 1 }.sample(fraction: 0.5).mapValues { "\($0)" }.partitioning == placed.partitioning)
    #expect(placed.mapPartitions { elements, _ in elements }.partitioning == nil)
    #expect(
      placed.mapPartitions(preservesPartitioning: true) { elements, _ in elements }.partitioning == placed.partitioning)
    #expect(placed.keyBy { $0.0 }.partitioning == nil)
    #expect(placed.coalesce(1).partitioning == nil)
    let custom = Partitioner<Int>(partitionCount: 2, identity: "parity") { $0 & 1 }
    #expect(placed.partitionBy(custom).partitioning == custom.placement)
    #expect(placed.partitionBy(Partitioner<Int>(partitionCount: 2) { $0 & 1 }).partitioning == nil)
  }

  @Test func aSmallPlacementIsPassedOver() {
    let context = context(PlainRunner(), 8)
    let one = context.parallelize(0..<9, partitionCount: 100).map { ($0, $0) }.partitionBy(.hash(2))
    let many = context.parallelize(0..<9, partitionCount: 100).map { ($0, $0) }
    #expect(one.join(many).partitionCount == 8)
    #expect(one.join(many.coalesce(10)).partitionCount == 2)
    #expect(one.reduceByKey(+).partitionCount == 2)
  }

  @Test func wrongPartitionsAreSaid() throws {
    let pairs = context().parallelize(0..<9).map { ($0, $0) }
    for wrong in [-1, 2, Int.max] {
      let partitioner = Partitioner<Int>(partitionCount: 2) { $0 == 5 ? wrong : 0 }
      let expected = DatasetError(.partitionOutOfRange(wrong, count: 2), operation: "partitionBy")
      #expect(throws: expected) { try pairs.partitionBy(partitioner).count() }
      #expect(throws: expected) { try pairs.reduceByKey(partitioner, +).count() }
    }
    #expect(
      DatasetError(.partitionOutOfRange(7, count: 2), operation: "partitionBy").description
        == "partitionBy: the partitioner gave partition 7, but there are 2, numbered from 0; "
        + "let its function give a number in 0 ..< 2 for every key")
    #expect(pairs.partitionBy(.hash(0)).partitionCount == 1)
    #expect(pairs.reduceByKey(partitions: -3, +).partitionCount == 1)
  }

  @Test func whatCannotBeZippedIsSaid() throws {
    let context = context()
    let (two, three) = (context.range(6, partitionCount: 2), context.range(6, partitionCount: 3))
    #expect(throws: DatasetError(.unequalPartitionCounts([2, 3]), operation: "zip")) { try two.zip(three).count() }
    #expect(throws: DatasetError(.unequalPartitionCounts([2, 3]), operation: "zipPartitions")) {
      try two.zipPartitions(three) { $0 + $1 }.count()
    }
    for (mine, theirs) in [(4, 5), (5, 4), (0, 5), (3000, 1)] {
      let zipped = context.range(mine, partitionCount: 1).zip(context.range(theirs, partitionCount: 1))
      #expect(throws: DatasetError(.unequalElementCounts(partition: 0, mine, theirs), operation: "zip")) {
        try zipped.count()
      }
    }
    #expect(throws: DatasetError.self) { try two.sample(fraction: 1.5).count() }
    #expect(throws: DatasetError.self) { try two.sample(withReplacement: true, fraction: .nan).count() }
    #expect(throws: DatasetError.self) { try two.randomSplit([0, 0])[1].count() }
    #expect(throws: DatasetError.self) { try context.range(0, 9, step: 0).count() }
    #expect(try context.union([RDD<Int>]()).count() == 0)
  }

  @Test func rangesHaveNoLimits() throws {
    let context = context()
    #expect(try context.range(Int.min, Int.max, step: Int.max).collect() == [Int.min, -1, Int.max - 1])
    #expect(try context.range(Int.max, Int.min, step: Int.min).collect() == [Int.max, -1])
    #expect(try context.range(3, 3).collect() == [])
    #expect(try context.range(3, 9, step: -1).count() == 0)
    #expect(
      try context.range(0, Int.max, partitionCount: 1000).takeFirstOf(partition: 999).first == Int.max / 1000 * 999
        + 806)
  }

  @Test func sortedPartitionsAreEven() throws {
    var random = SeededRandom(seed: 7)
    let values = (0..<20_000).map { _ in Int(random.next() % 1_000_000) }
    let sorted = context().parallelize(values, partitionCount: 10).sortBy(partitions: 8) { $0 }
    let sizes = try sorted.glom().collect().map(\.count)
    #expect(sizes.allSatisfy { $0 > 1500 && $0 < 3500 }, "\(sizes)")
    // Nearly all in one of the partitions that are sampled.
    let uneven = context().parallelize(0..<10, partitionCount: 9).union(
      context().parallelize(values, partitionCount: 1)
    ).sortBy(partitions: 4) { $0 }
    let unevenSizes = try uneven.glom().collect().map(\.count)
    #expect(unevenSizes.allSatisfy { $0 > 1000 }, "\(unevenSizes)")
  }

  @Test func boundsAreFoundOnceWhateverIsLost() throws {
    let runner = PlainRunner()
    let source = context(runner).range(1000, partitionCount: 4).map { ($0, $0) }
    let sorted = source.sortByKey(partitions: 3)
    let before = try sorted.glom().collect().map { $0.map(\.0) }
    let tasks = runner.mapTasks
    guard case .shuffle(let shuffle) = sorted.dependencies[0],
      case .shuffle(let sample) = shuffle.parent.dependencies[1]
    else {
      Issue.record("a sort is a shuffle behind a sample")
      return
    }
    for partition in 0..<4 { sample.output.drop(ofMap: partition) }
    shuffle.output.drop(ofMap: 2)
    #expect(try sorted.glom().collect().map { $0.map(\.0) } == before)
    #expect(runner.mapTasks == tasks + 5)
  }

  @Test func filterByRangeComputesOnlyWhatCanHaveTheKeys() throws {
    let computed = Mutex<Set<Int>>([])
    let sorted = context().range(1000, partitionCount: 4).map { ($0, $0) }.sortByKey(partitions: 8)
    let watched = sorted.mapPartitions(preservesPartitioning: true) { elements, task in
      computed.withLock { _ = $0.insert(task.partition) }
      return elements
    }
    #expect(try watched.filterByRange(400, 420).keys().collect() == Array(400...420))
    #expect(computed.withLock { $0.count } <= 2)
    #expect(try watched.filterByRange(420, 400).count() == 0)
    #expect(try watched.lookup(77) == [77])
  }

  @Test func longAndWideGraphsAreWalkedWithoutRecursion() throws {
    let context = context()
    let one = context.parallelize([1], partitionCount: 1)
    var nested = one
    for _ in 0..<100_000 { nested = nested.union(one) }
    #expect(nested.partitionCount == 100_001)
    #expect(nested.weight(of: 0) > 0)
    let weights = (0..<nested.partitionCount).reduce(Int64(0)) { $0 &+ nested.weight(of: $1) }
    #expect(weights > 0)
    let sum = try context.runner.run(nested, partitions: [0, 1, 50_000, 100_000], label: "some") {
      dataset, part, task in
      var sum = 0
      try dataset.compute(part, task) { for element in $0 { sum += element } }
      return sum
    }
    #expect(sum == [1, 1, 1, 1])
    #expect(nested.toDebugString().utf8.count > 100_000)

    var right = one
    for _ in 0..<50_000 { right = one.union(right) }
    #expect(right.weight(of: 50_000) > 0)
    var zipped = one.map { $0 }
    for _ in 0..<50_000 { zipped = zipped.zipPartitions(one) { mine, _ in mine } }
    #expect(zipped.weight(of: 0) > 0, "at most some of it is weighed")
    var chain = one
    for _ in 0..<100_000 { chain = chain.map { $0 + 1 } }
    #expect(chain.weight(of: 0) > 0)
    #expect(chain.toDebugString().utf8.count > 100_000)
    var shuffled = one
    for _ in 0..<20_000 { shuffled = shuffled.repartition(1) }
    #expect(shuffled.toDebugString().utf8.count < 20_000 * 300)
    let wide = context.union([RDD<Int>](repeating: one, count: 100_000))
    #expect((0..<100_000).reduce(Int64(0)) { $0 + wide.weight(of: $1) } > 0)
    #expect(wide.coalesce(1).weight(of: 0) >= 100_000 * one.weight(of: 0))
    // Every second dataset has two ways to it: 2^50 ways in all.
    var diamond = one
    for _ in 0..<50 { diamond = diamond.zip(diamond).keys() }
    #expect(diamond.weight(of: 0) > 0)
    #expect(diamond.toDebugString().split(separator: "\n").count < 300)
  }

  @Test func aUnionInBetweenThatIsKeptIsFound() throws {
    let runs = Mutex(0)
    let context = context()
    let counted = context.range(4, partitionCount: 2).map { value in
      runs.withLock { $0 += 1 }
      return value
    }
    let inner = counted.union(context.range(2))
    let outer = inner.union(context.range(1)).union(context.range(1))
    inner.cache()
    #expect(try outer.count() == 8)
    #expect(try outer.collect() == [0, 1, 2, 3, 0, 1, 0, 0])
    #expect(runs.withLock { $0 } == 4, "computed once, then read from memory")
  }

  @Test func lineageIsPrintedAsSparkPrintsIt() {
    let context = context()
    let words = context.parallelize(["a b"], partitionCount: 2).flatMap { $0.split(separator: " ") }.map { ($0, 1) }
    let counts = words.reduceByKey(partitions: 12, +)
    #expect(
      counts.toDebugString() == """
        (12) reduceByKey
         +-(2) map
            |  flatMap
            |  parallelize
        """)
    #expect(
      counts.cogroup(words.mapValues { -$0 }, partitions: 2).sortByKey(partitions: 1).toDebugString() == """
        (1) sortByKey
         +-(2) cogroup
            +-(12) reduceByKey
            |  +-(2) map
            |     |  flatMap
            |     |  parallelize
            +-(2) mapValues
               |  map [shown above]
        """)
  }
}

extension RDD where Element: Sendable {
  /// The keys or elements, each once: only defined, never run.
  func distinctKeys<Key: Hashable & Sendable, Value>() -> RDD<Key> where Element == (Key, Value) { keys().distinct() }

  /// The first element of a partition.
  func takeFirstOf(partition: Int) throws -> [Element] {
    return try context.runner.run(self, partitions: [partition], label: "first") { dataset, partition, task in
      var first: [Element] = []
      do {
        try dataset.compute(partition, task) { view in
          first = Array(view.prefix(1))
          throw Enough()
        }
      } catch is Enough {}
      return first
    }.flatMap { $0 }
  }
}

private struct Enough: Error {}
