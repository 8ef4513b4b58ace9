import Datasets
import Groundwork
import JobScheduling
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// Several batches at once: computed side by side, committed one after the other, in their order.
@Suite struct ConcurrentBatchesTests {
  private final class Recorder: StreamingListener {
    let events = Cell<[String]>([])
    func onBatchSubmitted(_ batch: BatchInfo) { events.value.append("begin \(batch.number)") }
    func onBatchCompleted(_ batch: BatchInfo) {
      events.value.append(batch.failureReason == nil ? "end \(batch.number)" : "fail \(batch.number)")
    }
  }

  /// A job over a log of numbers, whose tasks run when the test says so.
  private final class Job {
    let harness: StreamHarness
    let process: SimulatedProcess
    let recorder = Recorder()
    let log: TestLog<Int>
    let ledger: Ledger
    var events: [String] {
      defer { recorder.events.value = [] }
      return recorder.events.value
    }
    var visible: [[Int]] { (ledger.content.value.visible["sink"] ?? []).map { $0.elements.sorted() } }

    /// - Parameter before: the run before, whose log, ledger and disk are there still.
    init(
      concurrency: Int = 2, after before: Job? = nil, settings: [String: String] = [:],
      mode: SimulatedRunner.Mode = .held, failing: @escaping @Sendable (Int) -> Bool = { _ in false }
    ) throws {
      let simulation = before?.harness.simulation ?? SimulatedWorld(seed: 1)
      process = simulation.makeProcess(named: "job")
      process.runner.mode = mode
      var settings = settings
      settings["sluice.streaming.concurrentJobs"] = "\(concurrency)"
      harness = try StreamHarness(
        checkpoint: "/checkpoint", process: process, simulation: simulation, settings: settings)
      log = before?.log ?? TestLog(partitions: 1)
      ledger =
        before?.ledger
        ?? Ledger(keepsRecord: true, simulation.makeProcess(named: "ledger").makeLoop(named: "ledger"))
      harness.context.addStreamingListener(recorder)
      let sink = LedgerSink("sink", .careless, Ledger.Client(ledger, harness.context.environment.loop))
      log.stream(harness.context).write(to: sink, label: "ledger") { dataset, partition, task in
        var elements: [Int] = []
        try dataset.compute(partition, task) { elements += $0 }
        if let bad = elements.first(where: failing) { throw Bad(number: bad) }
        return TaskOutput(records: elements.count, bytes: 0, payload: elements)
      }
    }

    struct Bad: Error { var number: Int }

    /// Adds a number, and lets the interval pass after which it is in a batch.
    func add(_ number: Int) throws {
      log.append([number], to: 0)
      try harness.advance()
    }

    /// Runs the tasks that are held now, the last first.
    func runHeldBackwards() throws {
      for index in (0..<process.runner.heldCount).reversed() { process.runner.runHeld(at: index) }
      try harness.simulation.run(for: .milliseconds(100))
    }

    /// Runs one held task, and all its attempts where it fails.
    func runHeld(at index: Int, attempts: Int = 1) throws {
      for attempt in 0..<attempts {
        // A repeated task is held behind the others.
        process.runner.runHeld(at: attempt == 0 ? index : process.runner.heldCount - 1)
        try harness.simulation.run(for: .milliseconds(10))
      }
      try harness.simulation.run(for: .milliseconds(50))
    }

    func runToEnd() throws {
      for _ in 0..<100 where harness.end.isEmpty {
        process.runner.runAllHeld()
        try harness.simulation.run(for: .milliseconds(500))
      }
    }

    /// The outcomes of the commit log.
    func committed() throws -> [String] {
      try BatchJournal.records(in: "/checkpoint/commits", process.world.files).map {
        "\($0.batch.number) \($0.outcome.map { "\($0)" } ?? "-")"
      }
    }
  }

  @Test func batchesOverlapAndCommitInTheirOrder() throws {
    let job = try Job()
    try job.harness.start()
    try job.add(1)
    try job.add(2)
    // There is no room for a third.
    try job.add(3)
    #expect(job.events == ["begin 1", "begin 2"])
    #expect(job.process.runner.heldCount == 2)
    try job.runHeld(at: 1)
    // The second is computed, and waits.
    #expect(job.events == [] && job.visible == [] && job.process.runner.heldCount == 1)
    try job.runHeld(at: 0)
    // As soon as there is room the third begins: its tick has passed.
    #expect(job.events == ["end 1", "begin 3", "end 2"])
    #expect(job.visible == [[1], [2]])
    #expect(try job.committed() == ["1 committed", "2 committed"])
    try job.add(4)
    #expect(job.events == ["begin 4"])
    job.harness.context.stop()
    try job.runToEnd()
    #expect(job.harness.end == ["ended"])
    #expect(job.visible.flatMap { $0 } == [1, 2, 3, 4])
  }

