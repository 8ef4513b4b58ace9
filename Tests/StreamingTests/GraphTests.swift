import Datasets
import Groundwork
import Testing

@testable import Streaming

/// The graph as a whole: names, remembering, outputs, and what is refused.
@Suite struct GraphTests {
  @Test func aContextGoesThroughItsStates() throws {
    let harness = try StreamHarness()
    harness.context.queueStream(QueueSource<Int>()).print()
    #expect(harness.context.state == .initialized)
    try harness.start()
    #expect(harness.context.state == .active)
    let again = #expect(throws: StreamingError.self) { try harness.start() }
    #expect(
      again?.description
        == "the streaming context was started already: define everything before start, and start once")
    try harness.stop()
    #expect(harness.context.state == .stopped)
    let restart = #expect(throws: StreamingError.self) { try harness.start() }
    #expect(
      restart?.description
        == "the streaming context was stopped: make a new one for a restart; with the same checkpoint folder it goes on "
        + "where this one left off")
  }

  @Test func aContextThatWasStoppedBeforeItsStartDoesNotStart() throws {
    let harness = try StreamHarness()
    harness.context.queueStream(QueueSource<Int>()).print()
    harness.context.stop()
    #expect(throws: StreamingError.self) { try harness.start() }
  }

  @Test func severalContextsLiveSideBySide() throws {
    let harnesses = [try StreamHarness(seed: 1), try StreamHarness(seed: 2)]
    let sums = Cell<[Int]>([])
    for (number, harness) in harnesses.enumerated() {
      let queue = QueueSource<Int>()
      queue.append([number + 1])
      harness.context.queueStream(queue).foreachRDD { sums.value += try $0.collect() }
      try harness.start()
    }
    for harness in harnesses { try harness.advance() }
    for harness in harnesses { try harness.stop() }
    #expect(sums.value == [1, 2])
  }

  @Test func outputsHaveNames() throws {
    let harness = try StreamHarness()
    let recorder = OutputNames()
    harness.context.addStreamingListener(recorder)
    let stream = harness.context.queueStream(QueueSource<Int>())
    #expect(stream.print().named("shown").name == "shown")
    #expect(stream.print().name == "print-2")
    stream.foreachRDD { _ in }.named("kept")
    try harness.start()
    try harness.advance()
    try harness.stop()
    #expect(recorder.names.value == ["shown", "print-2", "kept"])
  }

  @Test func namesAreUniqueOverTheWholeJob() throws {
    func problem(_ define: (DStream<Int>) -> Void) throws -> String {
      let harness = try StreamHarness()
      define(harness.context.queueStream(QueueSource<Int>()))
      return "\(#expect(throws: StreamingError.self) { try harness.start() }.map { "\($0)" } ?? "")"
    }
    #expect(
      try problem { stream in
        stream.print().named("same")
        stream.print().named("same")
      } == "two outputs are named same: names are unique in a job, because recovery finds outputs by them")
    #expect(
      try problem { stream in
        stream.map { $0 }.named("same").print()
        stream.map { $0 }.named("same").print()
      } == "two operators are named same: names are unique in a job, because state is found by them")
    let derived = "two parts of the job are named "
    let advice = ", one of them by its kind and place: choose another name in named(_:)"
    #expect(try problem { $0.map { $0 }.named("x").print().named("x") } == derived + "x" + advice)
    #expect(
      try problem { stream in
        stream.filter { _ in true }.named("map-1").print()
        stream.map { $0 }.print()
      } == derived + "map-1" + advice)
  }

  @Test func streamsOfDifferentContextsDoNotMix() throws {
    let (one, other) = (try StreamHarness(), try StreamHarness())
    one.context.queueStream(QueueSource<Int>()).union(other.context.queueStream(QueueSource<Int>())).print()
    let error = #expect(throws: StreamingError.self) { try one.start() }
    #expect(error?.description == "union: its streams belong to different streaming contexts; define them all on one")
  }

  @Test func whatIsDefinedWhileTheJobRunsFailsTheBatch() throws {
    let harness = try StreamHarness()
    let stream = harness.context.queueStream(QueueSource<Int>())
    stream.foreachRDD { _ in stream.map { $0 }.print() }
    try harness.start()
    try harness.advance(2)
    #expect(harness.end.count == 1 && harness.end[0].contains("define everything before start"), "\(harness.end)")
  }

  @Test func rememberedBatchesCanBeSliced() throws {
    let harness = try StreamHarness()
    let queue = QueueSource<Int>()
    for batch in 1...8 { queue.append([batch]) }
    harness.context.remember(.seconds(3))
    let stream = harness.context.queueStream(queue).map { $0 * 10 }
    let slices = Cell<[[Int]]>([])
    stream.foreachRDD { dataset, time in
      let past = stream.slice(from: time - .seconds(2), to: time)
      slices.value.append(try past.flatMap { try $0.collect() })
    }
    try harness.start()
    try harness.advance(8)
    #expect(slices.value == [[10], [10, 20]] + (3...8).map { [$0 * 10 - 20, $0 * 10 - 10, $0 * 10] })
    #expect(harness.context.streams.allSatisfy { $0.rememberedCount == 3 })
    try harness.stop()
  }

  @Test func onlyOneStreamRemembers() throws {
    let harness = try StreamHarness()
    let queue = QueueSource<Int>()
    for batch in 1...5 { queue.append([batch]) }
    let stream = harness.context.queueStream(queue)
    let kept = stream.map { $0 }.remember(for: .seconds(4))
    let derived = kept.map { $0 }
    let sums = Cell<[Int]>([])
    derived.foreachRDD { _, time in
      sums.value.append(try kept.slice(from: 0, to: time).reduce(0) { try $0 + $1.collect().reduce(0, +) })
    }
    try harness.start()
    try harness.advance(5)
    #expect(sums.value == [1, 3, 6, 10, 15])
    #expect(kept.rememberedCount == 4 && derived.rememberedCount == 0)
    try harness.stop()
  }

  @Test func rememberingLessThanABatchIsRefused() throws {
    let harness = try StreamHarness()
    harness.context.queueStream(QueueSource<Int>()).print()
    harness.context.remember(.milliseconds(500))
    let error = #expect(throws: StreamingError.self) { try harness.start() }
    #expect(
      error?.description
        == "remember: 500ms is shorter than the batch interval of 1s, so nothing would be kept")
  }

  @Test func checkpointsCutTheLineage() throws {
    let harness = try StreamHarness()
    try alignTime(harness)
    let queue = QueueSource<Int>()
    for batch in 1...6 { queue.append([batch]) }
    let computed = Cell(0)
    let stream = harness.context.queueStream(queue).map { (element: Int) -> Int in
      computed.value += 1
      return element
    }.checkpoint(.seconds(2)).remember(for: .seconds(10))
    let sums = Cell<[Int]>([])
    let cut = Cell<[Bool]>([])
    stream.foreachRDD { dataset, time in
      sums.value.append(try dataset.collect().reduce(0, +))
      if sums.value.count < 6 { return }
      let all = stream.slice(from: 0, to: time)
      cut.value = all.map { $0.dependencies.isEmpty }
      sums.value.append(try all.reduce(0) { try $0 + $1.collect().reduce(0, +) })
    }
    try harness.start()
    try harness.advance(6)
    try harness.stop()
    #expect(sums.value == [1, 2, 3, 4, 5, 6, 21])
    #expect(cut.value == [false, true, false, true, false, true])
    #expect(computed.value == 6 + 3)
  }

  @Test func checkpointsAreTakenAtBatches() throws {
    let harness = try StreamHarness()
    harness.context.queueStream(QueueSource<Int>()).checkpoint(.milliseconds(1500)).print()
    let error = #expect(throws: StreamingError.self) { try harness.start() }
    #expect(
      error?.description
        == "checkpoint: the interval of 1500ms is not a multiple of the 1s between the stream's datasets; choose 1s, 2s, "
        + "3s …")
    let empty = try StreamHarness()
    empty.context.union([DStream<Int>]()).print()
    #expect(
      #expect(throws: StreamingError.self) { try empty.start() }?.description
        == "union: no streams were given; give one or more")
  }

  @Test func whatIsForgottenIsUnpersisted() throws {
    for isUnpersisted in [true, false] {
      let harness = try StreamHarness(
        settings: isUnpersisted ? [:] : ["sluice.streaming.unpersist": "false"])
      let queue = QueueSource<Int>()
      for batch in 1...5 { queue.append([batch]) }
      let kept = Cell<[RDD<Int>]>([])
      let stream = harness.context.queueStream(queue, partitions: 1).map { $0 }.cache()
      stream.foreachRDD { dataset in
        kept.value.append(dataset)
        _ = try dataset.count()
      }
      try harness.start()
      try harness.advance(5)
      #expect(kept.value.map(\.isPersisted) == Array(repeating: !isUnpersisted, count: 5))
      #expect(harness.context.sluice.blocks.blockCount == (isUnpersisted ? 0 : 5))
      try harness.stop()
    }
  }

  @Test func aQueueOfDatasets() throws {
    for oneAtATime in [true, false] {
      let harness = try StreamHarness()
      let context = harness.context.sluice
      let datasets = [[1, 2], [3]].map { context.parallelize($0) }
      let stream = harness.context.queueStream(
        datasets, oneAtATime: oneAtATime, defaultDataset: context.parallelize([0]))
      let results = Cell<[[Int]]>([])
      stream.record(into: results)
      try harness.start()
      try harness.advance(3)
      try harness.stop()
      #expect(results.value == (oneAtATime ? [[1, 2], [3], [0]] : [[1, 2, 3], [0], [0]]))
    }
  }

  @Test func aJobThatDoesNotKeepUpSaysSoOnce() throws {
    var rule = StabilityRule(interval: .seconds(1))
    var changes: [String] = []
    // 5 slow batches of ten are none the matter, 6 are; it takes two or fewer to be stable again.
    for (number, slow) in ("......-----" + "-.......-.." + "...").enumerated() {
      let changed = rule.batchCompleted(cadence: slow == "-" ? .milliseconds(1001) : .seconds(1))
      if let changed { changes.append("\(number) \(changed)") }
    }
    #expect(changes == ["11 false", "20 true"])
    #expect(rule.isStable)
  }

  @Test func whoRunsTheJobHearsThatItDoesNotKeepUp() throws {
    let lines = Cell<[String]>([])
    let watch = StabilityWatch(interval: .seconds(1)) { lines.value.append($0) }
    var info = BatchInfo(
      number: 1, batchTime: 1000, inputs: [], submissionTime: Instant(nanoseconds: 0), skippedTicks: 0, lag: 0)
    info.processingStartTime = Instant(nanoseconds: 0)
    for delay in [3, 1] {
      info.processingEndTime = Instant(nanoseconds: Int64(delay) * 1_000_000_000)
      for _ in 0..<12 { watch.onBatchCompleted(info) }
    }
    #expect(
      lines.value == [
        "the job does not keep up: most of its last 10 batches took longer than the interval of 1s, the last one 3s; give "
          + "it a longer interval or more executors",
        "the job keeps up again: its batches take less than the interval of 1s",
      ])
  }

  /// One connection a partition is opened anew in each batch; one that the executor keeps is opened once.
  @Test func connectionsArePooledLazily() throws {
    for isPooled in [false, true] {
      let harness = try StreamHarness(parallelism: 4, executors: 2)
      let queue = QueueSource<Int>()
      let opened = Cell<[Int]>([])
      let written = Cell<[Int]>([])
      harness.context.queueStream(queue).foreachRDD { dataset in
        opened.value.append(0)
        try dataset.foreachPartition { elements, task in
          let open = { Connection { opened.value[opened.value.count - 1] += 1 } }
          let connection = isPooled ? task.locals.object(Connection.self, make: open) : open()
          connection.write(elements, to: written)
        }
      }
      for _ in 0..<3 { queue.append([1, 2, 3, 4]) }
      try harness.start()
      try harness.advance(3)
      try harness.stop()
      #expect(written.value.reduce(0, +) == 30)
      if isPooled {
        #expect((1...2).contains(opened.value[0]) && opened.value.reduce(0, +) <= 2, "\(opened.value)")
      } else {
        #expect(opened.value == [4, 4, 4])
      }
    }
  }
}

private final class Connection {
  init(opened: () -> Void) { opened() }
  func write(_ elements: [Int], to cell: Cell<[Int]>) { cell.value += elements }
}

private final class OutputNames: StreamingListener, Sendable {
  let names = Cell<[String]>([])
  func onOutputOperationStarted(_ operation: OutputOperationInfo, of batch: BatchNumber) {
    names.value.append(operation.name)
  }
}
