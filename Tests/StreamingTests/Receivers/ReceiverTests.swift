import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// Receivers, their blocks and their rate.
@Suite struct ReceiverTests {
  private func harness(
    _ settings: [String: String] = [:], interval: Duration = .seconds(1), checkpoint: String? = nil
  ) throws -> StreamHarness {
    try StreamHarness(interval: interval, checkpoint: checkpoint, settings: settings)
  }

  /// Stores a number every 10 ms.
  private func count(_ harness: StreamHarness, _ receiver: HandReceiver<Int>, every step: Duration = .milliseconds(10))
  {
    let numbers = Cell(0)
    let world = harness.simulation
    @Sendable func next() {
      if !receiver.starts.value.isEmpty { receiver.supervisor.store(numbers.value) }
      numbers.value += 1
      world.after(step) { next() }
    }
    world.after(step) { next() }
  }

  @Test func aTaskForEachBlockInterval() throws {
    for (setting, tasks) in [(nil, 5), ("100ms", 10), ("500ms", 2), ("3s", 1)] {
      let harness = try harness(setting.map { ["sluice.streaming.blockInterval": $0] } ?? [:])
      let receiver = HandReceiver<Int>(harness.simulation.clock)
      let batches = Cell<[[Int]]>([])
      harness.context.receiverStream(receiver).foreachRDD { batch in
        batches.value.append(try batch.glom().collect().map(\.count))
      }
      try harness.start()
      count(harness, receiver)
      try harness.advance(6)
      try harness.stop()
      // Neither the first nor those of the stop.
      for batch in batches.value[2..<5] {
        #expect(batch.count == tasks, "\(setting ?? "default"): \(batch)")
        #expect(batch.reduce(0, +) == 100)
      }
    }
  }

  @Test func everyKindOfStore() throws {
    let harness = try harness()
    let receiver = HandReceiver<Int>(harness.simulation.clock)
    let batches = Cell<[[[Int]]]>([])
    let stored = Cell<[String]>([])
    harness.context.receiverStream(receiver).foreachRDD { batches.value.append(try $0.glom().collect()) }
    try harness.start()
    let supervisor = receiver.supervisor
    #expect(supervisor.store(1))
    #expect(supervisor.store(2))
    #expect(supervisor.store([3, 4]) { stored.value.append("group \($0 == nil)") })
    #expect(supervisor.store(contentsOf: 5...7) { stored.value.append("sequence \($0 == nil)") })
    var writer = ByteWriter()
    for number in [8, 9] { number.encode(to: &writer) }
    let bytes = writer.finish()
    #expect(try supervisor.store(encoded: bytes) { stored.value.append("bytes \($0 == nil)") })
    #expect(throws: StreamDecodingError.self) { try supervisor.store(encoded: Bytes([0xFF])) }
    #expect(supervisor.store([]) { stored.value.append("empty \($0 == nil)") })
    #expect(stored.value == [])
    try harness.advance(2)
    try harness.stop()
    #expect(stored.value == ["group true", "sequence true", "bytes true", "empty true"])
    #expect(batches.value.first { !$0[0].isEmpty } == [[3, 4], [5, 6, 7], [8, 9], [1, 2]])
    #expect(!supervisor.store(10))
    #expect(supervisor.isStopped)
  }

  @Test func aGracefulStopWorksThroughWhatWasReceived() throws {
    let harness = try harness()
    let receiver = HandReceiver<Int>(harness.simulation.clock)
    let results = Cell<[[Int]]>([])
    harness.context.receiverStream(receiver).record(into: results)
    try harness.start()
    try harness.advance(2)
    for number in 0..<10 { receiver.supervisor.store(number) }
    receiver.supervisor.store([10, 11])
    try harness.stop()
    #expect(harness.end == ["ended"])
    #expect(results.value.flatMap { $0 }.sorted() == Array(0..<12))
    #expect(receiver.stops.value == 1)
  }

  @Test func theRateIsKept() throws {
    let harness = try harness(["sluice.streaming.receiver.maxRate": "100"])
    let receiver = HandReceiver<Int>(harness.simulation.clock)
    let results = Cell<[[Int]]>([])
    harness.context.receiverStream(receiver).record(into: results)
    try harness.start()
    let supervisor = receiver.supervisor
    let welcome = (0..<1000).map { supervisor.store($0) }
    // Two block intervals' worth are welcome.
    #expect(welcome.firstIndex(of: false) == 40)
    try harness.advance(8)
    let sizes = results.value.map(\.count)
    #expect(sizes.dropFirst(1).allSatisfy { (99...101).contains($0) }, "\(sizes)")
    #expect(receiver.resumes.value == 0)
    try harness.advance(5)
    #expect(results.value.flatMap { $0 } == Array(0..<1000))
    #expect(receiver.resumes.value == 1)
    try harness.stop()
  }

