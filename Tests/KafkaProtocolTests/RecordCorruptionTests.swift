import Codecs
import Groundwork
import KafkaProtocol
import Testing
import WireFormat

/// Bytes that are not what they claim to be: every one is an error or, where nothing protects it, another valid batch.
@Suite struct RecordCorruptionTests {
  static func sample(_ codec: CompressionCodec) throws -> Bytes {
    var settings = RecordBatchSettings(codec: codec)
    settings.baseOffset = 40
    let records = RecordGoldenTests.small.prefix(5).map { record in
      var record = record
      record.offset += 40
      return record
    }
    return try encoded(records, settings)
  }

  @Test(arguments: CompressionCodec.allCases) func everyPrefixIsPartialOrAnError(_ codec: CompressionCodec) throws {
    let bytes = try Self.sample(codec)
    let workspace = CodecWorkspace()
    var failures: [String] = []
    for count in 0..<bytes.count {
      let cut = bytes[0..<count]
      var sequence = RecordBatchSequence(cut)
      if try sequence.next() != nil || sequence.trailingBytes != count { failures.append("sequence at \(count)") }
      if count >= 12, sequence.trailingBatchSize != bytes.count { failures.append("trailing size at \(count)") }
      if (try? RecordBatch(cut)) != nil { failures.append("batch at \(count)") }
      // A batch whose length and checksum are made to fit the cut: then it is the records that end too early.
      guard count >= 61 else { continue }
      let batch = try RecordBatch(resealed(cut) { _ in })
      do {
        _ = try batch.allRecords(workspace)
        failures.append("records at \(count)")
      } catch let error as RecordBatchError {
        if error.baseOffset != 40 { failures.append("error without its offset at \(count)") }
      }
    }
    #expect(failures == [])
  }

  @Test(arguments: CompressionCodec.allCases) func everyFlippedBitIsFound(_ codec: CompressionCodec) throws {
    let bytes = try Self.sample(codec)
    let workspace = CodecWorkspace()
    let expected = try RecordBatch(bytes).allRecords(workspace)
    var failures: [String] = []
    for place in 0..<bytes.count {
      for bit in 0..<8 {
        let flipped = altered(bytes) { $0[place] ^= 1 << bit }
        do {
          let records = try RecordBatch(flipped).allRecords(workspace)
          // Base offset and leader epoch stand outside the checksum: another offset, the same records.
          let isOutside = place < 8 || (12..<16).contains(place)
          if !isOutside || records.map(\.value) != expected.map(\.value) { failures.append("byte \(place) bit \(bit)") }
        } catch let error as RecordBatchError {
          if place >= 17, case .checksumMismatch = error.code { continue }
          if place >= 17, !(23..<27).contains(place), !(57..<61).contains(place) {
            failures.append("byte \(place): \(error)")
          }
        }
      }
    }
    #expect(failures == [])
  }

  @Test(arguments: CompressionCodec.allCases) func flippedBytesUnderATrueChecksumDoNoHarm(
    _ codec: CompressionCodec
  ) throws {
    let bytes = try Self.sample(codec)
    let workspace = CodecWorkspace()
    var outcomes = (read: 0, refused: 0)
    for seed in UInt64(1)...3000 {
      var random = SeededRandom(seed: seed)
      let flipped = resealed(bytes) { array in
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          array[Int.random(in: 21..<array.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
      }
      do {
        _ = try RecordBatch(flipped).allRecords(workspace)
        outcomes.read += 1
      } catch is RecordBatchError {
        outcomes.refused += 1
      }
    }
    #expect(outcomes.read + outcomes.refused == 3000)
    #expect(outcomes.refused > 300)
    // The workspace is as good as new after all that.
    #expect(try RecordBatch(bytes).allRecords(workspace).count == 5)
  }

  private func failure(_ bytes: Bytes) -> RecordBatchError? {
    do {
      _ = try RecordBatch(bytes).allRecords(CodecWorkspace())
      return nil
    } catch { return error as? RecordBatchError }
  }

  @Test func checksumsAreNamedWithTheOffset() throws {
    let bytes = try Self.sample(.none)
    let error = failure(altered(bytes) { $0[$0.count - 1] ^= 1 })
    let text = try #require(error).description
    #expect(text.hasPrefix("corrupt record batch at offset 40: its checksum is "))
    // Whoever checked before need not again.
    let batch = try RecordBatch(altered(bytes) { $0[17] ^= 1 })
    var count = 0
    try batch.forEachRecord(using: CodecWorkspace(), checkingChecksum: false) { _ in count += 1 }
    #expect(count == 5)
  }

  @Test func countsThatLieAreFound() throws {
    for codec in CompressionCodec.allCases {
      let bytes = try Self.sample(codec)
      for claimed in [0, 1, 4] as [Int32] {
        let error = failure(resealed(bytes) { store(claimed, 57, &$0) })
        #expect(error == RecordBatchError(.recordCountMismatch(claimed: claimed), baseOffset: 40))
      }
      let more = failure(
        resealed(bytes) {
          store(1_000_000 as Int32, 57, &$0)
          store(2_000_000 as Int32, 23, &$0)
        })
      #expect(more == RecordBatchError(.recordCountMismatch(claimed: 1_000_000), baseOffset: 40))
      for impossible in [-1, 6, .max] as [Int32] {
        let error = failure(resealed(bytes) { store(impossible, 57, &$0) })
        #expect(
          error?.code
            == .malformed(DecodeError(.impossibleLength(Int64(impossible)), at: RecordBatchLayout.recordCount)))
      }
    }
  }

  @Test func lengthsThatLieAreFound() throws {
    let bytes = try Self.sample(.none)
    for length in [-1, 0, 48, Int32.min] as [Int32] {
      let error = failure(altered(bytes) { store(length, 8, &$0) })
      #expect(
        error?.code == .malformed(DecodeError(.impossibleLength(Int64(length)), at: RecordBatchLayout.batchLength)))
      var sequence = RecordBatchSequence(altered(bytes) { store(length, 8, &$0) })
      var thrown: RecordBatchError?
      do { _ = try sequence.next() } catch { thrown = error }
      #expect(thrown == error)
    }
    // One that claims the rest of the world is a partial batch to a sequence.
    var sequence = RecordBatchSequence(altered(bytes) { store(Int32.max, 8, &$0) })
    #expect(try sequence.next() == nil)
    #expect(sequence.trailingBatchSize == Int(Int32.max) + 12)
    for offset in [-1, Int64.min, .max, .max - Int64(Int32.max)] as [Int64] {
      #expect(failure(altered(bytes) { store(offset, 0, &$0) }) != nil)
    }
  }

