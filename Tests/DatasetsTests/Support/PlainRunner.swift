import Datasets
import Groundwork
import Synchronization

/// Runs jobs at once on the caller's thread, shuffles before what reads them: the least that actions need.
///
/// By its seed it also does what a scheduler may do to tasks: runs them in any order and some of them twice, and loses the
/// output of map tasks, which are then run again. Nothing of that may show in a result.
///
/// Sendable: its state stands under a lock.
final class PlainRunner: JobRunner {
  private let random: Mutex<SeededRandom?>
  private let submitted = Mutex<[@Sendable () -> Void]>([])
  private let counts = Mutex<(tasks: Int, shuffles: Int)>((0, 0))

  /// - Parameter seed: of what is done to tasks; nothing where nil.
  init(seed: UInt64? = nil) { random = Mutex(seed.map { SeededRandom(seed: $0) }) }

  /// Map tasks that ran so far.
  var mapTasks: Int { counts.withLock { $0.shuffles } }
  /// Tasks of last stages that ran so far.
  var resultTasks: Int { counts.withLock { $0.tasks } }

  func run<Element, Output: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int], label: String,
    _ task: @escaping @Sendable (_ dataset: RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> Output
  ) throws -> [Output] {
    var results: [Int: Output] = [:]
    for partition in inSomeOrder(partitions) {
      results[partition] = try attempt(dataset, partition) { partition, context in
        counts.withLock { $0.tasks += 1 }
        return try task(dataset, partition, context)
      }
    }
    return partitions.map { results[$0]! }
  }

  /// Runs when `runSubmitted` is called.
  func submit<Element, Output: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int], label: String,
    _ task: @escaping @Sendable (_ dataset: RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> Output,
    then: @escaping @Sendable (Result<[Output], any Error>) -> Void
  ) -> @Sendable (String) -> Void {
    let reason = Shared<String?>(nil)
    submitted.withLock {
      $0.append { [self] in
        if let reason = reason.value.withLock({ $0 }) {
          then(.failure(Cancelled(reason: reason)))
        } else {
          then(Result { try run(dataset, partitions: partitions, label: label, task) })
        }
      }
    }
    return { text in reason.value.withLock { $0 = text } }
  }

  struct Cancelled: Error, Equatable { var reason: String }

  /// Runs what was submitted, and what is submitted meanwhile.
  func runSubmitted() {
    while let next = submitted.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { next() }
  }

  private func roll(_ sides: UInt64) -> Bool { random.withLock { ($0?.next() ?? 1) % sides == 0 } && isRandom }
  private var isRandom: Bool { random.withLock { $0 != nil } }

  private func inSomeOrder(_ partitions: [Int]) -> [Int] {
    random.withLock { random in
      guard var generator = random else { return partitions }
      defer { random = generator }
      return partitions.shuffled(using: &generator)
    }
  }

  /// One task, with the shuffles that it reads; twice at times, and again where output was lost.
  private func attempt<Output>(
    _ dataset: AnyRDD, _ partition: Int, _ work: (Int, TaskContext) throws -> Output
  ) throws -> Output {
    for number in 0..<100 {
      try write(dataset)
      do {
        if roll(5) { _ = try work(partition, PlainRunner.task(partition: partition, attempt: number)) }
        return try work(partition, PlainRunner.task(partition: partition, attempt: number))
      } catch is ShuffleOutputMissing {}
    }
    throw ShuffleOutputMissing()
  }

  /// Writes every shuffle that the dataset reads and that is not there: the scheduler's planning in small, by an explicit
  /// stack.
  private func write(_ dataset: AnyRDD) throws {
    var stages: [ShuffleDependency] = []
    var visited: Set<ObjectIdentifier> = []
    var pending = [dataset]
    while let dataset = pending.popLast() {
      guard visited.insert(ObjectIdentifier(dataset)).inserted else { continue }
      for dependency in dataset.dependencies {
        switch dependency {
        case .narrow(let parent): pending.append(parent)
        case .shuffle(let shuffle):
          stages.append(shuffle)
          pending.append(shuffle.parent)
        }
      }
    }
    // What is found later may be read by what was found earlier, never the other way round, but for the order in which
    // branches were walked: so it is tried until all of it could be written.
    var waiting = stages
    while !waiting.isEmpty {
      let before = waiting.count
      waiting = try waiting.reversed().filter { shuffle in
        do {
          for partition in inSomeOrder(shuffle.output.missingMapPartitions) {
            counts.withLock { $0.shuffles += 1 }
            shuffle.output.store(try shuffle.map(partition, PlainRunner.task(partition: partition)), ofMap: partition)
          }
          return false
        } catch is ShuffleOutputMissing { return true }
      }.reversed()
      if waiting.count == before { throw ShuffleOutputMissing() }
    }
    if let lost = stages.first, roll(7) { lost.output.drop(ofMap: 0) }
  }

  static func task(partition: Int, attempt: Int = 0) -> TaskContext {
    TaskContext(
      batch: BatchIdentity(number: 3, time: 0), stage: 1, partition: partition, attempt: attempt,
      locals: ExecutorLocals())
  }
}

/// A lock that several closures share.
final class Shared<Value>: Sendable {
  let value: Mutex<Value>
  init(_ value: consuming sending Value) { self.value = Mutex(value) }
}

/// Generated data and partition counts, a case a seed.
struct Generated {
  let seed: UInt64
  var random: SeededRandom
  let context: SluiceContext
  let runner: PlainRunner

  /// - Parameter disturbs: whether tasks are run out of order, twice, and after losses.
  init(seed: UInt64, disturbs: Bool = false) {
    self.seed = seed
    random = SeededRandom(seed: seed)
    runner = PlainRunner(seed: disturbs ? seed : nil)
    context = SluiceContext(runner: runner, defaultParallelism: 1 + Int(random.next() % 5))
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
