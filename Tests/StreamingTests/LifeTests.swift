import Datasets
import Groundwork
import Simulation
import Testing

@testable import Streaming

/// Starting, running and stopping a job, and what listeners hear.
@Suite struct LifeTests {
  @Test func aJobWithoutOutputDoesNotStart() throws {
    let harness = try StreamHarness()
    _ = harness.context.queueStream(QueueSource<Int>())
    #expect(throws: StreamingError.self) { try harness.start() }
  }

  @Test func aContextStartsOnce() throws {
    let harness = try StreamHarness()
    harness.context.queueStream(QueueSource<Int>()).print()
    try harness.start()
    #expect(throws: StreamingError.self) { try harness.start() }
  }

  @Test func intervalsAreWholeMilliseconds() {
    #expect(throws: StreamingError.self) { try StreamHarness(interval: .zero) }
    #expect(throws: StreamingError.self) { try StreamHarness(interval: .microseconds(500)) }
    #expect(throws: StreamingError.self) { try StreamHarness(interval: .microseconds(1500)) }
  }

  @Test func windowsThatAreNoMultipleAreRefusedWithAProposal() throws {
    let harness = try StreamHarness(interval: .milliseconds(500))
    harness.context.queueStream(QueueSource<Int>()).window(.milliseconds(1200)).print()
    let error = #expect(throws: StreamingError.self) { try harness.start() }
    #expect(
      error?.description
        == "window: the window of 1200ms is not a multiple of the batch interval of 500ms; choose windows of 500ms, 1s, "
        + "1500ms …")
  }

  @Test func namesAreUnique() throws {
    let harness = try StreamHarness()
    let stream = harness.context.queueStream(QueueSource<Int>())
    stream.map { $0 }.named("same").print()
    stream.map { $0 }.named("same").print()
    #expect(throws: StreamingError.self) { try harness.start() }
  }

  @Test func printShowsTheFirstElements() throws {
    let harness = try StreamHarness()
    let queue = QueueSource<Int>()
    queue.append([1, 2, 3])
    harness.context.queueStream(queue, partitions: 1).print(2)
    try harness.start()
    try harness.advance()
    try harness.stop()
    let line = "-------------------------------------------\n"
    let time = harness.simulation.wallTime.milliseconds / 1000 * 1000
    #expect(harness.printed.value == "\(line)Time: \(time) ms\n\(line)1\n2\n...\n\n")
  }

  @Test func outputsRunInTheOrderOfDefinition() throws {
    let harness = try StreamHarness()
    let queue = QueueSource<Int>()
    let order = Cell<[String]>([])
    let stream = harness.context.queueStream(queue)
    stream.foreachRDD { _ in order.value.append("first") }
    stream.foreachRDD { dataset in order.value.append("second \(try dataset.count())") }
    stream.foreachRDD { _ in order.value.append("third") }
    queue.append([5, 6])
    try harness.start()
    try harness.advance()
    try harness.stop()
    #expect(order.value == ["first", "second 2", "third"])
  }

  @Test func listenersHearOfABatchInOrder() throws {
    let harness = try StreamHarness()
    let queue = QueueSource<Int>()
    let recorder = Recorder()
    harness.context.addStreamingListener(recorder)
    harness.context.queueStream(queue).foreachRDD { _ in }
    queue.append([1, 2, 3])
    try harness.start()
    try harness.advance()
    try harness.stop()
    #expect(
      recorder.events.value == [
        "started", "submitted 1 (3 records)", "batch started 1", "operation started foreachRDD-1",
        "operation completed foreachRDD-1", "completed 1",
      ])
  }

  @Test func aFailingActionStopsTheJob() throws {
    struct Broken: Error {}
    let harness = try StreamHarness()
    let queue = QueueSource<Int>()
    let recorder = Recorder()
    harness.context.addStreamingListener(recorder)
    queue.append([1])
    queue.append([2])
    harness.context.queueStream(queue).foreachRDD { _ in throw Broken() }
    try harness.start()
    try harness.advance(3)
    #expect(harness.end == ["the job stops: 'foreachRDD-1' of batch 1 failed: Broken()"])
    #expect(recorder.events.value.last == "completed 1 failed: 'foreachRDD-1' of batch 1 failed: Broken()")
  }

  @Test func aTaskIsTriedFourTimes() throws {
    struct Broken: Error {}
    let harness = try StreamHarness()
    let queue = QueueSource<Int>()
    let attempts = Cell(0)
    queue.append([1])
    harness.context.queueStream(queue, partitions: 1)
      .map { (element: Int) -> Int in
        attempts.value += 1
        if attempts.value < 4 { throw Broken() }
        return element
      }
      .foreachRDD { _ = try $0.collect() }
    try harness.start()
    try harness.advance(2)
    try harness.stop()
    #expect(attempts.value == 4)
    #expect(harness.end == ["ended"])
  }

  @Test func availableNowEndsByItself() throws {
    let harness = try StreamHarness(availableNow: true)
    let queue = QueueSource<Int>()
    for number in 1...5 { queue.append([number]) }
    let results = Cell<[[Int]]>([])
    let ends = Cell(0)
    harness.context.queueStream(queue).record(into: results)
    harness.context.atEnd { ends.value += 1 }
    try harness.start()
    queue.append([99])
    try harness.simulation.run { !harness.end.isEmpty }
    #expect(results.value == [[1], [2], [3], [4], [5]])
    #expect(harness.end == ["ended"])
    #expect(ends.value == 1)
  }

  @Test func aSourceThatCannotBeReplayedWeakensTheGuarantee() throws {
    let harness = try StreamHarness()
    harness.context.queueStream(QueueSource<Int>()).print()
    try harness.start()
    #expect(harness.log == ["output print-1: at-most-once (the source queue cannot be read again)"])
  }

  @Test func batchNumbersAndTimesGoOnAfterARestart() throws {
    let simulation = SimulatedWorld(seed: 7)
    var numbers: [BatchIdentity] = []
    for run in 0..<2 {
      let process = simulation.makeProcess(named: "job", executors: 2)
      let harness = try StreamHarness(checkpoint: "/state/job", process: process, simulation: simulation)
      let seen = Cell<[BatchIdentity]>([])
      let recorder = Recorder()
      harness.context.addStreamingListener(recorder)
      harness.context.queueStream(QueueSource<Int>()).foreachRDD { _, _ in }
      try harness.start()
      try harness.advance(3)
      seen.value = recorder.batches.value
      numbers += seen.value
      process.kill()
      // The wall clock stands earlier when the job comes back.
      if run == 0 { simulation.jumpWallClock(by: .seconds(-60)) }
    }
    #expect(numbers.count >= 5)
    for (earlier, later) in zip(numbers, numbers.dropFirst()) {
      #expect(later.number == earlier.number.next)
      #expect(later.time > earlier.time)
    }
  }
}

/// Writes down what a listener hears.
private final class Recorder: StreamingListener {
  let events = Cell<[String]>([])
  let batches = Cell<[BatchIdentity]>([])
  func onStreamingStarted(_ time: Timestamp) { events.value.append("started") }
  func onBatchSubmitted(_ batch: BatchInfo) {
    events.value.append("submitted \(batch.number) (\(batch.numRecords) records)")
  }
  func onBatchStarted(_ batch: BatchInfo) { events.value.append("batch started \(batch.number)") }
  func onOutputOperationStarted(_ operation: OutputOperationInfo, of batch: BatchNumber) {
    events.value.append("operation started \(operation.name)")
  }
  func onOutputOperationCompleted(_ operation: OutputOperationInfo, of batch: BatchNumber) {
    events.value.append("operation completed \(operation.name)")
  }
  func onBatchCompleted(_ batch: BatchInfo) {
    batches.value.append(BatchIdentity(number: batch.number, time: batch.batchTime))
    events.value.append("completed \(batch.number)" + (batch.failureReason.map { " failed: \($0)" } ?? ""))
  }
}
