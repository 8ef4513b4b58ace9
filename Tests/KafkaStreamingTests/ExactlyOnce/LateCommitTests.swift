import Groundwork
import KafkaClients
import KafkaProtocol
import Simulation
import Streaming
import Testing

@testable import KafkaStreaming

/// Where transactions decide, the group's offsets carry the number of the last decided batch: nothing that comes late, or
/// from elsewhere in the job, may take them back.
@Suite struct LateCommitTests {
  private static let partition = TopicPartition("in", 0)

  private func copy(_ context: StreamingContext) {
    context.topicStream("in").saveToTopic("out") { ProducerRecord(value: $0.value) }
  }

  private func committed(_ path: PathHarness, _ partition: TopicPartition = partition) throws -> Offsets.Committed? {
    let found: [TopicPartition: Offsets.Committed] = try path.answer { client, then in
      Offsets(client).committed(group: "job", [partition], then: then)
    }
    return found[partition]
  }

  private func batch(_ committed: Offsets.Committed?) -> BatchNumber? {
    OffsetNote(committed?.metadata).batch?.number
  }

  /// What a job sends when it has found where to begin is held up by the network, the job is killed, and its successor
  /// decides a batch before that arrives.
  @Test func whatAKilledJobSentAtItsStartChangesNothingLater() throws {
    var failures: [String] = []
    for step in 0..<160 {
      let path = try PathHarness(seed: UInt64(step))
      defer { path.simulation.end() }
      try path.createTopic("in")
      let disk = path.simulation.makeDisk(named: "disk of the job")
      func job(_ name: String) throws -> PathJob {
        try PathJob(path, interval: .milliseconds(100), checkpoint: "/checkpoint", disk: disk, copy)
      }
      let first = try job("first")
      first.context.addStreamingListener(
        Started { [simulation = path.simulation] in
          simulation.after(.microseconds(50 * Int64(step % 20))) {
            simulation.network.conditions.spikeProbability = 1
            simulation.network.conditions.spike = .seconds(3)
          }
        })
      try first.start()
      try path.simulation.run { path.simulation.network.conditions.spikeProbability == 1 }
      try path.simulation.run(for: .milliseconds(1))
      path.simulation.network.conditions.spikeProbability = 0
      first.process.kill()
      let second = try job("second")
      try second.start()
      try path.produce("in", values: (0..<5).map { "\($0)" })
      try path.simulation.run { second.batches.contains { $0.numRecords > 0 } }
      let before = try committed(path)
      try path.simulation.run(for: .seconds(4))
      let after = try committed(path)
      if batch(before) == nil || before?.offset != 5 || after?.offset != 5 || batch(after) != batch(before) {
        failures.append("step \(step): \(before.map { "\($0)" } ?? "nothing") → \(after.map { "\($0)" } ?? "nothing")")
      }
      try second.stop()
    }
    #expect(failures.isEmpty, "\(failures.count): \(failures.prefix(2))")
  }

  /// What became of the commit at the start is not known for so long that it was given up: before the next batch it is
  /// asked for again. Where the coordinator has ended the transaction meanwhile, because it was open for too long, the job
  /// ends, and its successor goes on.
  @Test func aCommitOfUnknownOutcomeIsAskedForAgain() throws {
    var failures: [String] = []
    var unknown = 0
    var survivors = 0
    for step in 0..<30 {
      let path = try PathHarness(seed: UInt64(step))
      defer { path.simulation.end() }
      try path.createTopic("in")
      path.simulation.network.conditions.partitionTimeout = .seconds(5)
      path.simulation.network.conditions.connectTimeout = .seconds(5)
      let disk = path.simulation.makeDisk(named: "disk of the job")
      let first = try PathJob(path, checkpoint: "/checkpoint", disk: disk, copy)
      let isCut = Cell(false)
      first.context.addStreamingListener(
        Started { [simulation = path.simulation, broker = path.brokerProcess!, process = first.process] in
          simulation.after(.microseconds(300 + 20 * Int64(step))) {
            simulation.network.partition(broker, process)
            isCut.value = true
          }
        })
      try first.start()
      try path.simulation.run { isCut.value }
      // Longer than the two minutes for which a commit asks by itself.
      try path.simulation.run(for: .seconds(150))
      let isUnknown = try first.context.kafka().transactions.unsettled != nil
      path.simulation.network.healAll()
      try path.produce("in", values: (0..<5).map { "\($0)" })
      try path.simulation.run(within: .seconds(60)) {
        first.hasEnded || first.batches.contains { $0.numRecords > 0 }
      }
      unknown += isUnknown ? 1 : 0
      if first.hasEnded {
        if !isUnknown || !first.end[0].contains("a newer producer with this transactional id has taken over") {
          failures.append("step \(step): \(first.end)")
        }
        let second = try PathJob(path, availableNow: true, checkpoint: "/checkpoint", disk: disk, copy)
        if try second.run() != ["ended"] { failures.append("step \(step): \(second.end)") }
      } else {
        survivors += isUnknown ? 1 : 0
        try first.stop()
      }
      let (values, committed) = (try path.values("out"), try committed(path))
      if values != (0..<5).map({ "\($0)" }) || committed?.offset != 5 || batch(committed) == nil {
        failures.append("step \(step): \(values), \(committed.map { "\($0)" } ?? "nothing")")
      }
    }
    #expect(failures.isEmpty, "\(failures.count): \(failures.prefix(2))")
    #expect(survivors > 2 && unknown > survivors, "\(survivors) of \(unknown) went on")
  }

