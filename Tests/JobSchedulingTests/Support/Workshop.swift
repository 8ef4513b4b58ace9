import Datasets
import Groundwork
import JobScheduling
import Synchronization
import SystemInterfaces
import Testing

/// A scheduler with a loop and a runner turned by hand, and datasets that are easy to make fail.
final class Workshop: Sendable {
  let loop = HandLoop()
  let runner = HandRunner()
  let scheduler: DAGScheduler
  let context: SluiceContext
  let batch = BatchIdentity(number: 7, time: 1_700_000_000_000)

  init(
    parallelism: Int = 2, cacheCapacity: Int = 1 << 20, blocks: BlockStore? = nil,
    settings: SchedulerSettings = SchedulerSettings()
  ) {
    scheduler = DAGScheduler(loop: loop, runner: runner, settings: settings)
    context = SluiceContext(
      runner: scheduler, defaultParallelism: parallelism, blocks: blocks ?? BlockStore(capacity: cacheCapacity))
  }

  /// A job whose tasks collect the partition's elements.
  @discardableResult func submit<Element: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int]? = nil, label: String = "test", pool: String? = nil,
    group: String? = nil,
    into log: JobLog,
    onDiscard: (@Sendable (any Sendable) -> Void)? = nil
  ) -> JobID {
    var properties = LocalProperties()
    properties[LocalProperties.poolKey] = pool
    properties[LocalProperties.jobGroupKey] = group
    return scheduler.submit(
      JobSpec(
        dataset: dataset, partitions: partitions, batch: batch, label: label, properties: properties,
        onDiscard: onDiscard
      ) { partition, task in
        var elements: [Element] = []
        try dataset.compute(partition, task) { elements.append(contentsOf: $0) }
        return elements
      } onComplete: { end in
        log.ends.withLock { $0.append(end) }
      })
  }

  /// Runs the job and gives its end; the scheduler must be idle afterwards.
  func run<Element: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int]? = nil, label: String = "test",
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> JobEnd {
    let log = JobLog()
    submit(dataset, partitions: partitions, label: label, into: log)
    loop.run()
    expectIdle(sourceLocation: sourceLocation)
    let ends = log.ends.withLock { $0 }
    try #require(ends.count == 1, sourceLocation: sourceLocation)
    return ends[0]
  }

  /// Tasks that note their label when they run; their weight tells them apart while they are held.
  func noting(_ label: String, tasks: Int, weight: Int64 = 1000, in notes: Notes) -> RDD<Int> {
    RDD(context, label: label, partitionCount: tasks, dependencies: [], weight: { _ in weight }) { partition, _, emit in
      notes.add(label)
      try [partition].withUnsafeBufferPointer { try emit($0) }
    }
  }

  /// Runs held tasks and the loop until nothing is held.
  func releaseAll() {
    while runner.heldWaves > 0 {
      runner.release()
      loop.run()
    }
  }

  func expectIdle(sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(scheduler.isIdle, "something is left in the scheduler's tables", sourceLocation: sourceLocation)
  }
}

/// The ends of jobs in the order in which they were reported.
final class JobLog: Sendable {
  let ends = Mutex<[JobEnd]>([])
  var labels: [String] { ends.withLock { $0.map(\.label) } }
  var last: JobEnd? { ends.withLock { $0.last } }
}

extension JobEnd {
  /// The results, each of which is an array of this type, one after the other; nil for a failure.
  func elements<Element>(_ type: Element.Type) -> [Element]? {
    guard case .success(let results) = outcome else { return nil }
    return results.flatMap { ($0 as? [Element]) ?? [] }
  }

  var failure: JobFailure? {
    if case .failure(let failure) = outcome { return failure }
    return nil
  }
}

/// Counts by number, for what happens inside tasks.
final class Tally: Sendable {
  private let counts = Mutex<[Int: Int]>([:])
  @discardableResult func add(_ key: Int) -> Int {
    counts.withLock {
      $0[key, default: 0] += 1
      return $0[key]!
    }
  }
  subscript(key: Int) -> Int { counts.withLock { $0[key] ?? 0 } }
  var total: Int { counts.withLock { $0.values.reduce(0, +) } }
}

/// What happened, in order.
final class Notes: Sendable {
  private let entries = Mutex<[String]>([])
  func add(_ entry: String) { entries.withLock { $0.append(entry) } }
  var all: [String] { entries.withLock { $0 } }
  func count(_ entry: String) -> Int { all.lazy.filter { $0 == entry }.count }
}

struct Trouble: Error, CustomStringConvertible {
  var description: String
}

/// Input that is not there until it is fetched.
final class HandInput: FetchableInput {
  private struct State {
    var isThere = false
    var fetches = 0
    var answers: [(any Error)?] = []
    var waiting: [@Sendable ((any Error)?) -> Void] = []
  }
  private let state: Mutex<State>
  let answersAtOnce: Bool
  /// Whether the input stays away although a fetch says that it came.
  let isLost: Bool

  init(answers: [(any Error & Sendable)?] = [], answersAtOnce: Bool = true, isLost: Bool = false) {
    state = Mutex(State(answers: answers))
    self.answersAtOnce = answersAtOnce
    self.isLost = isLost
  }

  let summary = "flights-0[10,20)"
  var fetches: Int { state.withLock { $0.fetches } }

  func demand() throws {
    if !state.withLock({ $0.isThere }) { throw InputMissing(self) }
  }

  func fetch(then: @escaping @Sendable ((any Error)?) -> Void) {
    state.withLock {
      $0.fetches += 1
      $0.waiting.append(then)
    }
    if answersAtOnce { answer() }
  }

  func answer() {
    let (waiting, error) = state.withLock { state in
      let error = state.answers.isEmpty ? nil : state.answers.removeFirst()
      if error == nil, !isLost { state.isThere = true }
      defer { state.waiting = [] }
      return (state.waiting, error)
    }
    for then in waiting { then(error) }
  }
}
