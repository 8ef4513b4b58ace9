import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// How much a batch may take.
@Suite struct RateTests {
  // MARK: The formula

  /// Spark's own test of the formula (PIDRateEstimatorSuite), the numbers computed by hand.
  @Test func theEstimateFollowsTheFormula() {
    var parameters = PIDRateEstimator.Parameters()
    parameters.minRate = 10
    parameters.derivative = 0.5
    var estimator = PIDRateEstimator(parameters, interval: .milliseconds(20))
    let start = Instant(nanoseconds: 0)
    estimator.update(time: start, records: 10, processingDelay: .zero, schedulingDelay: .zero)
    estimator.update(time: start, records: 0, processingDelay: .milliseconds(10), schedulingDelay: .zero)
    #expect(estimator.rate == nil)
    estimator.update(
      time: start, records: 100, processingDelay: .milliseconds(100), schedulingDelay: .zero)
    #expect(estimator.rate == 1000)
    // error 1000 - 500 = 500; piled up 0.01 s x 500/s / 0.02 s = 250; change 500 / 1 s = 500.
    estimator.update(
      time: start + .seconds(1), records: 100, processingDelay: .milliseconds(200), schedulingDelay: .milliseconds(10))
    #expect(estimator.rate == 1000 - 1.0 * 500 - 0.2 * 250 - 0.5 * 500)
    // error 200 - 2000 = -1800; change (-1800 - 500) / 2 s.
    estimator.update(
      time: start + .seconds(3), records: 100, processingDelay: .milliseconds(50), schedulingDelay: .zero)
    #expect(estimator.rate == 200 + 1800 + 0.5 * 1150)
    // Far too slow: the floor.
    estimator.update(
      time: start + .seconds(4), records: 1, processingDelay: .seconds(10), schedulingDelay: .seconds(10))
    #expect(estimator.rate == 10)
  }

  // MARK: Shares

  @Test func sharesGoByLag() {
    #expect(RateShares.shares(total: 100, lags: [1000, 3000, 0], min: 0) == [25, 75, 0])
    #expect(RateShares.shares(total: nil, lags: [10, 20], max: 15) == [10, 15])
    #expect(RateShares.shares(total: 100, lags: [10, 20]) == [10, 20])
  }

  @Test func sharesKeepTheirBounds() {
    var random = SeededRandom(seed: 7)
    var failures: [String] = []
    for round in 0..<2000 {
      let lags = (0..<Int(random.next() % 9)).map { _ in
        Int64(random.next() % [1, 10, 1000, 1_000_000][Int(random.next() % 4)])
      }
      let total = Int(random.next() % 5000)
      let floor = Int(random.next() % 3)
      let ceiling = random.next() % 2 == 0 ? nil : Int(random.next() % 700)
      let shares = RateShares.shares(total: total, lags: lags, min: floor, max: ceiling)
      let wanted = lags.map { min(Int($0), ceiling ?? .max) }
      let sum = shares.reduce(0, +)
      let floors = wanted.reduce(0) { $0 + min($1, floor) }
      if !zip(shares, wanted).allSatisfy({ $0 <= $1 && $0 >= min($1, floor) }) || sum > max(total, floors)
        || sum < min(total, wanted.reduce(0, +))
      {
        failures.append("round \(round): \(total) of \(lags), \(floor)...\(String(describing: ceiling)) gave \(shares)")
      }
    }
    #expect(failures.isEmpty, "\(failures.prefix(3))")
  }

  // MARK: In a job

  /// The records of each batch, where processing one takes a given time.
  private func batches(
    of log: TestLog<Int>, perRecord cost: Duration, count: Int, settings: [String: String] = [:],
    simulation: SimulatedWorld = SimulatedWorld(seed: 1), checkpoint: String? = nil
  ) throws -> [BatchInfo] {
    let process = simulation.makeProcess(named: "job")
    let harness = try StreamHarness(
      checkpoint: checkpoint, process: process, simulation: simulation, settings: settings)
    let infos = Cell<[BatchInfo]>([])
    harness.context.addStreamingListener(InfoRecorder(infos))
    let sink = SlowSink(harness.context.environment.loop, cost)
    log.stream(harness.context, isRateLimited: true).write(to: sink, label: "slow") { dataset, partition, task in
      var records = 0
      try dataset.compute(partition, task) { records += $0.count }
      return TaskOutput(records: records, bytes: 0, payload: records)
    }
    try harness.start()
    try simulation.run { infos.value.count >= count }
    try harness.stop()
    return infos.value
  }