  @Test func aGracefulStopWaitsForAll() throws {
    let job = try Job(concurrency: 3)
    try job.harness.start()
    for number in 1...3 { try job.add(number) }
    job.harness.context.stop()
    try job.harness.simulation.run(for: .seconds(2))
    #expect(job.harness.end == [] && job.events == ["begin 1", "begin 2", "begin 3"])
    try job.runHeldBackwards()
    #expect(job.events == ["end 1", "end 2", "end 3"] && job.harness.end == ["ended"])
    #expect(job.visible == [[1], [2], [3]])
  }

  @Test(arguments: [true, false]) func aStopThatIsNotWaitedForCommitsNothing(isTimeout: Bool) throws {
    let job = try Job(settings: ["sluice.streaming.gracefulStopTimeout": "1s"])
    try job.harness.start()
    try job.add(1)
    try job.add(2)
    try job.runHeld(at: 1)
    job.harness.context.stop(gracefully: isTimeout)
    try job.harness.simulation.run(for: .seconds(3))
    #expect(job.harness.end.count == 1 && job.harness.end != ["ended"])
    #expect(job.visible == [])
    // Both are run again, one after the other.
    let next = try Job(after: job, mode: .atOnce)
    try next.harness.start()
    try next.harness.advance()
    #expect(next.events.prefix(4) == ["begin 1", "end 1", "begin 2", "end 2"])
    try next.harness.stop()
    #expect(next.visible == [[1], [2]])
  }

  @Test func theFirstFailsAndNoLaterOneCommits() throws {
    let job = try Job(concurrency: 3, failing: { $0 == 1 })
    try job.harness.start()
    for number in 1...3 { try job.add(number) }
    try job.runHeld(at: 1)
    try job.runHeld(at: 0, attempts: 4)
    #expect(job.harness.end.first?.contains("Bad(number: 1)") == true)
    #expect(job.visible == [])
    #expect(try job.committed() == [])
    let next = try Job(after: job, mode: .atOnce)
    try next.harness.start()
    try next.harness.advance()
    try next.harness.stop()
    #expect(next.harness.end == ["ended"] && next.visible == [[1], [2], [3]])
    #expect(try next.committed().prefix(3) == ["1 committed", "2 committed", "3 committed"])
  }

  @Test func aLaterOneFailsAndTheFirstCommits() throws {
    let job = try Job(failing: { $0 == 2 })
    try job.harness.start()
    try job.add(1)
    try job.add(2)
    try job.runHeld(at: 1, attempts: 4)
    // What becomes of it is said when the first has ended; meanwhile nothing begins.
    #expect(job.events == ["begin 1", "begin 2", "fail 2"] && job.harness.end == [])
    try job.add(3)
    #expect(job.events == [])
    try job.runHeld(at: 0)
    #expect(job.visible == [[1]])
    #expect(try job.committed() == ["1 committed"])
    #expect(job.harness.end.first?.contains("Bad(number: 2)") == true)
  }

  @Test func aBatchIsRetriedInItsPlace() throws {
    let isBroken = Cell(true)
    let job = try Job(
      settings: ["sluice.streaming.onBatchFailure": "retry", "sluice.streaming.onBatchFailure.backoff": "3s"],
      failing: { $0 == 1 && isBroken.value })
    try job.harness.start()
    try job.add(1)
    try job.add(2)
    try job.runHeld(at: 0, attempts: 4)
    try job.runHeldBackwards()
    isBroken.value = false
    #expect(job.events == ["begin 1", "begin 2", "fail 1"] && job.visible == [])
    try job.harness.advance(4)
    #expect(job.events == ["begin 1"] && job.process.runner.heldCount == 1)
    try job.runHeld(at: 0)
    #expect(job.visible == [[1], [2]] && job.events.filter { $0.hasPrefix("end") } == ["end 1", "end 2"])
    job.harness.context.stop()
    try job.runToEnd()
    #expect(job.harness.end == ["ended"])
  }

  @Test(arguments: [1, 2]) func aBatchIsSkippedInItsPlace(bad: Int) throws {
    let job = try Job(settings: ["sluice.streaming.onBatchFailure": "skip"], failing: { $0 == bad })
    try job.harness.start()
    try job.add(1)
    try job.add(2)
    if bad == 1 {
      try job.runHeld(at: 1)
      try job.runHeld(at: 0, attempts: 4)
    } else {
      try job.runHeld(at: 1, attempts: 4)
      try job.runHeld(at: 0)
    }
    #expect(job.visible == [[3 - bad]])
    #expect(try job.committed() == (bad == 1 ? ["1 skipped", "2 committed"] : ["1 committed", "2 skipped"]))
    job.harness.context.stop()
    try job.runToEnd()
    #expect(job.harness.end == ["ended"])
  }

  @Test func whatWasUndecidedAtACrashRunsAgainInOrder() throws {
    let job = try Job(concurrency: 4)
    try job.harness.start()
    for number in 1...4 { try job.add(number) }
    try job.runHeld(at: 0)
    try job.runHeld(at: 1)
    #expect(job.visible == [[1]])
    job.process.kill()
    try job.harness.advance(2)
    let next = try Job(concurrency: 4, after: job, mode: .atOnce)
    try next.harness.start()
    try next.harness.advance()
    #expect(next.events.prefix(6) == ["begin 2", "end 2", "begin 3", "end 3", "begin 4", "end 4"])
    try next.harness.stop()
    #expect(next.visible == [[1], [2], [3], [4]])
  }

