import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Tables of every transformation that looks at one batch at a time.
@Suite struct TransformationTests {
  @Test func elementByElement() throws {
    try expectMarbles(
      """
      in   1 2 3    | . | 4
      out  10 20 30 | . | 40
      """
    ) { $0.map { $0 * 10 } }
    try expectMarbles(
      """
      in   1 2  | . | 3
      out  1 2 2 | . | 3 3 3
      """
    ) { $0.flatMap { Array(repeating: $0, count: $0) } }
    try expectMarbles(
      """
      in   1 2 3 | 5 | 4
      out  2     | . | 4
      """
    ) { $0.filter { $0 % 2 == 0 } }
    try expectMarbles(
      """
      in   1 2 3 | 5 | 4
      out  20    | . | 40
      """
    ) { $0.compactMap { $0 % 2 == 0 ? $0 * 10 : nil } }
    try expectMarbles(
      """
      in   1 12   | . | 23
      out  1=1 2=12 | . | 3=23
      """
    ) { $0.keyBy { $0 % 10 } }
  }

  @Test func peekSeesEachElementOnItsWay() throws {
    let seen = Cell<[Int]>([])
    try expectMarbles(
      """
      in   3 1 2 | . | 4
      out  3 1 2 | . | 4
      """, parallelism: 1
    ) { $0.peek { seen.value.append($0) } }
    #expect(seen.value == [3, 1, 2, 4])
  }

  @Test func branchesTakeTheFirstThatFits() throws {
    for (number, row) in ["2 4 | . | 6", "3 | 9 | .", "5 1 | . | ."].enumerated() {
      try expectMarbles(
        """
        in   2 3 5 1 4 | 9 | 6
        out  \(row)
        """
      ) { $0.branch({ $0 % 2 == 0 }, { $0 % 3 == 0 }, { _ in true })[number] }
    }
    try expectMarbles(
      """
      in   1 2 | 3
      out  2   | .
      """
    ) { $0.branch([{ $0 % 2 == 0 }])[0] }
  }

  @Test func partitionByPartition() throws {
    try expectMarbles(
      """
      in   1 2 3 4 | . | 5
      out  3 7 | 0 0 | 0 5
      """
    ) { $0.mapPartitions { elements, _ in [elements.reduce(0, +)] } }
    try expectMarbles(
      """
      in   1 2 3 4 | 5
      out  0=1 0=2 1=3 1=4 | 1=5
      """
    ) { $0.mapPartitionsWithIndex { number, elements in elements.map { (number, $0) } } }
    try expectMarbles(
      """
      in   1 2 3 4 | 5
      out  [1,2] [3,4] | [] [5]
      """
    ) { $0.glom() }
    try expectMarbles(
      """
      in   1 2 3 4 | 5
      out  [1,2,3,4] | [5]
      """
    ) { $0.repartition(1).glom() }
    try expectMarbles(
      """
      in   1 2 3 4 | .
      out  4 | 4
      """
    ) { $0.repartition(4).transform { dataset in dataset.context.parallelize([dataset.partitionCount]) } }
  }

  @Test func wholeBatches() throws {
    try expectMarbles(
      """
      in   7 8 9 | . | 1
      out  3 | 0 | 1
      """
    ) { $0.count() }
    try expectMarbles(
      """
      in   7 8 9 | . | 1
      out  24 | . | 1
      """
    ) { $0.reduce { $0 + $1 } }
    try expectMarbles(
      """
      in   7 8 7 | . | 1
      out  7=2 8=1 | . | 1=1
      """, sorted: true
    ) { $0.countByValue() }
  }

  @Test func reduceKeepsTheOrder() throws {
    let out = try marbles([["a", "b", "c", "d", "e"], [], ["f"]], parallelism: 3) { $0.reduce { $0 + $1 } }
    #expect(out == [["abcde"], [], ["f"]])
  }

  @Test func severalStreams() throws {
    let union = """
      in   1 | 2 | .
      in   3 | . | 4
      out  1 3 | 2 | 4
      """
    try expectMarbles(union, read: { Int($0)! }) { (streams: [DStream<Int>]) in streams[0].union(streams[1]) }
    try expectMarbles(union, read: { Int($0)! }) { (streams: [DStream<Int>]) in streams[0].merge(streams[1]) }
    try expectMarbles(union, read: { Int($0)! }) { (streams: [DStream<Int>]) in streams[0].context.union(streams) }
    try expectMarbles(union, read: { Int($0)! }) { (streams: [DStream<Int>]) in
      streams[0].context.transform(streams) { datasets, _ in datasets[0].union(datasets[1]) }
    }
    try expectMarbles(
      """
      in   1 2 3 | 2 | 7
      in   2 3 4 | 2 | .
      out  1     | . | 7
      """, read: { Int($0)! }
    ) { (streams: [DStream<Int>]) in streams[0].transformWith(streams[1]) { $0.subtract($1) } }
  }

