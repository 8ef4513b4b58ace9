import Datasets
import Groundwork
import Testing

/// Operators over two datasets against nested loops over two arrays.
@Suite struct JoinTests {
  /// One case: two arrays of pairs, as datasets that are shuffled, or partitioned alike by chance of the seed.
  struct Case {
    let mine: [(Int, Int)]
    let theirs: [(Int, String)]
    let left: RDD<(Int, Int)>
    let right: RDD<(Int, String)>
    let partitions: Int?

    init(seed: UInt64) {
      var generated = Generated(seed: seed)
      mine = Array(generated.pairs().prefix(300))
      theirs = generated.pairs().prefix(300).map { ($0, "s\($1)") }
      let (left, right) = (generated.dataset(mine), generated.dataset(theirs))
      let count = generated.partitionCount()
      self.left = generated.upTo(2) == 0 ? left : left.partitionBy(.hash(count))
      self.right = generated.upTo(2) == 0 ? right : right.partitionBy(.hash(count))
      partitions = generated.upTo(2) == 0 ? nil : generated.partitionCount()
    }

    func values(_ key: Int) -> [Int] { mine.filter { $0.0 == key }.map(\.1) }
    func matches(_ key: Int) -> [String] { theirs.filter { $0.0 == key }.map(\.1) }
    var keys: Set<Int> { Set(mine.map(\.0)).union(theirs.map(\.0)) }
  }

  @Test(arguments: seeds) func joins(seed: UInt64) throws {
    let it = Case(seed: seed)
    let inner = it.mine.flatMap { pair in it.matches(pair.0).map { (pair.0, (pair.1, $0)) } }
    let leftOnly = it.mine.filter { it.matches($0.0).isEmpty }
    let rightOnly = it.theirs.filter { it.values($0.0).isEmpty }
    let (left, right, partitions) = (it.left, it.right, it.partitions)

    #expect(try sorted(left.join(right, partitions: partitions).collect()) == sorted(inner))

    let asLeft: [(Int, (Int, String?))] = inner.map { ($0.0, ($0.1.0, $0.1.1)) } + leftOnly.map { ($0.0, ($0.1, nil)) }
    #expect(try asBag(left.leftOuterJoin(right, partitions: partitions).collect()) == asBag(asLeft))

    let asRight: [(Int, (Int?, String))] =
      inner.map { ($0.0, ($0.1.0, $0.1.1)) } + rightOnly.map { ($0.0, (nil, $0.1)) }
    #expect(try asBag(left.rightOuterJoin(right, partitions: partitions).collect()) == asBag(asRight))

    let asFull: [(Int, (Int?, String?))] =
      inner.map { ($0.0, ($0.1.0, $0.1.1)) } + leftOnly.map { ($0.0, ($0.1, nil)) }
      + rightOnly.map { ($0.0, (nil, $0.1)) }
    #expect(try asBag(left.fullOuterJoin(right, partitions: partitions).collect()) == asBag(asFull))
  }

  @Test(arguments: seeds) func groupsAndDifferences(seed: UInt64) throws {
    let it = Case(seed: seed)
    let (left, right, partitions) = (it.left, it.right, it.partitions)
    #expect(
      try sorted(left.cogroup(right, partitions: partitions).collect())
        == sorted(it.keys.map { ($0, (it.values($0), it.matches($0))) }))
    #expect(
      try sorted(left.subtractByKey(right, partitions: partitions).collect())
        == sorted(it.mine.filter { it.matches($0.0).isEmpty }))
    let (mine, theirs) = (it.mine.map(\.0), it.theirs.map(\.0))
    #expect(
      try asBag(left.keys().subtract(right.keys()).collect()) == asBag(mine.filter { !theirs.contains($0) }))
    #expect(
      try asBag(left.keys().intersection(right.keys()).collect()) == asBag(Array(Set(mine).intersection(theirs))))
    let few = left.coalesce(2).filter { $0.1 < 20 }
    let small = try few.count()
    #expect(try few.cartesian(right).count() == small * it.theirs.count)
  }

  @Test func datasetsPartitionedAlikeAreNotShuffled() throws {
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 3)
    let sums = context.parallelize(0..<100).map { ($0 % 10, $0) }.reduceByKey(+)
    let counts = context.parallelize(0..<50).map { ($0 % 10, 1) }.reduceByKey(+).filter { $0.0 > 2 }
    let joined = sums.join(counts)
    for dependency in joined.dependencies {
      guard case .narrow = dependency else {
        Issue.record("a shuffle that is not needed")
        continue
      }
    }
    #expect(try joined.count() == 7)
    #expect(sums.map { $0 }.partitioning == nil, "a map may change keys")
    #expect(joined.partitioning == sums.partitioning)
    #expect(try sums.mapValues { $0 }.join(counts.mapValues { $0 }).join(sums).count() == 7)
  }
}
