import Datasets
import Groundwork
import Testing

/// Every operator and action against the same on arrays, with generated data in generated partitions, on a runner that
/// runs tasks in any order, some twice, and loses shuffle output.
@Suite struct OperatorTests {
  @Test("every operator", arguments: seeds) func operators(seed: UInt64) throws {
    for table in [setCases, orderCases, pairCases, samplingCases, groupingCases, actionCases] {
      for operatorCase in table {
        // Each case draws its own data, the same whatever the other cases do.
        var generated = Generated(seed: seed, disturbs: true)
        let (got, expected) = try operatorCase.run(&generated)
        #expect(got == expected, "\(operatorCase.name), seed \(seed)")
      }
    }
  }

  @Test func theTablesNameEachOperatorOnce() {
    let names = [setCases, orderCases, pairCases, samplingCases, groupingCases, actionCases].joined().map(\.name)
    #expect(Set(names).count == names.count)
    #expect(names.count > 40)
  }
}

/// One operator: what it gives on generated data, and what it should.
struct OperatorCase: Sendable {
  let name: String
  let run: @Sendable (inout Generated) throws -> (got: [String], expected: [String])

  init(_ name: String, _ run: @escaping @Sendable (inout Generated) throws -> (got: [String], expected: [String])) {
    self.name = name
    self.run = run
  }
}

/// Elements as texts, in order.
func texts<Element>(_ elements: some Sequence<Element>) -> [String] { elements.map { "\($0)" } }

/// A dictionary as texts, in the order of its keys.
func texts<Value>(_ table: [Int: Value]) -> [String] {
  table.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
}

/// The parts that `parallelize` and `range` make.
func parts<Element>(_ elements: [Element], _ count: Int) -> [[Element]] {
  (0..<count).map { Array(elements[elements.count * $0 / count..<elements.count * ($0 + 1) / count]) }
}

