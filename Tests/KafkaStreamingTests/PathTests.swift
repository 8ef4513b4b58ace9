import Codecs
import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Simulation
import Streaming
import Testing

@testable import KafkaStreaming

/// Topics in, topics out, without faults: every total is exact.
@Suite struct PathTests {
  @Test func aTopicIsTransformedIntoATopic() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 3)
    let job = try PathJob(path) { context in
      context.topicStream("in")
        .map { Int(String($0.value))! }.filter { $0 % 2 == 0 }.map { ($0 % 10, $0) }
        .reduceByKey { $0 + $1 }
        .saveToTopic("out") { ProducerRecord(key: Bytes("\($0.0)"), value: Bytes("\($0.1)")) }
    }
    try job.start()
    var expected: [Int: Int] = [:]
    for round in 0..<3 {
      let numbers = (0..<100).map { $0 + round * 100 }
      for number in numbers where number % 2 == 0 { expected[number % 10, default: 0] += number }
      try path.produce("in", partitions: 3, values: numbers.map(String.init))
      try job.advance(2)
    }
    try job.stop()
    #expect(job.end == ["ended"])
    var sums: [Int: Int] = [:]
    for row in try path.readAll("out") { sums[Int(row.key!)!, default: 0] += Int(row.value!)! }
    #expect(sums == expected)
    #expect(job.batches.reduce(0) { $0 + $1.numRecords } == 300)
    #expect(job.flawsInTiling() == [])
    #expect(try path.committed("in") == path.ends("in"))
  }

  @Test func severalTopicsMakeOneStream() throws {
    let path = try PathHarness()
    try path.createTopic("left", partitions: 2)
    try path.createTopic("right", partitions: 3)
    try path.produce("left", partitions: 2, values: (0..<20).map { "l\($0)" })
    try path.produce("right", partitions: 3, values: (0..<30).map { "r\($0)" })
    let job = try PathJob(path, availableNow: true) { context in
      context.topicStream(["right", "left"])
        .map { "\($0.topic)-\($0.partition)@\($0.offset) \(String($0.value))" }
        .saveToTopic("out") { ProducerRecord(value: Bytes($0)) }
    }
    #expect(try job.run() == ["ended"])
    let left = (0..<20).map { "left-\($0 % 2)@\($0 / 2) l\($0)" }
    let right = (0..<30).map { "right-\($0 % 3)@\($0 / 3) r\($0)" }
    #expect(try path.values("out") == (left + right).sorted())
    #expect(try path.committed("left") == [10, 10])
    #expect(try path.committed("right") == [10, 10, 10])
  }

  @Test func keysGoWhereOtherClientsPutThem() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.createTopic("out", partitions: 7)
    try path.produce("in", values: (0..<200).map { "key-\($0)" })
    let job = try PathJob(path, availableNow: true) { context in
      context.topicStream("in").saveToTopic("out") { ProducerRecord(key: $0.value, value: $0.value) }
    }
    #expect(try job.run() == ["ended"])
    let rows = try path.readAll("out")
    #expect(rows.count == 200)
    let misplaced = rows.filter { Int(murmur2(Bytes($0.key!)) & 0x7FFF_FFFF) % 7 != $0.partition }
    #expect(misplaced == [])
    #expect(Set(rows.map(\.partition)).count == 7)
    // The values of Kafka's own tests (UtilsTest.testMurmur2).
    #expect(murmur2(Bytes("21")) == -973_932_308)
    #expect(murmur2(Bytes("foobar")) == -790_332_482)
    #expect(murmur2(Bytes("a-little-bit-long-string")) == -985_981_536)
  }

  @Test func anExplicitPartitionWinsAndOneThatIsNotThereFails() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.createTopic("out", partitions: 3)
    try path.produce("in", values: ["a", "b", "c"])
    let job = try PathJob(path, availableNow: true) { context in
      context.topicStream("in").saveToTopic("out") { ProducerRecord(key: "k", value: $0.value, partition: 2) }
    }
    #expect(try job.run() == ["ended"])
    #expect(try path.readAll("out").map(\.partition) == [2, 2, 2])
    for partition: PartitionIndex in [3, -1] {
      let wrong = try PathJob(path, name: "wrong\(partition)", availableNow: true) { context in
        context.topicStream("in").saveToTopic("out") { ProducerRecord(value: $0.value, partition: partition) }
      }
      #expect(try wrong.run().first?.contains("topic out has no partition \(partition)") == true)
      #expect(try path.committed("in", group: "wrong\(partition)") == [0])
    }
  }

  /// Everything a record may carry comes through `ConsumerRecord` and back out.
  @Test func recordsKeepKeysHeadersAndNulls() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let long = String(repeating: "long ", count: 50)
    let records: [Row] = [
      Row(key: nil, value: "no key"), Row(key: "", value: "empty key"), Row(key: "tomb", value: nil),
      Row(key: "empty", value: ""), Row(key: long, value: long),
      Row(
        key: "h", value: "v",
        headers: [
          .init(name: "a", value: "1"), .init(name: "a", value: nil), .init(name: "", value: ""),
          .init(name: "long", value: long),
        ]),
    ]
    try path.produce("in", batches: [path.batch(records, codec: .zstd, timestamp: 4_242)])
    let seen = Cell<[String]>([])
    let job = try PathJob(path, availableNow: true) { context in
      let stream = context.topicStream("in")
      stream.saveToTopic("out") {
        ProducerRecord(
          key: $0.key, value: $0.isTombstone ? nil : $0.value, headers: $0.headers, timestamp: $0.timestamp)
      }
      stream.foreachRDD { batch in
        for record in try batch.collect() {
          seen.value.append(
            "\(record.offset) \(record.isTombstone) \(record.value.count) \(record.timestamp.milliseconds)")
        }
      }
    }
    #expect(try job.run() == ["ended"])
    let rows = try path.readAll("out")
    #expect(rows.map(\.key) == records.map(\.key))
    #expect(rows.map(\.value) == records.map(\.value))
    #expect(rows.map(\.headers) == records.map(\.headers))
    #expect(
      seen.value == [
        "0 false 6 4242", "1 false 9 4242", "2 true 0 4242", "3 false 0 4242", "4 false 250 4242", "5 false 1 4242",
      ])
  }

  /// Records collected from many chunks and batches stay what they were when the buffers were used again.
  @Test func collectedRecordsAreSafeToKeep() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let values = (0..<3000).map { "a value that does not stand inline \($0)" }
    for start in stride(from: 0, to: 3000, by: 1500) {
      let rows = values[start..<start + 1500].map { value in
        Row(key: "key of " + value, value: value, headers: value.hasSuffix("7") ? [.init(name: "h", value: value)] : [])
      }
      try path.produce("in", batches: [path.batch(rows, codec: .lz4)])
    }
    let kept = Cell<[ConsumerRecord]>([])
    let job = try PathJob(path, availableNow: true) { context in
      context.topicStream("in").foreachRDD { kept.value += try $0.collect() }
    }
    #expect(try job.run() == ["ended"])
    #expect(kept.value.map { String($0.value) } == values)
    #expect(kept.value.map { String($0.key!) } == values.map { "key of " + $0 })
    let headers = kept.value.flatMap { record in record.headers.map { String($0.value!) } }
    #expect(headers == values.filter { $0.hasSuffix("7") })
  }

  @Test(arguments: CompressionCodec.allCases) func everyCodecGivesTheSame(_ codec: CompressionCodec) throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let values = (0..<500).map { "value \($0 % 50) of some length, so that it compresses" }
    for start in stride(from: 0, to: 500, by: 100) {
      try path.produce(
        "in", batches: [path.batch(values[start..<start + 100].map { Row(key: "k", value: $0) }, codec: codec)])
    }
    let job = try PathJob(path, availableNow: true) { context in
      context.topicStream("in").map { $0.value }
        .countByValue().saveToTopic("out", compression: codec) { ProducerRecord(key: $0.0, value: Bytes("\($0.1)")) }
    }
    #expect(try job.run() == ["ended"])
    let rows = try path.readAll("out")
    #expect(rows.map { "\($0.key!)=\($0.value!)" }.sorted() == Set(values).map { "\($0)=10" }.sorted())
  }

  @Test func onePartitionMayHoldAllCodecs() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    var expected: [String] = []
    var batches: [EncodedBatch] = []
    for round in 0..<4 {
      for codec in CompressionCodec.allCases {
        let values = (0..<25).map { "\(codec) \(round) \($0) some text some text" }
        expected += values
        batches.append(try path.batch(values.map { Row(value: $0) }, codec: codec))
      }
    }
    try path.produce("in", batches: batches)
    let job = try PathJob(path, availableNow: true) { context in
      context.topicStream("in").saveToTopic("out") { ProducerRecord(value: $0.value) }
    }
    #expect(try job.run() == ["ended"])
    #expect(try path.readAll("out").map { $0.value! } == expected)
  }

  @Test func theBatchTimeIsTheTimestampWhereNoneIsGiven() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.produce("in", values: ["x"])
    let times = Cell<[Int64]>([])
    let job = try PathJob(path, name: "first", availableNow: true) { context in
      context.topicStream("in").saveToTopic("out") { ProducerRecord(value: $0.value) }
    }
    #expect(try job.run() == ["ended"])
    let check = try PathJob(path, name: "second", availableNow: true) { context in
      context.topicStream("out").foreachRDD { times.value += try $0.collect().map(\.timestamp.milliseconds) }
    }
    #expect(try check.run() == ["ended"])
    #expect(times.value == [job.batches.first { $0.numRecords > 0 }!.batchTime.milliseconds])
  }
}
