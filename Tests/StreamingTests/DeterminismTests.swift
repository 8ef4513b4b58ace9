import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// Batches that are computed twice, to see whether both come to the same.
@Suite struct DeterminismTests {
  private final class Recorder: StreamingListener {
    let completed = Cell<[BatchInfo]>([])
    func onBatchCompleted(_ batch: BatchInfo) { completed.value.append(batch) }
  }

  /// A job over a log, with a sink that shows what it was given.
  private final class Job {
    let harness: StreamHarness
    let log = TestLog<Int>()
    let ledger: Ledger
    let recorder = Recorder()
    var batches: [BatchInfo] { recorder.completed.value }
    var complaints: [String] { harness.log.filter { $0.contains("something else") } }

    init(settings: [String: String] = ["sluice.streaming.checkDeterminism": "2"]) throws {
      harness = try StreamHarness(checkpoint: "/checkpoint", settings: settings)
      ledger = Ledger(
        keepsRecord: true, harness.simulation.makeProcess(named: "ledger").makeLoop(named: "ledger"))
      harness.context.addStreamingListener(recorder)
    }

    var input: DStream<Int> { log.stream(harness.context) }

    func show(_ stream: DStream<Int>) {
      let sink = LedgerSink("sink", .careless, Ledger.Client(ledger, harness.context.environment.loop))
      stream.write(to: sink, label: "ledger") { dataset, partition, task in
        var elements: [Int] = []
        try dataset.compute(partition, task) { elements += $0 }
        return TaskOutput(records: elements.count, bytes: 0, payload: elements)
      }
    }

    /// Runs batches over these elements, one set a batch.
    func run(_ elements: [[Int]]) throws {
      try harness.start()
      for batch in elements {
        for number in batch { log.append([number], to: number % 2) }
        try harness.advance()
      }
      try harness.advance()
      try harness.stop()
      #expect(harness.end == ["ended"])
    }
  }

  private static let elements = (0..<8).map { batch in (0..<20).map { batch * 100 + $0 } }

  @Test func aJobThatRepeatsItselfIsNotReported() throws {
    let job = try Job()
    let sums = Cell<[[Int]]>([])
    let pairs = job.input.map { ($0 % 5, $0) }
    let counted = pairs.updateStateByKey { values, state in (state ?? 0) + values.count }.named("counted")
    let windows = pairs.reduceByKeyAndWindow(window: .seconds(3), inverse: { $0 - $1 }) { $0 + $1 }
    let drawn = job.input.mapPartitions { elements, task in
      elements.map { $0 &+ Int(truncatingIfNeeded: task.nextRandom() % 7) }
    }
    job.show(counted.map { $0.0 * 1000 + $0.1 })
    job.show(windows.map { $0.0 + $0.1 })
    job.show(drawn)
    counted.map { $0.1 }.record(into: sums)
    try job.run(Self.elements)
    #expect(job.complaints == [] && job.batches.allSatisfy { $0.differences.isEmpty && $0.counters.isEmpty })
    // The state has gone on once a batch, in those that were computed twice too.
    #expect(sums.value.prefix(8).map { $0.reduce(0, +) } == (1...8).map { $0 * 20 })
    #expect(sums.value.count == job.batches.count)
  }