private let setCases: [OperatorCase] = [
  OperatorCase("range") { generated in
    let (start, step) = (generated.upTo(100) - 50, [1, 3, -2, -7][generated.upTo(4)])
    let (end, count) = (generated.upTo(4000) - 2000, generated.partitionCount())
    let numbers = Array(stride(from: start, to: end, by: step))
    let dataset = generated.context.range(start, end, step: step, partitionCount: count)
    return (texts(try dataset.glom().collect()), texts(parts(numbers, count)))
  },
  OperatorCase("mapPartitions") { generated in
    let (numbers, count) = (generated.numbers(), generated.partitionCount())
    let dataset = generated.context.parallelize(numbers, partitionCount: count)
    return (
      texts(try dataset.mapPartitions { elements, _ in elements.reversed() }.collect()),
      texts(parts(numbers, count).flatMap { $0.reversed() })
    )
  },
  OperatorCase("mapPartitionsWithIndex") { generated in
    let (numbers, count) = (generated.numbers(), generated.partitionCount())
    let dataset = generated.context.parallelize(numbers, partitionCount: count)
    return (
      texts(try dataset.mapPartitionsWithIndex { part, elements in elements.lazy.map { (part, $0) } }.collect()),
      texts(parts(numbers, count).enumerated().flatMap { part in part.element.map { (part.offset, $0) } })
    )
  },
  OperatorCase("glom") { generated in
    let (numbers, count) = (generated.numbers(), generated.partitionCount())
    let dataset = generated.context.parallelize(numbers, partitionCount: count)
    return (texts(try dataset.glom().collect()), texts(parts(numbers, count)))
  },
  OperatorCase("union") { generated in
    let (a, b) = (generated.numbers(), generated.numbers())
    return (texts(try generated.dataset(a).union(generated.dataset(b)).collect()), texts(a + b))
  },
  OperatorCase("intersection") { generated in
    let (a, b) = (generated.numbers(), generated.numbers())
    let both = generated.dataset(a).intersection(generated.dataset(b), partitions: generated.partitionCount())
    return (texts(try both.collect().sorted()), texts(Set(a).intersection(b).sorted()))
  },
  OperatorCase("subtract") { generated in
    let (a, b) = (generated.numbers(), generated.numbers())
    let rest = generated.dataset(a).subtract(generated.dataset(b))
    return (texts(try rest.collect().sorted()), texts(a.filter { !Set(b).contains($0) }.sorted()))
  },
  OperatorCase("distinct") { generated in
    let numbers = generated.numbers()
    return (texts(try generated.dataset(numbers).distinct().collect().sorted()), texts(Set(numbers).sorted()))
  },
  OperatorCase("cartesian") { generated in
    let (a, b) = (Array(generated.numbers().prefix(60)), Array(generated.numbers().prefix(50)))
    let all = generated.dataset(a).cartesian(generated.dataset(b))
    return (asBag(try all.collect()), asBag(a.flatMap { x in b.map { (x, $0) } }))
  },
  OperatorCase("zip") { generated in
    let (a, count) = (generated.numbers(), generated.partitionCount())
    let context = generated.context
    let (left, right) = (
      context.parallelize(a, partitionCount: count), context.range(a.count, partitionCount: count).map { -$0 }
    )
    return (texts(try left.zip(right).collect()), texts(Swift.zip(a, a.indices.map { -$0 })))
  },
  OperatorCase("zipPartitions") { generated in
    let (a, b, count) = (generated.numbers(), generated.numbers(), generated.partitionCount())
    let context = generated.context
    let (left, right) = (
      context.parallelize(a, partitionCount: count), context.parallelize(b, partitionCount: count)
    )
    let expected = Swift.zip(parts(a, count), parts(b, count))
    return (
      texts(try left.zipPartitions(right) { [$0.count, $1.reduce(0, +)] }.collect())
        + texts(try left.zipPartitions(right, left) { $0 + $1 + $2 }.collect())
        + texts(try left.zipPartitions(right, left, right) { [$0.count + $1.count + $2.count + $3.count] }.collect()),
      texts(expected.flatMap { [$0.count, $1.reduce(0, +)] }) + texts(expected.flatMap { $0 + $1 + $0 })
        + texts(expected.map { ($0.count + $1.count) * 2 })
    )
  },
  OperatorCase("zipWithIndex") { generated in
    let numbers = generated.numbers()
    let odd = generated.dataset(numbers).filter { $0 % 3 != 0 }
    return (
      texts(try odd.zipWithIndex().collect()),
      texts(numbers.filter { $0 % 3 != 0 }.enumerated().map { ($0.element, $0.offset) })
    )
  },
  OperatorCase("zipWithUniqueId") { generated in
    let (numbers, count) = (generated.numbers(), generated.partitionCount())
    let dataset = generated.context.parallelize(numbers, partitionCount: count)
    return (
      texts(try dataset.zipWithUniqueId().collect()),
      texts(
        parts(numbers, count).enumerated().flatMap { part in
          part.element.enumerated().map { ($0.element, $0.offset * count + part.offset) }
        })
    )
  },
]

