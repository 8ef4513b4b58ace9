import Codecs
import Groundwork
import KafkaProtocol
import Testing

/// Runs of records that look alike, whole and damaged, read as a slow reader of the format reads them.
@Suite struct RecordRunTests {
  /// What a walk gave: the records before any damage, and whether there was damage.
  struct Outcome: Equatable, CustomStringConvertible {
    var records: [TestRecord] = []
    var isDamaged = false
    var description: String { "\(records) damaged: \(isDamaged)" }
  }

  /// Reads by the letter of the format, a byte at a time.
  struct SlowReader {
    var bytes: [UInt8]
    var position = 0
    var end: Int

    mutating func varint() -> Int64? {
      var value: UInt64 = 0
      for place in 0..<10 {
        guard position < end else { return nil }
        let byte = bytes[position]
        position += 1
        if place == 9, byte > 1 { return nil }
        value |= UInt64(byte & 0x7F) << UInt64(7 * place)
        if byte < 0x80 { return Int64(bitPattern: (value >> 1) ^ (0 &- (value & 1))) }
      }
      return nil
    }

    mutating func part(_ least: Int64) -> Bytes?? {
      guard let count = varint(), count >= least, count <= Int64(end - position) else { return nil }
      guard count >= 0 else { return .some(nil) }
      position += Int(count)
      return .some(Bytes(bytes[position - Int(count)..<position]))
    }

    mutating func record() -> TestRecord? {
      guard let length = varint(), length > 0, length <= Int64(end - position) else { return nil }
      let outer = end
      end = position + Int(length)
      defer { end = outer }
      position += 1
      guard let time = varint(), let offset = varint(), let key = part(-1), let value = part(-1),
        let headerCount = varint(), headerCount >= 0, headerCount <= Int64(end - position)
      else { return nil }
      var headers: [RecordHeader] = []
      for _ in 0..<headerCount {
        guard let key = part(0), let value = part(-1) else { return nil }
        headers.append(RecordHeader(key ?? Bytes(), value))
      }
      guard position == end else { return nil }
      return TestRecord(offset: offset, timestamp: time, key: key, value: value, headers: headers)
    }
  }

  private func expected(_ batch: RecordBatch, from: Int64, until: Int64) -> Outcome {
    var outcome = Outcome()
    let content = Array(batch.bytes.dropFirst(61))
    var reader = SlowReader(bytes: content, end: content.count)
    var previous: Int64 = -1
    for _ in 0..<batch.header.recordCount {
      guard var record = reader.record(), record.offset > previous,
        record.offset <= Int64(batch.header.lastOffsetDelta)
      else {
        outcome.isDamaged = true
        return outcome
      }
      previous = record.offset
      record.offset += batch.header.baseOffset.rawValue
      record.timestamp &+= batch.header.baseTimestamp.milliseconds
      if record.offset >= until { return outcome }
      if record.offset >= from { outcome.records.append(record) }
    }
    outcome.isDamaged = reader.position != content.count
    return outcome
  }

  private func walked(_ batch: RecordBatch, _ workspace: CodecWorkspace, from: Int64, until: Int64) -> Outcome {
    var outcome = Outcome()
    do {
      try batch.forEachRecord(from: Offset(from), until: Offset(until), using: workspace) { view in
        outcome.records.append(
          TestRecord(
            offset: view.offset.rawValue, timestamp: view.timestamp.milliseconds, key: view.key, value: view.value,
            headers: Array(view.headers)))
      }
    } catch { outcome.isDamaged = true }
    return outcome
  }