  @Test func aBacklogNeverMakesOneGiantBatch() throws {
    let log = TestLog<Int>()
    for partition in 0..<2 { log.append(Array(repeating: 0, count: 150_000), to: partition) }
    // 20,000 records a second is what the job can do.
    let infos = try batches(of: log, perRecord: .microseconds(50), count: 16)
    let counts = infos.map(\.numRecords)
    #expect(counts[0] == 2_000)
    #expect(infos[0].rates["log"]?.reason == "a probe of the first batch")
    for (before, after) in zip(counts, counts.dropFirst()) { #expect(after <= 2 * before + 2) }
    // It settles where processing takes the interval, and not beyond.
    #expect(counts.dropFirst(6).prefix(8).allSatisfy { (14_000...24_000).contains($0) }, "\(counts)")
    #expect(infos.dropFirst(6).prefix(8).allSatisfy { $0.rates["log"]?.reason.contains("records/s") == true })
  }

  @Test func aRestartBeginsWithTheRememberedRate() throws {
    let simulation = SimulatedWorld(seed: 2)
    let log = TestLog<Int>()
    for partition in 0..<2 { log.append(Array(repeating: 0, count: 300_000), to: partition) }
    _ = try batches(of: log, perRecord: .microseconds(50), count: 10, simulation: simulation, checkpoint: "/checkpoint")
    let infos = try batches(
      of: log, perRecord: .microseconds(50), count: 1, simulation: simulation, checkpoint: "/checkpoint")
    #expect((10_000...30_000).contains(infos[0].numRecords), "\(infos[0].numRecords)")
  }

  @Test func theFirstBatchObeysTheInitialRate() throws {
    let log = TestLog<Int>()
    log.append(Array(repeating: 0, count: 10_000), to: 0)
    let infos = try batches(
      of: log, perRecord: .microseconds(1), count: 1,
      settings: ["sluice.streaming.backpressure.initialRate": "300"])
    #expect(infos[0].numRecords == 300)
  }

  @Test func withoutBackpressureABatchTakesAll() throws {
    let log = TestLog<Int>()
    log.append(Array(repeating: 0, count: 10_000), to: 0)
    let infos = try batches(
      of: log, perRecord: .microseconds(1), count: 1, settings: ["sluice.streaming.backpressure.enabled": "false"])
    #expect(infos[0].numRecords == 10_000)
  }

  /// A topic's ranges end between record batches: a bounded plan has a few records less than the limit.
  @Test func aPlanThatEndsJustBelowTheLimitCountsAsBounded() throws {
    func next(reason: String?) throws -> (first: Int, second: Int) {
      let source = TestLog<Int>.Reader(TestLog(), limit: .max, isRateLimited: true)
      let controller = try RateController(source, name: "log", interval: .seconds(1)) { _ in nil }
      controller.willPlan()
      let first = try #require(controller.decision.recordsMax)
      var info = BatchInfo(
        number: 1, batchTime: 1000, inputs: [("log", SourcePlan(records: first - 7, limitReason: reason))],
        submissionTime: Instant(nanoseconds: 0), skippedTicks: 0, lag: 0)
      info.processingStartTime = Instant(nanoseconds: 0)
      info.processingEndTime = Instant(nanoseconds: 1_000_000)
      controller.committed(info)
      controller.willPlan()
      return (first, try #require(controller.decision.recordsMax))
    }
    let bounded = try next(reason: RateDecision.limitReason)
    #expect(bounded.second == 2 * bounded.first)
    let unbounded = try next(reason: nil)
    #expect(unbounded.second == unbounded.first)
  }

  @Test func wrongSettingsAreNamed() throws {
    let harness = try StreamHarness(settings: ["sluice.streaming.backpressure.pid.minRate": "slow"])
    TestLog<Int>().stream(harness.context, isRateLimited: true).print()
    try harness.start()
    #expect(
      harness.end == ["sluice.streaming.backpressure.pid.minRate: `slow` is not a number of 0 or more"])
  }
}

/// Keeps what was completed.
struct InfoRecorder: StreamingListener {
  let infos: Cell<[BatchInfo]>
  init(_ infos: Cell<[BatchInfo]>) { self.infos = infos }
  func onBatchCompleted(_ batch: BatchInfo) { infos.value.append(batch) }
}

/// A sink that takes its time for every record.
final class SlowSink: Sink {
  private struct Prepared: PreparedOutput { var batch: BatchIdentity }
  private let loop: any Loop
  private let cost: Duration
  init(_ loop: any Loop, _ cost: Duration) {
    self.loop = loop
    self.cost = cost
  }
  var name: String { "slow" }
  var guarantee: OutputGuarantee { OutputGuarantee(.atLeastOnce, reason: "a test") }
  func lastCommitted(then: @escaping @Sendable (Result<BatchNumber?, any Error>) -> Void) { then(.success(nil)) }
  func prepare(
    _ batch: BatchIdentity, _ outputs: [TaskOutput],
    then: @escaping @Sendable (Result<any PreparedOutput, any Error>) -> Void
  ) {
    let records = outputs.reduce(0) { $0 + $1.records }
    loop.after(cost * records) { then(.success(Prepared(batch: batch))) }
  }
  func commit(_ prepared: any PreparedOutput, then: @escaping @Sendable ((any Error)?) -> Void) { then(nil) }
  func abort(_ prepared: any PreparedOutput) {}
  func discard(_ output: TaskOutput) {}
}