private let orderCases: [OperatorCase] = [
  OperatorCase("groupBy") { generated in
    let numbers = generated.numbers()
    let groups = try generated.dataset(numbers).groupBy { $0 % 7 }.collectAsMap()
    return (texts(groups), texts(Dictionary(grouping: numbers) { $0 % 7 }))
  },
  OperatorCase("keyBy") { generated in
    let numbers = generated.numbers()
    return (texts(try generated.dataset(numbers).keyBy { $0 / 3 }.collect()), texts(numbers.map { ($0 / 3, $0) }))
  },
  OperatorCase("sortBy") { generated in
    let (numbers, isAscending) = (generated.numbers(), generated.upTo(2) == 0)
    let tagged = numbers.enumerated().map { ($0.offset, $0.element) }
    let sorted = generated.dataset(tagged).sortBy(ascending: isAscending, partitions: generated.partitionCount()) {
      $0.1
    }
    // Stable: by the place of the element among equals.
    let expected = tagged.sorted {
      $0.1 != $1.1 ? ($0.1 < $1.1) == isAscending : $0.0 < $1.0
    }
    return (texts(try sorted.collect()), texts(expected))
  },
  OperatorCase("sortByKey") { generated in
    let (pairs, isAscending) = (generated.pairs(), generated.upTo(2) == 0)
    let sorted = generated.dataset(pairs).sortByKey(ascending: isAscending)
    let expected = pairs.sorted { $0.0 != $1.0 ? ($0.0 < $1.0) == isAscending : $0.1 < $1.1 }
    return (texts(try sorted.collect()), texts(expected))
  },
  OperatorCase("filterByRange") { generated in
    let (pairs, isAscending) = (generated.pairs(), generated.upTo(2) == 0)
    let sorted = generated.dataset(pairs).sortByKey(ascending: isAscending, partitions: generated.partitionCount())
    let (low, high) = (generated.upTo(40) - 20, generated.upTo(300) - 20)
    let expected = pairs.filter { $0.0 >= low && $0.0 <= high }
      .sorted { $0.0 != $1.0 ? ($0.0 < $1.0) == isAscending : $0.1 < $1.1 }
    return (
      texts(try sorted.filterByRange(low, high).collect())
        + texts(try generated.dataset(pairs).filterByRange(low, high).collect()),
      texts(expected) + texts(pairs.filter { $0.0 >= low && $0.0 <= high })
    )
  },
  OperatorCase("repartition") { generated in
    let (numbers, count) = (generated.numbers(), generated.partitionCount())
    let dealt = try generated.dataset(numbers).repartition(count).glom().collect()
    return (
      texts(dealt.flatMap { $0 }.sorted()) + ["\(dealt.count)"], texts(numbers.sorted()) + ["\(count)"]
    )
  },
  OperatorCase("coalesce") { generated in
    let (numbers, count) = (generated.numbers(), generated.partitionCount())
    let dataset = generated.dataset(numbers)
    let merged = dataset.coalesce(count)
    _ = try merged.count()
    return (
      texts(try merged.collect()) + ["\(merged.partitionCount), \(generated.runner.mapTasks) map tasks"],
      texts(numbers) + ["\(min(count, dataset.partitionCount)), 0 map tasks"]
    )
  },
  OperatorCase("repartitionAndSortWithinPartitions") { generated in
    let (pairs, count) = (generated.pairs(), generated.partitionCount())
    let partitioner = Partitioner<Int>(partitionCount: count) { ($0 % count + count) % count }
    let placed = try generated.dataset(pairs).repartitionAndSortWithinPartitions(partitioner).glom().collect()
    let expected = (0..<count).map { place in
      pairs.filter { ($0.0 % count + count) % count == place }.sorted { $0 < $1 }
    }
    return (texts(placed), texts(expected))
  },
  OperatorCase("partitionBy") { generated in
    let (pairs, count) = (generated.pairs(), generated.partitionCount())
    let partitioner = Partitioner<Int>(partitionCount: count) { abs($0) % count }
    return (
      texts(try generated.dataset(pairs).partitionBy(partitioner).glom().collect()),
      texts((0..<count).map { place in pairs.filter { abs($0.0) % count == place } })
    )
  },
  OperatorCase("partitionBy ranges") { generated in
    let pairs = generated.pairs()
    let bounds = (0..<generated.upTo(5)).map { _ in generated.upTo(20) - 10 }
    let isAscending = generated.upTo(2) == 0
    let placed = try generated.dataset(pairs).partitionBy(.range(bounds: bounds, ascending: isAscending))
      .glom().collect()
    let expected = (0...bounds.count).map { place in
      pairs.filter { pair in bounds.filter { $0 < pair.0 }.count == place }
    }
    return (texts(placed), texts(isAscending ? expected : expected.reversed()))
  },
]