  /// Does something as soon as a job has begun, before anything that it sends then is on its way.
  ///
  /// Sendable: a simulated world and all in it is used by one thread.
  private final class Started: StreamingListener, @unchecked Sendable {
    private let work: () -> Void
    init(_ work: @escaping () -> Void) { self.work = work }
    func onStreamingStarted(_ time: Timestamp) { work() }
  }

  /// Where it began is kept although nothing ever came.
  @Test func theStartOfAJobThatStaysEmptyIsCommitted() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    try path.produce("in", partitions: 2, values: ["old", "old too"])
    let settings = ["sluice.kafka.startingOffsets": "latest"]
    let first = try PathJob(path, settings: settings, copy)
    try first.start()
    try first.advance(2)
    #expect(first.batches.allSatisfy { $0.numRecords == 0 })
    first.process.kill()
    #expect(try path.committed("in") == [1, 1])
    try path.produce("in", partitions: 2, values: ["new", "new too"])
    let second = try PathJob(path, settings: settings, availableNow: true, copy)
    #expect(try second.run() == ["ended"])
    #expect(try path.values("out") == ["new", "new too"])
    #expect(try path.committed("in") == path.ends("in"))
  }

  /// A batch of which nothing is left for the outputs is decided by the transaction all the same; one that moves no record
  /// leaves everything as it is.
  @Test func aBatchWithoutOutputStandsInTheGroupToo() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let job = try PathJob(path, checkpoint: "/checkpoint") { context in
      context.topicStream("in").filter { String($0.value) != "drop" }
        .saveToTopic("out") { ProducerRecord(value: $0.value) }
    }
    try job.start()
    try path.produce("in", values: ["keep"])
    try job.advance(2)
    #expect(try committed(path)?.offset == 1)
    let kept = try #require(batch(try committed(path)))
    try path.produce("in", values: ["drop"])
    try job.advance(2)
    #expect(try committed(path)?.offset == 2)
    let dropped = try #require(batch(try committed(path)))
    #expect(dropped > kept)
    try job.advance(5)
    #expect(batch(try committed(path)) == dropped)
    try job.stop()
    #expect(try path.values("out") == ["keep"])
  }

  /// All that is committed beside the batches says which was decided last: idle partitions again, those that come later,
  /// and those of a run whose batches no transaction decides.
  @Test func everyCommitCarriesTheLastDecidedBatch() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    let job = try PathJob(path, interval: .seconds(10), copy)
    try job.start()
    try path.produce("in", values: ["one"])
    try job.advance(2)
    let decided = try #require(batch(try committed(path)))
    #expect(batch(try committed(path, TopicPartition("in", 1))) == nil)
    // Twice half an hour.
    try job.advance(365)
    #expect(batch(try committed(path)) == decided)
    #expect(batch(try committed(path, TopicPartition("in", 1))) == decided)
    try job.stop()
    let other = try PathJob(
      path, interval: .seconds(10), settings: ["sluice.streaming.guarantee": "at-least-once"], copy)
    try other.start()
    try path.produce("in", values: ["two"])
    try other.advance(365)
    try other.stop()
    #expect(try committed(path)?.offset == 2)
    #expect(batch(try committed(path)) == decided)
    #expect(batch(try committed(path, TopicPartition("in", 1))) == decided)
  }

  /// No transaction is refused for a member that somebody else has in the group, so it is looked for.
  @Test(arguments: ["exactly-once", "at-least-once"]) func aMemberThatJoinsLaterIsNamed(guarantee: String) throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let job = try PathJob(path, interval: .seconds(10), settings: ["sluice.streaming.guarantee": guarantee], copy)
    try job.start()
    // Offsets are committed again after an hour.
    try job.advance(355)
    try path.joinGroup("job")
    try job.runToEnd()
    #expect(job.end.first?.hasPrefix("the consumer group job has live members: user at ") == true, "\(job.end)")
  }
}
