import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// A job that ends and starts again on the same disk: gracefully, killed, after a power loss, after a failure.
@Suite struct RestartTests {
  /// What a job's output operation saw: the batch and its elements.
  struct Seen: Equatable, Sendable {
    var batch: BatchNumber
    var elements: [Int]
  }

  private func job(
    _ simulation: SimulatedWorld, _ log: TestLog<Int>, into seen: Cell<[Seen]>, limit: Int = .max,
    settings: [String: String] = [:], name: String = "test", interval: Duration = .seconds(1),
    failing: @escaping @Sendable (Seen) -> Bool = { _ in false }
  ) throws -> (harness: StreamHarness, process: SimulatedProcess) {
    let process = simulation.makeProcess(named: "job", executors: 2)
    let harness = try StreamHarness(
      interval: interval, checkpoint: "/checkpoint", process: process, simulation: simulation, settings: settings,
      jobName: name)
    let stream = log.stream(harness.context, limit: limit)
    let context = harness.context
    stream.foreachRDD { dataset in
      let batch = Seen(batch: context.environment.scheduler.batchOfActions!.number, elements: try dataset.collect())
      seen.value.append(batch)
      if failing(batch) { throw TestFailure() }
    }
    return (harness, process)
  }

  struct TestFailure: Error {}

  @Test func aRestartGoesOnBehindTheLastBatch() throws {
    let simulation = SimulatedWorld(seed: 1)
    let log = TestLog<Int>()
    let seen = Cell<[Seen]>([])
    for run in 0..<3 {
      let (harness, _) = try job(simulation, log, into: seen)
      log.append([run * 10, run * 10 + 1], to: 0)
      try harness.start()
      try harness.advance(2)
      try harness.stop()
      #expect(harness.end == ["ended"])
    }
    #expect(seen.value.flatMap(\.elements) == [0, 1, 10, 11, 20, 21])
    #expect(seen.value.map(\.batch) == (1...seen.value.count).map { BatchNumber(Int64($0)) })
    let records = try BatchJournal.records(in: "/checkpoint/commits", simulation.makeProcess(named: "x").world.files)
    #expect(records.map(\.batch.number) == seen.value.map(\.batch))
    #expect(zip(records, records.dropFirst()).allSatisfy { $0.batch.time < $1.batch.time })
  }

  @Test func anUndecidedBatchRunsAgainOverTheSameInput() throws {
    let simulation = SimulatedWorld(seed: 2)
    let log = TestLog<Int>()
    let seen = Cell<[Seen]>([])
    log.append([1, 2, 3], to: 1)
    let first = try job(simulation, log, into: seen) { _ in true }
    try first.harness.start()
    try first.harness.advance()
    #expect(first.harness.end.count == 1)
    #expect(first.harness.end.first?.contains("TestFailure") == true)
    // More arrives before the restart: the batch must not grow by it.
    log.append([4], to: 1)
    let second = try job(simulation, log, into: seen)
    try second.harness.start()
    try second.harness.advance(2)
    try second.harness.stop()
    #expect(second.harness.end == ["ended"])
    #expect(seen.value.prefix(2).map(\.elements) == [[1, 2, 3], [1, 2, 3]])
    #expect(seen.value.prefix(2).map(\.batch) == [1, 1])
    #expect(seen.value.dropFirst(2).flatMap(\.elements) == [4])
    #expect(second.harness.log.contains { $0.contains("1 planned and not decided") })
  }

  @Test func aFailedBatchIsRetriedWithTheSameInput() throws {
    let simulation = SimulatedWorld(seed: 3)
    let log = TestLog<Int>()
    let seen = Cell<[Seen]>([])
    log.append([7], to: 0)
    let (harness, _) = try job(
      simulation, log, into: seen,
      settings: ["sluice.streaming.onBatchFailure": "retry", "sluice.streaming.onBatchFailure.backoff": "2s"]
    ) { _ in seen.value.count <= 2 }
    try harness.start()
    try harness.advance()
    log.append([8], to: 0)
    try harness.advance(9)
    try harness.stop()
    #expect(harness.end == ["ended"])
    #expect(seen.value.prefix(3).map(\.elements) == [[7], [7], [7]])
    #expect(seen.value.prefix(3).map(\.batch) == [1, 1, 1])
    #expect(seen.value.dropFirst(3).flatMap(\.elements) == [8])
  }

