import Groundwork
import KafkaStreaming
import Streaming
import Testing

/// A job whose broker runs in the same process does not wait for a full disk until its deliveries time out.
@Suite struct DiskFullTests {
  @Test func theJobEndsWithTheBrokersReason() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.createTopic("out")
    try path.produce("in", values: (0..<50).map { "value \($0)" })
    let job = try PathJob(path) { context in
      context.topicStream("in").saveToTopic("out") { ProducerRecord(value: $0.value) }
    }
    path.killBroker()
    let context = job.context
    try path.startBroker { $0.storageFailed = { context.fail($0) } }
    try job.start()
    try job.advance(3)
    #expect(try path.values("out").count == 50)

    path.brokerDisk.capacity = path.brokerDisk.usedBytes
    let start = path.userProcess.world.clock.now
    // Batches without records have nothing to write.
    try job.advance(20)
    #expect(!job.hasEnded)
    path.brokerDisk.capacity = path.brokerDisk.usedBytes + 100
    try path.produce("in", values: ["the last that fits"])
    path.brokerDisk.capacity = path.brokerDisk.usedBytes
    let full = path.userProcess.world.clock.now
    try job.runToEnd()
    let end = job.end.joined()
    #expect(end.contains("/broker/") && end.contains("disk") && end.contains("full"), "\(end)")
    #expect(path.userProcess.world.clock.now - full < .seconds(10), "\(path.userProcess.world.clock.now - full)")
    #expect(full - start >= .seconds(20))

    // With room again a restart does what the batch was to do.
    path.brokerDisk.capacity = nil
    path.killBroker()
    try path.startBroker()
    let again = try PathJob(path, name: "job", availableNow: true) { context in
      context.topicStream("in").saveToTopic("out") { ProducerRecord(value: $0.value) }
    }
    #expect(try again.run() == ["ended"])
    #expect(try path.values("out").contains("the last that fits"))
  }
}
