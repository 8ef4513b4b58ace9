import Codecs
import Groundwork
import KafkaProtocol

/// A record as every client must see it.
struct TestRecord: Hashable, Sendable {
  var key: Bytes?
  var value: Bytes?
  var headers: [RecordHeader] = []
}

/// The records each client writes, in parts that even `kcat` can express: it takes headers for a whole run, and either
/// null or empty values.
struct Corpus: Sendable {
  let codec: CompressionCodec
  var plain: [TestRecord] = []
  var nulls: [TestRecord] = []
  var headed: [TestRecord] = []
  var large: [TestRecord] = []
  /// Without key and content: `kcat` takes them for empty lines and passes over them.
  var bare: [TestRecord] = []

  /// Duplicates, an empty and a null value, and one that is no ASCII.
  static let headers = [
    RecordHeader("trace", "1"), RecordHeader("trace", "2"), RecordHeader("empty", ""), RecordHeader("none", nil),
    RecordHeader("größe", "groß"),
  ]

  /// What `kcat` can write.
  var lines: [TestRecord] { plain + nulls + headed + large }
  var all: [TestRecord] { lines + bare }

  /// Clients leave a batch uncompressed that does not shrink, so each part begins and ends with something that does.
  init(_ codec: CompressionCodec) {
    self.codec = codec
    func key(_ name: String) -> Bytes { Bytes("\(codec)/\(name)") }
    let filler = TestRecord(
      key: key("filler"), value: Bytes(String(repeating: "to be compressed, \(codec); ", count: 90)))
    plain = [filler]
    for number in 0..<20 {
      plain.append(TestRecord(key: key("\(number % 7)"), value: Bytes("value \(number * 7919)")))
    }
    plain += [
      TestRecord(key: nil, value: "no key"), TestRecord(key: nil, value: "x"), TestRecord(key: "k", value: "v"),
      TestRecord(key: key("empty value"), value: ""),
      TestRecord(key: key("binary"), value: Bytes((0...255).map { UInt8($0) }.filter { $0 != 0x1E && $0 != 0x1F })),
      TestRecord(key: Bytes([0xFF, 0, 0xFE, 10, 13]), value: Bytes([0x80])), filler,
    ]
    nulls = [
      filler, TestRecord(key: key("tombstone"), value: nil), TestRecord(key: "t", value: nil),
      TestRecord(key: key("alive"), value: "after nulls"), filler,
    ]
    headed = [
      filler, TestRecord(key: key("with headers"), value: "value"), TestRecord(key: nil, value: "y"),
      TestRecord(key: key("only headers"), value: ""), filler,
    ].map { TestRecord(key: $0.key, value: $0.value, headers: Corpus.headers) }
    bare = [filler, TestRecord(key: nil, value: ""), TestRecord(key: nil, value: nil), filler]
    var random = SeededRandom(seed: UInt64(codec.rawValue) + 9)
    var text = ByteWriter(capacity: 900 << 10)
    // Words out of a few: it shrinks, and is not one run.
    while text.count < 900 << 10 { text.append("\(random.next() % 1000) ") }
    text.truncate(to: 900 << 10)
    large = [TestRecord(key: key("900 KB"), value: text.finish())]
  }

  /// The frame in which records pass between the tests and the Python clients: big-endian lengths, -1 for null.
  static func frame(_ records: [TestRecord]) -> Bytes {
    var writer = ByteWriter(capacity: 4096)
    func put(_ bytes: Bytes?, _ writer: inout ByteWriter) {
      writer.append(bigEndian: Int32(bytes?.count ?? -1))
      if let bytes { writer.append(bytes) }
    }
    for record in records {
      put(record.key, &writer)
      put(record.value, &writer)
      writer.append(bigEndian: Int32(record.headers.count))
      for header in record.headers {
        put(header.key, &writer)
        put(header.value, &writer)
      }
    }
    return writer.finish()
  }

  /// Reads `frame`; nil where the bytes are anything else.
  static func parse(_ bytes: Bytes) -> [TestRecord]? {
    var records: [TestRecord] = []
    var position = 0
    func number() -> Int? {
      guard position + 4 <= bytes.count else { return nil }
      defer { position += 4 }
      return Int(bytes[position..<position + 4].reduce(Int32(0)) { $0 << 8 | Int32($1) })
    }
    func piece() -> Bytes?? {
      guard let count = number() else { return nil }
      if count < 0 { return .some(nil) }
      guard position + count <= bytes.count else { return nil }
      defer { position += count }
      return .some(bytes[position..<position + count])
    }
    while position < bytes.count {
      guard let key = piece(), let value = piece(), let count = number() else { return nil }
      var record = TestRecord(key: key, value: value)
      for _ in 0..<count {
        guard let key = piece(), let key, let value = piece() else { return nil }
        record.headers.append(RecordHeader(key, value))
      }
      records.append(record)
    }
    return records
  }

  /// The first difference between what was written and what was read, in words; nil where there is none.
  static func difference(_ read: [TestRecord]?, _ written: [TestRecord]) -> String? {
    guard let read else { return "what was read could not be parsed" }
    func short(_ record: TestRecord) -> String {
      func text(_ bytes: Bytes?) -> String {
        bytes.map { "\($0.count) bytes \(String($0.prefix(40)).debugDescription)" } ?? "null"
      }
      return "key \(text(record.key)), value \(text(record.value)), headers \(record.headers)"
    }
    for (index, pair) in zip(read, written).enumerated() where pair.0 != pair.1 {
      return "record \(index): read \(short(pair.0)); written \(short(pair.1))"
    }
    return read.count == written.count ? nil : "\(read.count) records read, \(written.count) written"
  }
}

extension Bytes {
  fileprivate func prefix(_ most: Int) -> Bytes { self[0..<Swift.min(most, count)] }
}