  /// Stretches of records that have the same lengths, of which some are odd ones out.
  private func stretches(_ random: inout SeededRandom, baseOffset: Int64) -> [TestRecord] {
    var records: [TestRecord] = []
    var offset = baseOffset + Int64([0, 0, 60, 8_150, 1 << 20].randomElement(using: &random)!)
    var time = 1_700_000_000_000 as Int64
    let step = Int64([0, 1, 5, 900, -1].randomElement(using: &random)!)
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let lengths = [-1, 0, 1, 5, 40, 62, 63, 64, 65, 100, 150]
      let keyCount = lengths.randomElement(using: &random)!
      let valueCount = lengths.randomElement(using: &random)!
      func bytes(_ count: Int) -> Bytes? {
        count < 0 ? nil : Bytes(repeatElement(UInt8(truncatingIfNeeded: offset), count: count))
      }
      for _ in 0..<Int.random(in: 1...40, using: &random) {
        var record = TestRecord(offset: offset, timestamp: time, key: bytes(keyCount), value: bytes(valueCount))
        switch Int.random(in: 0..<40, using: &random) {
        case 0: record.headers = [RecordHeader("h", nil)]
        case 1: record.value = bytes(valueCount + 1)
        case 2: offset += 70
        case 3: (record.key, record.value) = (record.value, record.key)
        default: break
        }
        records.append(record)
        offset += 1
        time += step
      }
    }
    return records
  }

  @Test func runsAreReadByTheLetter() throws {
    let workspace = CodecWorkspace()
    var failures: [String] = []
    var outcomes = (whole: 0, damaged: 0, shortened: 0)
    for seed in UInt64(1)...120 {
      var random = SeededRandom(seed: seed)
      var settings = RecordBatchSettings()
      settings.baseOffset = Offset(Int64.random(in: 0...1000, using: &random))
      let records = stretches(&random, baseOffset: settings.baseOffset.rawValue)
      let bytes = try encoded(records, settings)
      func check(_ bytes: Bytes, _ what: String, from: Int64 = 0, until: Int64 = .max) throws -> Outcome {
        let batch = try RecordBatch(bytes)
        let outcome = walked(batch, workspace, from: from, until: until)
        if outcome != expected(batch, from: from, until: until) { failures.append("seed \(seed): \(what)") }
        return outcome
      }
      if try check(bytes, "whole").records == records { outcomes.whole += 1 }
      for _ in 0..<4 {
        let from = records.randomElement(using: &random)!.offset - Int64.random(in: -1...1, using: &random)
        let until = from + Int64.random(in: 0...60, using: &random)
        if try check(bytes, "range", from: from, until: until).records != records { outcomes.shortened += 1 }
      }
      for _ in 0..<40 {
        let places = (0..<Int.random(in: 1...2, using: &random)).map { _ in
          Int.random(in: 61..<bytes.count, using: &random)
        }
        let byte = [0, 1, 2, 0x7F, 0x80, 0x81, 0xFF, UInt8.random(in: 0...255, using: &random)].randomElement(
          using: &random)!
        let flipped = resealed(bytes) { array in for place in places { array[place] = byte } }
        if try check(flipped, "\(byte) at \(places)").isDamaged { outcomes.damaged += 1 }
      }
      let cut = Int.random(in: 61..<bytes.count, using: &random)
      _ = try check(resealed(bytes[0..<cut]) { _ in }, "cut at \(cut)")
    }
    #expect(failures == [])
    #expect(outcomes.whole == 120)
    #expect(outcomes.damaged > 500)
    #expect(outcomes.shortened > 200)
  }

  @Test func everyPrefixOfARunIsDamaged() throws {
    let workspace = CodecWorkspace()
    let records = (0..<40).map {
      TestRecord(offset: $0, timestamp: 5, key: nil, value: Bytes(repeatElement(7, count: 9)))
    }
    let bytes = try encoded(records)
    var failures: [Int] = []
    for count in 61..<bytes.count {
      let batch = try RecordBatch(resealed(bytes[0..<count]) { _ in })
      let outcome = walked(batch, workspace, from: 0, until: .max)
      if outcome != expected(batch, from: 0, until: .max) || !outcome.isDamaged { failures.append(count) }
    }
    #expect(failures == [])
  }

  @Test func fillNeverReadsBeyondTheSlack() throws {
    // The records end where the arena does; under the address sanitizer a load beyond its slack is found.
    for valueCount in [0, 1, 9, 63, 64] {
      let records = (0..<40).map {
        TestRecord(offset: $0, timestamp: 5, key: nil, value: Bytes(repeatElement(7, count: valueCount)))
      }
      let bytes = try encoded(records)
      for count in stride(from: bytes.count, to: 61, by: -1) {
        let exact = bytes.withUnsafeBytes { raw in
          Bytes(copying: UnsafeRawBufferPointer(rebasing: raw[0..<count]))
        }
        let batch = try RecordBatch(resealed(exact) { _ in })
        let outcome = walked(batch, CodecWorkspace(), from: 0, until: .max)
        #expect(outcome.isDamaged == (count < bytes.count))
      }
    }
  }
}
