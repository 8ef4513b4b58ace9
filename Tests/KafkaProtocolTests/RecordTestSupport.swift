import Codecs
import Glibc
import Groundwork
import KafkaProtocol

/// A record as a test holds it.
struct TestRecord: Equatable, CustomStringConvertible {
  var offset: Int64
  var timestamp: Int64
  var key: Bytes?
  var value: Bytes?
  var headers: [RecordHeader] = []

  var description: String {
    "\(offset)@\(timestamp) \(key?.count ?? -1)/\(value?.count ?? -1) bytes, \(headers.count) headers"
  }
}

extension RecordBatch {
  /// All records, made with every accessor there is; throws what the walk throws.
  func allRecords(_ workspace: CodecWorkspace, from: Offset = 0, until: Offset = Offset(.max)) throws -> [TestRecord] {
    var records: [TestRecord] = []
    try forEachRecord(from: from, until: until, using: workspace, limit: 4 << 20) { view in
      records.append(
        TestRecord(
          offset: view.offset.rawValue, timestamp: view.timestamp.milliseconds, key: view.key, value: view.value,
          headers: Array(view.headers)))
    }
    return records
  }
}

/// A batch of `records` by our builder.
func encoded(
  _ records: [TestRecord], _ settings: RecordBatchSettings = RecordBatchSettings(), baseTimestamp: Int64? = nil,
  _ workspace: CodecWorkspace = CodecWorkspace()
) throws -> Bytes {
  var builder = RecordBatchBuilder(capacity: 64)
  builder.reset(baseTimestamp: baseTimestamp.map { Timestamp(milliseconds: $0) })
  for record in records {
    try builder.append(
      key: record.key, value: record.value, headers: record.headers,
      timestamp: Timestamp(milliseconds: record.timestamp),
      offsetDelta: Int32(record.offset - settings.baseOffset.rawValue))
  }
  return try builder.finish(settings, using: workspace)
}

/// Random records: nulls, empties, inline and longer ones, headers, gaps between offsets.
func randomRecords(_ random: inout SeededRandom, count: Int, baseOffset: Int64 = 0) -> [TestRecord] {
  func bytes() -> Bytes? {
    let choices = [-1, 0, 1, 7, 8, 14, 15, 16, 17, 63, 64, 100, 300]
    let count = choices[Int.random(in: 0..<choices.count, using: &random)]
    guard count >= 0 else { return nil }
    // Few different bytes, so that every codec finds something to do.
    return Bytes((0..<count).map { _ in UInt8.random(in: 97...102, using: &random) })
  }
  var offset = baseOffset - 1
  return (0..<count).map { _ in
    offset += Int64.random(in: 1...3, using: &random)
    let headers = (0..<Int.random(in: 0...3, using: &random)).map { _ in RecordHeader(bytes() ?? Bytes(), bytes()) }
    return TestRecord(
      offset: offset, timestamp: 1_700_000_000_000 + Int64.random(in: -100_000...100_000, using: &random), key: bytes(),
      value: bytes(), headers: headers)
  }
}

/// The bytes with some of them changed.
func altered(_ bytes: Bytes, _ change: (inout [UInt8]) -> Void) -> Bytes {
  var array = Array(bytes)
  change(&array)
  return Bytes(array)
}

/// The bytes of a whole batch with length and checksum made true again, so that a lie further in is found by the reader
/// and not by the checksum.
func resealed(_ bytes: Bytes, _ change: (inout [UInt8]) -> Void) -> Bytes {
  altered(bytes) { array in
    change(&array)
    store(UInt32(array.count - 12), 8, &array)
    let crc = checksum(Array(array[21...]))
    store(crc, 17, &array)
  }
}

func store<I: FixedWidthInteger>(_ value: I, _ place: Int, _ array: inout [UInt8]) {
  for byte in 0..<MemoryLayout<I>.size {
    array[place + byte] = UInt8(truncatingIfNeeded: value >> (8 * (MemoryLayout<I>.size - 1 - byte)))
  }
}

/// CRC-32C bit by bit: the slow reference.
func checksum(_ bytes: [UInt8]) -> UInt32 {
  var crc = ~UInt32(0)
  for byte in bytes {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = (crc >> 1) ^ (crc & 1 == 1 ? 0x82F6_3B78 : 0) }
  }
  return ~crc
}

/// A file beside these tests.
func golden(_ name: String) throws -> Bytes {
  let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
  let path = "/\(folder)/Golden/\(name)"
  guard let file = fopen(path, "rb") else { throw MissingFile(path: path) }
  defer { fclose(file) }
  var content: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 65_536)
  while case let count = fread(&piece, 1, piece.count, file), count > 0 { content += piece[..<count] }
  return Bytes(content)
}

struct MissingFile: Error { var path: String }
