import Datasets
import Groundwork
import Testing

/// The structures that records go through, against plain models: the ordered table, chunks, partitioners, shuffle output.
@Suite struct StructureTests {
  /// A key whose hashes are all equal, so that every probe collides.
  struct Colliding: Hashable, Sendable {
    var value: Int
    func hash(into hasher: inout Hasher) { hasher.combine(7) }
  }

  /// Merges pairs into a table and into a dictionary with an array of keys, and compares all there is to see.
  func checkTable<Key: Hashable>(_ keys: [Key], _ sourceLocation: SourceLocation = #_sourceLocation) {
    var table = OrderedTable<Key, Int>()
    var model: [Key: Int] = [:]
    var order: [Key] = []
    var differences = 0
    for (value, key) in keys.enumerated() {
      let (index, isNew) = table.entry(key, value)
      if isNew != (model[key] == nil) { differences += 1 }
      if model[key] == nil {
        order.append(key)
        model[key] = value
      } else {
        table[index] += value
        model[key]! += value
      }
      if table[index] != model[key]! { differences += 1 }
    }
    #expect(differences == 0, sourceLocation: sourceLocation)
    #expect(table.count == order.count, sourceLocation: sourceLocation)
    #expect(table.view.map(\.0) == order, "in the order of insertion", sourceLocation: sourceLocation)
    #expect(table.view.map(\.1) == order.map { model[$0]! }, sourceLocation: sourceLocation)
    for (index, key) in order.enumerated() where table.find(key) != index || table.key(at: index) != key {
      differences += 1
    }
    #expect(differences == 0, sourceLocation: sourceLocation)
  }

  @Test(arguments: seeds) func mergingManyIsMergingEach(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let range = [1, 12, 13, 100, 100_000][Int(seed % 5)] as UInt64
    let keys = (0..<Int(random.next() % 3000)).map { _ in Int(random.next() % range) }
    var many = OrderedTable<Int, [Int]>()
    var each = OrderedTable<Int, [Int]>()
    let pairs = keys.enumerated().map { ($0.element, $0.offset) }
    pairs.withUnsafeBufferPointer { view in
      many.merge(view, key: { $0.0 }, initial: { [$0.1] }, update: { $0.append($1.1) })
    }
    for (key, value) in pairs { each.merge(key, [value], +) }
    #expect(many.view.map { "\($0)" } == each.view.map { "\($0)" })
    var pieces: [Int] = []
    many.emitPairs { pieces.append($0.count) }
    #expect(pieces.reduce(0, +) == many.count)
    #expect(pieces.allSatisfy { $0 > 0 && $0 <= Chunk<Int>.usualCapacity })
  }

