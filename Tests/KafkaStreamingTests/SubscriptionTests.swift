import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Simulation
import Streaming
import Testing

@testable import KafkaStreaming

/// Which partitions a stream reads, where it begins in them, and what joins in while it runs.
@Suite struct SubscriptionTests {
  private func values(_ job: PathJob, _ path: PathHarness) throws -> [String] { try path.values("out") }

  private func copy(_ stream: DStream<ConsumerRecord>) {
    stream.saveToTopic("out") { ProducerRecord(key: $0.key, value: $0.value) }
  }

  @Test func aPatternTakesTopicsThatAreMadeLater() throws {
    let path = try PathHarness()
    try path.createTopic("orders-eu")
    try path.createTopic("people")
    try path.produce("orders-eu", values: ["e0"])
    try path.produce("people", values: ["p0"])
    let job = try PathJob(
      path, settings: ["sluice.kafka.metadataMaxAge": "5s", "sluice.kafka.startingOffsets": "latest"]
    ) { context in copy(context.topicStream(.pattern("orders-.*"))) }
    try job.start()
    try job.advance(2)
    try path.createTopic("orders-us", partitions: 2)
    try path.produce("orders-us", partitions: 2, values: ["u0", "u1", "u2"])
    try job.advance(8)
    try path.produce("orders-eu", values: ["e1"])
    try job.advance(2)
    try job.stop()
    // From the end where the job began, from the first record what came later.
    #expect(try values(job, path) == ["e1", "u0", "u1", "u2"])
    #expect(job.flawsInTiling() == [])
    #expect(try path.committed("orders-us") == path.ends("orders-us"))
    // A topic that was made while the job was down came as well.
    try path.createTopic("orders-cn")
    try path.produce("orders-cn", values: ["c0"])
    let next = try PathJob(path, settings: ["sluice.kafka.startingOffsets": "latest"], availableNow: true) { context in
      copy(context.topicStream(.pattern("orders-.*")))
    }
    #expect(try next.run() == ["ended"])
    #expect(try values(next, path) == ["c0", "e1", "u0", "u1", "u2"])
  }

  /// A reader that started at the end misses nothing of partitions that are added under load.
  @Test(arguments: 0..<6) func twoPartitionsBecomeEight(_ seed: Int) throws {
    let path = try PathHarness(seed: UInt64(seed))
    try path.createTopic("in", partitions: 2)
    try path.produce("in", partitions: 2, values: ["old 0", "old 1"])
    let settings = ["sluice.kafka.startingOffsets": "latest", "sluice.kafka.metadataMaxAge": "4s"]
    let job = try PathJob(path, interval: .milliseconds(500), settings: settings) { context in
      copy(context.topicStream("in"))
    }
    try job.start()
    try path.simulation.run { job.listener.started.value == 1 }
    var count = 0
    func load(_ partitions: Int) throws {
      let names = (0..<40).map { _ -> String in
        defer { count += 1 }
        return "n\(count)"
      }
      try path.produce("in", partitions: partitions, values: names)
    }
    for round in 0..<24 {
      if round == 3 + seed {
        try path.answer { client, then in Admin(client).createPartitions("in", count: 8, then: then) } as Void
        let _: ClusterMetadata = try path.answer { client, then in client.refreshMetadata(topics: ["in"], then: then) }
      }
      try load(round < 3 + seed ? 2 : 8)
      try job.advance()
    }
    job.context.stopAtPresentEnd()
    try job.runToEnd()
    #expect(job.end == ["ended"])
    // The partitions' plans begin at their log start, and the first plan that has them stands for it.
    let first = job.batches.flatMap { $0.inputs[0].plan.ranges }.first { $0.partition == 7 }
    #expect(first?.from == 0)
    if try path.committed("in") != path.ends("in") {
      // Found at the next look, behind the end of this run: the next one reads them from their start.
      let rest = try PathJob(path, settings: settings, availableNow: true) { copy($0.topicStream("in")) }
      #expect(try rest.run() == ["ended"])
    }
    #expect(try path.values("out") == (0..<count).map { "n\($0)" }.sorted())
    #expect(job.flawsInTiling() == [])
  }

