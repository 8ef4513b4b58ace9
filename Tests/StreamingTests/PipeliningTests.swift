import Datasets
import Groundwork
import JobScheduling
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

private let pipelined = ["sluice.streaming.pipelining": "true"]

/// A batch is computed while the decision about the one before it is waited for: on what that one left, and in vain where
/// it does not happen. A step of these tests is an interval; the answers are the test's.
@Suite struct PipeliningTests {
  /// Counts numbers by their remainder by 10, in state: the output of 12 as the third number with that remainder is 203.
  private final class Job {
    let harness: StreamHarness
    let process: SimulatedProcess
    let log: TestLog<Int>
    let decisions: WithheldDecisions
    let sum: Accumulator<LongAccumulation>
    var story: [String] { decisions.takeStory() }

    /// - Parameter before: the run before, whose log, disk and decider are there still.
    init(
      after before: Job? = nil, settings: [String: String] = [:], availableNow: Bool = false, limit: Int = .max,
      failing: @escaping @Sendable (Int) -> Bool = { _ in false },
      define: (StreamingContext, WithheldDecisions.Client) -> Void = { _, _ in }
    ) throws {
      let simulation = before?.harness.simulation ?? SimulatedWorld(seed: 1)
      process = simulation.makeProcess(named: "job", executors: 2)
      harness = try StreamHarness(
        availableNow: availableNow, checkpoint: "/checkpoint", process: process, simulation: simulation,
        settings: pipelined.merging(settings) { $1 })
      log = before?.log ?? TestLog(partitions: 1)
      decisions = before?.decisions ?? WithheldDecisions()
      let sum = harness.context.sluice.longAccumulator("sum")
      self.sum = sum
      let spec = StateSpec.function { (key: Int, value: Int?, state: State<Int>) -> Int in
        let count = (state.get() ?? 0) + 1
        state.update(count)
        return key * 100 + count
      }.initialState([(9, 50)])
      let counts = log.stream(harness.context, limit: limit).map { number -> (Int, Int) in
        sum.add(number)
        if failing(number) { throw Bad(number: number) }
        return (number % 10, number)
      }.mapWithState(spec).named("counts")
      let client = WithheldDecisions.Client(decisions)
      let sink = WithheldDecisions.WithheldSink("sink", client)
      counts.write(to: sink, label: "ledger") { dataset, partition, task in
        var elements: [Int] = []
        try dataset.compute(partition, task) { elements += $0 }
        return TaskOutput(records: elements.count, bytes: 0, payload: elements)
      }
      define(harness.context, client)
      harness.context.addStreamingListener(BatchStory(decisions.story))
      try harness.start()
    }

    struct Bad: Error { var number: Int }

    /// Adds numbers, and lets the interval pass after which they are in a batch.
    func add(_ numbers: Int...) throws {
      log.append(numbers, to: 0)
      try harness.advance()
    }

    func settle() throws { try harness.simulation.run(for: .milliseconds(50)) }

    /// The number of each plan, or of each batch in the commit log, and what its first source gave it.
    func records(_ name: String) throws -> [String] {
      try BatchJournal.records(in: "/checkpoint/\(name)", process.world.files).filter { $0.outcome != .prepared }.map {
        let range = $0.sources[0].plan.ranges[0]
        return "\($0.batch.number): \(range.from)-\(range.until)\($0.outcome == .skipped ? " skipped" : "")"
      }
    }

    /// Bytes of the state's log.
    func stateBytes() throws -> Int64 {
      let files = process.world.files
      return try files.list("/checkpoint/state").filter { $0.hasPrefix("deltas") }.reduce(0) {
        try $0 + (files.attributes("/checkpoint/state/\($1)")?.size ?? 0)
      }
    }
  }

  private static let retry = [
    "sluice.streaming.onBatchFailure": "retry", "sluice.streaming.onBatchFailure.backoff": "3s",
  ]

