import Datasets
import Groundwork
import Synchronization
import Testing

/// Operators that empty the chunks of the operator before them: nothing is lost, doubled, kept or taken from somebody else.
@Suite struct ChunkOwnershipTests {
  /// Counts those that are alive.
  final class Counter: Sendable {
    let alive = Atomic<Int>(0)
  }

  /// An element that is noticed when it goes.
  final class Probe: Sendable {
    let number: Int
    let counter: Counter
    init(_ number: Int, _ counter: Counter) {
      self.number = number
      self.counter = counter
      counter.alive.wrappingAdd(1, ordering: .relaxed)
    }
    deinit { counter.alive.wrappingSubtract(1, ordering: .relaxed) }
  }

  struct Failure: Error, Equatable {}

  private func context() -> SluiceContext { SluiceContext(runner: PlainRunner(), defaultParallelism: 2) }

  @Test(arguments: [0, 1, 5, 1023, 1024, 1025, 10_000]) func chainsGiveWhatArraysGive(count: Int) throws {
    let counter = Counter()
    do {
      let probes = context().parallelize(0..<count, partitionCount: 3).map { Probe($0, counter) }
      let even = probes.map { Probe($0.number * 3, $0.counter) }.filter { $0.number % 2 == 0 }
      let some = even.compactMap { $0.number % 5 == 0 ? nil : $0 }
      let pairs = some.map { ($0, $0.number + 1) }.flatMap { [$0, $0] }
      let result = try pairs.filter { $0.1 % 7 != 0 }.collect()
      var model: [Int] = []
      for number in 0..<count where number * 3 % 2 == 0 && number * 3 % 5 != 0 && (number * 3 + 1) % 7 != 0 {
        model += [number * 3, number * 3]
      }
      #expect(result.map(\.0.number) == model)
      // Optimised code lets go of the result after its last use.
      withExtendedLifetime(result) { #expect(counter.alive.load(ordering: .relaxed) == Set(model).count) }
    }
    #expect(counter.alive.load(ordering: .relaxed) == 0)
  }

  @Test(arguments: ["map", "filter", "compactMap"]) func anErrorInTheMiddleKeepsNothing(operation: String) throws {
    let counter = Counter()
    do {
      let probes = context().parallelize(0..<3000, partitionCount: 1).map { Probe($0, counter) }
      @Sendable func check(_ probe: Probe) throws { if probe.number == 1500 { throw Failure() } }
      #expect(throws: Failure.self) {
        switch operation {
        case "map":
          _ = try probes.map {
            try check($0)
            return $0
          }.count()
        case "filter":
          _ = try probes.filter {
            try check($0)
            return $0.number % 2 == 0
          }.count()
        default:
          _ = try probes.compactMap {
            try check($0)
            return $0.number % 2 == 0 ? $0 : nil
          }.count()
        }
      }
    }
    #expect(counter.alive.load(ordering: .relaxed) == 0)
  }

  @Test func textsOfEveryLengthKeepTheirMemoryAsLongAsTheyLive() throws {
    weak var arena: Arena?
    var kept: [(Int, (Bytes, Int))] = []
    do {
      let made = Arena(capacity: 40_000)
      for position in 0..<40_000 {
        (made.base + position).storeBytes(of: UInt8(truncatingIfNeeded: position % 251), as: UInt8.self)
      }
      arena = made
      let texts = (0..<3000).map { Bytes(made, offset: $0 * 10, count: $0 % 40) }
      kept = try context().parallelize(texts, partitionCount: 2)
        .map { ($0.count, ($0, 1)) }
        .filter { $0.0 % 3 != 0 }
        .map { ($0.0, ($0.1.0, $0.1.1 + 1)) }
        .collect()
      let model = texts.filter { $0.count % 3 != 0 }
      #expect(kept.map(\.1.0) == model)
      #expect(kept.allSatisfy { $0.0 == $0.1.0.count && $0.1.1 == 2 })
    }
    #expect(arena != nil, "long texts in tuples are slices")
    kept = kept.filter { $0.0 <= Bytes.inlineCapacity }
    #expect(arena == nil)
    #expect(!kept.isEmpty)
  }

  @Test func whatIsKeptOrReadTwiceIsNotEmptied() throws {
    let counter = Counter()
    let probes = context().parallelize(0..<2500, partitionCount: 2).map { Probe($0, counter) }
    let sum = probes.map(\.number).filter { $0 % 2 == 1 }
    #expect(try sum.sum() == 1250 * 1250)
    #expect(try sum.sum() == 1250 * 1250)
    #expect(counter.alive.load(ordering: .relaxed) == 0)
    probes.persist()
    for _ in 0..<3 { #expect(try probes.filter { $0.number % 2 == 1 }.map(\.number).sum() == 1250 * 1250) }
    #expect(counter.alive.load(ordering: .relaxed) == 2500)
    let both = context().parallelize(0..<100, partitionCount: 1).map { "\($0)" }
    #expect(try both.zip(both.map { $0 + "!" }).map { $0 + $1 }.collect() == (0..<100).map { "\($0)\($0)!" })
  }

  @Test func operatorsThatGiveMuchTakeLessAtATime() throws {
    let sizes = Mutex<[Int]>([])
    let wide = context().parallelize(0..<5000, partitionCount: 1).flatMap { number in
      (0..<100).map { number * 100 + $0 }
    }
    _ = try wide.context.runner.run(wide, partitions: [0], label: "sizes") { dataset, partition, task in
      var next = 0
      try dataset.compute(partition, task) { view in
        sizes.withLock { $0.append(view.count) }
        for element in view {
          if element != next { throw Failure() }
          next += 1
        }
      }
    }
    let seen = sizes.withLock { $0 }
    #expect(seen.reduce(0, +) == 500_000)
    #expect(seen.dropFirst().allSatisfy { $0 <= 2 * Chunk<Int>.usualCapacity })
  }

  @Test func groupedValuesAreAnArray() {
    var grouped = GroupedValues<Int?>()
    var model: [Int?] = []
    #expect(grouped.isEmpty && grouped.count == 0 && grouped.array.isEmpty)
    for value in [nil, 3, nil, 5] as [Int?] {
      grouped.append(value)
      model.append(value)
      #expect(grouped.array == model && grouped.count == model.count && !grouped.isEmpty)
    }
    var sum = GroupedValues<Int?>()
    sum.append(grouped)
    sum.append(grouped)
    sum.append(GroupedValues())
    #expect(sum.array == model + model)
    var visited: [Int?] = []
    sum.each { visited.append($0) }
    #expect(visited == model + model)
  }
}
