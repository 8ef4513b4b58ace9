import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Streams of pairs brought together: batch by batch, window by window, with datasets that change, with tables.
@Suite struct JoinTests {
  private let batches = """
    in   a=1 b=2 | a=3 | . | c=9
    in   b=5 b=6 | .   | d=7 | c=8

    """

  @Test func streamWithStream() throws {
    try expectPairMarbles(batches + "out  b=2,5 b=2,6 | . | . | c=9,8") { $0.join($1) }
    try expectPairMarbles(batches + "out  a=1,nil b=2,5 b=2,6 | a=3,nil | . | c=9,8") { $0.leftOuterJoin($1) }
    try expectPairMarbles(batches + "out  b=2,5 b=2,6 | . | d=nil,7 | c=9,8") { $0.rightOuterJoin($1) }
    try expectPairMarbles(batches + "out  a=1,nil b=2,5 b=2,6 | a=3,nil | d=nil,7 | c=9,8") { $0.fullOuterJoin($1) }
    try expectPairMarbles(batches + "out  a=[1],[] b=[2],[5,6] | a=[3],[] | d=[],[7] | c=[9],[8]") {
      $0.cogroup($1)
    }
    try expectPairMarbles(batches + "out  b=2,5 b=2,6 | . | . | c=9,8") { $0.join($1, partitions: 3) }
  }

  @Test func windowWithWindow() throws {
    try expectPairMarbles(
      """
      in   a=1 | b=2 | a=3 | .
      in   .   | a=5 | .   | b=6
      out  .   | a=1,5 | a=3,5 | .
      """
    ) { $0.window(.seconds(2)).join($1.window(.seconds(2))) }
    try expectPairMarbles(
      """
      in   a=1 | b=2 | a=3 | .
      in   .   | a=5 | .   | b=6
      out      | a=1,5 |   | a=1,5 a=3,5 b=2,6
      """
    ) { $0.window(.seconds(4), slide: .seconds(2)).join($1.window(.seconds(4), slide: .seconds(2))) }
  }

  @Test func aDatasetThatChanges() throws {
    let current = Cell<[(String, Int)]>([("a", 100)])
    let table = """
      in   a=1 b=2 | a=3 b=4 | b=5
      out  a=1,100 | b=4,200 | .

      """
    try expectPairMarbles(table) { stream, _ in
      let context = stream.context.sluice
      return stream.join { frame in
        let kept = context.parallelize(current.value)
        current.value = frame.previousTime == nil ? [("b", 200)] : []
        return kept
      }
    }
  }

  @Test func anyJoinWithADataset() throws {
    let input = "in   a=1 b=2 | a=3\n"
    let rows:
      [(String, (DStream<(String, Int)>, @escaping @Sendable (BatchFrame) -> RDD<(String, Int)>) -> DStream<String>)] =
        [
          ("a=1,7 | a=3,7", { $0.join(with: $1).map { "\($0)" } }),
          ("a=1,7 b=2,nil | a=3,7", { $0.leftOuterJoin(with: $1).map { "\($0)" } }),
          ("a=1,7 z=nil,8 | a=3,7 z=nil,8", { $0.rightOuterJoin(with: $1).map { "\($0)" } }),
          ("a=1,7 b=2,nil z=nil,8 | a=3,7 z=nil,8", { $0.fullOuterJoin(with: $1).map { "\($0)" } }),
          ("a=[1],[7] b=[2],[] z=[],[8] | a=[3],[7] z=[],[8]", { $0.cogroup(with: $1).map { "\($0)" } }),
        ]
    for (row, define) in rows {
      try expectPairMarbles(input + "out  " + row) { stream, _ in
        let side = stream.context.sluice.parallelize([("a", 7), ("z", 8)])
        return define(stream) { _ in side }
      }
    }
  }

  @Test func aTableInMemory() throws {
    try expectPairMarbles("in   a=1 b=2 | a=3\nout  a=1,7 | a=3,7") { stream, _ in stream.join(["a": 7]) }
    try expectPairMarbles("in   a=1 b=2 | a=3\nout  a=1,7 b=2,nil | a=3,7") { stream, _ in
      stream.leftOuterJoin(["a": 7])
    }
  }

  @Test func anyJoinEqualsItsModel() throws {
    for seed in 1...20 as ClosedRange<UInt64> {
      var random = SeededRandom(seed: seed)
      func batch() -> [(Int, Int)] {
        (0..<Int.random(in: 0...8, using: &random)).map { _ in
          (Int.random(in: 0...4, using: &random), Int.random(in: 0...99, using: &random))
        }
      }
      let left = (0..<4).map { _ in batch() }
      let right = (0..<4).map { _ in batch() }
      let harness = try StreamHarness(parallelism: Int.random(in: 1...3, using: &random))
      let (mine, theirs) = (QueueSource<(Int, Int)>(), QueueSource<(Int, Int)>())
      for batch in left { mine.append(batch) }
      for batch in right { theirs.append(batch) }
      let results = Cell<[[String]]>([])
      let joined = harness.context.queueStream(mine).fullOuterJoin(harness.context.queueStream(theirs))
      joined.foreachRDD { dataset in results.value.append(try dataset.collect().map { "\($0)" }.sorted()) }
      try harness.start()
      try harness.advance(4)
      try harness.stop()
      let expected = zip(left, right).map { left, right in
        var rows: [String] = []
        for (key, value) in left {
          let matches = right.filter { $0.0 == key }.map { Optional($0.1) }
          for match in matches.isEmpty ? [nil] : matches { rows.append("\((key, (Optional(value), match)))") }
        }
        for (key, value) in right where !left.contains(where: { $0.0 == key }) {
          rows.append("\((key, (Int?.none, Optional(value))))")
        }
        return rows.sorted()
      }
      #expect(results.value == expected, "seed \(seed)")
    }
  }
}
