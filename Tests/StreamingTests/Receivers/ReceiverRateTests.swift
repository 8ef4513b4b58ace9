import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// Receivers are held to what the job can take in.
@Suite struct ReceiverRateTests {
  /// Stores a number every millisecond while it is welcome.
  private final class Eager: Receiver {
    let stored = Cell(0)
    let pauses = Cell(0)
    private let isPaused = Cell(false)
    private let supervisor = Cell<ReceiverSupervisor<Int>?>(nil)

    func onStart(_ supervisor: ReceiverSupervisor<Int>) { self.supervisor.value = supervisor }
    func onStop() {}
    func onResume() { isPaused.value = false }

    func go(_ world: SimulatedWorld) {
      world.after(.milliseconds(1)) { [self] in
        go(world)
        guard !isPaused.value, let supervisor = supervisor.value, !supervisor.isStopped else { return }
        stored.value += 1
        guard !supervisor.store(stored.value) else { return }
        isPaused.value = true
        pauses.value += 1
      }
    }
  }

  private struct Run {
    var infos: [BatchInfo]
    var receivers: [Eager]
    var log: [String]
  }

  /// A job that needs a while for each record, and receivers that bring 1,000 a second each.
  private func run(
    receivers count: Int = 1, batches: Int = 30, perRecord cost: Duration = .milliseconds(4), checkpoint: String? = nil,
    simulation: SimulatedWorld = SimulatedWorld(seed: 1), _ settings: [String: String] = [:]
  ) throws -> Run {
    let process = simulation.makeProcess(named: "job")
    let harness = try StreamHarness(
      checkpoint: checkpoint, process: process, simulation: simulation, settings: settings)
    let infos = Cell<[BatchInfo]>([])
    harness.context.addStreamingListener(InfoRecorder(infos))
    let receivers = (0..<count).map { _ in Eager() }
    let streams = receivers.map { harness.context.receiverStream($0) }
    let sink = SlowSink(harness.context.environment.loop, cost)
    harness.context.union(streams).write(to: sink, label: "slow") { dataset, partition, task in
      var records = 0
      try dataset.compute(partition, task) { records += $0.count }
      return TaskOutput(records: records, bytes: 0, payload: records)
    }
    for receiver in receivers { receiver.go(simulation) }
    try harness.start()
    try simulation.run { infos.value.count >= batches }
    harness.context.stop(gracefully: false)
    try simulation.run { !harness.end.isEmpty }
    return Run(infos: infos.value, receivers: receivers, log: harness.log)
  }

  @Test func aReceiverSettlesAtWhatTheJobCanDo() throws {
    let run = try run()
    let counts = run.infos.map(\.numRecords)
    // Nothing is known of the job before the first batch with records.
    #expect(counts.prefix(2).max()! > 600, "\(counts)")
    #expect(counts.suffix(10).allSatisfy { (150...320).contains($0) }, "\(counts)")
    let delays = run.infos.suffix(10).compactMap(\.schedulingDelay)
    #expect(delays.allSatisfy { $0 < .seconds(2) }, "\(delays)")
    #expect(run.receivers[0].pauses.value > 5, "the sender is held back: nothing piles up here")
    let info = run.infos.last!
    #expect(info.inputs[0].plan.limitReason == RateDecision.limitReason)
    #expect(info.rates["receiver-0"]?.reason.contains("records/s") == true, "\(info.rates)")
    #expect(run.infos[0].rates["receiver-0"] == RateDecision(recordsMax: nil, reason: "not known yet"))
  }

  @Test func severalReceiversShareIt() throws {
    // 1,000 a second are what it can do.
    let run = try run(receivers: 3, batches: 40, perRecord: .milliseconds(1))
    let totals = run.infos.map(\.numRecords)
    #expect(totals.suffix(10).allSatisfy { (500...1_300).contains($0) }, "\(totals)")
    for receiver in 0..<3 {
      let own = run.infos.suffix(10).map { $0.inputs[receiver].plan.records }
      #expect(own.reduce(0, +) > 1_000, "none starves: \(own)")
    }
  }

  @Test func withoutBackpressureNothingHoldsThem() throws {
    let run = try run(batches: 4, ["sluice.streaming.backpressure.enabled": "false"])
    #expect(run.infos.last!.numRecords > 2_000, "\(run.infos.map(\.numRecords))")
    #expect(run.receivers[0].pauses.value == 0)
    #expect(run.infos.last!.rates.isEmpty)
  }

  @Test func theInitialRateHoldsFromTheStart() throws {
    let run = try run(batches: 2, ["sluice.streaming.backpressure.initialRate": "100"])
    #expect(run.infos.allSatisfy { $0.numRecords <= 140 }, "\(run.infos.map(\.numRecords))")
    #expect(run.infos[1].numRecords > 50)
  }

  @Test func theSmallerOfBothRatesHolds() throws {
    let run = try run(batches: 12, ["sluice.streaming.receiver.maxRate": "50"])
    let counts = run.infos.dropFirst(2).map(\.numRecords)
    #expect(counts.allSatisfy { (30...70).contains($0) }, "\(counts)")
    #expect(run.infos.last!.inputs[0].plan.limitReason == "sluice.streaming.receiver.maxRate=50")
  }

  @Test func aRestartBeginsWithTheRateOfTheRunBefore() throws {
    let simulation = SimulatedWorld(seed: 3)
    _ = try run(batches: 20, checkpoint: "/checkpoint", simulation: simulation)
    let again = try run(batches: 2, checkpoint: "/checkpoint", simulation: simulation)
    #expect(again.infos.allSatisfy { $0.numRecords < 450 }, "\(again.infos.map(\.numRecords))")
  }

  @Test func aPlanEndsWithABlock() {
    let blocks = ReceivedBlocks<Int>()
    blocks.append([0, 10, 20].map { ReceivedBlock(first: Int64($0), elements: Array(0..<10)) })
    #expect(blocks.plan(elementsMax: 5) == 0..<10, "one at least")
    #expect(blocks.plan(elementsMax: 19) == 10..<20)
    #expect(blocks.plan(elementsMax: 10) == 20..<30)
    #expect(blocks.plan(elementsMax: 10) == 30..<30)
    blocks.append([ReceivedBlock(first: 30, elements: [1, 2]), ReceivedBlock(first: 32, elements: [3])])
    #expect(blocks.plan(elementsMax: 3) == 30..<33)
    blocks.append([ReceivedBlock(first: 33, elements: [1, 2]), ReceivedBlock(first: 35, elements: [3])])
    #expect(blocks.plan() == 33..<36)
  }

  @Test func theGateChangesItsRate() {
    var gate = RateGate(perSecond: nil, burst: .seconds(1), now: Instant(nanoseconds: 0))
    #expect(gate.allowance(at: Instant(nanoseconds: 1)) == .max)
    gate.take(1_000_000)
    func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }
    gate.setRate(100, at: at(0))
    #expect(gate.allowance(at: at(0)) == 0, "nothing was saved up while there was no rate, and nothing is owed")
    #expect(gate.allowance(at: at(500)) == 50)
    gate.take(50)
    gate.setRate(10, at: at(500))
    #expect(gate.allowance(at: at(1_000)) == 5)
    #expect(gate.allowance(at: at(60_000)) == 10, "the burst is that of the new rate")
    gate.setRate(nil, at: at(60_000))
    #expect(gate.allowance(at: at(60_000)) == .max)
  }
}
