import Datasets
import Groundwork
import KafkaStreaming
import Streaming
import Testing

/// What a job says when a function of it throws: batch, operator, topic, partition and offset.
@Suite struct FailureMessageTests {
  private struct Wrong: Error, CustomStringConvertible {
    var description: String
  }

  /// The text that ends a job over 3,000 numbers in two partitions; 2,222 is `wrong`, at offset 1,111 of partition 0.
  private func end(_ define: (DStream<ConsumerRecord>) throws -> Void) throws -> String {
    let path = try PathHarness()
    try path.createTopic("lines", partitions: 2)
    try path.produce("lines", partitions: 2, values: (0..<3_000).map { $0 == 2_222 ? "wrong" : "\($0)" })
    let job = try PathJob(path, settings: ["sluice.streaming.backpressure.enabled": "false"], availableNow: true) {
      try define($0.topicStream("lines"))
    }
    return try job.run().joined()
  }

  private static let number: @Sendable (String) throws -> Int = { text in
    guard let number = Int(text) else { throw Wrong(description: "not a number: '\(text)'") }
    return number
  }

  @Test func aMapIsReportedWithItsRecord() throws {
    let end = try end {
      $0.map { try Self.number(String($0.value)) }.saveToTopic("out") { _ in ProducerRecord(value: nil) }
    }
    #expect(
      end == "the job stops: job 'saveToTopic-1' of batch 1 failed: partition 0 of stage 1 (map) failed 4 times; "
        + "the last error, at lines-0, offset 1111: not a number: 'wrong'")
  }

  @Test func operatorsThatChangeTheCountAreFollowedBack() throws {
    let end = try end { stream in
      let some = stream.filter { $0.offset.rawValue % 3 != 0 }
      let several = some.flatMap { record -> [(Int, String)] in
        (0..<Int(record.offset.rawValue % 5)).map { ($0, String(record.value)) }
      }
      let fewer = several.compactMap { pair -> (Int, String)? in pair.0 == 1 ? nil : pair }.peek { _ in }
      let numbers = fewer.flatMapValues { CollectionOfOne($0) }.mapValues { try Self.number($0) }
      numbers.saveToTopic("out") { _ in ProducerRecord(value: nil) }
    }
    #expect(
      end == "the job stops: job 'saveToTopic-1' of batch 1 failed: partition 0 of stage 1 (mapValues) failed 4 times; "
        + "the last error, at lines-0, offset 1111: not a number: 'wrong'")
  }

  @Test func anOutputsOwnFunctionIsReportedWithItsRecord() throws {
    let end = try end {
      $0.filter { $0.partition == 0 }.saveToTopic("out") {
        ProducerRecord(value: Bytes("\(try Self.number(String($0.value)))"))
      }
    }
    #expect(
      end
        == "the job stops: job 'saveToTopic-1' of batch 1 failed: partition 0 of stage 1 (saveToTopic) failed 4 times; "
        + "the last error, at lines-0, offset 1111: not a number: 'wrong'")
    let foreach = try self.end { stream in
      stream.map { String($0.value) }.foreachRDD { try $0.foreach { _ = try Self.number($0) } }
    }
    #expect(
      foreach == "the job stops: job 'foreach' of batch 1 failed: partition 0 of stage 1 (foreach) failed 4 times; "
        + "the last error, at lines-0, offset 1111: not a number: 'wrong'")
  }

  @Test func whereTheRecordIsNotKnownItsRangeIs() throws {
    // The function sees values, not records: of the chunk that was being combined.
    let combining = try end {
      $0.map { (0, String($0.value)) }
        .reduceByKey { "\(try Self.number($0) &+ Self.number($1))" }.print()
    }
    #expect(combining.contains("(reduceByKey) failed 4 times; "), "\(combining)")
    #expect(combining.contains("the last error, at lines-0, offsets 1024 to 1408: not a number"), "\(combining)")
    // The whole partition had been read.
    let whole = try end {
      $0.mapPartitions { (records: [ConsumerRecord], _) in try records.map { try Self.number(String($0.value)) } }
        .print()
    }
    #expect(
      whole.contains("(mapPartitions) failed 4 times; the last error, at lines-0, offsets 0 to 1499: "), "\(whole)")
  }

  @Test func anErrorThatDoesNotComeAgainIsReportedWithItsChunk() throws {
    let calls = Cell(0)
    let message = try end { stream in
      stream.map { record -> Int64 in
        guard record.value == "wrong" else { return record.offset.rawValue }
        calls.value += 1
        throw Wrong(description: calls.value % 2 == 1 ? "odd" : "even")
      }.filter { $0 > 0 }.saveToTopic("out") { ProducerRecord(value: Bytes("\($0)")) }
    }
    #expect(message.hasSuffix("the last error, at lines-0, offsets 1024 to 1408: odd"), "\(message)")
    // And one that comes once fails no job.
    calls.value = 0
    let ended = try end { stream in
      stream.map { record -> Int64 in
        if record.value == "wrong" {
          calls.value += 1
          if calls.value == 1 { throw Wrong(description: "once") }
        }
        return record.offset.rawValue
      }.saveToTopic("out") { ProducerRecord(value: Bytes("\($0)")) }
    }
    #expect(ended == "ended")
  }
}
