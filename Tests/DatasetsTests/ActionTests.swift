import Datasets
import Groundwork
import Synchronization
import Testing

/// Every action against the same on an array.
@Suite struct ActionTests {
  @Test(arguments: seeds) func actions(seed: UInt64) throws {
    var generated = Generated(seed: seed)
    let numbers = generated.numbers()
    let dataset = generated.dataset(numbers)
    #expect(try dataset.count() == numbers.count)
    #expect(try dataset.isEmpty() == numbers.isEmpty)
    #expect(try dataset.first() == numbers.first)
    for count in [0, 1, 5, 1500, 1_000_000] { #expect(try dataset.take(count) == Array(numbers.prefix(count))) }
    #expect(try dataset.reduce { $0 &* 31 &+ $1 } != nil || numbers.isEmpty)
    #expect(try dataset.reduce(+) == (numbers.isEmpty ? nil : numbers.reduce(0, +)))
    #expect(try dataset.fold(0, +) == numbers.reduce(0, +))
    #expect(try dataset.min() == numbers.min())
    #expect(try dataset.max() == numbers.max())
    #expect(try dataset.sum() == numbers.reduce(0, +))
    #expect(
      try dataset.aggregate("") {
        $0 + "\($1)"
      } _: {
        $0 + $1
      } == numbers.map { "\($0)" }.joined())
    #expect(try dataset.countByValue() == Dictionary(numbers.map { ($0, 1) }, uniquingKeysWith: +))

    let seen = Mutex<[Int]>([])
    try dataset.foreach { value in seen.withLock { $0.append(value) } }
    #expect(seen.withLock { $0 } == numbers)
    let parts = Mutex<[Int]>([])
    try dataset.foreachPartition { elements, task in
      #expect(task.batch.number == 3)
      parts.withLock { $0.append(elements.count) }
    }
    #expect(try parts.withLock { $0 } == dataset.glom().collect().map(\.count))
  }

  @Test func ofEqualsTheFirstIsTheLeastAndTheGreatest() throws {
    struct Named: Comparable, Sendable {
      var rank: Int
      var name: String
      static func < (a: Named, b: Named) -> Bool { a.rank < b.rank }
    }
    let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 3)
    let people = (0..<30).map { Named(rank: $0 % 3, name: "n\($0)") }
    #expect(try context.parallelize(people).min()?.name == "n0")
    #expect(try context.parallelize(people).max()?.name == "n2")
  }

  @Test func bytesThatWereCollectedStandInTheirOwnMemory() throws {
    let released = Mutex(false)
    var collected: [Bytes] = []
    do {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 16)
      memory.initializeMemory(as: UInt8.self, repeating: UInt8(ascii: "x"), count: 256)
      let arena = Arena(wrapping: memory, capacity: 200) { memory in
        memory.deallocate()
        released.withLock { $0 = true }
      }
      let context = SluiceContext(runner: PlainRunner(), defaultParallelism: 1)
      let source = context.parallelize([Bytes(arena, offset: 0, count: 100)])
      collected = try source.collect()
    }
    #expect(released.withLock { $0 }, "the result keeps nothing of the arena")
    #expect(collected == [Bytes(String(repeating: "x", count: 100))])
  }
}
