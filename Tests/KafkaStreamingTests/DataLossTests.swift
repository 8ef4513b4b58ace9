import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Simulation
import Streaming
import SystemInterfaces
import Testing

@testable import KafkaStreaming

/// Records that are gone when they are wanted: retention, topics made again, logs cut short.
@Suite struct DataLossTests {
  private let partition = TopicPartition("in", 0)

  private func copy(_ context: StreamingContext) {
    context.topicStream("in").saveToTopic("out") { ProducerRecord(value: $0.value) }
  }

  private func ledger(_ job: PathJob) throws -> [String] {
    let files = job.process.world.files
    guard try files.attributes("/state/job/gaps.txt") != nil else { return [] }
    let file = try files.open("/state/job/gaps.txt", .read)
    let size = Int(try file.size())
    var bytes = [UInt8](repeating: 0, count: size)
    let count = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").map { line in
      // Without the time.
      line.split(separator: " ").filter { !$0.hasPrefix("time=") }.joined(separator: " ")
    }
  }

  /// A peer with a log of ten batches of one record, 10 ..< 20.
  private func scripted() throws -> (path: PathHarness, peer: ScriptedPeer, log: TransactionalLog) {
    let path = try PathHarness()
    let peer = try ScriptedPeer(path)
    try path.createTopic("in")
    try peer.take(over: "in", path)
    var log = TransactionalLog(start: 10)
    for value in 10..<20 { try log.append(["\(value)"]) }
    peer.logs[partition] = log
    return (path, peer, log)
  }

  @Test(arguments: [DataLossPolicy.fail, .earliest, .latest]) func retentionWasFaster(_ policy: DataLossPolicy) throws {
    let (path, peer, begun) = try scripted()
    var log = begun
    let settings = ["sluice.kafka.onDataLoss": policy.rawValue, "sluice.kafka.maxRatePerPartition": "2"]
    peer.batchesMax = 4
    let job = try PathJob(
      path, settings: settings, checkpoint: "/state/job", bootstrap: ScriptedPeer.address, copy)
    try job.start()
    try path.simulation.run { job.batches.contains { $0.numRecords > 0 } }
    // What is buffered is still planned; what comes after it is gone up to 50.
    for value in 20..<60 { try log.append(["\(value)"]) }
    peer.logs[partition] = log
    log.removeBatches(before: 50)
    peer.logs[partition] = log
    try path.simulation.run(for: .seconds(20))
    if policy == .fail {
      #expect(job.end.first?.contains("is not in the topic's log: retention has removed it") == true, "\(job.end)")
      #expect(try ledger(job) == [])
      return
    }
    try log.append(["60"])
    peer.logs[partition] = log
    job.context.stopAtPresentEnd()
    try job.runToEnd()
    #expect(job.end == ["ended"])
    let values = try path.readAll("out").map { Int($0.value!)! }
    let gaps = job.batches.flatMap { PlanDetails($0.inputs[0].plan.details).gaps }
    #expect(gaps.count == 1 && gaps[0].reason == .retention)
    let gap = try #require(gaps.first)
    #expect(gap.until == (policy == .earliest ? 50 : 60))
    // Not one that had arrived is lost, and not one is doubled.
    #expect(values == Array(10..<Int(gap.from.rawValue)) + Array(Int(gap.until.rawValue)...60))
    let batch = try #require(job.batches.first { !PlanDetails($0.inputs[0].plan.details).gaps.isEmpty })
    #expect(
      try ledger(job) == ["batch=\(batch.number) partition=in-0 from=\(gap.from) until=\(gap.until) reason=retention"])
    #expect(batch.counters["offsetsLost"] == gap.offsetsLost)
    #expect(
      job.log.contains { $0.hasPrefix("in-0: up to \(gap.offsetsLost) records are lost (retention): going on from") })
  }

  /// Holes that compaction leaves and markers are no gaps.
  @Test func holesAreNoLoss() throws {
    let (path, peer, begun) = try scripted()
    var log = begun
    log.skip(7)
    try log.append(["a"], producer: 3)
    try log.finish(3, aborting: true)
    try log.append(["b"], gaps: [0])
    peer.logs[partition] = log
    let job = try PathJob(
      path, availableNow: true, checkpoint: "/state/job", bootstrap: ScriptedPeer.address, copy)
    #expect(try job.run() == ["ended"])
    #expect(try path.readAll("out").count == 11)
    #expect(try ledger(job) == [])
    #expect(job.batches.allSatisfy { $0.counters["offsetsLost"] == nil })
  }

  @Test func aLogWasCutShort() throws {
    let (path, peer, begun) = try scripted()
    var log = begun
    let settings = ["sluice.kafka.onDataLoss": "latest"]
    let job = try PathJob(path, settings: settings, checkpoint: "/state/job", bootstrap: ScriptedPeer.address, copy)
    try job.start()
    try path.simulation.run { job.batches.reduce(0) { $0 + $1.numRecords } == 10 }
    log.truncate(to: 15)
    peer.logs[partition] = log
    try path.simulation.run(for: .seconds(5))
    try log.append(["new"])
    peer.logs[partition] = log
    try path.simulation.run(for: .seconds(5))
    try job.stop()
    #expect(try path.readAll("out").map { $0.value! } == (10..<20).map { "\($0)" } + ["new"])
    #expect(
      try ledger(job).map { $0.split(separator: " ").dropFirst().joined(separator: " ") } == [
        "partition=in-0 from=20 until=15 reason=truncated"
      ])
  }

  /// The topic was deleted and made again while the job was down; the new one is longer than the old one's offsets.
  @Test(arguments: [true, false]) func aTopicWasMadeAgainBetweenRuns(_ hasCheckpoint: Bool) throws {
    for policy in [DataLossPolicy.fail, .earliest, .latest] {
      let path = try PathHarness()
      try path.createTopic("in")
      try path.produce("in", values: (0..<5).map { "old \($0)" })
      let disk = path.simulation.makeDisk(named: "job disk")
      let checkpoint = hasCheckpoint ? "/state/job" : nil
      let first = try PathJob(path, availableNow: true, checkpoint: checkpoint, disk: disk, copy)
      #expect(try first.run() == ["ended"])
      let plan = try #require(first.batches.last { !$0.inputs[0].plan.ranges.isEmpty }?.inputs[0].plan)
      try path.answer { client, then in Admin(client).deleteTopics(["in"], then: then) } as Void
      try path.createTopic("in")
      try path.produce("in", values: (0..<9).map { "new \($0)" })
      let settings = ["sluice.kafka.onDataLoss": policy.rawValue]
      let second = try PathJob(
        path, settings: settings, availableNow: true, checkpoint: checkpoint, disk: disk, copy)
      // Without a checkpoint all that is known is what the group has: the broker has forgotten it with the topic.
      if hasCheckpoint {
        let source = second.context.sources.compactMap { $0 as? KafkaSource }[0]
        source.restore(plan)
      }
      let end = try second.run()
      let values = try path.values("out")
      let old = (0..<5).map { "old \($0)" }
      let new = (0..<9).map { "new \($0)" }
      if !hasCheckpoint {
        #expect(end == ["ended"] && values == new + old)
      } else if policy == .fail {
        #expect(
          end.first?.contains("offset 5 of in-0 is not in the topic's log: the topic was deleted and made again")
            == true)
        #expect(values == old)
      } else {
        #expect(end == ["ended"])
        #expect(values == (policy == .earliest ? new : []) + old)
        #expect(
          try ledger(second).first?.hasSuffix(
            "partition=in-0 from=5 until=\(policy == .earliest ? 0 : 9) reason=recreated") == true)
        #expect(try path.committed("in") == [9])
      }
    }
  }

  @Test func aTopicIsMadeAgainWhileTheJobRuns() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    try path.produce("in", partitions: 2, values: (0..<6).map { "old \($0)" })
    let settings = ["sluice.kafka.onDataLoss": "earliest"]
    let job = try PathJob(path, settings: settings, checkpoint: "/state/job", copy)
    try job.start()
    try path.simulation.run { job.batches.reduce(0) { $0 + $1.numRecords } == 6 }
    try path.answer { client, then in Admin(client).deleteTopics(["in"], then: then) } as Void
    try path.createTopic("in", partitions: 2)
    try path.produce("in", partitions: 2, values: (0..<20).map { "new \($0)" })
    try path.simulation.run(for: .seconds(40))
    try job.stop()
    #expect(job.end == ["ended"])
    #expect(try path.values("out") == ((0..<6).map { "old \($0)" } + (0..<20).map { "new \($0)" }).sorted())
    #expect(try ledger(job).count == 2)
    #expect(try path.committed("in") == path.ends("in"))
  }

  @Test func anEpochBeyondTheLeadersIsALoss() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.produce("in", values: (0..<9).map { "\($0)" })
    let ahead: [TopicPartition: Offsets.Committed] = [partition: .init(4, leaderEpoch: 7)]
    try path.answer { client, then in Offsets(client).commit(group: "job", ahead, then: then) } as Void
    let job = try PathJob(path, availableNow: true, copy)
    let end = try job.run()
    #expect(end.first?.contains("offset 4 of in-0 is not in the topic's log: the log ends before it") == true, "\(end)")
    let settings = ["sluice.kafka.onDataLoss": "latest"]
    let next = try PathJob(path, settings: settings, availableNow: true, copy)
    #expect(try next.run() == ["ended"])
    #expect(try path.ends("out") == [0])
  }
}