private let pairCases: [OperatorCase] = [
  OperatorCase("groupByKey") { generated in
    let pairs = generated.pairs()
    let grouped = Dictionary(grouping: pairs, by: \.0).mapValues { $0.map(\.1) }
    let dataset = generated.dataset(pairs)
    return (
      texts(try dataset.groupByKey().collectAsMap())
        + texts(try dataset.partitionBy(.hash(3)).groupByKey().collectAsMap())
        + texts(try dataset.groupByKey(.range(4, of: dataset)).collectAsMap()),
      texts(grouped) + texts(grouped) + texts(grouped)
    )
  },
  OperatorCase("reduceByKey") { generated in
    let pairs = generated.pairs()
    let texted = pairs.map { ($0.0, "\($0.1) ") }
    let dataset = generated.dataset(texted)
    let joined = Dictionary(texted, uniquingKeysWith: +)
    return (
      texts(try dataset.reduceByKey(+).collectAsMap())
        + texts(try dataset.partitionBy(.hash(4)).reduceByKey(+).collectAsMap())
        + texts(try dataset.reduceByKey(.range(3, of: dataset), +).collectAsMap()),
      texts(joined) + texts(joined) + texts(joined)
    )
  },
  OperatorCase("aggregateByKey, combineByKey, foldByKey") { generated in
    let pairs = generated.pairs()
    let dataset = generated.dataset(pairs)
    let grouped = Dictionary(grouping: pairs, by: \.0).mapValues { $0.map(\.1) }
    let partitioner = Partitioner<Int>(partitionCount: 2) { $0 & 1 }
    return (
      texts(
        try dataset.aggregateByKey("") {
          $0 + "\($1),"
        } merge: {
          $0 + $1
        }.collectAsMap())
        + texts(
          try dataset.aggregateByKey(0, partitioner) {
            max($0, $1)
          } merge: {
            max($0, $1)
          }.collectAsMap())
        + texts(
          try dataset.combineByKey(partitioner) {
            [$0]
          } add: {
            $0 + [$1]
          } merge: {
            $0 + $1
          }.collectAsMap())
        + texts(try dataset.foldByKey(0, partitioner, +).collectAsMap()),
      texts(grouped.mapValues { $0.map { "\($0)," }.joined() }) + texts(grouped.mapValues { $0.max() ?? 0 })
        + texts(grouped) + texts(grouped.mapValues { $0.reduce(0, +) })
    )
  },
  OperatorCase("mapValues, flatMapValues, keys, values") { generated in
    let pairs = generated.pairs()
    let dataset = generated.dataset(pairs)
    return (
      texts(try dataset.mapValues { $0 * 2 }.collect()) + texts(try dataset.flatMapValues { 0..<($0 % 3) }.collect())
        + texts(try dataset.keys().collect()) + texts(try dataset.values().collect()),
      texts(pairs.map { ($0.0, $0.1 * 2) }) + texts(pairs.flatMap { pair in (0..<(pair.1 % 3)).map { (pair.0, $0) } })
        + texts(pairs.map(\.0)) + texts(pairs.map(\.1))
    )
  },
  OperatorCase("reduceByKeyLocally") { generated in
    let pairs = generated.pairs().map { ($0.0, "\($0.1) ") }
    return (
      texts(try generated.dataset(pairs).reduceByKeyLocally(+)), texts(Dictionary(pairs, uniquingKeysWith: +))
    )
  },
  OperatorCase("countByKey, countByKeyApprox") { generated in
    let pairs = generated.pairs()
    let counts = Dictionary(pairs.map { ($0.0, 1) }, uniquingKeysWith: +)
    let dataset = generated.dataset(pairs)
    return (
      texts(try dataset.countByKey()) + texts(try dataset.countByKeyApprox().mapValues { [$0.low, $0.mean, $0.high] }),
      texts(counts) + texts(counts.mapValues { [Double](repeating: Double($0), count: 3) })
    )
  },
  OperatorCase("countApproxDistinctByKey") { generated in
    // Few values: the estimate is then exact but for collisions, at a deviation of a hundredth.
    let pairs = (0..<500).map { _ in (generated.upTo(5), generated.upTo(20)) }
    let estimates = try generated.dataset(pairs).countApproxDistinctByKey(relativeSD: 0.005).collectAsMap()
    return (texts(estimates), texts(Dictionary(grouping: pairs, by: \.0).mapValues { Set($0.map(\.1)).count }))
  },
  OperatorCase("lookup, collectAsMap") { generated in
    let pairs = generated.pairs()
    let dataset = generated.dataset(pairs)
    let key = generated.upTo(9) - 4
    let values = pairs.filter { $0.0 == key }.map(\.1)
    let sorted = dataset.sortByKey()
    return (
      texts(try dataset.lookup(key)) + texts(try dataset.partitionBy(.hash(3)).lookup(key))
        + texts(try sorted.lookup(key)) + texts(try sorted.lookup(key))
        + texts(try dataset.collectAsMap()),
      texts(values + values + values + values) + texts(Dictionary(pairs, uniquingKeysWith: { $1 }))
    )
  },
  OperatorCase("subtractByKey") { generated in
    let (mine, theirs) = (generated.pairs(), generated.pairs().filter { $0.0 % 2 == 0 })
    let keys = Set(theirs.map(\.0))
    return (
      sorted(try generated.dataset(mine).subtractByKey(generated.dataset(theirs)).collect()),
      sorted(mine.filter { !keys.contains($0.0) })
    )
  },
]

