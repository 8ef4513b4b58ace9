import Groundwork
import Synchronization
import Testing

@testable import Datasets

/// Every operator that shuffles, in a memory far smaller than its data, beside the same operator with all the memory it
/// wants.
@Suite struct SpillModelTests {
  /// 16 KiB in all: 4 KiB for a task, 12 KiB for what is kept.
  private static let memory = 16 << 10

  /// Runs the same on both contexts and compares; everything must be freed at the end.
  private func compare(
    seed: UInt64, _ label: String, memory: Int = Self.memory, expectsSpill: Bool = true,
    _ run: (SluiceContext, inout SeededRandom) throws -> [String]
  ) throws {
    var random = SeededRandom(seed: seed)
    let plain = SluiceContext(runner: PlainRunner(), defaultParallelism: 3)
    let wanted = try run(plain, &random)

    random = SeededRandom(seed: seed)
    let space = MemorySpace()
    let warnings = Mutex<[String]>([])
    let blocks = BlockStore(memory: memory, executors: 1, space: space) { text in
      warnings.withLock { $0.append(text) }
    }
    let small = SluiceContext(runner: PlainRunner(), defaultParallelism: 3, blocks: blocks)
    let got = try run(small, &random)
    #expect(got.count == wanted.count, "\(label), seed \(seed)")
    if let (a, b) = zip(got, wanted).first(where: { $0 != $1 }) {
      Issue.record("\(label), seed \(seed): \(a) instead of \(b)")
    }
    #expect(warnings.withLock { $0 } == [], "\(label), seed \(seed)")
    if expectsSpill { #expect(space.made > 0, "\(label), seed \(seed): nothing was spilled") }
    #expect(space.live == 0, "\(label), seed \(seed): \(space.live) files are left")
    #expect(blocks.metrics.shuffleBytes == 0, "\(label), seed \(seed)")
  }

  /// 6,000 pairs of a text and a number; about 300 KB.
  private func pairs(_ random: inout SeededRandom, keys: UInt64 = 2000, count: Int = 6000) -> [(String, Int)] {
    (0..<count).map { ("the key number \(random.next() % keys)", $0) }
  }

  private func asBag<Element>(_ elements: [Element]) -> [String] { elements.map { "\($0)" }.sorted() }

  @Test(arguments: 1...4 as ClosedRange<UInt64>) func reduceByKeyKeepsTheOrderOfValues(seed: UInt64) throws {
    try compare(seed: seed, "reduceByKey") { context, random in
      let data = context.parallelize(pairs(&random), partitionCount: 4).mapValues { "\($0) " }
      return asBag(try data.reduceByKey { $0 + $1 }.collect())
    }
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>) func combiningOperatorsAgree(seed: UInt64) throws {
    try compare(seed: seed, "counted") { context, random in
      asBag(try context.parallelize(pairs(&random).map(\.0), partitionCount: 4).counted().collect())
    }
    try compare(seed: seed, "groupByKey") { context, random in
      asBag(try context.parallelize(pairs(&random), partitionCount: 4).groupByKey().collect())
    }
    try compare(seed: seed, "combineByKey") { context, random in
      let data = context.parallelize(pairs(&random), partitionCount: 4)
      return asBag(
        try data.combineByKey(create: { [$0] }, add: { $0 + [$1] }, merge: { $0 + $1 }).mapValues { $0.count }.collect()
      )
    }
    try compare(seed: seed, "aggregateByKey") { context, random in
      let data = context.parallelize(pairs(&random), partitionCount: 4)
      return asBag(
        try data.aggregateByKey((0, 0.0), add: { ($0.0 + $1, $0.1 + 0.5) }, merge: { ($0.0 + $1.0, $0.1 + $1.1) })
          .collect())
    }
    try compare(seed: seed, "distinct") { context, random in
      asBag(try context.parallelize(pairs(&random).map(\.0), partitionCount: 4).distinct().collect())
    }
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>) func joinsAgree(seed: UInt64) throws {
    func both(
      _ context: SluiceContext, _ random: inout SeededRandom
    ) -> (RDD<(String, Int)>, RDD<(String, (Bytes, Double))>) {
      let mine = context.parallelize(pairs(&random, keys: 900, count: 1500), partitionCount: 3)
      let theirs = pairs(&random, keys: 1200, count: 1500).map { ($0.0, (Bytes("other \($0.1) of many"), 0.5)) }
      return (mine, context.parallelize(theirs, partitionCount: 2))
    }
    try compare(seed: seed, "cogroup") { context, random in
      let (mine, theirs) = both(context, &random)
      return asBag(try mine.cogroup(theirs).collect())
    }
    try compare(seed: seed, "join") { context, random in
      let (mine, theirs) = both(context, &random)
      return asBag(try mine.join(theirs).collect())
    }
    try compare(seed: seed, "fullOuterJoin") { context, random in
      let (mine, theirs) = both(context, &random)
      return asBag(try mine.fullOuterJoin(theirs).collect())
    }
    try compare(seed: seed, "subtractByKey") { context, random in
      let (mine, theirs) = both(context, &random)
      return asBag(try mine.subtractByKey(theirs).collect())
    }
    try compare(seed: seed, "intersection") { context, random in
      let (mine, theirs) = both(context, &random)
      return asBag(try mine.keys().intersection(theirs.keys()).collect())
    }
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>) func shufflesThatDoNotCombineKeepTheirOrder(seed: UInt64) throws {
    try compare(seed: seed, "partitionBy") { context, random in
      let data = context.parallelize(pairs(&random), partitionCount: 4).map { ($0.1 % 100, $0.0) }
      return try data.partitionBy(.hash(3)).collect().map { "\($0)" }
    }
    try compare(seed: seed, "repartition") { context, random in
      try context.parallelize(pairs(&random), partitionCount: 4).repartition(5).collect().map { "\($0)" }
    }
    try compare(seed: seed, "repartition of nothing but its count", expectsSpill: false) { context, random in
      try context.parallelize(pairs(&random), partitionCount: 4).map { _ in () }.repartition(5).collect().map {
        "\($0)"
      }
    }
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>) func sortingByRunsIsStable(seed: UInt64) throws {
    for (count, keys) in [(0, 1), (1, 1), (700, 10), (6000, 50), (20_000, 1_000_000)] as [(Int, UInt64)] {
      try compare(seed: seed, "sort of \(count)", expectsSpill: count >= 700) { context, random in
        let data = pairs(&random, keys: keys, count: count)
        let sorter = RDD<(String, Int)>(context, label: "sort", partitionCount: 1, dependencies: []) { _, task, emit in
          var sorter = ExternalSorter<(String, Int)>(task, context, label: "sort")
          for start in stride(from: 0, to: data.count, by: 1000) {
            try data[start..<min(start + 1000, data.count)].withUnsafeBufferPointer { view in
              try sorter.append(view) { $0.0 < $1.0 }
            }
          }
          try sorter.emitSorted({ $0.0 < $1.0 }, emit)
        }
        let sorted = try sorter.collect()
        for (a, b) in zip(sorted, sorted.dropFirst()) where (b.0, b.1) < (a.0, a.1) {
          Issue.record("\(b) after \(a)")
          break
        }
        return sorted.map { "\($0)" }
      }
    }
  }

  @Test func keysWhoseHashesCollideStayApart() throws {
    struct Clash: Hashable, StreamCodable {
      var number: Int
      func hash(into hasher: inout Hasher) { hasher.combine(number % 7) }
      func encode(to writer: inout ByteWriter) { number.encode(to: &writer) }
      static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Clash {
        Clash(number: try Int.decode(from: &reader))
      }
    }
    try compare(seed: 1, "collisions", memory: 4 << 10) { context, random in
      let data = (0..<900).map { _ in (Clash(number: Int(random.next() % 90)), "some text of length \(random.next())") }
      return asBag(try context.parallelize(data, partitionCount: 3).groupByKey().collect())
    }
  }

  @Test func withoutACodecDataStaysInMemoryAndAWarningSaysWhatToDo() throws {
    struct Plain: Hashable, Sendable { var number: Int }
    let space = MemorySpace()
    let warnings = Mutex<[String]>([])
    let blocks = BlockStore(memory: 4 << 10, executors: 1, space: space) { text in
      warnings.withLock { $0.append(text) }
    }
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 2, blocks: blocks)
    let counts = context.parallelize((0..<5000).map { Plain(number: $0 % 1000) }, partitionCount: 3).counted()
    #expect(try counts.collect().map(\.1) == Array(repeating: 5, count: 1000))
    #expect(space.made == 0)
    let said = warnings.withLock { $0 }
    #expect(said.count == 1)
    #expect(said.first?.contains("countByValue") == true && said.first?.contains("StreamCodable") == true, "\(said)")
  }

