import Datasets
import Groundwork
import KafkaProtocol
import Simulation
import Streaming
import Testing

@testable import KafkaStreaming

/// Jobs that are stopped or fail when it suits them least: every end comes, once, and in bounded time.
@Suite struct StopTests {
  private func copy(_ context: StreamingContext) {
    context.topicStream("in").saveToTopic("out") { ProducerRecord(key: $0.key, value: $0.value) }
  }

  /// A job that has worked and has records in memory for its next batch.
  private func running(
    _ path: PathHarness, settings: [String: String] = [:], _ define: (StreamingContext) throws -> Void
  ) throws -> PathJob {
    try path.createTopic("in", partitions: 2)
    try path.produce("in", partitions: 2, values: (0..<10).map { "a\($0)" })
    let job = try PathJob(path, settings: settings, define)
    try job.start()
    try path.simulation.run { job.batches.contains { $0.numRecords > 0 } }
    try path.produce("in", partitions: 2, values: (0..<10).map { "b\($0)" })
    try path.simulation.run(for: .milliseconds(20))
    return job
  }

  private func seconds(_ path: PathHarness, _ body: () throws -> Void) rethrows -> Double {
    let start = path.simulation.now
    try body()
    return (path.simulation.now - start).inSeconds
  }

  @Test func offsetsThatNobodyTakesDoNotHoldUpAStop() throws {
    let path = try PathHarness()
    let job = try running(path) { context in context.topicStream("in").foreachRDD { _ = try $0.count() } }
    path.killBroker()
    let count = job.batches.count
    try path.simulation.run { job.batches.count > count }
    let duration = try seconds(path) { try job.stop() }
    #expect(job.end == ["ended"])
    #expect(duration > 25 && duration < 35)
    #expect(job.log.last == "the offsets of the last batch were not committed within 30s: a restart repeats it")
  }

  @Test func aStopThatIsNotGracefulWaitsForNothing() throws {
    let path = try PathHarness()
    let job = try running(path) { context in context.topicStream("in").foreachRDD { _ = try $0.count() } }
    path.killBroker()
    let count = job.batches.count
    try path.simulation.run { job.batches.count > count }
    let duration = try seconds(path) { try job.stop(gracefully: false) }
    #expect(duration < 0.1)
    #expect(job.end.count == 1)
  }

  @Test func aSecondStopHurriesTheFirst() throws {
    let path = try PathHarness()
    let job = try running(path) { context in context.topicStream("in").foreachRDD { _ = try $0.count() } }
    path.killBroker()
    let count = job.batches.count
    try path.simulation.run { job.batches.count > count }
    job.context.stop()
    try path.simulation.run(for: .seconds(2))
    #expect(!job.hasEnded)
    let duration = try seconds(path) { try job.stop(gracefully: false) }
    #expect(duration < 0.1 && job.end.count == 1)
  }

  @Test func aCommitThatNobodyTakesDoesNotHoldUpAStop() throws {
    let path = try PathHarness()
    let job = try running(path, settings: ["sluice.streaming.gracefulStopTimeout": "5s"], copy)
    path.killBroker()
    // The next batch computes and cannot commit.
    try path.simulation.run(for: .milliseconds(1200))
    let duration = try seconds(path) { try job.stop() }
    #expect(duration > 4 && duration < 6)
    #expect(job.end.count == 1)
    #expect(job.end[0].contains("did not end within 5s after the stop; a restart repeats the batch"), "\(job.end)")
    // Nothing of it comes later, and a restart repeats the batch.
    try path.simulation.run(for: .seconds(300))
    #expect(job.end.count == 1)
    try path.startBroker()
    let again = try PathJob(path, availableNow: true, copy)
    #expect(try again.run() == ["ended"])
    #expect(Set(try path.values("out")).count == 20)
    #expect(try path.committed("in") == path.ends("in"))
  }

  @Test func aGracefulStopFinishesTheBatch() throws {
    let path = try PathHarness()
    let job = try running(path, copy)
    let isInBatch = Cell(false)
    job.listener.onNextBatch.value = { isInBatch.value = true }
    try path.simulation.run { isInBatch.value }
    try job.stop()
    #expect(job.end == ["ended"])
    #expect(try path.readAll("out").count == 20)
    #expect(try path.committed("in") == [10, 10])
  }

  @Test func aStopBeforeTheFirstAnswerEndsAtOnce() throws {
    let path = try PathHarness()
    path.killBroker()
    let job = try PathJob(path, copy)
    try job.start()
    let duration = try seconds(path) { try job.stop() }
    #expect(job.end == ["ended"] && duration < 0.1)
    try path.simulation.run(for: .seconds(300))
    #expect(job.end.count == 1 && job.listener.started.value == 0)
  }

  /// Stops after any number of events from the start on: through creation of the sink's topic, the search for offsets,
  /// the first fetch, tasks, the commit, the commit of offsets.
  @Test(arguments: [true, false]) func aStopAtAnyEventEndsOnce(gracefully: Bool) throws {
    var problems: [String] = []
    for steps in stride(from: 0, to: 260, by: 3) {
      let path = try PathHarness(seed: UInt64(steps))
      try path.createTopic("in", partitions: 2)
      try path.produce("in", partitions: 2, values: (0..<10).map { "a\($0)" })
      let job = try PathJob(path, interval: .milliseconds(10), mode: .spread, copy)
      try job.start()
      for _ in 0..<steps { path.simulation.step() }
      let duration = try seconds(path) { try job.stop(gracefully: gracefully) }
      if duration > 1 { problems.append("\(steps): took \(duration) s") }
      try path.simulation.run(for: .seconds(100))
      if job.end.count != 1 { problems.append("\(steps): ended \(job.end.count) times") }
      if gracefully, job.end != ["ended"] { problems.append("\(steps): \(job.end)") }
      let committed = try path.committed("in").reduce(0) { $0 + max(0, $1) }
      let ends = (try? path.readAll("out"))?.count ?? 0
      if committed > ends { problems.append("\(steps): \(committed) committed, \(ends) in the output") }
      if gracefully, committed != ends { problems.append("\(steps): \(committed) committed of \(ends)") }
    }
    #expect(problems.isEmpty, "\(problems.prefix(5))")
  }

