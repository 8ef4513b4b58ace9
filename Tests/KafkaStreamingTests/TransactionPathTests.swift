import Datasets
import Groundwork
import KafkaClients
import Simulation
import Streaming
import Testing

@testable import KafkaStreaming

/// Topics in, topics out, each batch one transaction: whatever dies, committed readers see every record once.
@Suite struct TransactionPathTests {
  private func copy(_ context: StreamingContext) {
    let stream = context.topicStream("in")
    stream.saveToTopic("out") { ProducerRecord(value: $0.value) }
    stream.filter { String($0.value).hasSuffix("0") }.saveToTopic("tens") { ProducerRecord(value: $0.value) }
  }

  @Test func aBatchIsOneTransactionWithItsOffsets() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    try path.produce("in", partitions: 2, values: (0..<30).map { "v\($0)" })
    let job = try PathJob(path, availableNow: true, copy)
    #expect(try job.run() == ["ended"])
    #expect(try path.readAll("out").count == 30)
    #expect(try path.values("tens") == ["v0", "v10", "v20"])
    // Markers stand behind the records.
    #expect(try path.ends("out")[0] > 30)
    #expect(try path.committed("in") == [15, 15])
    #expect(job.log.contains { $0.contains("exactly-once (output and offsets are one transaction") })
  }

  @Test(arguments: UInt64(0)..<40) func killedAnywhereEveryRecordIsThereOnce(seed: UInt64) throws {
    let path = try PathHarness(seed: seed)
    var random = SeededRandom(seed: seed ^ 0x7A)
    try path.createTopic("in", partitions: 3)
    let disk = path.simulation.makeDisk(named: "disk of the job")
    var produced: [String] = []
    for _ in 0..<5 {
      let job = try PathJob(
        path, interval: .milliseconds(20), checkpoint: "/checkpoint", disk: disk, copy)
      try job.start()
      for _ in 0..<Int(random.next() % 4) {
        let values = (0..<Int(random.next() % 15)).map { "v\(produced.count + $0)" }
        if !values.isEmpty { try path.produce("in", partitions: 3, values: values) }
        produced += values
        try path.simulation.run(for: .microseconds(Int64(random.next() % 80_000)))
      }
      job.process.kill()
      if random.next() % 4 == 0 {
        path.killBroker()
        try path.startBroker()
      }
    }
    let job = try PathJob(
      path, interval: .milliseconds(20), availableNow: true, checkpoint: "/checkpoint",
      disk: disk, copy)
    #expect(try job.run() == ["ended"])
    let (out, tens) = (try path.values("out"), try path.values("tens"))
    #expect(out == produced.sorted())
    #expect(tens == produced.filter { $0.hasSuffix("0") }.sorted())
  }
}