  @Test func randomnessOfOnesOwnIsReportedByName() throws {
    let job = try Job()
    job.show(job.input.map { number in number == 107 ? number + Int.random(in: 1...1 << 40) : number })
    try job.run(Self.elements)
    let differences = job.batches.filter { !$0.differences.isEmpty }
    #expect(differences.map(\.number) == [2])
    #expect(
      differences.first?.differences
        == [BatchDifference(place: "output ledger-1", partition: 1, firstRecord: 3, counts: [10, 10])])
    #expect(differences.first?.counters == ["nondeterministic": 1])
    #expect(
      job.complaints == [
        "batch 2 gave something else when it was computed again: output ledger-1, partition 1, from record 3 on (10 "
          + "records, then 10). A batch that is repeated after a failure would not give what it gave before: draw time "
          + "and randomness from TaskContext (batch.time, nextRandom()), and let no order of a Set or Dictionary reach an "
          + "output"
      ])
    // The job has gone on.
    #expect(job.batches.count > 7 && job.batches.allSatisfy { $0.failureReason == nil })
    #expect(job.ledger.visible("sink").count == 160)
  }

  @Test func theOrderOfASetIsReported() throws {
    let job = try Job()
    // Kept, so that no two of them lie at the same place: their order goes by it.
    let kept = Cell<[Set<Int>]>([])
    job.show(
      job.input.mapPartitions { elements, _ in
        let set = Set(elements)
        kept.value.append(set)
        return Array(set)
      })
    try job.run(Self.elements)
    #expect(job.batches.filter { !$0.differences.isEmpty }.map { $0.number.rawValue % 2 }.contains(0))
    #expect(job.batches.allSatisfy { $0.number.rawValue % 2 == 0 || $0.differences.isEmpty })
    #expect(
      job.complaints.allSatisfy { $0.contains("output ledger-1, partition ") && $0.contains("(10 records, then 10)") })
  }

  @Test func aStateThatIsDrawnIsReported() throws {
    let job = try Job()
    let counted = job.input.map { ($0 % 5, $0) }.updateStateByKey { _, _ in UInt64.random(in: 0...(.max)) }
    counted.named("drawn").foreachRDD { _ in }
    try job.run(Array(Self.elements.prefix(2)))
    let places = Set(job.batches.flatMap(\.differences).map(\.place))
    #expect(places == ["state of 'drawn'"])
  }

  @Test func theSecondComputationHasNoEffect() throws {
    let job = try Job()
    let accumulator = job.harness.context.sluice.longAccumulator("seen")
    let calls = Cell(0)
    job.show(
      job.input.mapPartitions { elements, task in
        for _ in elements { accumulator.add(1) }
        task.count("numbers", Int64(elements.count))
        return elements
      })
    job.input.foreachRDD { _ in calls.value += 1 }
    try job.run(Self.elements)
    #expect(accumulator.value == 160)
    #expect(job.batches.reduce(0) { $0 + ($1.counters["numbers"] ?? 0) } == 160)
    #expect(calls.value == job.batches.count)
    #expect(job.ledger.visible("sink") == Self.elements.flatMap { $0 })
  }

  @Test func aFailureOfTheFirstComputationIsForTheSecondToTell() throws {
    let job = try Job()
    let attempts = Cell(0)
    job.show(
      job.input.map { number in
        guard number == 105 else { return number }
        attempts.value += 1
        // All attempts of the task when it is computed for the first time.
        if attempts.value <= 4 { throw LedgerError() }
        return number
      })
    try job.run(Self.elements)
    #expect(attempts.value == 5 && job.complaints == [])
    #expect(job.ledger.visible("sink") == Self.elements.flatMap { $0 })
  }

  @Test(arguments: [true, false]) func aJobCanBeStoppedMeanwhile(gracefully: Bool) throws {
    let job = try Job()
    let context = job.harness.context
    let tasks = Cell(0)
    job.show(
      job.input.map { number in
        tasks.value += 1
        // Batch 1 has 20 tasks' worth of records, the first computation of batch 2 begins behind them.
        if tasks.value == 21 { context.stop(gracefully: gracefully) }
        return number
      })
    try job.harness.start()
    for batch in Self.elements.prefix(2) {
      for number in batch { job.log.append([number], to: number % 2) }
      try job.harness.advance()
    }
    try job.harness.simulation.run { !job.harness.end.isEmpty }
    #expect(job.harness.end.count == 1)
    let shown = job.ledger.visible("sink").count
    #expect(gracefully ? shown == 40 && job.harness.end == ["ended"] : shown == 20 || shown == 40)
  }

  @Test func aSettingThatIsNoneIsRefused() throws {
    let job = try Job(settings: ["sluice.streaming.checkDeterminism": "often"])
    job.show(job.input)
    try job.harness.start()
    #expect(
      job.harness.end == [
        "sluice.streaming.checkDeterminism: `often` is not known; give the number of batches of which one is computed "
          + "twice, such as 100, or 0"
      ])
  }
}
