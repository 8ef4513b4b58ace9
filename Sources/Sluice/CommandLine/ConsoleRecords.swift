import Groundwork

/// A record as the console tools read and show it.
package struct ConsoleRecord: Sendable, Equatable {
  package struct Header: Sendable, Equatable {
    package var name: Bytes
    package var value: Bytes?
    package init(name: Bytes, value: Bytes?) {
      self.name = name
      self.value = value
    }
  }
  package var key: Bytes?
  package var value: Bytes?
  package var headers: [Header]
  package init(key: Bytes? = nil, value: Bytes?, headers: [Header] = []) {
    self.key = key
    self.value = value
    self.headers = headers
  }
}

/// What is wrong with a line or with a property of the console tools.
package struct ConsoleRecordError: DiagnosableError, Equatable {
  package enum Code: Sendable, Equatable {
    case unknownProperty(String, suggestion: String?)
    case badProperty(String, value: String, expectation: String)
    case noSeparator(line: Int, property: String, separator: String)
  }
  package var code: Code
  package init(_ code: Code) { self.code = code }
  package var fault: Fault { .user }
  package var isRetriable: Bool { false }
  package var leavesUsable: Bool { true }
  package var description: String {
    switch code {
    case .unknownProperty(let name, let suggestion):
      "unknown property \(name)" + (suggestion.map { "; did you mean \($0)?" } ?? "")
    case .badProperty(let name, let value, let expectation): "property \(name): `\(value)` \(expectation)"
    case .noSeparator(let line, let property, let separator):
      "line \(line) has no \(separator.debugDescription) (\(property)); correct the line, set \(property), or let such "
        + "lines pass whole with --property ignore.error=true"
    }
  }
}

/// Turns lines into records, by the properties of Kafka's console producer (its LineMessageReader).
package struct LineRecordReader: Sendable {
  package static let propertyNames = [
    "parse.key", "key.separator", "parse.headers", "headers.delimiter", "headers.separator", "headers.key.separator",
    "null.marker", "ignore.error",
  ]

  private let parsesKey: Bool
  private let parsesHeaders: Bool
  private let ignoresErrors: Bool
  private let keySeparator: Bytes
  private let headersDelimiter: Bytes
  private let headersSeparator: Bytes
  private let headersKeySeparator: Bytes
  private let nullMarker: Bytes?
  private var lineNumber = 0

  package init(properties: [String: String]) throws(ConsoleRecordError) {
    let read = try ConsoleProperties(properties, known: Self.propertyNames)
    parsesKey = try read.bool("parse.key", default: false)
    parsesHeaders = try read.bool("parse.headers", default: false)
    ignoresErrors = try read.bool("ignore.error", default: false)
    keySeparator = try read.separator("key.separator", default: "\t")
    headersDelimiter = try read.separator("headers.delimiter", default: "\t")
    headersSeparator = try read.separator("headers.separator", default: ",")
    headersKeySeparator = try read.separator("headers.key.separator", default: ":")
    nullMarker = properties["null.marker"].map { Bytes($0) }
  }

  /// The record a line stands for: `headers <delimiter> key <separator> value`, as far as asked for.
  package mutating func record(_ line: Bytes) throws(ConsoleRecordError) -> ConsoleRecord {
    lineNumber += 1
    var rest = line
    var record = ConsoleRecord(value: nil)
    if parsesHeaders {
      if let (text, after) = rest.cut(at: headersDelimiter) {
        rest = after
        if !isNull(text) { record.headers = try headers(text) }
      } else if !ignoresErrors {
        throw missing("headers.delimiter", headersDelimiter)
      }
    }
    if parsesKey {
      if let (key, after) = rest.cut(at: keySeparator) {
        record.key = isNull(key) ? nil : key
        rest = after
      } else if !ignoresErrors {
        throw missing("key.separator", keySeparator)
      }
    }
    record.value = isNull(rest) ? nil : rest
    return record
  }

  private func headers(_ text: Bytes) throws(ConsoleRecordError) -> [ConsoleRecord.Header] {
    var headers: [ConsoleRecord.Header] = []
    var rest = text
    while true {
      let (part, after) = rest.cut(at: headersSeparator) ?? (rest, nil)
      if let (name, value) = part.cut(at: headersKeySeparator) {
        headers.append(.init(name: name, value: isNull(value) ? nil : value))
      } else if !ignoresErrors {
        throw missing("headers.key.separator", headersKeySeparator)
      }
      guard let after else { return headers }
      rest = after
    }
  }

  private func isNull(_ text: Bytes) -> Bool { nullMarker == text }

  private func missing(_ property: String, _ separator: Bytes) -> ConsoleRecordError {
    ConsoleRecordError(.noSeparator(line: lineNumber, property: property, separator: String(separator)))
  }
}