  @Test func offsetsOutsideTheBatchAreFound() throws {
    let records = [
      TestRecord(offset: 0, timestamp: 0, key: nil, value: nil),
      TestRecord(offset: 1, timestamp: 0, key: nil, value: nil),
    ]
    let bytes = try encoded(records)
    // Each record is length, attributes, timestamp delta, offset delta, …: seven bytes here.
    let place = 61 + 7 + 3
    #expect(bytes[place - 7] == 0 && bytes[place] == 2)
    for (delta, byte) in [(2, 4), (0, 0), (-1, 1)] as [(Int64, UInt8)] {
      let error = failure(resealed(bytes) { $0[place] = byte })
      #expect(error == RecordBatchError(.invalidOffset(delta: delta), baseOffset: 0))
    }
  }

  @Test func otherFormatsAreNamed() throws {
    let bytes = try Self.sample(.none)
    for magic in [0, 1, 3, -1] as [Int8] {
      let other = altered(bytes) { $0[16] = UInt8(bitPattern: magic) }
      #expect(failure(other) == RecordBatchError(.unsupportedMagic(magic), baseOffset: 40))
      var sequence = RecordBatchSequence(other)
      var thrown: RecordBatchError?
      do { _ = try sequence.next() } catch { thrown = error }
      #expect(thrown == RecordBatchError(.unsupportedMagic(magic), baseOffset: 40))
    }
    for bits in 5...7 as ClosedRange<UInt8> {
      let other = resealed(bytes) { $0[22] = bits }
      #expect(failure(other) == RecordBatchError(.unknownCodec(Int(bits)), baseOffset: 40))
    }
  }

  @Test func contentBeyondTheLimitIsRefused() throws {
    let value = Bytes(repeatElement(UInt8(7), count: 500_000))
    for codec in CompressionCodec.allCases where codec != .none {
      let record = TestRecord(offset: 0, timestamp: 0, key: nil, value: value)
      let batch = try RecordBatch(encoded([record], RecordBatchSettings(codec: codec)))
      var thrown: RecordBatchError?
      do { _ = try batch.records(using: CodecWorkspace(), limit: 400_000) } catch { thrown = error }
      #expect(thrown == RecordBatchError(.codec(CodecError(codec, .tooLarge(limit: 400_000))), baseOffset: 0))
    }
  }

  @Test func markersThatLieAreFound() throws {
    let good = ControlRecord(.commit, coordinatorEpoch: 1)
    #expect(try ControlRecord(key: good.key, value: good.value) == good)
    let value = try #require(good.value)
    for count in 0..<4 {
      #expect(throws: DecodeError.self) { try ControlRecord(key: good.key[0..<count], value: value) }
    }
    for count in 0..<6 {
      #expect(throws: DecodeError.self) { try ControlRecord(key: good.key, value: value[0..<count]) }
    }
    #expect(throws: DecodeError.self) { try ControlRecord(key: nil, value: value) }
    let other = ControlRecord(.other(5), coordinatorEpoch: nil)
    #expect(try ControlRecord(key: other.key, value: "whatever") == other)
    let plain = try RecordBatch(Self.sample(.none))
    #expect(throws: RecordBatchError(.notControl, baseOffset: 40)) {
      try plain.controlRecord(using: CodecWorkspace())
    }
  }

  @Test func assignmentsStayInsideTheBatch() throws {
    let bytes = try Self.sample(.lz4)
    var array = Array(bytes)
    try array.withUnsafeMutableBytes { raw in
      try RecordBatchHeader.assign(baseOffset: 77, partitionLeaderEpoch: 5, in: raw)
      try RecordBatchHeader.assign(logAppendTime: 99, in: raw)
    }
    let batch = try RecordBatch(Bytes(array))
    #expect(batch.header.baseOffset == 77)
    #expect(batch.header.partitionLeaderEpoch == 5)
    let records = try batch.allRecords(CodecWorkspace())
    #expect(records.map(\.timestamp) == [99, 99, 99, 99, 99])
    #expect(records.map(\.offset) == [77, 78, 79, 80, 81])
    var short = [UInt8](repeating: 0, count: 60)
    short.withUnsafeMutableBytes { raw in
      #expect(throws: RecordBatchError.self) {
        try RecordBatchHeader.assign(baseOffset: 0, partitionLeaderEpoch: 0, in: raw)
      }
      #expect(throws: RecordBatchError.self) { try RecordBatchHeader.assign(logAppendTime: 0, in: raw) }
    }
  }
}
