import Groundwork

/// The values of one row, in the order of the table's columns: what a job's function appends.
///
/// The values go straight into the bytes that the sink takes: a tag (0 null, 1 integer, 2 real, 3 text, 4 blob), then eight
/// bytes, big-endian, or a length as unsigned varint and that many bytes.
public struct SQLRow: ~Copyable {
  @usableFromInline enum Tag {
    @usableFromInline static let null: UInt8 = 0
    @usableFromInline static let integer: UInt8 = 1
    @usableFromInline static let real: UInt8 = 2
    @usableFromInline static let text: UInt8 = 3
    @usableFromInline static let blob: UInt8 = 4
  }

  @usableFromInline var writer: ByteWriter
  /// Values appended since the row began.
  @usableFromInline var count = 0

  @usableFromInline init() { writer = ByteWriter(capacity: 4096) }

  /// Appends NULL.
  @inlinable public mutating func appendNull() {
    writer.append(Tag.null)
    count += 1
  }

  /// Appends a whole number; nil is NULL.
  @inlinable public mutating func append(_ value: Int?) { append(value.map { Int64($0) }) }

  /// Appends a whole number; nil is NULL.
  @inlinable public mutating func append(_ value: Int64?) {
    guard let value else { return appendNull() }
    writer.append(Tag.integer)
    writer.append(bigEndian: value)
    count += 1
  }

  /// Appends a number; nil and what is no number is NULL, as SQLite has it.
  @inlinable public mutating func append(_ value: Double?) {
    guard let value else { return appendNull() }
    writer.append(Tag.real)
    writer.append(bigEndian: value.bitPattern)
    count += 1
  }

  /// Appends text; nil is NULL.
  public mutating func append(_ value: String?) {
    guard var value else { return appendNull() }
    writer.append(Tag.text)
    value.withUTF8 { utf8 in
      writer.append(unsignedVarint: UInt64(utf8.count))
      writer.append(UnsafeRawBufferPointer(utf8))
    }
    count += 1
  }

  /// Appends bytes that are text in UTF-8; nil is NULL.
  @inlinable public mutating func append(text value: Bytes?) {
    guard let value else { return appendNull() }
    append(Tag.text, value)
  }

  /// Appends bytes as they are; nil is NULL.
  @inlinable public mutating func append(blob value: Bytes?) {
    guard let value else { return appendNull() }
    append(Tag.blob, value)
  }

  @usableFromInline mutating func append(_ tag: UInt8, _ value: Bytes) {
    writer.append(tag)
    writer.append(unsignedVarint: UInt64(value.count))
    writer.append(value)
    count += 1
  }

  @usableFromInline consuming func finish() -> Bytes { writer.finish() }
}

/// A value of a row, where it lies in the encoded rows.
enum SQLValue {
  case null
  case integer(Int64)
  case real(Double)
  case text(UnsafeRawBufferPointer)
  case blob(UnsafeRawBufferPointer)
}

/// Reads encoded values one after the other.
struct SQLValueReader {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  /// - Parameter bytes: must outlive the reader and the values it gives.
  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  /// - Throws: `damagedRows` where the bytes are not what `SQLRow` writes: they may come out of a table.
  mutating func next() throws(SQLStreamingError) -> SQLValue {
    guard position < bytes.count else { throw .damagedRows }
    let tag = bytes[position]
    position += 1
    switch tag {
    case SQLRow.Tag.null: return .null
    case SQLRow.Tag.integer: return .integer(Int64(bitPattern: try word()))
    case SQLRow.Tag.real: return .real(Double(bitPattern: try word()))
    case SQLRow.Tag.text: return .text(try run())
    case SQLRow.Tag.blob: return .blob(try run())
    default: throw .damagedRows
    }
  }

  private mutating func word() throws(SQLStreamingError) -> UInt64 {
    guard bytes.count - position >= 8 else { throw .damagedRows }
    defer { position += 8 }
    return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
  }

  private mutating func run() throws(SQLStreamingError) -> UnsafeRawBufferPointer {
    var count: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard position < bytes.count, shift < 64 else { throw .damagedRows }
      let byte = bytes[position]
      position += 1
      count |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { break }
      shift += 7
    }
    guard count <= UInt64(bytes.count - position) else { throw .damagedRows }
    defer { position += Int(count) }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + Int(count)])
  }
}
