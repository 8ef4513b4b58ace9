import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Tables of batches: what goes in, batch by batch, and what comes out.
@Suite struct OperatorTests {
  private func sorted<K: Comparable, V>(_ batches: [[(K, V)]]) -> [[String]] {
    batches.map { $0.sorted { $0.0 < $1.0 }.map { "\($0.0)=\($0.1)" } }
  }

  @Test func mapFilterFlatMap() throws {
    let out = try marbles([[1, 2, 3], [], [4]]) { $0.map { $0 * 10 }.filter { $0 != 20 }.flatMap { [$0, $0 + 1] } }
    #expect(out == [[10, 11, 30, 31], [], [40, 41]])
  }

  @Test func unionKeepsBoth() throws {
    let out = try marbles([[1, 2], [3]]) { $0.union($0.map { 0 - $0 }) }
    #expect(out == [[1, 2, -1, -2], [3, -3]])
  }

  @Test func reduceByKeyAddsWithinABatch() throws {
    let out = try marbles([["a", "b", "a"], ["b"], []]) { $0.map { ($0, 1) }.reduceByKey { $0 + $1 } }
    #expect(sorted(out) == [["a=2", "b=1"], ["b=1"], []])
  }

  @Test func groupByKeyKeepsTheOrder() throws {
    let out = try marbles([[1, 2, 3, 4, 5]], parallelism: 3) { $0.map { ($0 % 2, $0) }.groupByKey() }
    #expect(sorted(out) == [["0=[2, 4]", "1=[1, 3, 5]"]])
  }

  @Test func countByValueCounts() throws {
    let out = try marbles([["x", "y", "x"], ["z"]]) { $0.countByValue() }
    #expect(sorted(out) == [["x=2", "y=1"], ["z=1"]])
  }

  @Test func countGivesOneElement() throws {
    #expect(try marbles([[7, 8, 9], [1]]) { $0.count() } == [[3], [1]])
  }

  @Test func valuesAndTables() throws {
    let out = try marbles([[("a", 1), ("q", 2)]]) { $0.mapValues { $0 * 2 }.join(["a": "first"]) }
    #expect(sorted(out) == [["a=(2, \"first\")"]])
    let outer = try marbles([[("a", 1), ("q", 2)]]) { $0.leftOuterJoin(["a": "first"]).mapValues { $0.1 ?? "none" } }
    #expect(sorted(outer) == [["a=first", "q=none"]])
    let flat = try marbles([[("a", 2), ("b", 0)]]) { $0.flatMapValues { Array(0..<$0) } }
    #expect(sorted(flat) == [["a=0", "a=1"]])
  }

  @Test func aCachedStreamIsComputedOnceForAllItsOutputs() throws {
    for isCached in [false, true] {
      let harness = try StreamHarness()
      let queue = QueueSource<Int>()
      queue.append([1, 2, 3])
      queue.append([4])
      let computed = Cell(0)
      let sums = Cell<[Int]>([])
      let stream = harness.context.queueStream(queue).map { (element: Int) -> Int in
        computed.value += 1
        return element
      }
      if isCached { stream.cache() }
      stream.foreachRDD { _ = try $0.count() }
      stream.map { $0 * 2 }.foreachRDD { dataset in sums.value.append(try dataset.collect().reduce(0, +)) }
      try harness.start()
      try harness.advance(2)
      try harness.stop()
      #expect(sums.value == [12, 8])
      #expect(computed.value == (isCached ? 4 : 8))
    }
  }

  @Test func transformSeesTheDatasetAndTheTime() throws {
    let times = Cell<[Timestamp]>([])
    let out = try marbles([[3, 1], [2]]) { stream in
      stream.transform { dataset, time in
        times.value.append(time)
        return dataset.map { 0 - $0 }
      }
    }
    #expect(out == [[-3, -1], [-2]])
    #expect(times.value.count == 2 && times.value[1] - times.value[0] == .seconds(1))
  }

  @Test func windowHoldsTheLastBatches() throws {
    let out = try marbles([[1], [2], [3], [4], [5]]) { $0.window(.seconds(3)) }
    #expect(out == [[1], [1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]])
  }

  @Test func windowedReductionEqualsTheSumOverItsBatches() throws {
    for seed in 1...20 as ClosedRange<UInt64> {
      var random = SeededRandom(seed: seed)
      let batches = (0..<12).map { _ in
        (0..<Int.random(in: 0...6, using: &random)).map { _ in
          (Int.random(in: 0...3, using: &random), Int.random(in: 1...9, using: &random))
        }
      }
      let length = Int.random(in: 1...4, using: &random)
      let out = try marbles(batches) { $0.reduceByKeyAndWindow(window: .seconds(length)) { $0 + $1 } }
      let expected = batches.indices.map { end in
        batches[max(0, end - length + 1)...end].joined().reduce(into: [Int: Int]()) { $0[$1.0, default: 0] += $1.1 }
      }
      #expect(out.map { Dictionary(uniqueKeysWithValues: $0) } == expected, "seed \(seed), window of \(length)")
    }
  }

  @Test func slidingByMoreThanABatchEmitsAtTheSlides() throws {
    let batches = (1...12).map { [("k", $0)] }
    let harness = try StreamHarness()
    let queue = QueueSource<(String, Int)>()
    for batch in batches { queue.append(batch) }
    let results = Cell<[(Int64, Int)]>([])
    harness.context.queueStream(queue).reduceByKeyAndWindow(window: .seconds(4), slide: .seconds(2)) { $0 + $1 }
      .foreachRDD { dataset, end in
        results.value.append((end.milliseconds / 1000, try dataset.collect().first?.1 ?? 0))
      }
    try harness.start()
    try harness.advance(12)
    try harness.stop()
    // Batch n holds n; a window ends at each even second and sums the four batches up to there.
    let first = results.value[0].0
    #expect(first % 2 == 0)
    for (index, result) in results.value.enumerated() {
      #expect(result.0 == first + 2 * Int64(index))
    }
    let sums = results.value.map(\.1)
    let steady = zip(sums.dropFirst(2), sums.dropFirst(3)).map { $1 - $0 }
    #expect(!steady.isEmpty && steady.allSatisfy { $0 == 8 }, "\(sums)")
  }

  @Test func countByValueAndWindowCounts() throws {
    let out = try marbles([["a"], ["a", "b"], ["b"]]) { $0.countByValueAndWindow(window: .seconds(2)) }
    #expect(sorted(out) == [["a=1"], ["a=2", "b=1"], ["a=1", "b=2"]])
  }
}
