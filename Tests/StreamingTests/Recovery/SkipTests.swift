import Datasets
import Groundwork
import Journals
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// The ledger of skipped batches names those that are in no output, and no others; and what stays decided whatever the
/// setting.
@Suite struct SkipTests {
  private func skipped(_ process: SimulatedProcess) throws -> [BatchNumber] {
    var numbers: [BatchNumber] = []
    _ = try Journal.scan("/checkpoint/skipped.journal", in: process.world.files) { entry, _ throws(JournalError) in
      if let record = BatchRecord(text: String(entry.payload)) { numbers.append(record.batch.number) }
    }
    return numbers
  }

  /// A batch whose decision failed is passed over where nobody can have seen anything of it; where a sink has committed
  /// before the decision the job ends, and its next run repeats the batch.
  @Test(arguments: [false, true]) func whatMayBeVisibleIsNotSkipped(hasEarlySink: Bool) throws {
    let simulation = SimulatedWorld(seed: 1)
    let log = TestLog<Int>()
    let ledger = Ledger(keepsRecord: true, simulation.makeProcess(named: "ledger").makeLoop(named: "ledger"))
    let troubles = Cell<[Ledger.Client.Trouble]>([.aborted])
    func job() throws -> (harness: StreamHarness, process: SimulatedProcess) {
      let process = simulation.makeProcess(named: "job", executors: 2)
      let harness = try StreamHarness(
        interval: .seconds(1), checkpoint: "/checkpoint", process: process, simulation: simulation,
        settings: ["sluice.streaming.onBatchFailure": "skip"])
      let client = Ledger.Client(ledger, harness.context.environment.loop) { troubles.value.popLast() }
      let stream = log.stream(harness.context)
      for kind in hasEarlySink ? [LedgerSink.Kind.deciding, .careless] : [.deciding] {
        stream.write(to: LedgerSink("\(kind)", kind, client), label: "\(kind)") { dataset, partition, task in
          var elements: [Int] = []
          try dataset.compute(partition, task) { elements.append(contentsOf: $0) }
          return TaskOutput(records: elements.count, bytes: 0, payload: elements)
        }
      }
      return (harness, process)
    }
    let first = try job()
    try first.harness.start()
    log.append([1, 2], to: 0)
    try first.harness.advance(3)
    if hasEarlySink {
      #expect(first.harness.end.first?.contains("the ledger does not answer") == true, "\(first.harness.end)")
      #expect(try skipped(first.process) == [])
    } else {
      #expect(first.harness.end.isEmpty && ledger.visible("deciding").isEmpty)
      #expect(try skipped(first.process).count == 1)
      try first.harness.stop()
    }
    first.process.kill()
    log.append([3], to: 0)
    let second = try job()
    try second.harness.start()
    try second.harness.advance(3)
    try second.harness.stop()
    #expect(second.harness.end == ["ended"])
    #expect(ledger.visible("deciding") == (hasEarlySink ? [1, 2, 3] : [3]))
    #expect(ledger.visible("careless") == (hasEarlySink ? [1, 1, 2, 2, 3] : []))
  }

  /// Changes of a failed batch that could not be taken out of the state's log would be found there by a restart that reads
  /// that the batch was passed over: the job ends instead, and the restart takes them out.
  @Test func whatCannotBeTakenBackIsNotSkipped() throws {
    let simulation = SimulatedWorld(seed: 3)
    let log = TestLog<Int>()
    func run(_ elements: [Int]) throws -> StreamHarness {
      let process = simulation.makeProcess(named: "job", executors: 2)
      let harness = try StreamHarness(
        interval: .seconds(1), checkpoint: "/checkpoint", process: process, simulation: simulation,
        settings: ["sluice.streaming.onBatchFailure": "skip"])
      let spec = StateSpec.function { (key: Int, value: Int?, state: State<Int>) -> Int in
        state.update((state.get() ?? 0) + (value ?? 0))
        return key
      }
      log.stream(harness.context).map { ($0, 1) }.mapWithState(spec).named("sums").foreachRDD { _ in }
      try harness.start()
      try harness.advance()
      log.append(elements, to: 0)
      try harness.advance(3)
      if harness.end.isEmpty { try harness.stop() }
      process.kill()
      return harness
    }
    #expect(try run([1]).end == ["ended"])
    simulation.disk.inject(DiskFault(.sync, pathContains: "state/deltas", code: .inputOutput))
    let broken = try run([2])
    #expect(broken.end.first?.contains("cannot sync /checkpoint/state/deltas") == true, "\(broken.end)")
    #expect(try skipped(simulation.makeProcess(named: "reader")) == [])
    #expect(try run([3]).end == ["ended"])
  }

  /// The process died between the ledger and the commit log: the batch runs again, and the ledger must not name it.
  @Test func whatWasNotDecidedLeavesTheLedger() throws {
    let simulation = SimulatedWorld(seed: 2)
    func opened() throws -> (checkpoint: Checkpoint, process: SimulatedProcess, decision: RecoveryDecision) {
      let process = simulation.makeProcess(named: "job")
      let checkpoint = try Checkpoint(
        directory: "/checkpoint", files: process.world.files, jobName: "job", sync: .commits)
      return (checkpoint, process, try checkpoint.settle(nil, of: nil))
    }
    let first = try opened()
    for number in 1...2 as ClosedRange<Int64> {
      try first.checkpoint.planned(BatchRecordTests.record(number, outcome: nil))
      if number == 2 { simulation.disk.inject(DiskFault(.write, pathContains: "commits", code: .inputOutput)) }
      let record = BatchRecordTests.record(number, outcome: .skipped)
      do { try first.checkpoint.passedOver(record, reason: "a test") } catch { #expect(number == 2) }
    }
    #expect(try skipped(first.process) == [1, 2])
    first.process.kill()
    let second = try opened()
    #expect(second.decision.replay.map(\.batch.number) == [2])
    #expect(try skipped(second.process) == [1])
    try second.checkpoint.decided(BatchRecordTests.record(2))
    try second.checkpoint.planned(BatchRecordTests.record(3, outcome: nil))
    try second.checkpoint.passedOver(BatchRecordTests.record(3, outcome: .skipped), reason: "a test")
    second.process.kill()
    #expect(try skipped(opened().process) == [1, 3])
  }

  /// Without any syncs the log may fall back, but not behind what something else goes by for good, and never to nothing.
  @Test(arguments: [nil, 3] as [Int64?]) func whatMustStayStays(_ kept: Int64?) throws {
    let least = BatchNumber(kept ?? 1)
    var found: Set<BatchNumber> = []
    for seed in 0..<40 as Range<UInt64> {
      let simulation = SimulatedWorld(seed: seed)
      for run in 0..<2 {
        let checkpoint = try Checkpoint(
          directory: "/checkpoint", files: simulation.makeProcess(named: "job").world.files, jobName: "job",
          sync: .none)
        let last = try checkpoint.settle(nil, of: nil).last?.batch.number ?? 0
        if run == 1 {
          found.insert(last)
          break
        }
        for number in 1...6 as ClosedRange<Int64> {
          try checkpoint.decided(BatchRecordTests.record(number), mustStay: number == kept)
        }
        simulation.losePower()
      }
    }
    #expect(found.min() == least && found.max() == 6)
  }
}