  @Test func mergingManyStopsAtAnError() {
    struct No: Error {}
    var table = OrderedTable<Int, Int>()
    let elements = Array(0..<100)
    #expect(throws: No.self) {
      try elements.withUnsafeBufferPointer { view in
        try table.merge(view, key: { $0 % 50 }, initial: { $0 }, update: { _, _ in throw No() })
      }
    }
    #expect(table.count == 50)
  }

  @Test(arguments: seeds) func tableOfNumbers(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let range = [1, 12, 13, 100, 100_000][Int(seed % 5)] as UInt64
    checkTable((0..<5000).map { _ in Int(random.next() % range) })
  }

  @Test func tableOfCollidingKeys() {
    var random = SeededRandom(seed: 9)
    checkTable((0..<1500).map { _ in Colliding(value: Int(random.next() % 300)) })
  }

  @Test(arguments: seeds.prefix(10)) func tableOfBytes(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let arena = Arena(capacity: 1 << 16)
    for position in 0..<arena.capacity {
      arena.base.storeBytes(of: UInt8(97 + position % 3), toByteOffset: position, as: UInt8.self)
    }
    let keys = (0..<3000).map { _ in
      Bytes(
        arena, offset: Int(random.next() % 1000),
        count: [0, 1, 14, 15, 16, 17, 31, 32, 33, 100][Int(random.next() % 10)])
    }
    checkTable(keys)
  }

  @Test func tableOfTexts() { checkTable((0..<4000).map { "key \($0 * $0 % 777)" }) }

  @Test func whatIsNotInTheTableIsNotFound() {
    var table = OrderedTable<Int, Int>()
    #expect(table.find(1) == nil)
    for key in 0..<100 { table.merge(key * 2, 1, +) }
    #expect((0..<100).allSatisfy { table.find($0 * 2 + 1) == nil })
    table.merge(0, 5, +)
    #expect(table.find(0).map { table[$0] } == 6)
  }

  @Test func aThrowingInitialValueLeavesTheTableAsItWas() throws {
    struct No: Error {}
    var table = OrderedTable<Int, Int>()
    table.merge(1, 1, +)
    do {
      _ = try table.entry(2, try { () throws -> Int in throw No() }())
      Issue.record("it did not throw")
    } catch is No {}
    #expect(table.count == 1)
    #expect(table.find(2) == nil)
    table.merge(2, 7, +)
    #expect(table.find(2) == 1)
  }

  @Test func keysOfTheTableKeepNoArena() {
    weak var arena: Arena?
    var table = OrderedTable<Bytes, Bytes>()
    do {
      let made = Arena(capacity: 100)
      made.base.initializeMemory(as: UInt8.self, repeating: 65, count: 100)
      arena = made
      _ = table.entry(Bytes(made, offset: 0, count: 40), Bytes(made, offset: 0, count: 50))
    }
    #expect(arena == nil)
    #expect(table.key(at: 0).count == 40)
    #expect(table[0].count == 50)
  }

  @Test func chunksGrowAndReleaseWhatTheyHold() {
    final class Probe {}
    weak var last: Probe?
    var chunk = Chunk<Probe>(capacity: 2)
    for _ in 0..<100 {
      let probe = Probe()
      last = probe
      chunk.append(probe)
    }
    #expect(chunk.count == 100)
    #expect(last != nil)
    #expect(Set(chunk.view.map { ObjectIdentifier($0) }).count == 100)
    chunk.clear()
    #expect(chunk.count == 0)
    #expect(last == nil)
    for value in [Probe(), Probe()] { chunk.append(value) }
    #expect(chunk.count == 2)
  }

  @Test(arguments: [1, 2, 3, 7, 16, 100]) func hashPartitionersAreEvenAndRepeatable(count: Int) {
    let partitioner = Partitioner<Int>.hash(count)
    var sizes = [Int](repeating: 0, count: count)
    for key in 0..<(1000 * count) { sizes[partitioner.partition(key)] += 1 }
    // 1,000 expected a partition, standard deviation below 32: five of them.
    #expect(sizes.allSatisfy { $0 > 840 && $0 < 1160 }, "\(sizes)")
    let again = Partitioner<Int>.hash(count)
    #expect((0..<100).allSatisfy { partitioner.partition($0) == again.partition($0) })
    #expect(partitioner.identity == again.identity)
    let texts = Partitioner<Bytes>.hash(count)
    var textSizes = [Int](repeating: 0, count: count)
    for key in 0..<(1000 * count) { textSizes[texts.partition(Bytes("key \(key)"))] += 1 }
    #expect(textSizes.allSatisfy { $0 > 840 && $0 < 1160 }, "\(textSizes)")
  }

  @Test func shuffleOutputKeepsTheFirstAndSaysWhatIsMissing() throws {
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 2)
    let shuffle = ShuffleDependency(parent: context.parallelize(0..<9, partitionCount: 3), reducePartitions: 2) {
      _, _ in []
    }
    let output = shuffle.output
    #expect(output.missingMapPartitions == [0, 1, 2])
    output.store([ArrayBlock([1]), nil], ofMap: 0)
    output.store([ArrayBlock([9]), ArrayBlock([9])], ofMap: 0)
    output.store([nil, ArrayBlock([2, 3])], ofMap: 2)
    #expect(output.missingMapPartitions == [1])
    #expect(throws: ShuffleOutputMissing.self) { try output.blocks(forReduce: 0) }
    output.store([ArrayBlock([4]), nil], ofMap: 1)
    #expect(output.isComplete)
    #expect(try output.blocks(forReduce: 0).map(\.count) == [1, 1])
    #expect(try output.blocks(forReduce: 1).map(\.count) == [2])
    output.drop(ofMap: 2)
    output.drop(ofMap: 2)
    #expect(output.missingMapPartitions == [2])
    #expect(!output.isComplete)
  }

  @Test func aTasksRandomNumbersFollowFromItsPlace() {
    func draw(batch: Int64, stage: Int, partition: Int, attempt: Int) -> UInt64 {
      TaskContext(
        batch: BatchIdentity(number: BatchNumber(batch), time: 0), stage: stage, partition: partition,
        attempt: attempt, locals: ExecutorLocals()
      ).nextRandom()
    }
    let first = draw(batch: 1, stage: 1, partition: 1, attempt: 0)
    #expect(first == draw(batch: 1, stage: 1, partition: 1, attempt: 3))
    var drawn: Set<UInt64> = []
    for batch in 1...5 as ClosedRange<Int64> {
      for stage in 0..<5 {
        for partition in 0..<5 { drawn.insert(draw(batch: batch, stage: stage, partition: partition, attempt: 0)) }
      }
    }
    #expect(drawn.count == 125)
  }
}
