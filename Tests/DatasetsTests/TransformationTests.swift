import Datasets
import Groundwork
import Synchronization
import Testing

/// Every transformation of single datasets against the same done on an array.
@Suite struct TransformationTests {
  @Test(arguments: seeds) func narrowOperators(seed: UInt64) throws {
    var generated = Generated(seed: seed)
    let numbers = generated.numbers()
    let dataset = generated.dataset(numbers)
    #expect(try dataset.collect() == numbers)
    #expect(try dataset.map { $0 * 3 }.collect() == numbers.map { $0 * 3 })
    #expect(try dataset.filter { $0 % 2 == 0 }.collect() == numbers.filter { $0 % 2 == 0 })
    #expect(
      try dataset.flatMap { 0..<(abs($0) % 4) }.collect() == numbers.flatMap { Array(0..<(abs($0) % 4)) })
    #expect(
      try dataset.compactMap { $0 > 0 ? "\($0)" : nil }.collect() == numbers.compactMap { $0 > 0 ? "\($0)" : nil })
    #expect(try dataset.keyBy { $0 / 2 }.collect().map { "\($0)" } == numbers.map { "\(($0 / 2, $0))" })
    #expect(try dataset.mapPartitions { elements, _ in [elements.count] }.sum() == numbers.count)
    #expect(try dataset.glom().collect().flatMap { $0 } == numbers)
    #expect(try dataset.glom().collect().count == dataset.partitionCount)
    let lengths = try dataset.glom().collect().map(\.count)
    #expect((lengths.max() ?? 0) - (lengths.min() ?? 0) <= 1, "parallelize cuts evenly")
  }

  @Test(arguments: seeds) func severalDatasetsInARow(seed: UInt64) throws {
    var generated = Generated(seed: seed)
    let (a, b, c) = (generated.numbers(), generated.numbers(), generated.numbers())
    let context = generated.context
    let union = context.union([generated.dataset(a), generated.dataset(b), generated.dataset(c)])
    #expect(try union.map { $0 + 1 }.collect() == (a + b + c).map { $0 + 1 })
    #expect(try generated.dataset(a).union(context.empty()).collect() == a)
    #expect(try context.empty(of: Int.self).collect() == [])
  }

  @Test(arguments: seeds) func elementsPlacedAnew(seed: UInt64) throws {
    var generated = Generated(seed: seed)
    let numbers = generated.numbers()
    let dataset = generated.dataset(numbers)
    let count = generated.partitionCount()

    let dealt = try dataset.repartition(count).glom().collect()
    #expect(dealt.count == count)
    #expect(asBag(dealt.flatMap { $0 }) == asBag(numbers))
    let lengths = dealt.map(\.count)
    #expect((lengths.max() ?? 0) - (lengths.min() ?? 0) <= dataset.partitionCount, "dealt out evenly")

    let merged = dataset.coalesce(count)
    #expect(merged.partitionCount == min(count, dataset.partitionCount))
    #expect(try merged.collect() == numbers, "neighbours stay neighbours")
    #expect(try asBag(dataset.coalesce(count, shuffle: true).collect()) == asBag(numbers))
    if count < dataset.partitionCount {
      let weights = (0..<count).reduce(Int64(0)) { $0 + merged.weight(of: $1) }
      #expect(weights >= (0..<dataset.partitionCount).reduce(Int64(0)) { $0 + dataset.weight(of: $1) })
    }

    let distinct = try dataset.distinct(partitions: count).collect()
    #expect(distinct.count == Set(numbers).count)
    #expect(Set(distinct) == Set(numbers))
  }

  @Test(arguments: seeds) func pairsOfOneDataset(seed: UInt64) throws {
    var generated = Generated(seed: seed)
    let pairs = generated.pairs()
    let dataset = generated.dataset(pairs)
    let count = generated.partitionCount()
    let grouped = Dictionary(grouping: pairs, by: \.0).mapValues { $0.map(\.1) }

    #expect(try dataset.reduceByKey(partitions: count, +).collectAsMap() == grouped.mapValues { $0.reduce(0, +) })
    #expect(try dataset.foldByKey(0, partitions: count, +).collectAsMap() == grouped.mapValues { $0.reduce(0, +) })
    #expect(
      try dataset.reduceByKey { earlier, _ in earlier }.collectAsMap() == grouped.mapValues { $0[0] },
      "values are combined in their order")
    #expect(try dataset.groupByKey(partitions: count).collectAsMap() == grouped)
    #expect(try dataset.countByKey() == grouped.mapValues(\.count))
    #expect(try dataset.keys().countByValue() == grouped.mapValues(\.count))
    #expect(
      try dataset.aggregateByKey(Set<Int>()) {
        $0.union([$1 % 3])
      } merge: {
        $0.union($1)
      }.collectAsMap()
        == grouped.mapValues { Set($0.map { $0 % 3 }) })
    let means = dataset.combineByKey(partitions: count) {
      (1, $0)
    } add: {
      ($0.0 + 1, $0.1 + $1)
    } merge: {
      ($0.0 + $1.0, $0.1 + $1.1)
    }
    #expect(try sorted(means.collect()) == sorted(grouped.map { ($0, ($1.count, $1.reduce(0, +))) }))
    #expect(try dataset.mapValues { $0 + 1 }.collect().map { "\($0)" } == pairs.map { "\(($0, $1 + 1))" })
    #expect(
      try dataset.flatMapValues { [$0, -$0] }.collect().map { "\($0)" }
        == pairs.flatMap { ["\(($0, $1))", "\(($0, -$1))"] })
    #expect(try dataset.keys().collect() == pairs.map(\.0))
    #expect(try dataset.values().collect() == pairs.map(\.1))

    let placed = dataset.partitionBy(.hash(count))
    #expect(try sorted(placed.collect()) == sorted(pairs), "in order within a key")
    let keys = try placed.keys().glom().collect().map(Set.init)
    #expect(keys.reduce(0) { $0 + $1.count } == grouped.count, "each key in one partition")
    #expect(placed.partitionBy(.hash(count)) === placed)
    for key in [pairs.first?.0, 123_456].compactMap({ $0 }) {
      #expect(try placed.lookup(key) == grouped[key] ?? [])
      #expect(try dataset.lookup(key) == grouped[key] ?? [])
    }
    let table = [0: "zero", 1: "one"]
    #expect(
      try asBag(dataset.join(table).collect()) == asBag(pairs.compactMap { p in table[p.0].map { (p.0, (p.1, $0)) } }))
    #expect(try asBag(dataset.leftOuterJoin(table).collect()) == asBag(pairs.map { ($0.0, ($0.1, table[$0.0])) }))
  }

  @Test func wordsAreCountedAsStringsAre() throws {
    let lines = [
      "the sluice lets the stream through", "", " in  measured portions ", "the end, incomprehensibilities too",
    ]
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 3)
    let text = lines.joined(separator: "\n")
    let whole = Bytes(text)
    // Slices of one arena, as fetched records are.
    let slices = Array(whole.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false))
    #expect(slices.map { String($0) } == lines)
    let counts = try context.parallelize(slices, partitionCount: 2).flatMap { $0.split(separator: " ") }.countByValue()
    let expected = Dictionary(grouping: lines.flatMap { $0.split(separator: " ") }, by: { Bytes($0) }).mapValues(
      \.count)
    #expect(counts == expected)
    for line in lines {
      for omits in [true, false] {
        for bytes in [Bytes(line), Bytes("...." + line)[4..<line.utf8.count + 4]] {
          #expect(
            Array(bytes.split(separator: " ", omittingEmptySubsequences: omits)).map { String($0) }
              == line.split(separator: " ", omittingEmptySubsequences: omits).map { String($0) })
        }
      }
    }
  }

  @Test func whatTheUsersFunctionThrowsComesOut() throws {
    struct Malformed: Error, Equatable { var line: Int }
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 2)
    let dataset = context.parallelize(0..<5000).map { value in
      if value == 4321 { throw Malformed(line: value) }
      return "\(value)"
    }
    #expect(throws: Malformed(line: 4321)) { try dataset.collect() }
    #expect(throws: Malformed(line: 4321)) { try dataset.keyBy { $0 }.reduceByKey(+).count() }
  }

  @Test func lineageIsShownWithItsShuffles() {
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 2)
    let counts = context.parallelize(0..<10, partitionCount: 3).map { ($0, 1) }.reduceByKey(+).cache()
    #expect(
      counts.join(counts.mapValues { -$0 }).toDebugString() == """
        (2) join
         |  reduceByKey [MEMORY_ONLY]
         +-(3) map
            |  parallelize
         |  mapValues
         |  reduceByKey [MEMORY_ONLY] [shown above]
        """)
  }
}