private let samplingCases: [OperatorCase] = [
  OperatorCase("sample, without replacement") { generated in
    let numbers = Array(0..<generated.upTo(3000))
    let dataset = generated.dataset(numbers)
    let drawn = try dataset.sample(fraction: 0.4, seed: generated.seed).collect()
    let again = try dataset.map { $0 }.sample(fraction: 0.4, seed: generated.seed).collect()
    // Five standard deviations.
    let isLikely =
      abs(Double(drawn.count) - 0.4 * Double(numbers.count)) <= 5 * (0.24 * Double(numbers.count)).squareRoot()
    return (
      texts([drawn == drawn.sorted(), Set(drawn).count == drawn.count, drawn == again, isLikely])
        + texts(try dataset.sample(fraction: 0).collect()) + texts(try dataset.sample(fraction: 1).collect()),
      texts([true, true, true, true]) + texts(numbers)
    )
  },
  OperatorCase("sample, with replacement") { generated in
    let numbers = Array(0..<generated.upTo(2000))
    let mean = [0.1, 1, 2.5, 30][generated.upTo(4)]
    let dataset = generated.dataset(numbers)
    let drawn = try dataset.sample(withReplacement: true, fraction: mean, seed: generated.seed).collect()
    let again = try dataset.sample(withReplacement: true, fraction: mean, seed: generated.seed).collect()
    let expected = mean * Double(numbers.count)
    let isLikely = abs(Double(drawn.count) - expected) <= 5 * expected.squareRoot()
    return (texts([drawn == drawn.sorted(), drawn == again, isLikely]), texts([true, true, true]))
  },
  OperatorCase("randomSplit") { generated in
    let numbers = generated.numbers().enumerated().map { $0.offset }
    let splits = generated.dataset(numbers).randomSplit([1, 0, 3, 0], seed: generated.seed)
    let drawn = try splits.map { try $0.collect() }
    let expected = Double(numbers.count) / 4
    let isLikely = abs(Double(drawn[0].count) - expected) <= 5 * (expected * 0.75).squareRoot()
    return (
      texts(drawn.flatMap { $0 }.sorted()) + texts([drawn[1].count, drawn[3].count]) + ["\(isLikely)"],
      texts(numbers) + texts([0, 0]) + ["true"]
    )
  },
  OperatorCase("takeSample") { generated in
    let numbers = generated.numbers().enumerated().map { $0.offset }
    let dataset = generated.dataset(numbers)
    let count = [0, 1, 10, 4000][generated.upTo(4)]
    let drawn = try dataset.takeSample(count, seed: generated.seed)
    let again = try dataset.takeSample(count, seed: generated.seed)
    let repeated = try dataset.takeSample(withReplacement: true, count, seed: generated.seed)
    return (
      texts([drawn.count, Set(drawn).count, repeated.count])
        + texts([drawn == again, Set(numbers).isSuperset(of: drawn + repeated)]),
      texts([min(count, numbers.count), min(count, numbers.count), numbers.isEmpty ? 0 : count]) + texts([true, true])
    )
  },
  OperatorCase("sampleByKey") { generated in
    let pairs = (0..<2000).map { ($0 % 4, $0) }
    let dataset = generated.dataset(pairs)
    let drawn = try dataset.sampleByKey(fractions: [0: 0, 1: 1, 2: 0.5], seed: generated.seed).collect()
    let many = try dataset.sampleByKey(withReplacement: true, fractions: [0: 3, 1: 0], seed: generated.seed).collect()
    let counts = Dictionary(drawn.map { ($0.0, 1) }, uniquingKeysWith: +)
    return (
      texts([counts[0] ?? 0, counts[1] ?? 0, counts[3] ?? 0])
        + texts([abs((counts[2] ?? 0) - 250) < 60, abs(many.count - 1500) < 200, many.allSatisfy { $0.0 == 0 }]),
      texts([0, 500, 0]) + texts([true, true, true])
    )
  },
  OperatorCase("sampleByKeyExact") { generated in
    let pairs = generated.pairs()
    let fractions = [0: 0.0, 1: 1.0, 2: 0.3, -1: 0.5]
    let dataset = generated.dataset(pairs)
    let drawn = try dataset.sampleByKeyExact(fractions: fractions, seed: generated.seed).collect()
    let many = try dataset.sampleByKeyExact(withReplacement: true, fractions: [2: 2.5]).countByKey()
    let sizes = Dictionary(pairs.map { ($0.0, 1) }, uniquingKeysWith: +)
    let expected = fractions.map { key, fraction in
      (key, Int((fraction * Double(sizes[key] ?? 0)).rounded(.up)))
    }.filter { $0.1 > 0 }
    let drawnPairs = Set(drawn.map { "\($0)" })
    return (
      texts(Dictionary(drawn.map { ($0.0, 1) }, uniquingKeysWith: +))
        + texts([drawnPairs.count == drawn.count, drawnPairs.isSubset(of: texts(pairs))]) + texts(many),
      texts(Dictionary(uniqueKeysWithValues: expected)) + texts([true, true])
        + texts(sizes[2].map { [2: Int((2.5 * Double($0)).rounded(.up))] } ?? [:])
    )
  },
]