  @Test func listenersHearOfReceivers() throws {
    struct Trouble: Error {}
    let harness = try harness()
    let receiver = HandReceiver<Int>(harness.simulation.clock)
    let recorder = ReceiverRecorder()
    harness.context.addStreamingListener(recorder)
    harness.context.receiverStream(receiver, name: "my receiver").print()
    try harness.start()
    try harness.advance()
    receiver.supervisor.reportError("a bad record", error: Trouble())
    receiver.supervisor.restart("the line is dead")
    try harness.advance()
    receiver.supervisor.stop("enough")
    try harness.advance()
    #expect(
      recorder.events.value == [
        "started my_receiver restarts=0", "error active: a bad record: Trouble()", "error waiting: the line is dead",
        "started my_receiver restarts=1", "stopped: enough",
      ])
    #expect(receiver.starts.value.count == 2 && receiver.stops.value == 2)
    #expect(harness.log.contains("my_receiver: the line is dead"))
    try harness.stop()
  }

  @Test func restartsBackOff() throws {
    let harness = try harness()
    let receiver = HandReceiver<Int>(harness.simulation.clock) { $0.restart("no luck") }
    harness.context.receiverStream(receiver).print()
    try harness.start()
    try harness.advance(100)
    let starts = receiver.starts.value
    let waits = zip(starts, starts.dropFirst()).map { ($1 - $0).inMilliseconds }
    #expect(waits == [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000])
    try harness.stop()
  }

  @Test func theLifeOfAReceiver() {
    var life = ReceiverLife(delayFirst: .milliseconds(100), delayMax: .seconds(1))
    #expect(life.restartRequested("early", after: nil) == [])
    #expect(life.delayPassed() == [])
    #expect(life.startRequested() == [.reportStarted, .start])
    #expect(life.startRequested() == [])
    #expect(
      life.restartRequested("a", after: nil) == [.stop, .reportError("a"), .wait(.milliseconds(100))])
    #expect(life.restartRequested("b", after: nil) == [])
    #expect(life.delayPassed() == [.reportStarted, .start])
    #expect(life.delayPassed() == [])
    #expect(
      life.restartRequested("c", after: nil) == [.stop, .reportError("c"), .wait(.milliseconds(200))])
    #expect(life.delayPassed() == [.reportStarted, .start])
    life.received()
    #expect(
      life.restartRequested("d", after: .seconds(7)) == [.stop, .reportError("d"), .wait(.seconds(7))])
    #expect(life.stopRequested("e") == [.reportStopped("e")])
    #expect(life.delayPassed() == [])
    #expect(life.stopRequested("f") == [])
    #expect(life.state == .ended && life.restarts == 2)
  }

  @Test func whatCannotBeIsSaidAtStart() throws {
    struct Opaque: Sendable {}
    let log = ["sluice.streaming.receiver.writeAheadLog.enable": "true"]
    var problems: [String] = []
    for (settings, checkpoint, isOpaque) in [
      (log, nil, false), (log, "/state", true), (["sluice.streaming.blockInterval": "soon"], nil, false),
      (["sluice.streaming.receiver.maxRate": "much"], nil, false),
    ] as [([String: String], String?, Bool)] {
      let harness = try harness(settings, checkpoint: checkpoint)
      if isOpaque {
        harness.context.receiverStream(HandReceiver<Opaque>(harness.simulation.clock)).print()
      } else {
        harness.context.receiverStream(HandReceiver<Int>(harness.simulation.clock)).print()
      }
      do { try harness.start() } catch { problems.append("\(error)") }
    }
    #expect(
      problems == [
        "sluice.streaming.receiver.writeAheadLog.enable needs a checkpoint folder: set sluice.streaming.checkpoint",
        "receiver-0: sluice.streaming.receiver.writeAheadLog.enable is set, but Opaque is not StreamCodable: make it so, "
          + "or turn the log off",
        "sluice.streaming.blockInterval=soon is not possible: choose 1ms or more, such as 200ms",
        "sluice.streaming.receiver.maxRate=much is no number of records",
      ])
  }

  @Test func withoutALogItIsAtMostOnce() throws {
    let harness = try harness()
    harness.context.receiverStream(HandReceiver<Int>(harness.simulation.clock)).print()
    try harness.start()
    #expect(
      harness.log == [
        "output print-1: at-most-once (what receiver-0 received is kept in memory only: set "
          + "sluice.streaming.receiver.writeAheadLog.enable=true)"
      ])
    try harness.stop()
  }

  /// Pieces cut anywhere give the lines of the whole, and parts cut anywhere give each line once.
  @Test func linesAreCutAnywhere() {
    var wrong: [String] = []
    for seed in UInt64(1)...300 {
      var random = SeededRandom(seed: seed)
      let text = (0..<Int(random.next() % 60)).map { _ in [10, 13, 97, 98, 99][Int(random.next() % 5)] as UInt8 }
      var expected = text.split(separator: 10, omittingEmptySubsequences: false).map(Array.init)
      if expected.last!.isEmpty { expected.removeLast() }
      expected = expected.map { $0.last == 13 ? $0.dropLast() : $0 }
      var cutter = LineCutter()
      var found: [[UInt8]] = []
      var position = 0
      while position < text.count {
        let end = min(text.count, position + 1 + Int(random.next() % 7))
        cutter.feed(Bytes(text[position..<end])) { found.append(Array($0)) }
        position = end
      }
      cutter.finish { found.append(Array($0)) }
      if found != expected { wrong.append("seed \(seed): \(text) gave \(found)") }
    }
    #expect(wrong == [])
  }

  @Test func theGateHoldsTheRate() {
    var now = Instant(nanoseconds: 0)
    var gate = RateGate(perSecond: 1000, burst: .milliseconds(100), now: now)
    var passed = 0
    var random = SeededRandom(seed: 2)
    for _ in 0..<1000 {
      let wanted = Int(random.next() % 50)
      let count = min(wanted, gate.allowance(at: now))
      gate.take(count)
      passed += count
      now = now + .milliseconds(10)
      #expect(passed <= 100 + Int(Double(now.nanoseconds) / 1e6))
    }
    #expect(passed > 9000)
    var open = RateGate(perSecond: nil, burst: .milliseconds(100), now: now)
    open.take(1_000_000)
    #expect(open.allowance(at: now) == .max)
  }
}
