import Datasets
import Groundwork
import KafkaProtocol
import KafkaStreaming
import Streaming
import Testing

@testable import KafkaStreaming

/// A topic read as a table, and streams joined with it.
@Suite struct TopicTableTests {
  @Test func aStreamIsJoinedWithTheTable() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.createTopic("names", partitions: 3)
    try path.produce(
      "names",
      (0..<300).map { Row(partition: $0 % 3, key: "k\($0 % 60)", value: "old \($0)") } + [
        Row(partition: 0, key: "k3", value: "three"), Row(partition: 1, key: "k4", value: nil),
        Row(partition: 2, value: "nobody's"),
      ])
    try path.produce("in", [Row(key: "k3", value: "a"), Row(key: "k4", value: "b"), Row(key: "kx", value: "c")])
    let job = try PathJob(path) { context in
      let table = context.topicTable("names")
      let pairs = context.topicStream("in").map { (String($0.key ?? ""), String($0.value)) }
      pairs.join(table).saveToTopic("joined") { ProducerRecord(key: Bytes($0), value: Bytes("\($1.0) \($1.1)")) }
      pairs.leftOuterJoin(table).saveToTopic("left") { ProducerRecord(value: Bytes("\($0) \($1.0) \($1.1 ?? "-")")) }
      table.stream.count().saveToTopic("sizes") { ProducerRecord(value: Bytes("\($0)")) }
    }
    try job.start()
    try job.advance(3)
    // The first batch found the table whole.
    #expect(try path.values("joined") == ["a three"])
    #expect(try path.values("left") == ["k3 a three", "k4 b -", "kx c -"])
    #expect(try path.values("sizes").first == "59")
    // The table moves on.
    try path.produce("names", [Row(partition: 1, key: "k4", value: "four"), Row(partition: 0, key: "k3", value: nil)])
    try job.advance(2)
    try path.produce("in", [Row(key: "k3", value: "d"), Row(key: "k4", value: "e")])
    try job.advance(2)
    try job.stop()
    #expect(job.end == ["ended"])
    #expect(try path.values("joined") == ["a three", "e four"])
    #expect(try path.values("left").contains("k3 d -"))
    #expect(try path.committed("names") == [-1, -1, -1])
  }

  @Test func anEmptyTableAndARunToTheEnd() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.createTopic("names")
    try path.produce("in", [Row(key: "k", value: "a")])
    let job = try PathJob(path, availableNow: true) { context in
      let table = context.topicTable("names", key: { String($0) }, value: { Int(String($0.value)) })
      context.topicStream("in").map { (String($0.key!), 1) }.leftOuterJoin(table)
        .saveToTopic("out") { ProducerRecord(value: Bytes("\($0) \($1.1 ?? -1)")) }
    }
    #expect(try job.run() == ["ended"])
    #expect(try path.values("out") == ["k -1"])
  }

  @Test func whatCannotBeReadStopsTheJob() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let job = try PathJob(path) { context in
      let table = context.topicTable("nowhere")
      context.topicStream("in").map { (String($0.value), 1) }.join(table).foreachRDD { _ in }
    }
    #expect(try job.run().first?.hasPrefix("there is no topic nowhere") == true)
  }

  /// A newer state of the rows leaves an older one as it was.
  @Test func rowsAreValues() {
    var random = SeededRandom(seed: 4)
    var rows = TableRows<Int, Int>()
    var model: [Int: Int] = [:]
    var kept: [(TableRows<Int, Int>, [Int: Int])] = []
    for step in 0..<5000 {
      let key = Int(random.next() % 700)
      let value: Int? = random.next() % 3 == 0 ? nil : step
      rows.set(key, value)
      model[key] = value
      if step % 500 == 0 { kept.append((rows, model)) }
    }
    kept.append((rows, model))
    for (rows, model) in kept {
      #expect(rows.count == model.count && rows.all.count == model.count)
      #expect(Dictionary(uniqueKeysWithValues: rows.all) == model)
      #expect((0..<700).allSatisfy { rows[$0] == model[$0] })
    }
  }
}
