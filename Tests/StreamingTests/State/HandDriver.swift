import Datasets
import Groundwork
import JobScheduling
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// A failure that a test arranged.
struct Arranged: Error {}

/// Runs jobs at once on the caller's thread, shuffles before what reads them. Tasks that fail are tried again, and some
/// that succeed are run once more, as a speculative attempt would be.
///
/// Sendable: confined to its test's thread.
final class HandRunner: JobRunner, @unchecked Sendable {
  var random: SeededRandom
  /// Of 100 tasks, so many run twice.
  var repeats = 0
  private(set) var attemptsFailed = 0
  private var stage = 0

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  func run<Element, Output: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int], label: String,
    _ task: @escaping @Sendable (_ dataset: RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> Output
  ) throws -> [Output] {
    try write(dataset)
    return try partitions.map { partition in try attempt(partition) { try task(dataset, partition, $0) } }
  }

  var localProperties = LocalProperties()

  /// At once as well: nothing here has a loop to come back on.
  func submit<Element, Output: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int], label: String,
    _ task: @escaping @Sendable (_ dataset: RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> Output,
    then: @escaping @Sendable (Result<[Output], any Error>) -> Void
  ) -> @Sendable (String) -> Void {
    then(Result { try run(dataset, partitions: partitions, label: label, task) })
    return { _ in }
  }

  func attempt<Output>(_ partition: Int, _ body: (TaskContext) throws -> Output) throws -> Output {
    stage += 1
    var failures = 0
    while true {
      let task = TaskContext(
        batch: BatchIdentity(number: 0, time: 0), stage: stage, partition: partition, attempt: failures,
        locals: ExecutorLocals())
      do {
        let result = try body(task)
        raised.merge(task.maxima, uniquingKeysWith: max)
        counted.merge(task.counters, uniquingKeysWith: +)
        if Int(random.next() % 100) < repeats {
          _ = try? body(
            TaskContext(
              batch: BatchIdentity(number: 0, time: 0), stage: stage, partition: partition, attempt: 9,
              locals: ExecutorLocals()))
        }
        return result
      } catch {
        attemptsFailed += 1
        failures += 1
        if failures == 4 { throw error }
      }
    }
  }
  /// What the tasks' successful attempts said since this was emptied.
  var raised: [String: Int64] = [:]
  var counted: [String: Int64] = [:]

  func write(_ dataset: AnyRDD) throws {
    for dependency in dataset.dependencies {
      switch dependency {
      case .narrow(let parent): try write(parent)
      case .shuffle(let shuffle):
        guard !shuffle.output.isComplete else { continue }
        try write(shuffle.parent)
        for partition in shuffle.output.missingMapPartitions {
          shuffle.output.store(try attempt(partition) { try shuffle.map(partition, $0) }, ofMap: partition)
        }
      }
    }
  }
}

/// Drives the batches of a job by hand: it calls the parts of the engine in the order that the driver promises, and is
/// killed where a test says so.
///
/// Sendable: confined to its test's thread.
final class HandDriver<Element: Sendable>: @unchecked Sendable {
  /// What outlives a process: the disk, and what was decided.
  final class World {
    let simulation: SimulatedWorld
    var decided: RestorePoint?
    var settings: [String: String] = [:]
    init(seed: UInt64) { simulation = SimulatedWorld(seed: seed) }
  }

  let world: World
  let process: SimulatedProcess
  let runner: HandRunner
  let context: StreamingContext
  let logged = Cell<[String]>([])
  /// Elements by batch number, in input partitions.
  private let input = Cell<[Int64: [[Element]]]>([:])
  private(set) var source: DStream<Element>!
  private var outputs: [(BatchFrame) throws -> Void] = []
  private(set) var planNotes: [Int64: [String: String]] = [:]

  init(
    _ world: World, seed: UInt64 = 1, parallelism: Int = 2, checkpoint: String? = "/check",
    define: (HandDriver) -> Void
  ) throws {
    self.world = world
    let process = world.simulation.makeProcess(named: "job")
    self.process = process
    runner = HandRunner(seed: seed)
    let loop = process.makeLoop(named: "driver")
    let logged = logged
    context = try StreamingContext(
      sluice: SluiceContext(runner: runner, defaultParallelism: parallelism), batchInterval: .seconds(1),
      environment: StreamingEnvironment(
        world: process.world, loop: loop, scheduler: DAGScheduler(loop: loop, runner: process.runner), jobName: "test",
        checkpointDirectory: checkpoint, settings: world.settings, log: { logged.value.append($0) }))
    let input = input
    source = DStream<Element>(context, label: "hand", parents: []) { [sluice = context.sluice] frame in
      let parts = input.value[frame.number.rawValue] ?? []
      return RDD<Element>(sluice, label: "hand", partitionCount: max(1, parts.count), dependencies: []) {
        partition, _, emit in
        guard partition < parts.count else { return }
        try parts[partition].withUnsafeBufferPointer { if $0.count > 0 { try emit($0) } }
      }
    }
    define(self)
    for participant in context.participants { try participant.restore(restorePoint(participant.key)) }
  }

