import Datasets
import Groundwork
import JobScheduling
import Simulation
import Synchronization
import SystemInterfaces
import Testing

@testable import Streaming

/// A streaming job on one thread in virtual time: tests put elements in, advance by batches, and look at what came out.
final class StreamHarness {
  let simulation: SimulatedWorld
  let context: StreamingContext
  let interval: Duration
  private let outcome = Cell<[String]>([])
  private let logged = Cell<[String]>([])
  let printed = Cell<String>("")

  init(
    seed: UInt64 = 1, interval: Duration = .seconds(1), parallelism: Int = 2, executors: Int = 2,
    availableNow: Bool = false, checkpoint: String? = nil, process: SimulatedProcess? = nil,
    simulation: SimulatedWorld? = nil, settings: [String: String] = [:], jobName: String = "test"
  ) throws {
    let simulation = simulation ?? SimulatedWorld(seed: seed)
    self.simulation = simulation
    self.interval = interval
    let process = process ?? simulation.makeProcess(named: "job", executors: executors)
    let loop = process.makeLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: process.runner)
    let printed = printed
    let logged = logged
    context = try StreamingContext(
      sluice: SluiceContext(runner: scheduler, defaultParallelism: parallelism), batchInterval: interval,
      environment: StreamingEnvironment(
        world: process.world, loop: loop, scheduler: scheduler, jobName: jobName, checkpointDirectory: checkpoint,
        availableNow: availableNow, settings: settings, print: { printed.value += $0 }, log: { logged.value.append($0) }
      ))
    process.atEnd { [weak context, weak scheduler] in
      context?.release()
      scheduler?.release()
    }
  }

  var log: [String] { logged.value }
  /// Empty while the job runs; then `ended`, or the error's text.
  var end: [String] { outcome.value }

  func start() throws {
    let outcome = outcome
    try context.start { error in outcome.value.append(error.map { "\($0)" } ?? "ended") }
    try simulation.run(for: .zero)
  }

  /// Lets so many intervals pass.
  func advance(_ batches: Int = 1) throws { try simulation.run(for: interval * batches) }

  func stop() throws {
    context.stop()
    try simulation.run { !outcome.value.isEmpty }
  }
}

/// A value that closures of a test share; everything runs on one thread in simulation.
final class Cell<Value: Sendable>: Sendable {
  private let state: Mutex<Value>
  init(_ value: Value) { state = Mutex(value) }
  var value: Value {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}

extension DStream where Element: Sendable {
  /// Collects each batch's elements, with the time in batches since the first one asked for.
  func record(into cell: Cell<[[Element]]>) {
    foreachRDD { dataset in cell.value.append(try dataset.collect()) }
  }
}

/// Runs one operator over batches of elements, as a table: a row in, a row out.
func marbles<In: Sendable, Out: Sendable>(
  _ batches: [[In]], parallelism: Int = 2, _ define: (DStream<In>) -> DStream<Out>
) throws -> [[Out]] {
  let harness = try StreamHarness(parallelism: parallelism)
  let queue = QueueSource<In>()
  for batch in batches { queue.append(batch) }
  let results = Cell<[[Out]]>([])
  define(harness.context.queueStream(queue)).record(into: results)
  try harness.start()
  try harness.advance(batches.count)
  try harness.stop()
  #expect(harness.end == ["ended"])
  return results.value
}
