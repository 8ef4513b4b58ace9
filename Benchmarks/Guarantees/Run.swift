import JobScheduling
import KafkaClients
import LinuxSystem
import Sluice
import Synchronization
import SystemInterfaces

/// What one run of a job took and wrote.
struct Run: Sendable {
  /// Records that the job read.
  var records = 0
  /// From the start of the job to its end.
  var seconds = 0.0
  /// Of all threads, broker and load included.
  var processorSeconds = 0.0
  /// Batches with records; all figures by the batch are by these.
  var batches = 0
  /// From tick to commit, in milliseconds.
  var median = 0.0
  var slowest1Percent = 0.0
  /// Whether the job kept up: by the engine's own rule for nine of ten batches, and at the end it had no more to read than
  /// a few intervals bring.
  var isStable = true
  /// Ticks that batches ran over.
  var skippedTicks = 0
  /// By kind: bytes and syncs of the job's files, requests it sent.
  var job: [String: Int64] = [:]
  /// By kind: bytes of the broker's journals.
  var broker: [String: Int64] = [:]
  /// Of the output topic, where there is one.
  var topic: Stage.Content?

  /// Of the job's own files; those of a database are its own and are not seen.
  var syncs: Int64 { job.reduce(0) { $0 + ($1.key.hasSuffix(" syncs") ? $1.value : 0) } }
  /// Requests to the broker but for those that wait for input, which are as many without any output.
  var requests: Int64 { job.reduce(0) { $0 + (Run.calls.contains($1.key) ? $1.value : 0) } }
  private static let calls: Set<String> = [
    "Produce", "OffsetCommit", "AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn",
  ]
  func aBatch(_ count: Int64) -> Double { batches == 0 ? 0 : Double(count) / Double(batches) }
}

/// Runs jobs, each with a group, a checkpoint and an output of its own, which are removed afterwards.
final class Runner {
  private let stage: Stage
  private let settings: [String: String]
  private var number = 0

  init(_ stage: Stage, settings: [String: String]) {
    self.stage = stage
    self.settings = settings
  }

  /// Works through the backlog, batch after batch.
  func drain(_ job: Job) throws -> Run {
    let run = try run(job, Stage.backlog, interval: .milliseconds(100), for: nil)
    guard run.records == stage.records else { throw WrongCount(job: job.name, read: run.records, of: stage.records) }
    return run
  }

  /// Runs beside a steady load.
  func steady(_ job: Job, recordsPerSecond: Int, interval: Duration, for time: Duration) throws -> Run {
    try run(job, Stage.live, interval: interval, for: (time, recordsPerSecond))
  }

  private func run(
    _ job: Job, _ input: String, interval: Duration, for load: (time: Duration, recordsPerSecond: Int)?
  ) throws -> Run {
    number += 1
    let name = "guarantees-\(number)"
    let folder = "\(stage.folder)/\(name)"
    let files = stage.world.world.files
    try files.createDirectories(folder)
    let output = "output-\(number)"
    if job.writesTopic { try stage.makeTopics([output]) }
    defer {
      try? files.removeTree(folder)
      if job.writesTopic { try? stage.remove(topic: output) }
    }
    let before = stage.brokerCounts.all
    let counts = Counts()
    let watch = Watch(interval: interval, ignoringFirst: load == nil ? 0 : 20)
    var world = stage.world.world
    world.transport = CountedTransport(base: world.transport, counts: counts)
    world.files = CountedFiles(base: files, counts: counts) { path in
      for kind in ["plans", "commits", "state"] where path.contains("/checkpoint/\(kind)") { return kind }
      if path.contains("/_sluice/") { return "manifest" }
      return path.contains("/files/") ? "files" : "checkpoint"
    }
    let loop = EpollLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: world.runner)
    var settings = settings
    settings["sluice.streaming.guarantee"] = job.guarantee
    let context = try StreamingContext(
      sluice: SluiceContext(runner: scheduler, defaultParallelism: world.runner.executorCount),
      batchInterval: interval,
      environment: StreamingEnvironment(
        world: world, loop: loop, scheduler: scheduler, jobName: name, checkpointDirectory: "\(folder)/checkpoint",
        availableNow: load == nil, settings: settings, log: { _ in }))
    let address = stage.address
    context.attach(KafkaCluster(bootstrap: { [address] }))
    context.addStreamingListener(watch)
    let places = Job.Places(
      input: input, topic: output, folder: "\(folder)/files", database: "\(folder)/output.db")
    job.define(context, places, startingOffsets: StartingOffsets(others: load == nil ? .earliest : .latest))