private let groupingCases: [OperatorCase] = [
  OperatorCase("cogroup of two to four") { generated in
    let (a, b, c, d) = (generated.pairs(), generated.pairs(), generated.pairs(), generated.pairs())
    let keys = Set([a, b, c, d].joined().map(\.0))
    func values(_ pairs: [(Int, Int)], _ key: Int) -> [Int] { pairs.filter { $0.0 == key }.map(\.1) }
    let table = [a, b, c, d].map { pairs in Dictionary(grouping: pairs, by: \.0).mapValues { $0.map(\.1) } }
    let (first, second) = (generated.dataset(a), generated.dataset(b).partitionBy(.hash(3)))
    let (third, fourth) = (generated.dataset(c), generated.dataset(d))
    func of(_ count: Int) -> [String] {
      keys.sorted().filter { key in table.prefix(count).contains { $0[key] != nil } }
        .map { key in "\(key): \(table.prefix(count).map { $0[key] ?? [] })" }
    }
    return (
      try first.groupWith(second).collect().sorted { $0.0 < $1.0 }.map { "\($0.0): \([$0.1.0, $0.1.1])" }
        + first.groupWith(second, third).collect().sorted { $0.0 < $1.0 }
        .map { "\($0.0): \([$0.1.0, $0.1.1, $0.1.2])" }
        + first.groupWith(second, third, fourth).collect().sorted { $0.0 < $1.0 }
        .map { "\($0.0): \([$0.1.0, $0.1.1, $0.1.2, $0.1.3])" },
      of(2) + of(3) + of(4)
    )
  },
  OperatorCase("joins by ranges") { generated in
    // One side is sorted: the other comes to it by the same sampled ranges.
    let (a, b) = (Array(generated.pairs().prefix(200)), Array(generated.pairs().prefix(200)))
    let (left, right) = (generated.dataset(a).sortByKey(), generated.dataset(b))
    let inner = a.flatMap { x in b.filter { $0.0 == x.0 }.map { (x.0, (x.1, $0.1)) } }
    return (
      asBag(try left.join(right, left.partitioning?.partitioner(for: Int.self) ?? .hash(1)).collect())
        + asBag(try right.join(left).mapValues { ($0.1, $0.0) }.collect()),
      asBag(inner) + asBag(inner)
    )
  },
]