  private func restorePoint(_ key: String) -> RestorePoint? {
    world.decided.map { RestorePoint(batch: $0.batch, note: notes($0.note)[key]) }
  }
  /// Several parts' notes in one text: a test may have more than one part.
  private func notes(_ text: String?) -> [String: String] {
    var found: [String: String] = [:]
    for part in (text ?? "").split(separator: "\u{1}") {
      let halves = part.split(separator: "\u{2}", maxSplits: 1)
      found[String(halves[0])] = halves.count > 1 ? String(halves[1]) : ""
    }
    return found
  }

  /// Collects each batch of a stream.
  func output<Out: Sendable>(_ stream: DStream<Out>, into cell: Cell<[[Out]]>) {
    outputs.append { frame in
      if let dataset = stream.dataset(frame) { cell.value.append(try dataset.collect()) }
    }
  }

  var nextNumber: BatchNumber { (world.decided?.batch.number ?? 0).next }

  /// Runs a batch up to its decision.
  /// - Parameters:
  ///   - time: in seconds.
  ///   - aborting: it is given up after `prepare`.
  ///   - replaying: what the parts noted with the plan of an earlier try.
  func run(
    _ parts: [[Element]], time: Int64? = nil, plans: [SourcePlan] = [], aborting: Bool = false,
    replaying: [String: String]? = nil
  ) throws {
    let number = nextNumber
    let identity = BatchIdentity(
      number: number, time: Timestamp(milliseconds: (time ?? number.rawValue) * 1000))
    input.value[number.rawValue] = parts
    let frame = BatchFrame(identity: identity, previousTime: world.decided?.batch.time, plans: plans)
    var planned: [String: String] = [:]
    for part in context.participants {
      if let replaying {
        part.replan(identity, plans, note: replaying[part.key])
      } else if let note = part.plan(identity, plans) {
        planned[part.key] = note
      }
    }
    planNotes[number.rawValue] = replaying ?? planned
    runner.raised = [:]
    runner.counted = [:]
    do {
      for output in outputs { try output(frame) }
      for part in context.participants {
        for job in part.completions(frame) {
          try runner.write(job.dataset)
          for partition in 0..<job.dataset.partitionCount {
            try runner.attempt(partition) { try job.work(partition, $0) }
          }
        }
      }
      for part in context.participants {
        let failure = Cell<[any Error]>([])
        part.prepare(identity) { if let error = $0 { failure.value.append(error) } }
        if let error = failure.value.first { throw error }
      }
      for case let error? in process.world.files.sync(context.participants.compactMap(\.unsynced)) { throw error }
      if aborting { throw Arranged() }
    } catch {
      for part in context.participants { part.aborted(identity) }
      for stream in context.streams { stream.discard(number) }
      throw error
    }
    var metrics = JobMetrics()
    metrics.maxima = runner.raised
    let notes = context.participants.compactMap { part in
      part.note(for: identity, metrics).map { "\(part.key)\u{2}\($0)" }
    }
    world.decided = RestorePoint(batch: identity, note: notes.joined(separator: "\u{1}"))
    let info = BatchInfo(
      number: number, batchTime: identity.time, inputs: [], submissionTime: Instant(nanoseconds: 0), skippedTicks: 0,
      lag: 0)
    for part in context.participants { part.committed(info) }
    for stream in context.streams { stream.forget(through: identity.time) }
    input.value[number.rawValue - 5] = nil
  }

  /// As `kill -9`, or the power's end.
  func crash(losingPower: Bool) {
    process.kill()
    if losingPower { world.simulation.losePower() }
  }
}

/// Something that fails at its n-th use.
final class Fuse: Sendable {
  private let left: Cell<Int>
  init(_ uses: Int = .max) { left = Cell(uses) }
  func set(_ uses: Int) { left.value = uses }
  func burn() throws {
    left.value -= 1
    if left.value == 0 { throw Arranged() }
  }
}