    let failure = Mutex<(any Error)?>(nil)
    let began = loop.now
    let processorTime = ThisProcess.processorTime
    try context.start { error in
      failure.withLock { $0 = error }
      loop.stop()
    }
    if let load {
      try watch.waitUntilStarted(loop)
      let sending = try stage.beginLoad(recordsPerSecond: load.recordsPerSecond)
      let pause = EpollLoop(named: "pause")
      pause.after(load.time) { pause.stop() }
      pause.waitUntilEnded()
      watch.noteEnd(lagMax: Double(load.recordsPerSecond) * max(interval.inSeconds * 2, 0.05))
      _ = sending.end()
      context.stopAtPresentEnd()
    }
    loop.waitUntilEnded()
    if let error = failure.withLock({ $0 }) { throw error }
    var run = watch.run
    run.seconds = (loop.now - began).inSeconds
    run.processorSeconds = Double(ThisProcess.processorTime - processorTime) / 1e9
    run.job = Dictionary(uniqueKeysWithValues: counts.all.map { ($0.kind, $0.count) })
    run.broker = Dictionary(uniqueKeysWithValues: stage.brokerCounts.all.map { ($0.kind, $0.count) })
    for (kind, count) in before { run.broker[kind, default: 0] -= count }
    if job.writesTopic { run.topic = try stage.content(of: output) }
    return run
  }
}

/// Hears how long batches take.
final class Watch: StreamingListener {
  private struct State {
    var run = Run()
    var delays: [Double] = []
    var rule: StabilityRule
    var unstable = 0
    var lag: Int64 = 0
    var lagMax: Double?
    var starter: EpollLoop?
    var isStarted = false
  }
  private let state: Mutex<State>
  private let ignored: Int

  /// - Parameter ignored: batches whose time does not count: connections are made, code is loaded.
  init(interval: Duration, ignoringFirst ignored: Int) {
    state = Mutex(State(rule: StabilityRule(interval: interval)))
    self.ignored = ignored
  }

  func onStreamingStarted(_ time: Timestamp) {
    state.withLock { state in
      state.isStarted = true
      state.starter?.stop()
    }
  }

  func onBatchCompleted(_ batch: BatchInfo) {
    guard batch.failureReason == nil else { return }
    state.withLock { state in
      if state.lagMax == nil {
        state.lag = batch.lag
        state.run.skippedTicks += batch.skippedTicks
        if let cadence = batch.cadence { _ = state.rule.batchCompleted(cadence: cadence) }
        if !state.rule.isStable { state.unstable += 1 }
      }
      guard batch.numRecords > 0 else { return }
      state.run.records += batch.numRecords
      state.run.batches += 1
      if state.run.batches > ignored, state.lagMax == nil, let delay = batch.totalDelay {
        state.delays.append(delay.inSeconds * 1e3)
      }
    }
  }

  /// Returns when the sources are ready, or the job has ended.
  func waitUntilStarted(_ job: EpollLoop) throws {
    let starter = EpollLoop(named: "wait")
    state.withLock { state in
      if state.isStarted { starter.stop() } else { state.starter = starter }
    }
    starter.after(.seconds(30)) { starter.stop() }
    starter.waitUntilEnded()
    guard state.withLock({ $0.isStarted }) else { throw NotStarted() }
  }

  /// The load ends: what comes now is not measured.
  func noteEnd(lagMax: Double) {
    state.withLock { state in
      state.lagMax = lagMax
      state.run.isStable = state.unstable * 10 <= state.run.batches && Double(state.lag) <= lagMax
    }
  }

  var run: Run {
    state.withLock { state in
      var run = state.run
      let delays = state.delays.sorted()
      if !delays.isEmpty {
        run.median = delays[delays.count / 2]
        run.slowest1Percent = delays[min(delays.count - 1, delays.count * 99 / 100)]
      }
      return run
    }
  }
}

struct NotStarted: Error, CustomStringConvertible {
  var description: String { "the job did not start within 30 s" }
}

struct WrongCount: Error, CustomStringConvertible {
  var job: String
  var read: Int
  var of: Int
  var description: String { "\(job): \(read) records were read, but the topic holds \(of)" }
}
