import Groundwork
import KafkaProtocol

/// Debian's `kcat` (librdkafka 2.0.2) as writer and reader.
struct Kcat {
  private static let (recordEnd, fieldEnd) = (UInt8(0x1E), UInt8(0x1F))
  private let server: String

  init(_ server: String) { self.server = server }

  /// One run a part: headers hold for a whole run, and empty values are either null (`-Z`) or empty in it.
  func produce(_ corpus: Corpus, to topic: String) throws {
    let headers = Corpus.headers.flatMap { header in
      ["-H", header.value.map { "\(header.key)=\($0)" } ?? "\(header.key)"]
    }
    try produce(corpus.plain, topic, corpus, [])
    try produce(corpus.nulls, topic, corpus, ["-Z"])
    try produce(corpus.headed, topic, corpus, headers)
    try produce(corpus.large, topic, corpus, [])
  }

  private func produce(_ records: [TestRecord], _ topic: String, _ corpus: Corpus, _ more: [String]) throws {
    var input = ByteWriter(capacity: 4096)
    for record in records {
      if let key = record.key {
        input.append(key)
        input.append(Kcat.fieldEnd)
      }
      if let value = record.value { input.append(value) }
      input.append(Kcat.recordEnd)
    }
    // The batch is closed by its last record, not by time.
    let wrote = try run(
      "kcat",
      [
        "-P", "-b", server, "-t", topic, "-p", "0", "-z", corpus.codec.name, "-D", "\\x1e", "-K", "\\x1f",
        "-X", "linger.ms=60000", "-X", "batch.num.messages=\(records.count)",
      ] + more, input: input.finish())
    guard wrote.exit.isSuccess else { throw SetupFailure("kcat as producer to \(topic): \(wrote.report)") }
  }

  private static let format = "%t\\x1f%K\\x1f%S\\x1f%h\\x1f%k%s\\x1e"

  func consume(_ topic: String) throws -> [TestRecord]? {
    let read = try run(
      "kcat", ["-C", "-b", server, "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f", Kcat.format])
    guard read.exit.isSuccess else { throw SetupFailure("kcat as consumer of \(topic): \(read.report)") }
    return Kcat.parse(read.output)?[topic]
  }

  /// Reads topics as the one member of the group `kcat-readers`.
  func consumeInGroup(_ topics: [String], count: Int) throws -> [String: [TestRecord]] {
    let read = try run(
      "kcat",
      [
        "-b", server, "-q", "-c", "\(count)", "-f", Kcat.format, "-X", "auto.offset.reset=earliest", "-G",
        "kcat-readers",
      ] + topics, within: 30)
    guard read.exit.isSuccess else { throw SetupFailure("kcat in a group: \(read.report)") }
    return Kcat.parse(read.output) ?? [:]
  }

  /// Reads what `format` printed; nil where it is anything else.
  private static func parse(_ output: Bytes) -> [String: [TestRecord]]? {
    var found: [String: [TestRecord]] = [:]
    var position = 0
    while position < output.count {
      var fields: [Bytes] = []
      while fields.count < 4 {
        guard let end = (position..<output.count).first(where: { output[$0] == fieldEnd }) else { return nil }
        fields.append(output[position..<end])
        position = end + 1
      }
      guard let keyCount = Int(String(fields[1])), let valueCount = Int(String(fields[2])) else { return nil }
      func piece(_ count: Int) -> Bytes?? {
        if count < 0 { return .some(nil) }
        guard position + count <= output.count else { return nil }
        defer { position += count }
        return .some(output[position..<position + count])
      }
      guard let key = piece(keyCount), let value = piece(valueCount), position < output.count,
        output[position] == recordEnd
      else { return nil }
      position += 1
      guard let headers = headers(fields[3]) else { return nil }
      found[String(fields[0]), default: []].append(TestRecord(key: key, value: value, headers: headers))
    }
    return found
  }

  /// `name=value,name=value`; a null value is `NULL`.
  private static func headers(_ text: Bytes) -> [RecordHeader]? {
    if text.isEmpty { return [] }
    var headers: [RecordHeader] = []
    for pair in text.split(separator: UInt8(ascii: ",")) {
      guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { return nil }
      let value = pair[equals + 1..<pair.count]
      headers.append(RecordHeader(pair[0..<equals], value == "NULL" ? nil : value))
    }
    return headers
  }
}