  @Test func pairOperations() throws {
    let batches = "in   a=1 b=2 a=3 | . | b=4 b=5"
    func expect<Out: Sendable>(_ row: String, _ define: (DStream<(String, Int)>) -> DStream<Out>) throws {
      try expectPairMarbles("\(batches)\nout  \(row)") { stream, _ in define(stream) }
    }
    try expect("a=4 b=2 | . | b=9") { $0.reduceByKey { $0 + $1 } }
    try expect("a=[1,3] b=[2] | . | b=[4,5]") { $0.groupByKey() }
    try expect("a=1-3 b=2 | . | b=4-5") {
      $0.combineByKey(create: { "\($0)" }, add: { "\($0)-\($1)" }, merge: { "\($0)-\($1)" })
    }
    try expect("a=2 b=1 | . | b=2") { $0.aggregateByKey(0, add: { count, _ in count + 1 }, merge: { $0 + $1 }) }
    try expect("a=10 a=30 b=20 | . | b=40 b=50") { $0.mapValues { $0 * 10 } }
    try expect("a=0 a=0 a=1 a=2 b=0 b=1 | . | b=0 b=0 b=1 b=1 b=2 b=2 b=3 b=3 b=4") { $0.flatMapValues { 0..<$0 } }
    try expect("a a b | . | b b") { $0.keys() }
    try expect("1 2 3 | . | 4 5") { $0.values() }
  }

  @Test func keysStandWhereTheirPartitionerPutsThem() throws {
    let parity = Partitioner<Int>(partitionCount: 2, identity: "parity") { $0 % 2 }
    try expectMarbles(
      """
      in   1 2 3 4 | 5
      out  [2,4] [1,3] | [] [5]
      """
    ) { $0.keyBy { $0 }.partitionBy(parity).mapPartitions { pairs, _ in [pairs.map(\.1)] } }
    try expectMarbles(
      """
      in   1 2 3 4 3 | 5
      out  [2,4] [1,6] | [] [5]
      """
    ) { $0.keyBy { $0 }.reduceByKey(parity) { $0 + $1 }.mapPartitions { pairs, _ in [pairs.map(\.1)] } }
    try expectMarbles(
      """
      in   1 2 | 5
      out  3 | 3
      """
    ) { $0.keyBy { $0 }.reduceByKey(partitions: 3) { $0 + $1 }.glom().count() }
  }

  @Test func narrowOperatorsLeaveKeysWhereTheyAre() throws {
    let shuffles = Cell<[String?]>([])
    try expectPairMarbles(
      """
      in   a=1 b=2 | a=3
      out  a=1 b=2 | a=3
      """
    ) { stream, _ in
      stream.reduceByKey { $0 + $1 }.mapValues { $0 }.filter { _ in true }.peek { _ in }.flatMapValues { [$0] }
        .transform { dataset in
          shuffles.value.append(dataset.partitioning.map { "\($0)" })
          return dataset
        }
    }
    #expect(shuffles.value.count == 2 && shuffles.value.allSatisfy { $0 != nil })
  }

  /// Chains of operators drawn at random, beside the same on arrays.
  @Test func anyChainEqualsItsModel() throws {
    for seed in 1...30 as ClosedRange<UInt64> {
      var random = SeededRandom(seed: seed)
      let batches = (0..<5).map { _ in
        (0..<Int.random(in: 0...40, using: &random)).map { _ in Int.random(in: -9...99, using: &random) }
      }
      let choices = (0..<Int.random(in: 1...5, using: &random)).map { _ in Int.random(in: 0...7, using: &random) }
      let parallelism = Int.random(in: 1...4, using: &random)
      let out = try marbles(batches, parallelism: parallelism) { stream in
        choices.reduce(stream) { stream, choice in
          switch choice {
          case 0: stream.map { $0 &+ 3 }
          case 1: stream.filter { $0 % 3 != 0 }
          case 2: stream.flatMap { [$0, 0 &- $0] }
          case 3: stream.compactMap { $0 % 2 == 0 ? $0 / 2 : nil }
          case 4: stream.repartition(3)
          case 5: stream.union(stream.map { $0 &+ 1 })
          case 6: stream.map { ($0 & 7, $0) }.reduceByKey { $0 &+ $1 }.map { $0.0 &+ $0.1 }
          default: stream.countByValue().map { $0.0 &* $0.1 }
          }
        }
      }
      let expected = batches.map { batch in
        choices.reduce(batch) { batch, choice in
          switch choice {
          case 0: batch.map { $0 &+ 3 }
          case 1: batch.filter { $0 % 3 != 0 }
          case 2: batch.flatMap { [$0, 0 &- $0] }
          case 3: batch.compactMap { $0 % 2 == 0 ? $0 / 2 : nil }
          case 4: batch
          case 5: batch + batch.map { $0 &+ 1 }
          case 6: Dictionary(batch.map { ($0 & 7, $0) }) { $0 &+ $1 }.map { $0.key &+ $0.value }
          default: Dictionary(batch.map { ($0, 1) }) { $0 + $1 }.map { $0.key &* $0.value }
          }
        }.sorted()
      }
      #expect(out.map { $0.sorted() } == expected, "seed \(seed), operators \(choices), \(parallelism) partitions")
    }
  }
}
