import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Operators over pairs whose results are placed by a partitioner of the job's own.
@Suite struct PlacementTests {
  private static let placing = Partitioner<String>(partitionCount: 3) { $0 == "a" ? 2 : 0 }
  private let batches = """
    in   a=1 b=2 | a=3 a=4
    in   b=5 a=6 | .

    """

  /// Partition, key and value of each pair.
  private static func placed<Value>(_ stream: DStream<(String, Value)>) -> DStream<String> {
    stream.mapPartitionsWithIndex { index, pairs in
      pairs.map { "\($0.0)\(index)=\($0.1)".replacing("Optional", with: "").filter { !"() ".contains($0) } }
    }
  }

  private func expect(
    _ row: String, _ define: (DStream<(String, Int)>, DStream<(String, Int)>) -> DStream<String>,
    at location: SourceLocation = #_sourceLocation
  ) throws {
    try expectPairMarbles(batches + "out  " + row, define, at: location)
  }

  @Test func pairOperators() throws {
    try expect("a2=[1] b0=[2] | a2=[3,4]") { mine, _ in Self.placed(mine.groupByKey(Self.placing)) }
    try expect("a2=1 b0=2 | a2=34") { mine, _ in
      Self.placed(
        mine.combineByKey(Self.placing, create: { "\($0)" }, add: { "\($0)\($1)" }, merge: { $0 + $1 }))
    }
    try expect("a2=1 b0=2 | a2=7") { mine, _ in
      Self.placed(mine.aggregateByKey(0, Self.placing, add: { $0 + $1 }, merge: { $0 + $1 }))
    }
    try expect("a2=1 b0=2 | a2=7") { mine, _ in Self.placed(mine.reduceByKey(Self.placing) { $0 + $1 }) }
    try expect("a2=[1] b0=[2] | a2=[1,3,4] b0=[2]") { mine, _ in
      Self.placed(mine.groupByKeyAndWindow(window: .seconds(2), partitioner: Self.placing))
    }
  }

  @Test func joinsOfStreams() throws {
    try expect("a2=1,6 b0=2,5 | .") { Self.placed($0.join($1, Self.placing)) }
    try expect("a2=1,6 b0=2,5 | a2=3,nil a2=4,nil") { Self.placed($0.leftOuterJoin($1, Self.placing)) }
    try expect("a2=6,1 b0=5,2 | a2=nil,3 a2=nil,4") { Self.placed($1.rightOuterJoin($0, Self.placing)) }
    try expect("a2=1,6 b0=2,5 | a2=3,nil a2=4,nil") { Self.placed($0.fullOuterJoin($1, Self.placing)) }
    try expect("a2=[1],[6] b0=[2],[5] | a2=[3,4],[]") { Self.placed($0.cogroup($1, Self.placing)) }
  }

  @Test func joinsWithADataset() throws {
    func expect(
      _ row: String,
      _ define: (DStream<(String, Int)>, @escaping @Sendable (BatchFrame) -> RDD<(String, Int)>) -> DStream<String>
    ) throws {
      try self.expect(row) { mine, _ in
        let context = mine.context.sluice
        return define(mine) { _ in context.parallelize([("a", 7)]) }
      }
    }
    try expect("a2=1,7 | a2=3,7 a2=4,7") { Self.placed($0.join(Self.placing, with: $1)) }
    try expect("a2=1,7 b0=2,nil | a2=3,7 a2=4,7") { Self.placed($0.leftOuterJoin(Self.placing, with: $1)) }
    try expect("a2=1,7 | a2=3,7 a2=4,7") { Self.placed($0.rightOuterJoin(Self.placing, with: $1)) }
    try expect("a2=1,7 b0=2,nil | a2=3,7 a2=4,7") { Self.placed($0.fullOuterJoin(Self.placing, with: $1)) }
    try expect("a2=[1],[7] b0=[2],[] | a2=[3,4],[7]") { Self.placed($0.cogroup(Self.placing, with: $1)) }
  }
}