private let actionCases: [OperatorCase] = [
  OperatorCase("treeReduce, treeAggregate") { generated in
    let numbers = generated.numbers()
    let dataset = generated.context.parallelize(numbers, partitionCount: 1 + generated.upTo(40))
    let joined = numbers.map { "\($0) " }.joined()
    return (
      try (1...4).flatMap { depth in
        [
          try dataset.map { "\($0) " }.treeReduce(depth: depth, +) ?? "",
          try dataset.treeAggregate("", depth: depth, { $0 + "\($1) " }, +),
        ]
      }, [String](repeating: joined, count: 8)
    )
  },
  OperatorCase("takeOrdered, top, min, max") { generated in
    let (numbers, count) = (generated.numbers(), generated.upTo(200))
    let tagged = numbers.enumerated().map { ($0.element, $0.offset) }
    let dataset = generated.dataset(tagged)
    let up = tagged.sorted { $0 < $1 }
    let down = tagged.sorted { $0.0 != $1.0 ? $0.0 > $1.0 : $0.1 < $1.1 }
    return (
      texts(try dataset.takeOrdered(count) { $0.0 < $1.0 }) + texts(try dataset.top(count) { $0.0 < $1.0 })
        + texts(try dataset.keys().takeOrdered(count)) + texts(try dataset.keys().top(Int.max))
        + texts([try dataset.min { $0.0 < $1.0 }, try dataset.max { $0.0 < $1.0 }].compactMap { $0 }),
      texts(up.prefix(count)) + texts(down.prefix(count)) + texts(up.prefix(count).map(\.0))
        + texts(down.map(\.0)) + texts([up.first, down.first].compactMap { $0 })
    )
  },
  OperatorCase("stats") { generated in
    let numbers = generated.numbers().map { Double($0) * 1.5 + 1e6 }
    let stats = try generated.dataset(numbers).stats()
    guard !numbers.isEmpty else {
      return (
        texts([stats.count, Int(stats.mean)]) + texts([stats.variance.isNaN, stats.min == .infinity]),
        texts([0, 0]) + texts([true, true])
      )
    }
    let mean = numbers.reduce(0, +) / Double(numbers.count)
    let squares = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    func isNear(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-6 * max(1, abs(b)) }
    let dataset = generated.dataset(numbers)
    return (
      texts([
        isNear(stats.mean, mean), isNear(stats.variance, squares / Double(numbers.count)),
        isNear(try dataset.mean(), mean), isNear(try dataset.stdev(), (squares / Double(numbers.count)).squareRoot()),
        numbers.count < 2
          ? try dataset.sampleStdev().isNaN : isNear(try dataset.sampleVariance(), squares / Double(numbers.count - 1)),
        isNear(stats.sum, numbers.reduce(0, +)), isNear(try dataset.meanApprox().mean, mean),
        isNear(try dataset.sumApprox().high, stats.sum),
      ]) + texts([stats.min, stats.max]) + ["\(stats.count)"],
      texts([Bool](repeating: true, count: 8)) + texts([numbers.min()!, numbers.max()!]) + ["\(numbers.count)"]
    )
  },
  OperatorCase("histogram") { generated in
    let numbers = [-3] + generated.numbers() + [4, 1000]
    let bounds = [-2.5, 0, 1, 4, 100]
    let dataset = generated.dataset(numbers)
    func counts(_ bounds: [Double]) -> [Int] {
      (0..<bounds.count - 1).map { part in
        numbers.filter {
          let value = Double($0)
          return value >= bounds[part]
            && (value < bounds[part + 1] || part == bounds.count - 2 && value == bounds[part + 1])
        }.count
      }
    }
    let even = try dataset.histogram(7)
    return (
      texts(try dataset.histogram(bounds)) + texts(even.counts) + texts([even.bounds.count]),
      texts(counts(bounds)) + texts(counts(even.bounds)) + texts([8])
    )
  },
  OperatorCase("toLocalIterator") { generated in
    let numbers = generated.numbers()
    var iterator = generated.dataset(numbers).filter { $0 % 2 == 0 }.toLocalIterator()
    var got: [Int] = []
    while let next = try iterator.next() { got.append(next) }
    return (texts(got), texts(numbers.filter { $0 % 2 == 0 }))
  },
  OperatorCase("countApprox, countByValueApprox") { generated in
    let numbers = generated.numbers()
    let dataset = generated.dataset(numbers)
    return (
      ["\(try dataset.countApprox().mean)"] + texts(try dataset.countByValueApprox().mapValues(\.mean)),
      ["\(Double(numbers.count))"]
        + texts(Dictionary(numbers.map { ($0, 1.0) }, uniquingKeysWith: +))
    )
  },
]
