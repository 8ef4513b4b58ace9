import Codecs
import Groundwork
import KafkaProtocol
import Testing
import WireFormat

/// Round trips and the walk's own promises, in each codec.
@Suite struct RecordBatchTests {
  @Test(arguments: CompressionCodec.allCases) func randomBatchesComeBack(_ codec: CompressionCodec) throws {
    let workspace = CodecWorkspace()
    var failures: [String] = []
    for seed in UInt64(1)...150 {
      var random = SeededRandom(seed: seed)
      let base = Int64.random(in: 0...(1 << 40), using: &random)
      let records = randomRecords(&random, count: Int.random(in: 1...60, using: &random), baseOffset: base)
      var settings = RecordBatchSettings(codec: codec)
      settings.baseOffset = Offset(base)
      settings.producerID = 7
      settings.producerEpoch = 3
      settings.baseSequence = 12
      settings.partitionLeaderEpoch = 2
      settings.isTransactional = seed % 2 == 0
      let bytes = try encoded(records, settings, workspace)
      let batch = try RecordBatch(bytes)
      if try batch.allRecords(workspace) != records { failures.append("seed \(seed): records differ") }
      if try RecordBatchSettings(of: batch.header) != withLast(settings, records) {
        failures.append("seed \(seed): settings differ")
      }
      if batch.header.maxTimestamp.milliseconds != records.map(\.timestamp).max() {
        failures.append("seed \(seed): highest timestamp")
      }
      if codec == .none, try encoded(records, RecordBatchSettings(of: batch.header), workspace) != bytes {
        failures.append("seed \(seed): not bit for bit")
      }
    }
    #expect(failures == [])
  }

  private func withLast(_ settings: RecordBatchSettings, _ records: [TestRecord]) -> RecordBatchSettings {
    var settings = settings
    settings.lastOffsetDelta = Int32(records.last!.offset - settings.baseOffset.rawValue)
    return settings
  }

  @Test(arguments: CompressionCodec.allCases) func valuesOfAllSizesComeBack(_ codec: CompressionCodec) throws {
    let workspace = CodecWorkspace()
    var random = SeededRandom(seed: 5)
    for size in [0, 1, 15, 16, 63, 64, 8191, 8192, 32_768, 65_536, 900_000] {
      let value = Bytes((0..<size).map { _ in UInt8.random(in: 0...63, using: &random) })
      let records = [
        TestRecord(offset: 0, timestamp: -1, key: nil, value: value),
        TestRecord(offset: 1, timestamp: -1, key: value, value: nil),
      ]
      let batch = try RecordBatch(encoded(records, RecordBatchSettings(codec: codec), workspace))
      #expect(try batch.allRecords(workspace) == records, "\(size) bytes")
    }
  }

  @Test func walksStartInsideAndEndInside() throws {
    let workspace = CodecWorkspace()
    var random = SeededRandom(seed: 11)
    let records = randomRecords(&random, count: 40, baseOffset: 500)
    var settings = RecordBatchSettings(codec: .lz4)
    settings.baseOffset = 500
    let batch = try RecordBatch(encoded(records, settings))
    for from in stride(from: Int64(490), to: 640, by: 7) {
      for until in stride(from: Int64(485), to: 640, by: 11) {
        let expected = records.filter { $0.offset >= from && $0.offset < until }
        #expect(try batch.allRecords(workspace, from: Offset(from), until: Offset(until)) == expected)
      }
    }
    #expect(try batch.allRecords(workspace, from: Offset(.min), until: Offset(.max)) == records)
    #expect(try batch.allRecords(workspace, from: Offset(.min), until: Offset(.min)) == [])
  }

  @Test func keptBytesOutliveTheWorkspacesArena() throws {
    let workspace = CodecWorkspace()
    let values = (0..<50).map { Bytes("a value longer than fifteen bytes, number \($0)") }
    var kept: [Bytes] = []
    for value in values {
      let records = [TestRecord(offset: 0, timestamp: 0, key: nil, value: value)]
      let batch = try RecordBatch(encoded(records, RecordBatchSettings(codec: .zstd)))
      try batch.forEachRecord(using: workspace) { kept.append($0.value!) }
    }
    #expect(kept == values)
    #expect(workspace.arenasMade == 50)
  }

  @Test func arenasAreUsedAgainWhereNothingIsKept() throws {
    let workspace = CodecWorkspace()
    let records = RecordGoldenTests.large
    for codec in CompressionCodec.allCases {
      let batch = try RecordBatch(encoded(records, RecordBatchSettings(codec: codec)))
      try batch.forEachRecord(using: workspace) { _ in }
      let made = workspace.arenasMade
      for _ in 0..<20 { try batch.forEachRecord(using: workspace) { _ in } }
      #expect(workspace.arenasMade == made, "\(codec)")
    }
  }