  @Test func actionsOfTwoBatchesOverlap() throws {
    let simulation = SimulatedWorld(seed: 1)
    let process = simulation.makeProcess(named: "job")
    process.runner.mode = .held
    let harness = try StreamHarness(
      process: process, simulation: simulation, settings: ["sluice.streaming.concurrentJobs": "2"])
    let queue = QueueSource<Int>()
    for number in 1...4 { queue.append([number]) }
    let story = Cell<[String]>([])
    let sluice = harness.context.sluice
    let stream = harness.context.queueStream(queue, partitions: 1).map { $0 * 10 }
    stream.foreachRDD { dataset in
      let before = sluice.localProperty("mark") ?? "-"
      sluice.setLocalProperty("mark", "set")
      story.value.append("begin, mark \(before)")
      story.value.append("end \(try dataset.collect())")
    }
    stream.foreachRDD { dataset in story.value.append("then \(try dataset.collect())") }
    try harness.start()
    for second in 3...12 { simulation.after(.milliseconds(Int64(second) * 1000 - 500)) { process.runner.runAllHeld() } }
    simulation.after(.milliseconds(2400)) { #expect(story.value == ["begin, mark -", "begin, mark -"]) }
    simulation.after(.seconds(9)) { harness.context.stop() }
    try simulation.run(for: .seconds(20))
    #expect(harness.end == ["ended"])
    #expect(story.value.filter { $0.hasPrefix("begin") }.allSatisfy { $0 == "begin, mark -" })
    for text in ["[10]", "[20]", "[30]", "[40]"] {
      #expect(story.value.filter { $0 == "end \(text)" }.count == 1)
      #expect(story.value.filter { $0 == "then \(text)" }.count == 1)
    }
  }

  @Test func anAvailableNowJobEndsWhenAllHaveEnded() throws {
    let harness = try StreamHarness(
      availableNow: true, checkpoint: "/checkpoint", settings: ["sluice.streaming.concurrentJobs": "3"])
    let log = TestLog<Int>()
    for number in 0..<100 { log.append([number], to: number % 2) }
    let seen = Cell<[Int]>([])
    log.stream(harness.context, limit: 7).foreachRDD { seen.value += try $0.collect() }
    try harness.start()
    try harness.simulation.run { !harness.end.isEmpty }
    #expect(harness.end == ["ended"] && seen.value.sorted() == Array(0..<100))
  }

  @Test func whatNeedsItsBatchesOneByOneIsRefusedByName() throws {
    func refusal(
      _ count: String = "2", guarantee: String = "exactly-once",
      _ define: (StreamHarness, DStream<(Int, Int)>) -> Void
    ) throws -> String? {
      let harness = try StreamHarness(
        settings: ["sluice.streaming.concurrentJobs": count, "sluice.streaming.guarantee": guarantee])
      define(harness, harness.context.queueStream(QueueSource<Int>()).map { ($0, $0) })
      do {
        try harness.start()
        try harness.stop()
        return nil
      } catch {
        return "\(error)"
      }
    }
    func text(_ reason: String) -> String {
      "sluice.streaming.concurrentJobs is 2, but \(reason): its batches run one after the other; leave it at 1, and let "
        + "more tasks run at once with sluice.master local[N]"
    }
    #expect(
      try refusal { _, pairs in pairs.updateStateByKey { $0.count + ($1 ?? 0) }.named("counted").print() }
        == text("'counted' keeps state from batch to batch"))
    #expect(
      try refusal { _, pairs in pairs.named("pairs").window(.seconds(3)).print() }
        == text("'pairs' is read by windows"))
    #expect(
      try refusal { _, pairs in pairs.reduceByKeyAndWindow(window: .seconds(3)) { $0 + $1 }.print() } != nil)
    func write(_ kind: LedgerSink.Kind, _ harness: StreamHarness, _ pairs: DStream<(Int, Int)>) {
      let ledger = Ledger(keepsRecord: true, harness.context.environment.loop)
      let sink = LedgerSink("sink", kind, Ledger.Client(ledger, harness.context.environment.loop))
      pairs.write(to: sink, label: "ledger") { _, _, _ in TaskOutput(records: 0, bytes: 0, payload: [Int]()) }
    }
    #expect(
      try refusal { write(.following, $0, $1) } == text("output 'ledger-1' to sink is exactly-once"))
    #expect(try refusal { write(.deciding, $0, $1) } != nil)
    #expect(try refusal { write(.careless, $0, $1) } == nil)
    #expect(
      try refusal("none") { _, pairs in pairs.print() }
        == "sluice.streaming.concurrentJobs: `none` is not known; give the number of batches that run at once, 1 or more"
    )
    #expect(try refusal(guarantee: "at-least-once") { _, pairs in pairs.reduceByKey { $0 + $1 }.print() } == nil)
    #expect(try refusal("1") { _, pairs in pairs.updateStateByKey { $0.count + ($1 ?? 0) }.print() } == nil)
  }
}
