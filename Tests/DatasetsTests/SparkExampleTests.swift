import Datasets
import Groundwork
import Synchronization
import Testing

/// The worked examples of Spark's programming guide and API documentation, with the results printed there.
@Suite struct SparkExampleTests {
  let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 3)

  @Test func programmingGuide() throws {
    let data = context.parallelize([1, 2, 3, 4, 5])
    #expect(try data.reduce { $0 + $1 } == 15)
    let lines = context.parallelize(["a b", "b", "", "c a b"])
    #expect(try lines.map { $0.count }.reduce(+) == 9)
    let pairs = lines.flatMap { $0.split(separator: " ").map(String.init) }.map { ($0, 1) }
    #expect(
      try pairs.reduceByKey(+).sortByKey().collect().map { "\($0)" } == ["(\"a\", 2)", "(\"b\", 3)", "(\"c\", 1)"])
    #expect(context.parallelize(0..<10).partitionCount == 3, "the default level of parallelism")
    #expect(context.parallelize(0..<10, partitionCount: 10).partitionCount == 10)
  }

  @Test func operators() throws {
    let four = context.parallelize([1, 2, 3, 4], partitionCount: 2)
    #expect(try four.glom().collect() == [[1, 2], [3, 4]])
    #expect(try four.mapPartitions { elements, _ in [elements.reduce(0, +)] }.collect() == [3, 7])
    #expect(try four.mapPartitionsWithIndex { index, _ in [index] }.reduce(+) == 1)
    #expect(
      try context.parallelize([1, 10, 2, 3, 4, 5]).intersection(context.parallelize([1, 6, 2, 3, 7, 8])).collect()
        .sorted() == [1, 2, 3])
    #expect(try context.parallelize([1, 1, 2, 3]).distinct().collect().sorted() == [1, 2, 3])
    #expect(
      try context.parallelize([1, 2]).cartesian(context.parallelize([1, 2])).collect().map { [$0.0, $0.1] }
        .sorted { $0.lexicographicallyPrecedes($1) } == [[1, 1], [1, 2], [2, 1], [2, 2]])
    #expect(
      try context.range(0, 5).zip(context.range(1000, 1005)).collect().map { [$0.0, $0.1] }
        == [[0, 1000], [1, 1001], [2, 1002], [3, 1003], [4, 1004]])
    let letters = context.parallelize(["a", "b", "c", "d"], partitionCount: 3)
    #expect(try letters.zipWithIndex().collect().map(\.1) == [0, 1, 2, 3])
    #expect(
      try context.parallelize(["a", "b", "c", "d", "e"], partitionCount: 3).zipWithUniqueId().collect().map { "\($0)" }
        == ["(\"a\", 0)", "(\"b\", 1)", "(\"c\", 4)", "(\"d\", 2)", "(\"e\", 5)"])
    #expect(
      try context.parallelize([("a", 1), ("b", 2), ("1", 3), ("d", 4), ("2", 5)]).sortByKey().keys().collect()
        == ["1", "2", "a", "b", "d"])
    #expect(try context.range(1, 9, step: 3).collect() == [1, 4, 7])
    #expect(
      try context.parallelize([1, 2, 3, 4, 5], partitionCount: 3).coalesce(1).glom().collect() == [[1, 2, 3, 4, 5]])
    #expect(try context.parallelize([10, 4, 2, 12, 3]).top(1) == [12])
    #expect(try context.parallelize([2, 3, 4, 5, 6]).top(2) == [6, 5])
    #expect(try context.parallelize([10, 1, 2, 9, 3, 4, 5, 6, 7]).takeOrdered(6) == [1, 2, 3, 4, 5, 6])
    let numbers = [-5, -4, -3, -2, -1, 1, 2, 3, 4]
    for depth in 1...5 {
      #expect(try context.parallelize(numbers, partitionCount: 10).treeReduce(depth: depth, +) == -5)
      #expect(try context.parallelize(numbers, partitionCount: 10).treeAggregate(0, depth: depth, +, +) == -5)
    }
  }

  @Test func pairs() throws {
    let sums = context.parallelize([("a", 1), ("b", 1), ("a", 1)])
    #expect(try sums.reduceByKeyLocally(+) == ["a": 2, "b": 1])
    #expect(try sums.countByKey() == ["a": 2, "b": 1])
    #expect(try sums.groupByKey().mapValues { $0.count }.collectAsMap() == ["a": 2, "b": 1])
    let x = context.parallelize([("a", 1), ("b", 4)])
    let y = context.parallelize([("a", 2)])
    func shown<Value: Sendable>(_ dataset: RDD<(String, Value)>) throws -> [String] {
      try dataset.collect().sorted { $0.0 < $1.0 }.map { "\($0.0) \($0.1)" }
    }
    #expect(try shown(x.leftOuterJoin(y)) == ["a (1, Optional(2))", "b (4, nil)"])
    #expect(try shown(y.rightOuterJoin(x)) == ["a (Optional(2), 1)", "b (nil, 4)"])
    #expect(
      try shown(x.fullOuterJoin(context.parallelize([("a", 2), ("c", 8)]))) == [
        "a (Optional(1), Optional(2))", "b (Optional(4), nil)", "c (nil, Optional(8))",
      ])
    #expect(
      try shown(context.parallelize([("a", 1), ("b", 4), ("b", 5), ("a", 2)]).subtractByKey(y)) == ["b 4", "b 5"])
    #expect(try shown(x.cogroup(y)) == ["a ([1], [2])", "b ([4], [])"])
  }

  @Test func numbers() throws {
    #expect(try context.parallelize([1, 2, 3]).mean() == 2)
    #expect(try context.parallelize([1, 2, 3]).sampleStdev() == 1)
    #expect(try context.parallelize([1, 2, 3]).sampleVariance() == 1)
    #expect(abs(try context.parallelize([1.0, 2, 3]).stdev() - 0.816_496_580_927_726) < 1e-12)
    #expect(abs(try context.parallelize([1.0, 2, 3]).variance() - 2.0 / 3) < 1e-12)
    #expect(try context.parallelize(0..<51).histogram(2).counts == [25, 26])
    #expect(try context.parallelize(0..<51).histogram(2).bounds == [0, 25, 50])
    #expect(try context.parallelize(0..<51).histogram([0, 5, 25, 50]) == [5, 20, 26])
    #expect(try context.parallelize([1, 50]).histogram([1, 10, 20, 50]) == [1, 0, 1])
    #expect(try context.parallelize([3, 3]).histogram(5).counts == [2])
    #expect(throws: DatasetError.self) { try context.empty(of: Int.self).histogram(3) }
    #expect(throws: DatasetError.self) { try context.parallelize([1.0, .infinity]).histogram(3) }
    #expect(throws: DatasetError.self) { try context.parallelize([1]).histogram([1, 1]) }
    #expect(throws: DatasetError.self) { try context.parallelize([1]).histogram(0) }
    #expect(
      "\(try context.parallelize([1.0, 3]).stats())" == "(count: 2, mean: 2.0, stdev: 1.0, max: 3.0, min: 1.0)")
  }

  @Test func aMillionDifferentElementsAreEstimatedWithinThreeInAHundred() throws {
    let million = context.range(1_000_000, partitionCount: 8).map { $0 &* 0x9E37_79B9 }
    let estimate = try million.countApproxDistinct(relativeSD: 0.005)
    #expect(abs(estimate - 1_000_000) < 30_000, "\(estimate)")
    for count in [0, 1, 2, 10, 1000, 50_000] {
      let estimate = try context.range(count).flatMap { [$0, $0] }.countApproxDistinct(relativeSD: 0.01)
      #expect(abs(estimate - count) <= max(0, count / 20), "\(estimate) of \(count)")
    }
  }
}