  @Test func unretainedValuesReadLikeOthers() throws {
    let workspace = CodecWorkspace()
    var random = SeededRandom(seed: 3)
    let records = randomRecords(&random, count: 300)
    let section = try RecordBatch(encoded(records, RecordBatchSettings(codec: .lz4))).records(using: workspace)
    // Slots that are never destroyed, as a source chunk's.
    let slots = UnsafeMutablePointer<Bytes>.allocate(capacity: records.count)
    defer { slots.deallocate() }
    var copies: [Bytes] = []
    for _ in 0..<3 {
      var count = 0
      try section.forEachRecord { view in
        if let value = view.unretainedValue {
          (slots + count).initialize(to: value)
          count += 1
        }
        #expect(view.keyBuffer.map { Bytes(copying: $0) } == view.key)
        #expect(view.valueBuffer.map { Bytes(copying: $0) } == view.value)
      }
      copies = Array(UnsafeBufferPointer(start: slots, count: count))
    }
    #expect(copies == records.compactMap(\.value))
  }

  @Test func headersAreFoundByKey() throws {
    let headers = RecordGoldenTests.small[4].headers
    let record = TestRecord(offset: 0, timestamp: 0, key: nil, value: nil, headers: headers)
    let batch = try RecordBatch(encoded([record]))
    try batch.forEachRecord(using: CodecWorkspace()) { view in
      #expect(view.headerCount == 5)
      #expect(view.headers.last("a") == .some("last"))
      #expect(view.headers.last("") == .some(""))
      #expect(view.headers.last("b") == nil)
    }
    let null = TestRecord(offset: 0, timestamp: 0, key: nil, value: nil, headers: [RecordHeader("a", nil)])
    try RecordBatch(encoded([null])).forEachRecord(using: CodecWorkspace()) { view in
      #expect(view.headers.last("a") == .some(.none))
    }
  }

  @Test func buildersAreUsedAgain() throws {
    let workspace = CodecWorkspace()
    var builder = RecordBatchBuilder(capacity: 16)
    for round in 0..<3 {
      builder.reset()
      let isEmpty = builder.isEmpty
      #expect(isEmpty)
      var thrown: RecordBatchError?
      do { _ = try builder.finish(using: workspace) } catch { thrown = error }
      #expect(thrown == RecordBatchError(.empty, baseOffset: nil))
      let key = Bytes("key \(round)")
      let before = builder.uncompressedSize
      try builder.append(key: key, value: "value", headers: [RecordHeader("h", nil)], timestamp: 9)
      let added = builder.uncompressedSize - before
      #expect(added <= RecordBatchBuilder.sizeBound(key: key.count, value: 5, headers: [RecordHeader("h", nil)]))
      let first = try builder.finish(RecordBatchSettings(codec: .zstd), using: workspace)
      let again = try builder.finish(RecordBatchSettings(codec: .zstd), using: workspace)
      #expect(first == again)
      #expect(try RecordBatch(first).allRecords(workspace).map(\.key) == [key])
    }
  }

  @Test func offsetsMustGrow() throws {
    var builder = RecordBatchBuilder()
    try builder.append(key: nil, value: nil, timestamp: 0, offsetDelta: 5)
    var error: RecordBatchError?
    do throws(RecordBatchError) {
      try builder.append(key: nil, value: nil, timestamp: 0, offsetDelta: 5)
    } catch let thrown { error = thrown }
    #expect(error == RecordBatchError(.invalidOffset(delta: 5), baseOffset: nil))
    try builder.append(key: nil, value: nil, timestamp: 0)
    let count = builder.recordCount
    #expect(count == 2)
    let batch = try RecordBatch(builder.finish(using: CodecWorkspace()))
    #expect(try batch.allRecords(CodecWorkspace()).map(\.offset) == [5, 6])
  }

  @Test func levelsAreHeldAgainstTheCodec() throws {
    let records = RecordGoldenTests.small
    for codec in CompressionCodec.allCases {
      for level in [codec.levels?.lowerBound, codec.levels?.upperBound].compactMap({ $0 }) {
        let batch = try RecordBatch(encoded(records, RecordBatchSettings(codec: codec, level: level)))
        #expect(try batch.allRecords(CodecWorkspace()) == records)
      }
      let wrong = (codec.levels?.upperBound ?? 0) + 1
      #expect(throws: RecordBatchError(.codec(CodecError(codec, .invalidLevel(wrong))), baseOffset: nil)) {
        // None compresses nothing, so it has no level to refuse.
        if codec == .none { throw RecordBatchError(.codec(CodecError(codec, .invalidLevel(wrong))), baseOffset: nil) }
        _ = try encoded(records, RecordBatchSettings(codec: codec, level: wrong))
      }
    }
  }

  @Test func compactedBatchesKeepTheirLastOffset() throws {
    var settings = RecordBatchSettings()
    settings.lastOffsetDelta = 99
    let batch = try RecordBatch(encoded(RecordGoldenTests.small, settings))
    #expect(batch.header.nextOffset == 100)
    #expect(try batch.allRecords(CodecWorkspace()) == RecordGoldenTests.small)
    // Compaction may leave nothing but the header, whatever its codec bits say.
    for codec in UInt8(0)...4 {
      let empty = resealed(try golden("small-none.batch")) { bytes in
        bytes.removeLast(bytes.count - 61)
        bytes[22] |= codec
        store(0 as Int32, 57, &bytes)
      }
      #expect(try RecordBatch(empty).allRecords(CodecWorkspace()) == [])
    }
  }
}
