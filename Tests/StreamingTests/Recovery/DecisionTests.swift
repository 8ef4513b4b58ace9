import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// One decides, the others roll forward: a stateful job with two outputs in the decider, one that follows it and one that
/// knows nothing of it, killed at random moments, with decisions that fail, or that nobody knows the end of.
@Suite struct DecisionTests {
  private struct Job {
    let harness: StreamHarness
    let process: SimulatedProcess
  }

  /// Elements are 0, 1, 2, …; the key of each is its remainder by 7.
  private func job(
    _ simulation: SimulatedWorld, _ log: TestLog<Int>, _ ledger: Ledger, settings: [String: String] = [:],
    interval: Duration = .milliseconds(100), trouble: @escaping @Sendable () -> Ledger.Client.Trouble? = { nil }
  ) throws -> Job {
    let process = simulation.makeProcess(named: "job", executors: 2)
    let harness = try StreamHarness(
      interval: interval, checkpoint: "/checkpoint", process: process, simulation: simulation,
      settings: settings)
    // Snapshots come and go.
    StateCoordinator.of(harness.context).logBytesMin = 200
    StateCoordinator.of(harness.context).sliceBytesMin = 30
    let client = Ledger.Client(ledger, harness.context.environment.loop, trouble: trouble)
    let stream = log.stream(harness.context, limit: 5)
    let spec = StateSpec.function { (key: Int, value: Int?, state: State<Int>) -> Int in
      let count = (state.get() ?? 0) + 1
      state.update(count)
      return key * 10_000 + count
    }
    let counts = stream.map { ($0 % 7, $0) }.mapWithState(spec).named("keys")
    save(stream, to: LedgerSink("careless", .careless, client))
    save(stream, to: LedgerSink("follower", .following, client))
    save(stream.filter { $0 % 3 == 0 }, to: LedgerSink("thirds", .deciding, client))
    // Some elements have no output in the decider at all: it is asked all the same.
    save(counts.filter { $0 / 10_000 != 1 }, to: LedgerSink("counts", .deciding, client))
    return Job(harness: harness, process: process)
  }

  private func save(_ stream: DStream<Int>, to sink: LedgerSink) {
    stream.write(to: sink, label: sink.name) { dataset, partition, task in
      var elements: [Int] = []
      try dataset.compute(partition, task) { elements.append(contentsOf: $0) }
      return TaskOutput(records: elements.count, bytes: elements.count * 8, payload: elements)
    }.named(sink.name)
  }

  /// What the counts are when each of `produced` elements was counted once.
  private func counts(_ produced: Int) -> [Int] {
    (0..<7).filter { $0 != 1 }.flatMap { key in
      let elements = (produced + 6 - key) / 7
      return elements > 0 ? (1...elements).map { key * 10_000 + $0 } : []
    }.sorted()
  }

  @Test func killedAnywhereEachOutputKeepsItsPromise() throws {
    var failures: [String] = []
    for seed in 0..<200 as Range<UInt64> {
      let simulation = SimulatedWorld(seed: seed)
      var random = SeededRandom(seed: seed ^ 0xDEC1DE)
      let log = TestLog<Int>(partitions: 3)
      let ledger = Ledger(
        keepsRecord: seed % 2 == 0, simulation.makeProcess(named: "ledger").makeLoop(named: "ledger"))
      let chance = Cell(SeededRandom(seed: seed &+ 77))
      let trouble: @Sendable () -> Ledger.Client.Trouble? = {
        switch chance.value.next() % 24 {
        case 0: .aborted
        case 1: .unknownBefore
        case 2: .unknownAfter
        default: nil
        }
      }
      let policy = ["stop", "retry"][Int(seed / 2 % 2)]
      let sync = ["commits", "all", "none"][Int(seed / 4 % 3)]
      // A commit takes some 8 ms: it lies within an interval, or batches overlap, or would, were they allowed to.
      let interval = Duration.milliseconds([4, 4, 100][Int(seed / 12 % 3)])
      let pipelining = seed / 36 % 4 == 3 ? "false" : "true"
      var produced = 0
      for _ in 0..<8 {
        let job = try job(
          simulation, log, ledger,
          settings: [
            "sluice.streaming.onBatchFailure": policy, "sluice.streaming.onBatchFailure.backoff": "10ms",
            "sluice.streaming.checkpoint.sync": sync, "sluice.streaming.pipelining": pipelining,
          ], interval: interval, trouble: trouble)
        try job.harness.start()
        for _ in 0..<Int(random.next() % 6) {
          for _ in 0..<Int(random.next() % 6) {
            log.append([produced], to: Int(random.next() % 3))
            produced += 1
          }
          try simulation.run(for: .microseconds(Int64(random.next() % 150_000)))
        }
        job.process.kill()
        if sync != "none", random.next() % 3 == 0 { simulation.disk.losePower() }
      }
      let job = try job(simulation, log, ledger)
      try job.harness.start()
      try job.harness.advance(produced / 5 + 3)
      try job.harness.stop()
      if job.harness.end != ["ended"] { failures.append("seed \(seed): \(job.harness.end)") }
      let all = Array(0..<produced)
      if ledger.visible("follower") != all {
        failures.append("seed \(seed): the follower shows \(ledger.visible("follower")) of \(produced)")
      }
      if ledger.visible("thirds") != all.filter({ $0 % 3 == 0 }) {
        failures.append("seed \(seed): the decider shows \(ledger.visible("thirds")) of \(produced)")
      }
      if ledger.visible("counts") != counts(produced) {
        failures.append("seed \(seed): the counts are \(ledger.visible("counts")) of \(produced)")
      }
      if Set(ledger.visible("careless")) != Set(all) {
        failures.append("seed \(seed): the careless sink shows \(ledger.visible("careless")) of \(produced)")
      }
      // Batches appear in each output in their order.
      for (sink, entries) in ledger.content.value.visible.sorted(by: { $0.key < $1.key }) where sink != "careless" {
        if zip(entries, entries.dropFirst()).contains(where: { $0.batch >= $1.batch }) {
          failures.append("seed \(seed): \(sink) has batches out of order")
        }
      }
    }
    #expect(failures.isEmpty, "\(failures.count): \(failures.prefix(3))")
  }

