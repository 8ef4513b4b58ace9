import Datasets
import Groundwork
import JobScheduling
@testable import KafkaStreaming
import Simulation
import Streaming
import SystemInterfaces

/// A streaming job in a simulated process of its own.
final class PathJob {
  let process: SimulatedProcess
  let context: StreamingContext
  let interval: Duration
  let listener = BatchRecorder()
  let jobs = JobRecorder()
  private let simulation: SimulatedWorld
  private let ends = Cell<[String]>([])
  private let lines = Cell<[String]>([])

  /// - Parameters:
  ///   - disk: where its files stand; nil is the world's.
  ///   - bootstrap: where it finds its broker.
  ///   - scheduling: how its tasks are scheduled.
  ///   - define: sources and outputs.
  init(
    _ path: PathHarness, name: String = "job", interval: Duration = .seconds(1), settings: [String: String] = [:],
    availableNow: Bool = false, checkpoint: String? = nil, parallelism: Int = 2, executors: Int = 2,
    mode: SimulatedRunner.Mode = .atOnce, disk: SimulatedDisk? = nil, isClusterAttached: Bool = true,
    bootstrap: Address = PathHarness.address, scheduling: SchedulerSettings = SchedulerSettings(),
    _ define: (StreamingContext) throws -> Void
  ) throws {
    simulation = path.simulation
    self.interval = interval
    process = simulation.makeProcess(named: name, on: disk, executors: executors)
    process.runner.mode = mode
    let loop = process.makeLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: process.runner, settings: scheduling)
    scheduler.addListener(jobs)
    let lines = lines
    context = try StreamingContext(
      sluice: SluiceContext(runner: scheduler, defaultParallelism: parallelism), batchInterval: interval,
      environment: StreamingEnvironment(
        world: process.world, loop: loop, scheduler: scheduler, jobName: name, checkpointDirectory: checkpoint,
        availableNow: availableNow, settings: settings, print: { lines.value.append($0) },
        log: { lines.value.append($0) }))
    if isClusterAttached { context.attach(KafkaCluster(bootstrap: { [bootstrap] })) }
    context.addStreamingListener(listener)
    process.atEnd { [weak context, weak scheduler] in
      (try? context?.attachment(KafkaConnection.self) { throw NoConnection() })?.client.close()
      context?.release()
      scheduler?.release()
    }
    try define(context)
  }

  private struct NoConnection: Error {}

  /// What was logged and printed.
  var log: [String] { lines.value }
  /// Empty while the job runs; then `ended`, or the error's text.
  var end: [String] { ends.value }
  var hasEnded: Bool { !ends.value.isEmpty }
  /// Batches that succeeded.
  var batches: [BatchInfo] { listener.completed.value.filter { $0.failureReason == nil } }

  func start() throws {
    let ends = ends
    try context.start { error in ends.value.append(error.map { "\($0)" } ?? "ended") }
  }

  /// Lets so many intervals pass.
  func advance(_ batches: Int = 1) throws { try simulation.run(for: interval * batches) }

  /// Stops gracefully and waits for the end.
  func stop(gracefully: Bool = true) throws {
    context.stop(gracefully: gracefully)
    try runToEnd()
  }

  func runToEnd(within limit: Duration = .seconds(600)) throws {
    try simulation.run(within: limit) { self.hasEnded }
  }

  /// Starts, waits for the end, and gives how it ended: for jobs that end by themselves.
  func run() throws -> [String] {
    try start()
    try runToEnd()
    return end
  }

  /// What the ranges of the batches leave out or hold twice, partition by partition; empty where they tile.
  func flawsInTiling() -> [String] {
    var next: [TopicPartition: Offset] = [:]
    var flaws: [String] = []
    for batch in batches {
      for range in batch.inputs.flatMap(\.plan.ranges) {
        if let expected = next[range.topicPartition], expected != range.from {
          flaws.append("batch \(batch.number): \(range) does not follow \(expected)")
        }
        next[range.topicPartition] = range.until
      }
    }
    return flaws
  }
}

/// Keeps what it hears of batches.
final class BatchRecorder: StreamingListener {
  let completed = Cell<[BatchInfo]>([])
  let started = Cell(0)
  /// Called when the next batch begins, once.
  let onNextBatch = Cell<(() -> Void)?>(nil)
  func onStreamingStarted(_ time: Timestamp) { started.value += 1 }
  func onBatchStarted(_ batch: BatchInfo) {
    onNextBatch.value?()
    onNextBatch.value = nil
  }
  func onBatchCompleted(_ batch: BatchInfo) { completed.value.append(batch) }
}

/// Adds up what jobs did.
final class JobRecorder: SchedulerListener {
  let inputsFetched = Cell(0)
  let attemptsFailed = Cell(0)
  /// Attempts beside one that took long.
  let copies = Cell(0)
  func onJobEnd(_ event: JobEndEvent) {
    inputsFetched.value += event.metrics.inputsFetched
    attemptsFailed.value += event.metrics.attemptsFailed
  }
  func onSpeculativeTask(_ event: SpeculativeTaskEvent) { copies.value += 1 }
}