/// Shows records as lines, by the properties of Kafka's console consumer (its DefaultMessageFormatter).
package struct RecordLineFormat: Sendable {
  package static let propertyNames = [
    "print.timestamp", "print.partition", "print.offset", "print.headers", "print.key", "print.value", "key.separator",
    "line.separator", "headers.separator", "null.literal",
  ]

  /// Whose time a record's timestamp is.
  package enum TimestampKind: Sendable { case none, create, logAppend }

  private let timestamp, partition, offset, headers, key, value: Bool
  private let keySeparator: Bytes
  private let lineSeparator: Bytes
  private let headersSeparator: Bytes
  private let nullLiteral: Bytes

  package init(properties: [String: String]) throws(ConsoleRecordError) {
    let read = try ConsoleProperties(properties, known: Self.propertyNames)
    timestamp = try read.bool("print.timestamp", default: false)
    partition = try read.bool("print.partition", default: false)
    offset = try read.bool("print.offset", default: false)
    headers = try read.bool("print.headers", default: false)
    key = try read.bool("print.key", default: false)
    value = try read.bool("print.value", default: true)
    keySeparator = Bytes(properties["key.separator"] ?? "\t")
    lineSeparator = Bytes(properties["line.separator"] ?? "\n")
    headersSeparator = Bytes(properties["headers.separator"] ?? ",")
    nullLiteral = Bytes(properties["null.literal"] ?? "null")
  }

  /// Appends a record's line.
  package func append(
    _ record: ConsoleRecord, partition recordPartition: PartitionIndex, offset recordOffset: Offset, at time: Timestamp,
    _ kind: TimestampKind, to line: inout ByteWriter
  ) {
    var isFirst = true
    func separate(_ line: inout ByteWriter) {
      if !isFirst { line.append(keySeparator) }
      isFirst = false
    }
    if timestamp {
      separate(&line)
      switch kind {
      case .none: line.append("NO_TIMESTAMP")
      case .create: line.append("CreateTime:\(time.milliseconds)")
      case .logAppend: line.append("LogAppendTime:\(time.milliseconds)")
      }
    }
    if partition {
      separate(&line)
      line.append("Partition:\(recordPartition)")
    }
    if offset {
      separate(&line)
      line.append("Offset:\(recordOffset)")
    }
    if headers {
      separate(&line)
      if record.headers.isEmpty { line.append("NO_HEADERS") }
      for (index, header) in record.headers.enumerated() {
        if index > 0 { line.append(headersSeparator) }
        line.append(header.name)
        line.append(":")
        line.append(header.value ?? nullLiteral)
      }
    }
    if key {
      separate(&line)
      line.append(record.key ?? nullLiteral)
    }
    if value {
      separate(&line)
      line.append(record.value ?? nullLiteral)
    }
    line.append(lineSeparator)
  }
}

/// `--property` values with their types.
private struct ConsoleProperties {
  let values: [String: String]

  init(_ values: [String: String], known: [String]) throws(ConsoleRecordError) {
    for name in values.keys.sorted() where !known.contains(name) {
      throw ConsoleRecordError(.unknownProperty(name, suggestion: Suggestions.nearest(to: name, among: known)))
    }
    self.values = values
  }

  func bool(_ name: String, default standing: Bool) throws(ConsoleRecordError) -> Bool {
    switch values[name]?.lowercased() {
    case nil: return standing
    case "true": return true
    case "false": return false
    default:
      throw ConsoleRecordError(.badProperty(name, value: values[name] ?? "", expectation: "is neither true nor false"))
    }
  }

  func separator(_ name: String, default standing: String) throws(ConsoleRecordError) -> Bytes {
    let text = values[name] ?? standing
    if text.isEmpty {
      throw ConsoleRecordError(.badProperty(name, value: "", expectation: "is empty; name at least one character"))
    }
    return Bytes(text)
  }
}

extension Bytes {
  /// What stands before and after the first `separator`; nil where there is none. O(n).
  fileprivate func cut(at separator: Bytes) -> (Bytes, after: Bytes)? {
    guard let first = separator.first else { return nil }
    var start = 0
    while true {
      let found = firstIndex(ofByte: first, from: start)
      guard found + separator.count <= count else { return nil }
      if separator.count == 1 || self[found..<found + separator.count] == separator {
        return (self[0..<found], self[found + separator.count..<count])
      }
      start = found + 1
    }
  }
}