  @Test func withoutTheDeciderTheJobDoesNotStart() throws {
    let simulation = SimulatedWorld(seed: 9)
    let log = TestLog<Int>()
    let loop = simulation.makeProcess(named: "ledger").makeLoop(named: "ledger")
    let ledger = Ledger(keepsRecord: true, loop)
    let first = try job(simulation, log, ledger)
    log.append(Array(0..<5), to: 0)
    try first.harness.start()
    try first.harness.advance(2)
    try first.harness.stop()
    #expect(ledger.visible("thirds") == [0, 3])
    // Somebody puts back an old ledger beside the checkpoint.
    let empty = Ledger(keepsRecord: true, loop)
    let second = try job(simulation, log, empty)
    try second.harness.start()
    try second.harness.advance()
    #expect(
      second.harness.end == [
        "the ledger knows no batch, but the checkpoint in /checkpoint says that it has decided batch 1: one of the two was "
          + "put back from a copy or removed; put back both, or give the job a new checkpoint folder"
      ])
  }

  /// Nothing was synced, as asked; the decider's machine lost no power.
  @Test func stateThatIsOlderThanTheDecisionsIsNotGoneOnFrom() throws {
    let simulation = SimulatedWorld(seed: 12)
    let log = TestLog<Int>()
    let ledger = Ledger(keepsRecord: false, simulation.makeProcess(named: "ledger").makeLoop(named: "ledger"))
    let settings = ["sluice.streaming.checkpoint.sync": "none"]
    let first = try job(simulation, log, ledger, settings: settings)
    try first.harness.start()
    for number in 0..<3 {
      log.append([number * 3], to: 0)
      try first.harness.advance(1)
    }
    try first.harness.advance(1)
    #expect(ledger.visible("thirds") == [0, 3, 6])
    first.process.kill()
    simulation.disk.losePower()
    let second = try job(simulation, log, ledger, settings: settings)
    try second.harness.start()
    try second.harness.advance()
    let end = second.harness.end.joined()
    #expect(
      end.hasPrefix(
        "the ledger has decided batch 3, but what the checkpoint in /checkpoint knows of it ends with batch 1"),
      "\(second.harness.end)")
    #expect(end.contains("its state lacks what came between"))
    // In a new folder it begins anew, behind what was decided.
    #expect(ledger.visible("thirds") == [0, 3, 6])
  }

  @Test func atLeastOnceAsksNoDecider() throws {
    let simulation = SimulatedWorld(seed: 10)
    let log = TestLog<Int>()
    let ledger = Ledger(keepsRecord: true, simulation.makeProcess(named: "ledger").makeLoop(named: "ledger"))
    let job = try job(simulation, log, ledger, settings: ["sluice.streaming.guarantee": "at-least-once"])
    log.append(Array(0..<5), to: 0)
    try job.harness.start()
    try job.harness.advance(2)
    try job.harness.stop()
    #expect(ledger.content.value.decisions.isEmpty && ledger.content.value.epoch == 0)
    #expect(ledger.visible("thirds") == [0, 3])
  }

  @Test func aGuaranteeThatIsNotKnownIsRefused() throws {
    let simulation = SimulatedWorld(seed: 11)
    let ledger = Ledger(keepsRecord: true, simulation.makeProcess(named: "ledger").makeLoop(named: "ledger"))
    let job = try job(simulation, TestLog<Int>(), ledger, settings: ["sluice.streaming.guarantee": "perfect"])
    try job.harness.start()
    #expect(
      job.harness.end == [
        "sluice.streaming.guarantee: `perfect` is not known; choose exactly-once or at-least-once"
      ])
  }
}
