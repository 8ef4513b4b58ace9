import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import KafkaStreaming
import Simulation
import Streaming
import Testing

/// Where a job begins, what a batch takes, what is committed, and when it ends.
@Suite struct OffsetTests {
  private func copy(_ context: StreamingContext) {
    context.topicStream("in").saveToTopic("out") { ProducerRecord(key: $0.key, value: $0.value) }
  }

  @Test func availableNowDrainsWhatIsThereAndNoMore() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    try path.produce("in", partitions: 2, values: (0..<100).map { "\($0)" })
    let job = try PathJob(path, availableNow: true, copy)
    try job.start()
    // What comes after the start is the next run's.
    try path.simulation.run { job.listener.started.value == 1 }
    let before = try path.ends("in")
    try path.produce("in", partitions: 2, values: ["late 0", "late 1"])
    try job.runToEnd()
    #expect(job.end == ["ended"])
    #expect(try path.values("out") == (0..<100).map { "\($0)" }.sorted())
    #expect(try path.committed("in") == before)
    let next = try PathJob(path, availableNow: true, copy)
    #expect(try next.run() == ["ended"])
    #expect(try path.values("out").suffix(2) == ["late 0", "late 1"])
    #expect(try path.committed("in") == path.ends("in"))
  }

  @Test func availableNowOnEmptyTopicsEndsAtOnce() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    let job = try PathJob(path, availableNow: true, copy)
    #expect(try job.run() == ["ended"])
    #expect(job.batches.allSatisfy { $0.numRecords == 0 })
  }

  @Test func aRunningJobStopsAtThePresentEnd() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let job = try PathJob(path, copy)
    try job.start()
    try path.produce("in", values: (0..<10).map { "a\($0)" })
    try job.advance(3)
    #expect(try path.readAll("out").count == 10)
    try path.produce("in", values: (0..<10).map { "b\($0)" })
    job.context.stopAtPresentEnd()
    try job.runToEnd()
    #expect(job.end == ["ended"])
    #expect(try path.readAll("out").count == 20)
    #expect(try path.committed("in") == [20])
  }

  @Test func stopAtPresentEndCountsBeforeTheStartToo() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.produce("in", values: ["a", "b"])
    let job = try PathJob(path, copy)
    try job.start()
    job.context.stopAtPresentEnd()
    try job.runToEnd()
    #expect(job.end == ["ended"])
    #expect(try path.values("out") == ["a", "b"])
  }

  @Test func theRateCutsAtRecordBatches() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    // Batches of 30 under a limit of 100: three fit, the fourth does not.
    for round in 0..<10 {
      try path.produce("in", batches: [path.batch((0..<30).map { Row(value: "\(round * 30 + $0)") }, codec: .gzip)])
    }
    let job = try PathJob(path, settings: ["sluice.kafka.maxRatePerPartition": "100"], availableNow: true, copy)
    #expect(try job.run() == ["ended"])
    #expect(job.batches.map(\.numRecords).filter { $0 > 0 } == [90, 90, 90, 30])
    #expect(job.batches.first?.inputs[0].plan.limitReason == "sluice.kafka.maxRatePerPartition=100")
    #expect(job.flawsInTiling() == [])
    #expect(try path.readAll("out").map { $0.value! } == (0..<300).map { "\($0)" })
  }

  @Test func aBatchLargerThanTheRateIsCutInside() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.produce("in", batches: [path.batch((0..<250).map { Row(value: "\($0)") }, codec: .zstd)])
    try path.produce("in", batches: [path.batch((250..<260).map { Row(value: "\($0)") })])
    let job = try PathJob(
      path, interval: .milliseconds(500), settings: ["sluice.kafka.maxRatePerPartition": "200"], availableNow: true,
      copy)
    #expect(try job.run() == ["ended"])
    #expect(job.batches.map(\.numRecords).filter { $0 > 0 } == [100, 100, 60])
    #expect(try path.readAll("out").map { $0.value! } == (0..<260).map { "\($0)" })
    #expect(job.flawsInTiling() == [])
  }

  @Test func aRestartInsideARecordBatchLosesAndDoublesNothing() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.produce("in", batches: [path.batch((0..<10).map { Row(value: "\($0)") }, codec: .snappy)])
    let settings = ["sluice.kafka.maxRatePerPartition": "3"]
    for _ in 0..<4 {
      let job = try PathJob(path, settings: settings, copy)
      try job.start()
      try path.simulation.run { job.batches.contains { $0.numRecords > 0 } }
      try job.stop()
    }
    #expect(try path.readAll("out").map { $0.value! } == (0..<10).map { "\($0)" })
    #expect(try path.committed("in") == [10])
  }

  @Test func offsetsAreCommittedAfterEachBatch() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    let job = try PathJob(path, copy)
    try job.start()
    for round in 1...4 {
      try path.produce("in", partitions: 2, values: (0..<(round * 2)).map { "\(round) \($0)" })
      let count = job.batches.count
      try path.simulation.run { job.batches.count > count && job.batches.last!.numRecords > 0 }
      // The commit follows the batch within a round trip.
      try path.simulation.run(for: .milliseconds(5))
      #expect(try path.committed("in") == job.batches.last!.inputs[0].plan.ranges.map(\.until.rawValue))
    }
    try job.stop()
    #expect(try path.committed("in") == path.ends("in"))
  }

  @Test func aRestartGoesOnFromTheCommittedOffsets() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 3)
    for round in 0..<4 {
      try path.produce("in", partitions: 3, values: (0..<30).map { "\(round)-\($0)" })
      let job = try PathJob(path, availableNow: true, checkpoint: "/state/job", copy)
      #expect(try job.run() == ["ended"])
      #expect(job.batches.first!.number.rawValue > 0)
    }
    #expect(try path.values("out") == (0..<4).flatMap { round in (0..<30).map { "\(round)-\($0)" } }.sorted())
  }

  @Test func latestBeginsWithWhatArrivesAfterwards() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.produce("in", values: ["old"])
    let job = try PathJob(path, settings: ["sluice.kafka.startingOffsets": "latest"], copy)
    try job.start()
    try job.advance(2)
    try path.produce("in", values: ["new"])
    try job.advance(2)
    try job.stop()
    #expect(try path.values("out") == ["new"])
  }

  @Test func anUnknownTopicIsAClearError() throws {
    let path = try PathHarness()
    let job = try PathJob(path, copy)
    #expect(
      try job.run() == [
        "there is no topic in: create it with `sluice topics create`, or check its name with `sluice topics list`"
      ])
  }

  @Test func noBrokerIsAClearError() throws {
    let path = try PathHarness()
    path.killBroker()
    let job = try PathJob(path, copy)
    let end = try job.run()
    #expect(end.first?.hasPrefix("cannot reach a Kafka broker at 127.0.0.1:9092 after ") == true, "\(end)")
  }

  @Test func anOffsetThatIsGoneIsAClearError() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.produce("in", values: (0..<10).map { "\($0)" })
    let gone: [TopicPartition: Offsets.Committed] = [TopicPartition("in", 0): .init(4711)]
    try path.answer { client, then in Offsets(client).commit(group: "job", gone, then: then) } as Void
    let job = try PathJob(path, copy)
    #expect(
      try job.run() == [
        "offset 4711 of in-0 is not in the topic's log: the log ends before it: the topic was made anew, or the newest "
          + "records of a failed leader are lost, and records may be lost; to go on anyway, set sluice.kafka.onDataLoss to "
          + "earliest or latest, reset the offsets of group job, or give the job another --name"
      ])
  }

  @Test func settingsThatAreNoneAreRefused() throws {
    let path = try PathHarness()
    for (name, value) in [
      ("sluice.kafka.maxRatePerPartition", "many"), ("sluice.kafka.maxRatePerPartition", "0"),
      ("sluice.kafka.startingOffsets", "newest"),
    ] {
      let job = try PathJob(path, settings: [name: value], copy)
      let error = #expect(throws: StreamingError.self) { try job.start() }
      #expect(error?.description.contains("`\(value)`") == true && error?.description.contains(name) == true, "\(name)")
    }
  }

  /// Two streams of one topic would overwrite each other's offsets: what one had not read yet could be lost.
  @Test func aTopicIsReadByOneStream() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let twice = try PathJob(path) { context in
      context.topicStream(["in", "in"]).print()
    }
    #expect(throws: StreamingError.self) { try twice.start() }
    let two = try PathJob(path) { context in
      context.topicStream("in").print()
      context.topicStream(["other", "in"]).print()
    }
    let error = #expect(throws: StreamingError.self) { try two.start() }
    #expect(
      error?.description
        == "topic in is read by two streams of this job: define one stream and use it for both outputs")
  }

  @Test func windowsReadAgainWhatTheyKeep() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let windows = Cell<[[String]]>([])
    let job = try PathJob(path) { context in
      context.topicStream("in").window(.seconds(3)).map { String($0.value) }
        .foreachRDD { windows.value.append(try $0.collect().sorted()) }
    }
    try job.start()
    try path.simulation.run { job.batches.count == 1 }
    for round in 0..<4 {
      try path.produce("in", values: ["\(round)"])
      let count = job.batches.count
      try path.simulation.run { job.batches.count > count }
    }
    try job.advance(4)
    try job.stop()
    let full = windows.value.filter { !$0.isEmpty }
    #expect(full == [["0"], ["0", "1"], ["0", "1", "2"], ["1", "2", "3"], ["2", "3"], ["3"]])
    #expect(windows.value.last == [])
  }
}
