import Groundwork
import KafkaClients
import KafkaProtocol
import KafkaStreaming
import Streaming
import Testing

@testable import KafkaStreaming

/// Jobs over topics with transactions: a peer answers fetches as a broker with transactions does.
@Suite struct AbortedTransactionPathTests {
  private func copy(_ context: StreamingContext) {
    context.topicStream("in").saveToTopic("out") { ProducerRecord(key: $0.key, value: $0.value) }
  }

  private func job(
    _ path: PathHarness, settings: [String: String] = [:], availableNow: Bool = false,
    _ define: (StreamingContext) throws -> Void
  ) throws -> PathJob {
    try PathJob(path, settings: settings, availableNow: availableNow, bootstrap: ScriptedPeer.address, define)
  }

  /// The log grows while the job runs, limits cut its batches, bytes are evicted and fetched again.
  @Test(arguments: 0..<25) func aJobReadsWhatWasCommitted(_ seed: Int) throws {
    var random = SeededRandom(seed: UInt64(seed))
    let path = try PathHarness(seed: UInt64(seed))
    let peer = try ScriptedPeer(path)
    try path.createTopic("in")
    try peer.take(over: "in", path)
    let partition = TopicPartition("in", 0)
    var log = TransactionalLog(start: Int64(seed % 3))
    peer.logs[partition] = log
    peer.batchesMax = Int.random(in: 1...8, using: &random)
    var values = 0
    let box = Cell<KafkaSource?>(nil)
    let evicts = seed % 2 == 0
    let settings =
      seed % 3 == 0 ? [:] : ["sluice.kafka.maxRatePerPartition": "\(Int.random(in: 3...20, using: &random))"]
    let job = try job(path, settings: settings) { context in
      let stream = context.topicStream("in")
      stream.foreachRDD { _ in if evicts { box.value?.fetched.evictAll() } }
      stream.saveToTopic("out") { ProducerRecord(value: $0.value) }
    }
    box.value = job.context.sources.compactMap { $0 as? KafkaSource }[0]
    try job.start()
    for _ in 0..<20 {
      for _ in 0..<Int.random(in: 0...6, using: &random) { try log.grow(using: &random, values: &values) }
      peer.logs[partition] = log
      try job.advance(Int.random(in: 0...2, using: &random))
      // Nothing of an open transaction is shown, whatever stands behind it.
      let stable = log.committed(0..<log.lastStableOffset)
      #expect(try path.readAll("out").count <= stable.count, "seed \(seed)")
    }
    // A log ends with a batch: compaction leaves the newest alone.
    try log.append(["last"])
    while log.hasOpenTransactions { try log.finish(log.openProducers[0], aborting: random.next() % 2 == 0) }
    peer.logs[partition] = log
    job.context.stopAtPresentEnd()
    try job.runToEnd()
    #expect(job.end == ["ended"], "\(job.log)")
    #expect(try path.readAll("out").map { $0.value! } == log.committed(0..<log.end), "seed \(seed)")
    #expect(job.flawsInTiling() == [])
    // Markers at the end are passed: no tool shows lag.
    #expect(try path.committed("in") == [log.entries.last!.next])
    if evicts { #expect(job.jobs.inputsFetched.value > 0) }
  }

  @Test func availableNowEndsAtTheLastStableOffset() throws {
    let path = try PathHarness()
    let peer = try ScriptedPeer(path)
    try path.createTopic("in")
    try peer.take(over: "in", path)
    var log = TransactionalLog()
    try log.append(["a"])
    try log.append(["b"], producer: 7)
    try log.append(["c"])
    peer.logs[TopicPartition("in", 0)] = log
    let first = try job(path, availableNow: true, copy)
    #expect(try first.run() == ["ended"])
    #expect(try path.values("out") == ["a"])
    try log.finish(7, aborting: false)
    peer.logs[TopicPartition("in", 0)] = log
    let second = try job(path, availableNow: true, copy)
    #expect(try second.run() == ["ended"])
    #expect(try path.values("out") == ["a", "b", "c"])
  }

  @Test func readUncommittedShowsWhatWasAborted() throws {
    let path = try PathHarness()
    let peer = try ScriptedPeer(path)
    try path.createTopic("in")
    try peer.take(over: "in", path)
    var log = TransactionalLog()
    try log.append(["a"], producer: 7)
    try log.finish(7, aborting: true)
    try log.append(["b"], producer: 8)
    peer.logs[TopicPartition("in", 0)] = log
    let uncommitted = ["sluice.kafka.isolationLevel": "read_uncommitted"]
    let job = try job(path, settings: uncommitted, availableNow: true, copy)
    #expect(try job.run() == ["ended"])
    #expect(try path.values("out") == ["a", "b"])
    let wrong = try PathJob(path, settings: ["sluice.kafka.isolationLevel": "committed"], copy)
    let error = #expect(throws: StreamingError.self) { try wrong.start() }
    #expect(
      error?.description
        == "sluice.kafka.isolationLevel: `committed` is neither read_committed nor read_uncommitted")
  }
}