  /// The broker dies after any number of events from the start on and comes back: the job goes on or ends with an error.
  @Test func aBrokerThatDiesAtAnyEventHangsNobody() throws {
    var problems: [String] = []
    for steps in stride(from: 0, to: 200, by: 7) {
      let path = try PathHarness(seed: UInt64(steps))
      try path.createTopic("in", partitions: 2)
      try path.produce("in", partitions: 2, values: (0..<10).map { "a\($0)" })
      let job = try PathJob(path, interval: .milliseconds(10), availableNow: true, mode: .spread, copy)
      try job.start()
      for _ in 0..<steps { path.simulation.step() }
      path.killBroker()
      try path.simulation.run(for: .seconds(2))
      try path.startBroker()
      try job.runToEnd()
      if job.end != ["ended"] { problems.append("\(steps): \(job.end)") }
      if try path.values("out") != (0..<10).map({ "a\($0)" }) { problems.append("\(steps): \(try path.values("out"))") }
    }
    #expect(problems.isEmpty, "\(problems.prefix(5))")
  }

  @Test func aBrokerThatNeverComesBackEndsTheStart() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let job = try PathJob(path, availableNow: true, copy)
    try job.start()
    try path.simulation.run(for: .microseconds(600))
    path.killBroker()
    let duration = try seconds(path) { try job.runToEnd() }
    #expect(job.end.count == 1 && job.end[0].contains("127.0.0.1:9092"), "\(job.end)")
    #expect(duration < 130)
  }

  @Test func aPreparationThatFailsEndsTheJob() throws {
    let path = try PathHarness()
    let job = try PathJob(path) { context in
      context.createTopic("in", partitions: 0)
      context.topicStream("in").print()
    }
    let end = try job.run()
    #expect(end.count == 1 && end[0].contains("topic in"), "\(end)")
  }

  /// A commit that is tried again must not come behind a later one.
  @Test func committedOffsetsNeverGoBack() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let job = try PathJob(path, interval: .milliseconds(50)) { context in
      context.topicStream("in").foreachRDD { _ = try $0.count() }
    }
    try job.start()
    var last: Int64 = -1
    var flaws: [String] = []
    for round in 0..<90 {
      try path.produce("in", values: ["\(round)"])
      let count = job.batches.count
      try path.simulation.run { job.batches.count > count }
      // The commit is on its way: its connection breaks before or after it has arrived. Those of the next batches pass,
      // while it waits to be tried again.
      if round % 3 == 0 {
        path.simulation.after(.microseconds(Int64(round) * 5)) {
          path.simulation.network.cutConnections(of: job.process)
        }
      }
      for _ in 0..<8 {
        let now = try path.committed("in")[0]
        if now < last { flaws.append("round \(round): \(now) after \(last)") }
        last = now
        try path.simulation.run(for: .milliseconds(5))
      }
    }
    try job.advance(4)
    try job.stop()
    #expect(flaws == [])
    #expect(try path.committed("in") == [90])
    #expect(path.simulation.network.connectionsCut >= 30)
  }

  /// Ten thousand batches leave no more behind than ten.
  @Test(arguments: [false, true]) func nothingGrowsWithTheNumberOfBatches(windowed: Bool) throws {
    final class Weak {
      weak var dataset: AnyRDD?
      init(_ dataset: AnyRDD) { self.dataset = dataset }
    }
    let path = try PathHarness()
    try path.createTopic("in")
    let datasets = Cell<[Weak]>([])
    let box = Cell<KafkaSource?>(nil)
    let job = try PathJob(path, interval: .milliseconds(10)) { context in
      let stream = context.topicStream("in")
      stream.transform { dataset in
        datasets.value.append(Weak(dataset))
        return dataset
      }.map { $0.value.count }.filter { $0 > 0 }.foreachRDD { _ = try $0.count() }
      if windowed { stream.window(.milliseconds(60), slide: .milliseconds(20)).foreachRDD { _ = try $0.count() } }
    }
    box.value = job.context.sources.compactMap { $0 as? KafkaSource }[0]
    try job.start()
    let count = _isDebugAssertConfiguration() ? 1000 : 10_000
    var bytesMax = 0
    for round in 0..<count / 100 {
      try path.produce("in", values: (0..<10).map { "\(round)-\($0) of more than fifteen bytes" })
      try job.advance(100)
      bytesMax = max(bytesMax, box.value!.fetched.bytes)
    }
    #expect(job.batches.count > count - 10)
    // A window of six batches that slides by two: nine are remembered, and the newest.
    #expect(datasets.value.count { $0.dataset != nil } <= (windowed ? 12 : 2))
    #expect(bytesMax < 4096)
    try job.stop()
    #expect(box.value!.fetched.bytes <= (windowed ? 4096 : 0))
  }
}