  @Test func nothingOfABatchLeavesBeforeTheOneBeforeItIsDecided() throws {
    let job = try Job()
    try job.add(1, 2, 9)
    #expect(job.story == ["begin 1", "computed 1", "prepare 1", "ask 1"])
    let bytes = try job.stateBytes()
    try job.add(2, 9)
    #expect(job.story == ["begin 2", "computed 2"])
    // There is no room for a third.
    try job.add(3)
    #expect(job.story == [] && job.decisions.asked == [1])
    #expect(try job.stateBytes() == bytes)
    #expect(try job.records("plans") == ["1: 0-3", "2: 3-5"])
    #expect(try job.records("commits") == [])
    #expect(job.sum.value == 12)
    job.decisions.decide()
    try job.settle()
    #expect(job.story == ["end 1", "prepare 2", "ask 2", "begin 3", "computed 3"])
    #expect(try job.stateBytes() > bytes && job.sum.value == 23)
    #expect(try job.records("commits") == ["1: 0-3"])
    // It has been computed on what the first one left.
    job.decisions.decide()
    try job.settle()
    job.decisions.decide()
    #expect(job.decisions.shown == [[101, 201, 951], [202, 952], [301]])
    job.harness.context.stop()
    try job.settle()
    #expect(job.harness.end == ["ended"] && job.sum.value == 26)
  }

  @Test func withoutPipeliningABatchWaits() throws {
    let job = try Job(settings: ["sluice.streaming.pipelining": "false"])
    try job.add(1)
    try job.add(2)
    #expect(job.story == ["begin 1", "computed 1", "prepare 1", "ask 1"])
    job.decisions.decide()
    try job.settle()
    #expect(job.story == ["end 1", "begin 2", "computed 2", "prepare 2", "ask 2"])
  }