  @Test func aFailedBatchIsSkippedIntoTheLedger() throws {
    let simulation = SimulatedWorld(seed: 4)
    let log = TestLog<Int>()
    let seen = Cell<[Seen]>([])
    log.append([7], to: 0)
    let (harness, process) = try job(
      simulation, log, into: seen, settings: ["sluice.streaming.onBatchFailure": "skip"]
    ) { $0.elements == [7] }
    try harness.start()
    try harness.advance()
    log.append([8], to: 0)
    try harness.advance(2)
    try harness.stop()
    #expect(harness.end == ["ended"])
    #expect(seen.value.flatMap(\.elements) == [7, 8])
    let records = try BatchJournal.records(in: "/checkpoint/commits", process.world.files)
    #expect(records.first?.outcome == .skipped)
    #expect(records.dropFirst().allSatisfy { $0.outcome == .committed })
    #expect(try process.world.files.attributes("/checkpoint/skipped.journal") != nil)
  }

  @Test func aCheckpointOfAnotherJobIsRefused() throws {
    let simulation = SimulatedWorld(seed: 5)
    let log = TestLog<Int>()
    let seen = Cell<[Seen]>([])
    let first = try job(simulation, log, into: seen, name: "mine").harness
    try first.start()
    try first.advance()
    try first.stop()
    let second = try job(simulation, log, into: seen, name: "other").harness
    try second.start()
    #expect(
      second.end == [
        "the checkpoint folder /checkpoint belongs to the job mine, this one is other: give this job another folder with "
          + "--checkpoint, or the name it had with --name mine"
      ])
  }

  @Test func twoProcessesCannotShareACheckpoint() throws {
    let simulation = SimulatedWorld(seed: 6)
    let log = TestLog<Int>()
    let seen = Cell<[Seen]>([])
    let first = try job(simulation, log, into: seen).harness
    try first.start()
    let second = try job(simulation, log, into: seen).harness
    try second.start()
    #expect(second.end.first?.contains("is in use by job test") == true)
    try first.stop()
  }

  @Test func anotherIntervalGoesOnAsWell() throws {
    let simulation = SimulatedWorld(seed: 7)
    let log = TestLog<Int>()
    let seen = Cell<[Seen]>([])
    for (run, interval) in [Duration.seconds(1), .milliseconds(300), .seconds(4)].enumerated() {
      let (harness, _) = try job(simulation, log, into: seen, interval: interval)
      log.append([run], to: 0)
      try harness.start()
      try harness.advance(3)
      try harness.stop()
    }
    #expect(seen.value.flatMap(\.elements) == [0, 1, 2])
  }

  /// Killed at random moments, with and without power loss, with a batch limit so that there is always work: what the
  /// output saw last of every batch is every element once, and a batch that was seen twice was the same twice.
  @Test func killedAnywhereNothingIsLostAndBatchesRepeatExactly() throws {
    var failures: [String] = []
    for seed in 0..<150 as Range<UInt64> {
      let simulation = SimulatedWorld(seed: seed)
      var random = SeededRandom(seed: seed ^ 0x5EED)
      let log = TestLog<Int>(partitions: 3)
      let seen = Cell<[Seen]>([])
      var produced = 0
      for _ in 0..<6 {
        let sync = ["none", "commits", "all"][Int(seed % 3)]
        let (harness, process) = try job(
          simulation, log, into: seen, limit: 4, settings: ["sluice.streaming.checkpoint.sync": sync])
        try harness.start()
        for _ in 0..<Int(random.next() % 6) {
          for _ in 0..<Int(random.next() % 9) {
            log.append([produced], to: Int(random.next() % 3))
            produced += 1
          }
          try simulation.run(for: .milliseconds(Int64(random.next() % 1500)))
        }
        process.kill()
        if seed % 3 != 0, random.next() % 2 == 0 { simulation.disk.losePower() }
      }
      let (harness, _) = try job(simulation, log, into: seen)
      try harness.start()
      try harness.advance(3)
      try harness.stop()
      if harness.end != ["ended"] { failures.append("seed \(seed): \(harness.end)") }
      var last: [BatchNumber: [Int]] = [:]
      for batch in seen.value {
        if let earlier = last[batch.batch], earlier != batch.elements, seed % 3 == 2 || !earlier.isEmpty {
          failures.append("seed \(seed): batch \(batch.batch) was \(earlier), then \(batch.elements)")
        }
        last[batch.batch] = batch.elements
      }
      if last.values.flatMap({ $0 }).sorted() != Array(0..<produced) {
        failures.append("seed \(seed): \(last.values.flatMap { $0 }.sorted()) of \(produced)")
      }
    }
    #expect(failures.isEmpty, "\(failures.prefix(3))")
  }
}
