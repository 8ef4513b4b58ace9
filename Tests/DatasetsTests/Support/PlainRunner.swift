import Datasets
import Groundwork

/// Runs jobs at once on the caller's thread, shuffles before what reads them: the least that actions need.
///
/// Sendable: holds nothing.
final class PlainRunner: JobRunner {
  func run<Element, Output: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int], label: String,
    _ task: @escaping @Sendable (_ dataset: RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> Output
  ) throws -> [Output] {
    try write(dataset)
    return try partitions.map { try task(dataset, $0, PlainRunner.task(partition: $0)) }
  }

  private func write(_ dataset: AnyRDD) throws {
    for dependency in dataset.dependencies {
      switch dependency {
      case .narrow(let parent): try write(parent)
      case .shuffle(let shuffle):
        guard !shuffle.output.isComplete else { continue }
        try write(shuffle.parent)
        for partition in shuffle.output.missingMapPartitions {
          shuffle.output.store(try shuffle.map(partition, PlainRunner.task(partition: partition)), ofMap: partition)
        }
      }
    }
  }

  static func task(partition: Int) -> TaskContext {
    TaskContext(
      batch: BatchIdentity(number: 3, time: 0), stage: 1, partition: partition, attempt: 0, locals: ExecutorLocals())
  }
}

/// Generated data and partition counts, a case a seed.
struct Generated {
  let seed: UInt64
  var random: SeededRandom
  let context: SluiceContext

  init(seed: UInt64) {
    self.seed = seed
    random = SeededRandom(seed: seed)
    context = SluiceContext(runner: PlainRunner(), defaultParallelism: 1 + Int(random.next() % 5))
  }

  mutating func upTo(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }

  /// Few or many numbers out of a small or large range, none at times; past one chunk's length now and then.
  mutating func numbers() -> [Int] {
    let count = [0, 1, 7, 100, 3000][upTo(5)]
    let range = [1, 10, 1000][upTo(3)]
    return (0..<count).map { _ in upTo(range) - range / 2 }
  }

  mutating func pairs() -> [(Int, Int)] { numbers().enumerated().map { ($1, $0) } }

  mutating func partitionCount() -> Int { 1 + upTo(9) }

  /// The elements in some number of partitions.
  mutating func dataset<Element: Sendable>(_ elements: [Element]) -> RDD<Element> {
    context.parallelize(elements, partitionCount: partitionCount())
  }
}

/// The seeds that every property is tried with. A failure prints its seed; put it here alone to see it again.
let seeds: Range<UInt64> = 1..<41

/// Pairs in a form that can be compared, in the order of keys and, within one, of what was there.
func sorted<Value>(_ pairs: [(Int, Value)]) -> [String] {
  pairs.enumerated().sorted { ($0.element.0, $0.offset) < ($1.element.0, $1.offset) }.map { "\($0.element)" }
}

/// As `sorted`, where the order within a key is free.
func asBag<Element>(_ elements: [Element]) -> [String] { elements.map { "\($0)" }.sorted() }