  @Test func partitionsAreAssigned() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 3)
    try path.produce("in", partitions: 3, values: ["a", "b", "c"])
    let job = try PathJob(path, availableNow: true) { context in
      copy(context.topicStream(.partitions([TopicPartition("in", 2), TopicPartition("in", 0)])))
    }
    #expect(try job.run() == ["ended"])
    #expect(try path.values("out") == ["a", "c"])
    #expect(try path.committed("in") == [1, -1, 1])
    let wrong = try PathJob(path) { copy($0.topicStream(.partitions([TopicPartition("in", 3)]))) }
    #expect(try wrong.run() == ["topic in has no partition 3"])
    let none = try PathJob(path) { copy($0.topicStream(.partitions([]))) }
    let error = #expect(throws: StreamingError.self) { try none.start() }
    #expect(error?.description == "topicStream: no partition is named")
    let twice = try PathJob(path) { context in
      copy(context.topicStream("in"))
      copy(context.topicStream(.partitions([TopicPartition("in", 1)])))
    }
    #expect(throws: StreamingError.self) { try twice.start() }
    let meeting = try PathJob(path) { context in
      copy(context.topicStream("in"))
      copy(context.topicStream(.pattern("i.")))
    }
    #expect(
      try meeting.run() == [
        "topic in is read by two streams of this job: define one stream and use it for both outputs"
      ])
  }

  @Test func offsetsAndTimesToBeginAndEndWith() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    for time in 1...10 {
      for partition in 0..<2 {
        let batch = try path.batch(
          [Row(value: "\(partition)-\(time)")], timestamp: Timestamp(milliseconds: Int64(time) * 100))
        try path.produce("in", partition: partition, batches: [batch])
      }
    }
    let p0 = TopicPartition("in", 0)
    let p1 = TopicPartition("in", 1)
    var number = 0
    func read(
      _ start: StartingOffsets, _ end: EndingOffsets = .latest, settings: [String: String] = [:]
    ) throws -> [String] {
      number += 1
      let target = "out\(number)"
      let job = try PathJob(path, name: "job\(number)", settings: settings, availableNow: true) { context in
        context.topicStream("in", startingOffsets: start, endingOffsets: end)
          .saveToTopic(target) { ProducerRecord(value: $0.value) }
      }
      let result = try job.run()
      return result == ["ended"] ? try path.values(target) : result
    }
    #expect(try read(.offsets([p0: 8, p1: 9])) == ["0-10", "0-9", "1-10"])
    #expect(try read(.offsets([p0: 9], others: .latest)) == ["0-10"])
    #expect(try read(.timestamp(950)) == ["0-10", "1-10"])
    #expect(try read(.timestamps([p0: 850], others: .offset(9))) == ["0-10", "0-9", "1-10"])
    #expect(try read(.earliest, .offsets([p0: 1, p1: 2], others: .latest)) == ["0-1", "1-1", "1-2"])
    #expect(try read(.earliest, .timestamp(150)) == ["0-1", "1-1"])
    #expect(try read(.offsets([p0: 8, p1: 8]), .timestamp(5000)) == ["0-10", "0-9", "1-10", "1-9"])
    #expect(
      try read(.timestamp(1001)) == [
        "in-0 has no record of 1001 ms since 1970 or later to begin with; choose an earlier time, or set "
          + "sluice.kafka.startingTimestampStrategy to latest"
      ])
    #expect(try read(.timestamp(1001, whenNone: .latest)).isEmpty)
    // The same by settings.
    number += 1
    let job = try PathJob(
      path, name: "settings",
      settings: [
        "sluice.kafka.startingOffsets": "in-0:7,others:@950", "sluice.kafka.endingOffsets": "in-0:8,others:latest",
      ], availableNow: true
    ) { copy($0.topicStream("in")) }
    #expect(try job.run() == ["ended"])
    #expect(try path.values("out") == ["0-8", "1-10"])
  }

  /// Who keeps offsets with his results begins where they say, whatever the group has.
  @Test func offsetsKeptElsewhere() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.produce("in", values: (0..<10).map { "\($0)" })
    // A table of somebody's own: rows and the offset they reach, changed together.
    let table = Cell<(rows: [String], next: Offset)>(([], 0))
    for round in 0..<3 {
      try path.produce("in", values: ["more \(round)"])
      let settings = ["sluice.kafka.autoCommit": "false", "sluice.kafka.maxRatePerPartition": "4"]
      let start = StartingOffsets.offsets([TopicPartition("in", 0): table.value.next])
      let job = try PathJob(path, settings: settings, availableNow: true) { context in
        context.topicStream("in", startingOffsets: start).foreachRDD { dataset in
          let ranges = dataset.offsetRanges
          let rows = try dataset.map { String($0.value) }.collect()
          guard ranges.count == 1 else { return }
          table.value = (table.value.rows + rows, ranges[0].until)
        }
      }
      #expect(try job.run() == ["ended"])
    }
    #expect(table.value.rows == (0..<10).map { "\($0)" } + ["more 0", "more 1", "more 2"])
    #expect(try path.committed("in") == [-1])
  }

  @Test func offsetsAreCommittedByHand() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    try path.produce("in", partitions: 2, values: (0..<10).map { "\($0)" })
    let done = Cell<[String]>([])
    let job = try PathJob(path, settings: ["sluice.kafka.autoCommit": "false"], availableNow: true) { context in
      let stream = context.topicStream("in")
      let mapped = stream.filter { _ in true }
      stream.foreachRDD { dataset in
        _ = try dataset.count()
        stream.commitAsync(dataset.offsetRanges.filter { $0.partition == 1 }) {
          done.value.append("\($0.map { "\($0)" } ?? "ok")")
        }
        mapped.commitAsync(dataset.offsetRanges) { done.value.append("\($0 == nil)") }
      }
    }
    #expect(try job.run() == ["ended"])
    try path.simulation.run(for: .seconds(1))
    #expect(done.value.contains("ok") && done.value.contains("false"))
    #expect(try path.committed("in") == [-1, 5])
  }

  /// A task finds its range by its number; counts come from records.
  @Test func rangesOfABatchAndItsTasks() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 3)
    try path.produce("in", partitions: 3, values: (0..<9).map { "\($0)" })
    let seen = Cell<[String]>([])
    let job = try PathJob(path, availableNow: true) { context in
      context.topicStream("in").foreachRDD { dataset in
        let ranges = dataset.offsetRanges
        let counts = try dataset.mapPartitions { records, task in
          [
            "\(ranges[task.partition]) \(records.count) \(records.allSatisfy { $0.partition == ranges[task.partition].partition })"
          ]
        }.collect()
        seen.value += counts
        if dataset.map({ $0 }).offsetRanges != [] { seen.value.append("a mapped dataset has ranges") }
      }
    }
    #expect(try job.run() == ["ended"])
    #expect(seen.value.filter { !$0.contains(" 0 ") } == ["in-0[0,3) 3 true", "in-1[0,3) 3 true", "in-2[0,3) 3 true"])
  }

  @Test func exactRangesAreReadAsADataset() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    try path.produce("in", partitions: 2, values: (0..<20).map { "\($0)" })
    let read = Cell<[String]>([])
    let failure = Cell<String?>(nil)
    let job = try PathJob(path, availableNow: true) { context in
      let dataset = try context.kafkaRDD([
        OffsetRange(TopicPartition("in", 1), from: 2, until: 5),
        OffsetRange(TopicPartition("in", 0), from: 0, until: 1),
      ])
      let gone = try context.kafkaRDD([OffsetRange(TopicPartition("in", 0), from: 50, until: 60)])
      #expect(dataset.partitionCount == 2 && dataset.offsetRanges.count == 2)
      #expect(throws: StreamingError.self) {
        try context.kafkaRDD([OffsetRange(TopicPartition("in", 0), from: 5, until: 2)])
      }
      context.topicStream("in").foreachRDD { _ in
        guard read.value.isEmpty else { return }
        read.value = try dataset.map { String($0.value) }.collect()
        do { _ = try gone.count() } catch { failure.value = "\(error)" }
      }
    }
    #expect(try job.run() == ["ended"])
    #expect(read.value == ["5", "7", "9", "0"])
    #expect(
      failure.value?.contains("in-0, offsets 50 to 60, had to be read again and is no longer in the topic") == true)
  }

  @Test func aForeignMemberIsNamed() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let answer = try path.joinGroup("job")
    let job = try PathJob(path) { copy($0.topicStream("in")) }
    let end = try job.run()
    #expect(end.first?.hasPrefix("the consumer group job has live members: user at ") == true, "\(end)")
    #expect(end.first?.contains(answer.memberID) == true)
  }

  @Test func aBatchWaitsForEnoughAndLargeRangesAreCut() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    let settings = [
      "sluice.kafka.minOffsetsPerTrigger": "10", "sluice.kafka.maxTriggerDelay": "5s",
      "sluice.kafka.maxRecordsPerPartition": "3", "sluice.kafka.maxOffsetsPerTrigger": "8",
    ]
    let largest = Cell(0)
    let job = try PathJob(path, settings: settings) { context in
      let stream = context.topicStream("in")
      stream.foreachRDD { dataset in
        largest.value = max(
          largest.value, try dataset.mapPartitions { records, _ in [records.count] }.collect().max() ?? 0)
      }
      copy(stream)
    }
    try job.start()
    try path.simulation.run { job.listener.started.value == 1 }
    try path.produce("in", partitions: 2, values: (0..<4).map { "a\($0)" })
    try job.advance(3)
    #expect(job.batches.allSatisfy { $0.numRecords == 0 })
    try path.produce("in", partitions: 2, values: (0..<12).map { "b\($0)" })
    try job.advance(2)
    // 16 are there, 8 a batch at most, cut between record batches where that is possible.
    try job.advance(12)
    let counts = job.batches.map(\.numRecords).filter { $0 > 0 }
    #expect(counts.allSatisfy { $0 <= 8 } && counts.reduce(0, +) == 16 && counts.count >= 2)
    #expect(job.batches.contains { $0.inputs[0].plan.limitReason == "sluice.kafka.maxOffsetsPerTrigger=8" })
    #expect(largest.value == 3)
    try job.stop()
    #expect(try path.readAll("out").count == 16)
    #expect(job.flawsInTiling() == [])
  }

  /// Kafka forgets a group's offsets after a time without commits, also while the job runs.
  @Test func anIdlePartitionOverEightDays() throws {
    let path = try PathHarness()
    let peer = try ScriptedPeer(path)
    try path.createTopic("in", partitions: 2)
    try path.produce("in", partitions: 2, values: ["a", "b"])
    let settings = ["sluice.kafka.consumer.fetch.max.wait.ms": "600000", "sluice.kafka.metadataMaxAge": "12h"]
    let job = try PathJob(path, interval: .seconds(3600), settings: settings, bootstrap: ScriptedPeer.address) {
      copy($0.topicStream("in"))
    }
    try job.start()
    let begun = path.simulation.now
    for _ in 0..<8 {
      try path.simulation.run(for: .seconds(86_400))
      // Only one of the two moves.
      try path.produce("in", [Row(partition: 1, value: "x")])
    }
    for partition in [PartitionIndex(0), 1] {
      var last = begun
      var longest: Duration = .zero
      for commit in peer.commits where commit.partition.partition == partition {
        longest = max(longest, commit.at - last)
        last = commit.at
      }
      #expect(max(longest, path.simulation.now - last) <= .seconds(3700), "\(longest)")
    }
    #expect(try path.committed("in")[0] == 1)
    try job.stop(gracefully: false)
  }

  @Test func lagIsToldByPartition() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    let job = try PathJob(path, settings: ["sluice.kafka.maxRatePerPartition": "1"]) { copy($0.topicStream("in")) }
    let source = job.context.sources.compactMap { $0 as? KafkaSource }[0]
    try job.start()
    try path.simulation.run { job.listener.started.value == 1 }
    let time = path.simulation.wallTime
    for value in 0..<8 {
      try path.produce("in", partition: 0, batches: [path.batch([Row(value: "\(value)")], timestamp: time)])
    }
    try job.advance(3)
    let lag = source.lag
    #expect(lag.partitions.map(\.partition) == [TopicPartition("in", 0), TopicPartition("in", 1)])
    #expect(lag.records == lag.partitions[0].records && (3...6).contains(lag.records))
    #expect(lag.recordsMax == lag.records && lag.recordsMin == 0 && lag.recordsMean == Double(lag.records) / 2)
    #expect(lag.bytes > 60 * lag.records)
    #expect(lag.time.map { $0 >= .seconds(2) && $0 <= .seconds(4) } == true, "\(String(describing: lag.time))")
    try job.stop()
  }
}
