import Groundwork
import WireFormat

/// Writes the fields of a message.
///
/// Long fields of bytes (record batches) are not copied: the result is a list of parts, in order, some of which are the
/// fields themselves.
public struct FieldEncoder: FieldCoder, ~Copyable {
  /// From this many bytes on a field becomes a part of its own: below, a copy costs less than one more part.
  static var partThreshold: Int { 2048 }

  /// The API version being written.
  public let version: Int16
  /// Whether that version uses compact lengths and tagged fields.
  public let isFlexible: Bool
  var writer: ByteWriter
  /// Long fields, and how many bytes of the writer stand before each.
  private var inserted: [(position: Int, bytes: Bytes)] = []
  private var insertedCount = 0

  /// - Parameter capacity: bytes set aside at first; the encoder grows beyond as needed.
  public init(version: Int16, isFlexible: Bool, capacity: Int = 256) {
    self.version = version
    self.isFlexible = isFlexible
    writer = ByteWriter(capacity: capacity)
  }

  /// Bytes written so far, those of long fields included.
  public var count: Int { writer.count + insertedCount }

  /// What was written, in order, without copies of long fields.
  public consuming func finish() -> [Bytes] {
    let inserted = inserted
    let written = writer.finish()
    guard !inserted.isEmpty else { return [written] }
    var parts: [Bytes] = []
    var from = 0
    for (position, bytes) in inserted {
      if position > from { parts.append(written[from..<position]) }
      parts.append(bytes)
      from = position
    }
    if written.count > from { parts.append(written[from..<written.count]) }
    return parts
  }

  private func tooLong() -> DecodeError {
    DecodeError(.invalid("a value that is too long for its length field"), at: count)
  }

  /// Appends one byte; never throws.
  public mutating func code(_ field: inout Bool) throws(DecodeError) { writer.append(field ? 1 : 0) }
  /// Appends one byte; never throws.
  public mutating func code(_ field: inout Int8) throws(DecodeError) { writer.append(bigEndian: field) }
  /// Appends 2 bytes; never throws.
  public mutating func code(_ field: inout Int16) throws(DecodeError) { writer.append(bigEndian: field) }
  /// Appends 4 bytes; never throws.
  public mutating func code(_ field: inout Int32) throws(DecodeError) { writer.append(bigEndian: field) }
  /// Appends 8 bytes; never throws.
  public mutating func code(_ field: inout Int64) throws(DecodeError) { writer.append(bigEndian: field) }

  /// Appends 16 bytes; never throws.
  public mutating func code(_ field: inout UUID128) throws(DecodeError) {
    writer.append(bigEndian: field.high)
    writer.append(bigEndian: field.low)
  }

  private mutating func appendTextLength(_ length: Int?) throws(DecodeError) {
    if let length, length > Int(Int16.max) { throw tooLong() }
    if isFlexible {
      writer.append(unsignedVarint: UInt64((length ?? -1) + 1))
    } else {
      writer.append(bigEndian: Int16(length ?? -1))
    }
  }

  private mutating func appendWideLength(_ length: Int?) throws(DecodeError) {
    if let length, length > Int(Int32.max) - 1 { throw tooLong() }
    if isFlexible {
      writer.append(unsignedVarint: UInt64((length ?? -1) + 1))
    } else {
      writer.append(bigEndian: Int32(length ?? -1))
    }
  }

  /// A text whose length is always 16 bits wide, as in request headers of every version.
  mutating func appendShortText(_ text: String?) throws(DecodeError) {
    guard let text else {
      writer.append(bigEndian: Int16(-1))
      return
    }
    guard text.utf8.count <= Int(Int16.max) else { throw tooLong() }
    writer.append(bigEndian: Int16(text.utf8.count))
    writer.append(text)
  }

  /// Throws for a text of more than 32,767 bytes of UTF-8, in every version.
  public mutating func code(_ field: inout String) throws(DecodeError) {
    try appendTextLength(field.utf8.count)
    writer.append(field)
  }

  /// Throws for a text of more than 32,767 bytes of UTF-8, in every version.
  public mutating func code(_ field: inout String?) throws(DecodeError) {
    try appendTextLength(field?.utf8.count)
    if let field { writer.append(field) }
  }

  private mutating func append(_ bytes: Bytes) {
    if bytes.count < FieldEncoder.partThreshold {
      writer.append(bytes)
    } else {
      inserted.append((writer.count, bytes))
      insertedCount += bytes.count
    }
  }

  /// From 2,048 bytes on the field becomes a part of its own, not copied. Throws where its length does not fit 32 bits.
  public mutating func code(_ field: inout Bytes) throws(DecodeError) {
    try appendWideLength(field.count)
    append(field)
  }

  /// From 2,048 bytes on the field becomes a part of its own, not copied. Throws where its length does not fit 32 bits.
  public mutating func code(_ field: inout Bytes?) throws(DecodeError) {
    try appendWideLength(field?.count)
    if let field { append(field) }
  }

  private mutating func appendElements<Element: WireValue>(_ field: inout [Element]) throws(DecodeError) {
    for index in field.indices { try field[index].code(&self) }
  }

  public mutating func code<Element: WireValue>(_ field: inout [Element]) throws(DecodeError) {
    try appendWideLength(field.count)
    try appendElements(&field)
  }

  public mutating func code<Element: WireValue>(_ field: inout [Element]?) throws(DecodeError) {
    try appendWideLength(field?.count)
    guard var elements = field else { return }
    try appendElements(&elements)
  }

  /// In flexible versions writes that there are no tagged fields.
  public mutating func endOfFields() throws(DecodeError) {
    if isFlexible { writer.append(0) }
  }

  /// In flexible versions writes the tagged fields that are not at their defaults; each is encoded apart, to know its
  /// size.
  public mutating func endOfFields<Structure: TaggedFields>(of structure: inout Structure) throws(DecodeError) {
    guard isFlexible else { return }
    let tags = Structure.tags(version).filter { !structure.isDefault(tag: $0) }
    writer.append(unsignedVarint: UInt64(tags.count))
    for tag in tags {
      var field = FieldEncoder(version: version, isFlexible: isFlexible)
      try structure.code(tag: tag, &field)
      let size = field.count
      writer.append(unsignedVarint: UInt64(tag))
      writer.append(unsignedVarint: UInt64(size))
      for part in field.finish() { append(part) }
    }
  }
}
