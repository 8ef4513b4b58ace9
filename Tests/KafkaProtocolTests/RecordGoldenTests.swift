import Codecs
import Groundwork
import KafkaProtocol
import Testing

/// Batches that kafka-python wrote (Golden/README.md says how) are read as what they are, and written the same again.
@Suite struct RecordGoldenTests {
  static let baseTime: Int64 = 1_700_000_000_000

  /// `small` of make-record-batches.py.
  static let small: [TestRecord] = [
    TestRecord(offset: 0, timestamp: baseTime, key: "k0", value: "v0"),
    TestRecord(offset: 1, timestamp: baseTime + 1, key: nil, value: "a value without a key"),
    TestRecord(offset: 2, timestamp: baseTime + 5, key: "a key longer than fifteen bytes", value: nil),
    TestRecord(offset: 3, timestamp: baseTime - 3, key: "", value: ""),
    TestRecord(
      offset: 4, timestamp: baseTime + 200, key: "headers", value: "five of them",
      headers: [
        RecordHeader("a", "1"), RecordHeader("a", nil), RecordHeader("", ""),
        RecordHeader("\u{fc}", "twenty bytes of text"), RecordHeader("a", "last"),
      ]),
    TestRecord(
      offset: 5, timestamp: baseTime + 86_400_000, key: "pattern", value: Bytes((0..<1000).map { UInt8($0 % 251) })),
  ]

  /// `large` of make-record-batches.py.
  static let large: [TestRecord] = (0..<3).map { i in
    TestRecord(
      offset: Int64(i), timestamp: baseTime + Int64(i), key: Bytes("\(i)"),
      value: Bytes((0..<150_000).map { UInt8(($0 + i) % 251) }))
  }

  @Test(arguments: [
    ("small-none", CompressionCodec.none), ("small-gzip", .gzip), ("small-snappy", .snappy), ("small-lz4", .lz4),
    ("small-zstd", .zstd), ("small-snappy-raw", .snappy), ("small-gzip-members", .gzip), ("small-transactional", .none),
  ])
  func smallBatchesAreRead(_ name: String, _ codec: CompressionCodec) throws {
    let batch = try RecordBatch(golden("\(name).batch"))
    #expect(try batch.header.codec == codec)
    #expect(batch.header.recordCount == 6)
    #expect(batch.header.lastOffset == 5)
    #expect(batch.header.nextOffset == 6)
    #expect(batch.header.baseTimestamp.milliseconds == Self.baseTime)
    #expect(batch.header.maxTimestamp.milliseconds == Self.baseTime + 86_400_000)
    #expect(batch.header.timestampType == .createTime)
    #expect(!batch.header.isControl)
    #expect(try batch.allRecords(CodecWorkspace()) == Self.small)
  }

  @Test(arguments: [
    "large-gzip", "large-snappy", "large-lz4", "large-zstd", "large-lz4-linked", "large-zstd-unsized",
  ])
  func largeBatchesAreRead(_ name: String) throws {
    let batch = try RecordBatch(golden("\(name).batch"))
    let workspace = CodecWorkspace()
    // Twice: the second time with contexts and an arena that were used before.
    for _ in 0..<2 { #expect(try batch.allRecords(workspace) == Self.large) }
  }

  @Test(arguments: ["small-none", "small-transactional", "small-log-append", "control-commit", "control-abort"])
  func uncompressedBatchesAreWrittenBitForBit(_ name: String) throws {
    let bytes = try golden("\(name).batch")
    let batch = try RecordBatch(bytes)
    var records = try batch.allRecords(CodecWorkspace())
    // The append time hides the producer's times, which stand in the bytes all the same.
    if name == "small-log-append" {
      for index in records.indices { records[index].timestamp = Self.small[index].timestamp }
    }
    #expect(try encoded(records, RecordBatchSettings(of: batch.header)) == bytes)
  }

  @Test func producersAreRead() throws {
    let header = try RecordBatch(golden("small-transactional.batch")).header
    #expect(header.producerID == 4242)
    #expect(header.producerEpoch == 7)
    #expect(header.baseSequence == 99)
    #expect(header.isTransactional)
    #expect(header.isIdempotent)
    #expect(try !RecordBatch(golden("small-none.batch")).header.isIdempotent)
  }

  @Test func appendTimeIsEveryRecordsTime() throws {
    let batch = try RecordBatch(golden("small-log-append.batch"))
    #expect(batch.header.timestampType == .logAppendTime)
    let times = try batch.allRecords(CodecWorkspace()).map(\.timestamp)
    #expect(times == Array(repeating: Self.baseTime + 1_000_000, count: 6))
    // Our own assignment gives the same bytes from the producer's batch.
    var writer = ByteWriter()
    try RecordBatch(golden("small-none.batch")).append(
      to: &writer, baseOffset: 0, partitionLeaderEpoch: batch.header.partitionLeaderEpoch,
      logAppendTime: Timestamp(milliseconds: Self.baseTime + 1_000_000))
    #expect(writer.finish() == batch.bytes)
  }

  @Test func markersAreReadAndWritten() throws {
    for (name, record) in [
      ("commit", ControlRecord(.commit, coordinatorEpoch: 12)), ("abort", ControlRecord(.abort, coordinatorEpoch: 13)),
    ] {
      let batch = try RecordBatch(golden("control-\(name).batch"))
      #expect(batch.header.isControl)
      #expect(batch.header.isTransactional)
      #expect(try batch.controlRecord(using: CodecWorkspace()) == record)
      let ours = try record.batch(
        producerID: 4242, producerEpoch: 7, timestamp: Timestamp(milliseconds: Self.baseTime))
      var writer = ByteWriter()
      try RecordBatch(ours).append(
        to: &writer, baseOffset: 0, partitionLeaderEpoch: batch.header.partitionLeaderEpoch)
      #expect(writer.finish() == batch.bytes)
    }
  }

  @Test func sequencesStopAtAPartialBatch() throws {
    let bytes = try golden("sequence.batch")
    var sequence = RecordBatchSequence(bytes)
    let workspace = CodecWorkspace()
    var seen: [String] = []
    while let batch = try sequence.next() {
      try batch.verifyChecksum()
      seen.append(
        "\(batch.header.baseOffset) \(try batch.header.codec) \(batch.header.isControl) \(batch.header.nextOffset)")
      if !batch.header.isControl {
        let shift = batch.header.baseOffset.rawValue
        let expected = Self.small.map { record in
          var record = record
          record.offset += shift
          return record
        }
        #expect(try batch.allRecords(workspace) == expected)
      }
    }
    #expect(
      seen == ["1000 none false 1006", "1006 lz4 false 1012", "1012 none true 1013", "1013 zstd false 1019"])
    #expect(sequence.trailingBytes == 200)
    #expect(try sequence.trailingBatchSize == golden("small-gzip.batch").count)
  }
}