  /// - Parameter isComputed: whether the second batch has been computed when it is given up.
  @Test(arguments: [true, false]) func whatWasComputedOnABatchThatFailsIsGivenUp(isComputed: Bool) throws {
    let job = try Job(settings: Self.retry)
    try job.add(1, 2, 9)
    if !isComputed { job.process.runner.mode = .held }
    try job.add(2, 9)
    #expect(job.story.suffix(2) == (isComputed ? ["begin 2", "computed 2"] : ["ask 1", "begin 2"]))
    job.decisions.abort()
    job.process.runner.mode = .atOnce
    job.process.runner.runAllHeld()
    try job.settle()
    let story = job.story
    #expect(story.filter { $0 != "discard output" } == ["failed 1", "given up 2"])
    #expect(story.contains("discard output") == isComputed)
    try job.harness.advance(4)
    #expect(
      job.story == [
        "begin 1 again", "computed 1", "prepare 1", "ask 1", "begin 2 again", "computed 2",
      ])
    try job.add(3)
    job.decisions.decide()
    try job.settle()
    job.decisions.decide()
    try job.settle()
    job.decisions.decide()
    try job.settle()
    #expect(job.decisions.shown == [[101, 201, 951], [202, 952], [301]])
    #expect(try job.records("plans") == ["1: 0-3", "2: 3-5", "2: 3-5", "3: 5-6"])
    #expect(try job.records("commits").prefix(3) == ["1: 0-3", "2: 3-5", "3: 5-6"])
    // What failed had its turn, so what it added counts; what was given up does not.
    #expect(job.sum.value == 12 + 12 + 11 + 3)
    try job.harness.stop()
    #expect(job.harness.end == ["ended"])
  }

  @Test func aBatchBehindOneThatIsPassedOverKnowsNothingOfIt() throws {
    let job = try Job(settings: ["sluice.streaming.onBatchFailure": "skip"])
    try job.add(1, 2, 9)
    try job.add(2, 9)
    _ = job.story
    job.decisions.abort()
    try job.settle()
    #expect(
      job.story.filter { $0 != "discard output" } == [
        "failed 1", "given up 2", "begin 2 again", "computed 2", "prepare 2", "ask 2",
      ])
    job.decisions.decide()
    try job.add(1)
    job.decisions.decide()
    try job.settle()
    // The initial state of 9 is still taken in by the first batch that happens.
    #expect(job.decisions.shown == [[201, 951], [101]])
    #expect(try job.records("commits").prefix(3) == ["1: 0-3 skipped", "2: 3-5", "3: 5-6"])
    try job.harness.stop()
    #expect(job.harness.end == ["ended"])
  }

  @Test func aBatchThatFailsWhileTheOneBeforeIsDecidedWaitsForThat() throws {
    let isBroken = Cell(true)
    let job = try Job(settings: Self.retry) { $0 == 2 && isBroken.value }
    try job.add(1)
    try job.add(2)
    #expect(job.story.suffix(2) == ["begin 2", "failed 2"])
    isBroken.value = false
    try job.harness.advance(5)
    #expect(job.story == [])
    job.decisions.decide()
    try job.harness.advance(4)
    #expect(job.story.prefix(4) == ["end 1", "begin 2 again", "computed 2", "prepare 2"])
    job.decisions.decide()
    #expect(job.decisions.shown == [[101], [201]])
  }

  /// The job ends; what the decider did is found out by the next run, and the batch behind it runs again over its input.
  @Test(arguments: ["abort", "lose", "decide", "kill", "decide and kill"])
  func aRestartTakesUpBoth(end: String) throws {
    let job = try Job()
    try job.add(1, 2)
    try job.add(2, 3)
    _ = job.story
    switch end {
    case "abort": job.decisions.abort()
    case "lose": job.decisions.lose()
    case "decide":
      job.decisions.decide(isHeard: false)
      job.harness.context.fail(LedgerError())
    case "kill": job.process.kill()
    default:
      job.decisions.decide(isHeard: false)
      job.process.kill()
    }
    try job.settle()
    if end.hasSuffix("kill") {
      #expect(job.harness.end == [])
    } else {
      #expect(job.harness.end.count == 1 && job.harness.end != ["ended"])
      #expect(job.story.contains("given up 2"))
    }
    let isDecided = end.hasPrefix("decide")
    #expect(job.decisions.shown == (isDecided ? [[101, 201]] : []))
    // More arrives: neither batch grows by it.
    job.log.append([3], to: 0)
    let next = try Job(after: job)
    if !isDecided {
      #expect(next.decisions.asked == [1])
      next.decisions.decide()
      try next.settle()
    }
    #expect(next.decisions.asked == [2])
    next.decisions.decide()
    try next.harness.advance()
    next.decisions.decide()
    try next.settle()
    #expect(next.decisions.shown == [[101, 201], [202, 301], [302]])
    try next.harness.stop()
  }

  @Test func aGracefulStopEndsBoth() throws {
    let job = try Job()
    try job.add(1)
    try job.add(2)
    try job.add(3)
    job.harness.context.stop()
    try job.settle()
    job.decisions.decide()
    try job.settle()
    #expect(job.harness.end == [] && job.decisions.asked == [2])
    job.decisions.decide()
    try job.settle()
    #expect(job.harness.end == ["ended"] && job.decisions.shown == [[101], [201]])
  }

  /// A commit that has begun goes on to its end, and what was computed on it is not waited for.
  @Test func aStopThatDoesNotWaitGivesUpTheSecond() throws {
    let job = try Job()
    try job.add(1)
    try job.add(2)
    job.harness.context.stop(gracefully: false)
    try job.settle()
    #expect(job.story.suffix(2) == ["discard output", "given up 2"])
    job.decisions.decide()
    try job.settle()
    #expect(job.harness.end == ["ended"] && job.decisions.shown == [[101]])
    let next = try Job(after: job)
    #expect(next.decisions.asked == [2])
  }

  @Test func batchesOfADrainOverlap() throws {
    let before = try Job()
    try before.harness.stop()
    before.log.append([1, 2, 3, 4, 5], to: 0)
    _ = before.story
    let job = try Job(after: before, availableNow: true, limit: 2)
    try job.settle()
    #expect(job.decisions.asked.count == 1 && job.story.suffix(1).first?.hasPrefix("computed") == true)
    for _ in 0..<3 {
      job.decisions.decide()
      try job.settle()
    }
    #expect(job.harness.end == ["ended"] && job.decisions.shown == [[101, 201], [301, 401], [501]])
  }

  /// An action has effects of its own: it waits, and with it what is defined behind it.
  @Test(arguments: ["decide", "abort"]) func anActionWaitsForItsTurn(answer: String) throws {
    let seen = Cell<[Int]>([])
    let sums = Cell<[Int]>([])
    let sum = Cell<Accumulator<LongAccumulation>?>(nil)
    let define: (StreamingContext, WithheldDecisions.Client) -> Void = { context, _ in
      let numbers = TestLog<Int>("numbers", partitions: 1)
      numbers.append([1, 2, 3], to: 0)
      numbers.stream(context, limit: 1).foreachRDD { dataset in
        seen.value += try dataset.collect()
        sums.value.append(sum.value?.value ?? -1)
      }
    }
    let job = try Job(settings: Self.retry, define: define)
    sum.value = job.sum
    try job.add(1)
    #expect(job.decisions.asked == [1] && seen.value == [1] && sums.value == [1])
    try job.add(2)
    #expect(job.story.suffix(2) == ["begin 2", "computed 2"] && seen.value == [1])
    if answer == "abort" {
      job.decisions.abort()
      try job.harness.advance(4)
      #expect(job.story.suffix(2) == ["begin 2 again", "computed 2"] && seen.value == [1, 1])
    }
    job.decisions.decide()
    try job.settle()
    #expect(seen.value.suffix(2) == [1, 2] && job.sum.value == (answer == "abort" ? 4 : 3))
    #expect(sums.value.last == job.sum.value && job.decisions.asked == [2])
    job.decisions.decide()
    try job.harness.stop()
    #expect(job.decisions.shown == [[101], [201]])
  }

  /// A batch goes by what the batches before it have seen, decided or not; what is passed over has not been seen.
  @Test(arguments: [true, false]) func aWatermarkFollowsWhatWasComputed(isSkipped: Bool) throws {
    let keeper = Cell<WatermarkKeeper?>(nil)
    let define: (StreamingContext, WithheldDecisions.Client) -> Void = { context, client in
      let times = TestLog<Int>("times", partitions: 1)
      times.append([1000], to: 0)
      let timed = times.stream(context, limit: 1).withEventTime({ Timestamp(milliseconds: Int64($0)) }, delay: .zero)
      let sink = WithheldDecisions.WithheldSink("times", client)
      timed.elements.write(to: sink, label: "times") { dataset, partition, task in
        try dataset.compute(partition, task) { _ in }
        return TaskOutput(records: 0, bytes: 0, payload: [Int]())
      }
      keeper.value = timed.keeper
    }
    let job = try Job(settings: ["sluice.streaming.onBatchFailure": "skip"], define: define)
    func notes() throws -> [String?] {
      try BatchJournal.records(in: "/checkpoint/plans", job.process.world.files).filter { $0.outcome == nil }.map {
        $0.note(keeper.value?.key ?? "")
      }
    }
    try job.add(1)
    try job.add(2)
    #expect(try notes() == ["-", "1000"])
    if isSkipped { job.decisions.abort() } else { job.decisions.decide() }
    try job.settle()
    #expect(try notes() == (isSkipped ? ["-", "1000", "-"] : ["-", "1000"]))
    #expect(keeper.value?.latestWatermark == (isSkipped ? nil : 1000))
  }

  /// Computing a batch must have no effect of its own; and a batch that is tried again must find what it was made of.
  @Test func whatCannotOverlapDoesNot() throws {
    func overlaps(
      _ settings: [String: String] = pipelined, actionFirst: Bool = false,
      _ define: @escaping (StreamHarness, DStream<Int>) -> Void = { _, _ in }
    ) throws -> Bool {
      let harness = try StreamHarness(settings: settings)
      let stream = harness.context.queueStream(QueueSource<Int>())
      if actionFirst { stream.print() }
      let sink = WithheldDecisions.WithheldSink(
        "sink", WithheldDecisions.Client(WithheldDecisions(), answersAtOnce: true))
      stream.write(to: sink, label: "sink") { _, _, _ in TaskOutput(records: 0, bytes: 0, payload: [Int]()) }
      define(harness, stream)
      try harness.start()
      try harness.advance()
      defer { harness.context.stop(gracefully: false) }
      return try #require(harness.context.driver).overlaps
    }
    #expect(try overlaps())
    #expect(try overlaps { _, stream in stream.print() })
    // Who does not ask for it does without.
    #expect(try !overlaps([:]))
    #expect(try !overlaps(["sluice.streaming.pipelining": "false"]))
    #expect(try !overlaps(actionFirst: true))
    func windows(_ harness: StreamHarness, _ stream: DStream<Int>) {
      let loop = harness.context.environment.loop
      let sink = LedgerSink("windows", .careless, Ledger.Client(Ledger(keepsRecord: true, loop), loop))
      let counts: DStream<(Int, Int)> = stream.map { ($0, 1) }.reduceByKeyAndWindow(window: .seconds(3)) { $0 + $1 }
      counts.write(to: sink, label: "windows") { _, _, _ in TaskOutput(records: 0, bytes: 0, payload: [Int]()) }
    }
    #expect(try overlaps(pipelined, windows))
    #expect(try !overlaps(pipelined.merging(["sluice.streaming.onBatchFailure": "skip"]) { $1 }, windows))
    #expect(throws: StreamingError.self) {
      let harness = try StreamHarness(settings: ["sluice.streaming.pipelining": "maybe"])
      harness.context.queueStream(QueueSource<Int>()).print()
      try harness.start()
      if let end = harness.end.first { throw StreamingError.invalidDefinition(end) }
    }
  }
}