  @Test func aFullDiskIsAClearError() throws {
    let space = MemorySpace()
    space.state.withLock { $0.appendsLeft = 3 }
    let blocks = BlockStore(memory: 4 << 10, executors: 1, space: space)
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 2, blocks: blocks)
    var random = SeededRandom(seed: 5)
    let data = context.parallelize(pairs(&random), partitionCount: 2)
    do {
      _ = try data.groupByKey().collect()
      Issue.record("no error")
    } catch let error as StorageError {
      #expect("\(error)".contains("could not be moved out of memory"))
    }
    #expect(space.live == 0)
  }

  @Test func whatIsHeldInMemoryStaysWithinTheLimit() throws {
    let space = MemorySpace()
    let blocks = BlockStore(memory: 64 << 10, executors: 2, space: space)
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 4, blocks: blocks)
    var random = SeededRandom(seed: 3)
    let all = pairs(&random, keys: 100_000, count: 10_000)  // about 512 KiB in memory: eight times the limit
    let largest = Mutex(0)
    let watched = context.parallelize(all, partitionCount: 8).mapPartitions { elements, _ in
      let metrics = blocks.metrics
      largest.withLock { $0 = max($0, metrics.shuffleBytes + metrics.memoryBytes) }
      return elements
    }
    let sums = watched.reduceByKey(+)
    let found = try sums.collect()
    #expect(found.reduce(0) { $0 + $1.1 } == (0..<10_000).reduce(0, +))
    #expect(largest.withLock { $0 } <= blocks.capacity)
    #expect(space.bytes > 128 << 10)
  }
}
