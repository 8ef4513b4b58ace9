import Datasets
import Groundwork
import KafkaProtocol
import KafkaStreaming
import Streaming
import Testing

@testable import KafkaStreaming

/// Records that cannot be converted: the batch fails, or they are left out, or they go to a topic of their own.
@Suite struct DeadLetterTests {
  private struct NotANumber: Error, CustomStringConvertible {
    var text: String
    var description: String { "`\(text)` is no number" }
  }

  private func numbers(_ stream: DStream<ConsumerRecord>, _ policy: RecordFailurePolicy, _ calls: Cell<Int> = Cell(0)) {
    stream.mapRecords(onFailure: policy, name: "numbers") { record -> Int in
      calls.value += 1
      let text = String(record.value)
      guard let number = Int(text) else { throw NotANumber(text: text) }
      return number
    }.saveToTopic("out") { ProducerRecord(value: Bytes("\($0 * 10)")) }
  }

  private func load(_ path: PathHarness) throws {
    try path.createTopic("in", partitions: 2)
    try path.produce(
      "in",
      [
        Row(partition: 0, key: "k", value: "1"),
        Row(partition: 0, key: "bad", value: "x", headers: [.init(name: "own", value: "h")]),
        Row(partition: 1, value: "2"), Row(partition: 1, value: "y"), Row(partition: 1, value: "3"),
      ])
  }

  @Test func failing() throws {
    let path = try PathHarness()
    try load(path)
    let job = try PathJob(path, availableNow: true) { numbers($0.topicStream("in"), .fail) }
    let end = try job.run()
    #expect(end.first?.contains("numbers: the record at offset 1 of in-") == true, "\(end)")
    #expect(end.first?.contains("is no number; repair the conversion") == true)
    #expect(try path.ends("out") == [0])
  }

  @Test func skipping() throws {
    let path = try PathHarness()
    try load(path)
    let job = try PathJob(path, availableNow: true) { numbers($0.topicStream("in"), .skip) }
    #expect(try job.run() == ["ended"])
    #expect(try path.values("out") == ["10", "20", "30"])
    #expect(job.batches.reduce(0) { $0 + ($1.counters["recordsSkipped"] ?? 0) } == 2)
    #expect(try path.committed("in") == [2, 3])
  }

  @Test func deadLetters() throws {
    let path = try PathHarness()
    try load(path)
    let calls = Cell(0)
    let job = try PathJob(path, availableNow: true) { numbers($0.topicStream("in"), .deadLetter(topic: "dead"), calls) }
    #expect(try job.run() == ["ended"])
    #expect(try path.values("out") == ["10", "20", "30"])
    #expect(calls.value == 5)
    #expect(job.batches.reduce(0) { $0 + ($1.counters["recordsDead"] ?? 0) } == 2)
    let dead = try path.readAll("dead").sorted { $0.value! < $1.value! }
    #expect(dead.map(\.value) == ["x", "y"] && dead.map(\.key) == ["bad", nil])
    #expect(
      dead[0].headers == [
        .init(name: "own", value: "h"), .init(name: "sluice.topic", value: "in"),
        .init(name: "sluice.partition", value: "0"), .init(name: "sluice.offset", value: "1"),
        .init(name: "sluice.operator", value: "numbers"), .init(name: "sluice.error", value: "`x` is no number"),
      ])
  }

  @Test func longErrorsAreCutBetweenCharacters() {
    #expect(DeadLetter.cut("short") == "short")
    let long = String(repeating: "é", count: 600)
    #expect(DeadLetter.cut(long) == String(repeating: "é", count: 500))
    let odd = "a" + long
    #expect(DeadLetter.cut(odd) == "a" + String(repeating: "é", count: 499))
  }
}
