import Groundwork

/// One row of CSV as it is written (RFC 4180): fields with commas between them, quoted where they need it.
///
/// Lives inside the closure that gets it. The pointer is to the task's buffer, which outlives that call.
public struct CSVRow: ~Copyable {
  @usableFromInline let writer: UnsafeMutablePointer<ByteWriter>
  @usableFromInline let separator: UInt8
  @usableFromInline var isFirst = true

  @inlinable init(_ writer: UnsafeMutablePointer<ByteWriter>, separator: UInt8) {
    self.writer = writer
    self.separator = separator
  }

  @inlinable mutating func begin() {
    if !isFirst { writer.pointee.append(separator) }
    isFirst = false
  }

  /// The next field: bytes as they are, quoted where they hold the separator, a quote or a line end; nil is empty.
  @inlinable public mutating func append(_ field: Bytes?) {
    begin()
    field?.withUnsafeBytes { CSVRow.append($0, separator, to: &writer.pointee) }
  }

  /// The next field, a text.
  public mutating func append(_ field: String) {
    begin()
    var field = field
    field.withUTF8 { CSVRow.append(UnsafeRawBufferPointer($0), separator, to: &writer.pointee) }
  }

  /// The next field, a whole number in decimal.
  public mutating func append(_ field: some BinaryInteger) {
    begin()
    writer.pointee.append(String(field))
  }

  /// The next field, in the shortest form that gives the number back.
  public mutating func append(_ field: Double) {
    begin()
    writer.pointee.append("\(field)")
  }

  /// The next field: `true` or `false`.
  public mutating func append(_ field: Bool) {
    begin()
    writer.pointee.append(field ? "true" : "false")
  }

  @usableFromInline static func append(
    _ field: UnsafeRawBufferPointer, _ separator: UInt8, to writer: inout ByteWriter
  ) {
    let quote = UInt8(ascii: "\"")
    guard field.contains(where: { $0 == quote || $0 == separator || $0 == 10 || $0 == 13 }) else {
      return writer.append(field)
    }
    writer.append(quote)
    var start = 0
    for index in 0..<field.count where field[index] == quote {
      // A quote is written twice: once with what stands before it, once more here.
      writer.append(UnsafeRawBufferPointer(rebasing: field[start...index]))
      writer.append(quote)
      start = index + 1
    }
    writer.append(UnsafeRawBufferPointer(rebasing: field[start...]))
    writer.append(quote)
  }

  /// The bytes of a whole row with its line end: a header.
  static func line(_ fields: [String], separator: UInt8) -> Bytes {
    var writer = ByteWriter()
    withUnsafeMutablePointer(to: &writer) { pointer in
      var row = CSVRow(pointer, separator: separator)
      for field in fields { row.append(field) }
    }
    writer.append("\r\n")
    return writer.finish()
  }
}
