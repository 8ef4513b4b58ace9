import Groundwork
import WireFormat

/// One visit to the fields of a message, in wire order: the same visit writes or reads, so that a message has one
/// definition (KIP-482 describes the flexible forms).
///
/// A message's `code` calls one method per field; `version` and `isFlexible` belong to the call being coded.
public protocol FieldCoder: ~Copyable {
  /// The API version being coded.
  var version: Int16 { get }
  /// Whether this version uses compact lengths and tagged fields.
  var isFlexible: Bool { get }

  /// One byte, 0 or 1; any other than 0 reads as true.
  mutating func code(_ field: inout Bool) throws(DecodeError)
  /// One byte, two's complement.
  mutating func code(_ field: inout Int8) throws(DecodeError)
  /// 2 bytes, big-endian.
  mutating func code(_ field: inout Int16) throws(DecodeError)
  /// 4 bytes, big-endian.
  mutating func code(_ field: inout Int32) throws(DecodeError)
  /// 8 bytes, big-endian.
  mutating func code(_ field: inout Int64) throws(DecodeError)
  /// UTF-8 with its length in bytes: 16 bits wide, compact (a varint of the length plus 1) in flexible versions. A null
  /// on the wire is an error.
  mutating func code(_ field: inout String) throws(DecodeError)
  /// As for `String`; nil is the length -1, compact 0.
  mutating func code(_ field: inout String?) throws(DecodeError)
  /// Bytes with their length; a decoder gives a slice of the frame, which keeps the frame alive.
  mutating func code(_ field: inout Bytes) throws(DecodeError)
  /// As for `Bytes`; record batches come and go this way.
  mutating func code(_ field: inout Bytes?) throws(DecodeError)
  /// 16 bytes, the high half first, big-endian.
  mutating func code(_ field: inout UUID128) throws(DecodeError)
  /// The elements with their number in front: 32 bits wide, compact in flexible versions. A null on the wire is an
  /// error.
  mutating func code<Element: WireValue>(_ field: inout [Element]) throws(DecodeError)
  /// As for the array that cannot be null; nil is the number -1, compact 0.
  mutating func code<Element: WireValue>(_ field: inout [Element]?) throws(DecodeError)
  /// The end of a structure: in flexible versions its tagged fields, all of which are skipped when reading and none
  /// written.
  mutating func endOfFields() throws(DecodeError)
  /// The end of a structure some of whose tagged fields are known here.
  mutating func endOfFields<Structure: TaggedFields>(of structure: inout Structure) throws(DecodeError)
}

extension FieldCoder where Self: ~Copyable {
  /// A field that only later versions allow to be null: nil is written as empty text.
  public mutating func codeNonNull(_ field: inout String?) throws(DecodeError) {
    var value = field ?? ""
    try code(&value)
    field = value
  }

  /// A field that only later versions allow to be null: nil is written as no elements.
  public mutating func codeNonNull<Element: WireValue>(_ field: inout [Element]?) throws(DecodeError) {
    var value = field ?? []
    try code(&value)
    field = value
  }
}

/// A value with a place in a message: a structure, or an element of an array.
public protocol WireValue: Sendable {
  /// The value all of whose fields are defaults.
  init()
  /// Visits the fields in wire order. A decoder fills `self`, an encoder reads it.
  /// - Throws: `DecodeError` when the bytes hold no such value, or when the value has no form on the wire (a text
  ///   longer than its length field can say).
  mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError)
}

/// A structure with optional fields that carry a number (KIP-482).
public protocol TaggedFields: WireValue {
  /// The tags that `version` has, ascending.
  static func tags(_ version: Int16) -> [UInt32]
  /// Whether the field holds its default, which is not written.
  func isDefault(tag: UInt32) -> Bool
  /// Visits one tagged field, without its number and size.
  mutating func code<C: FieldCoder & ~Copyable>(tag: UInt32, _ coder: inout C) throws(DecodeError)
}

extension Int16: WireValue {
  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) { try coder.code(&self) }
}
extension Int8: WireValue {
  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) { try coder.code(&self) }
}
extension Int32: WireValue {
  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) { try coder.code(&self) }
}
extension Int64: WireValue {
  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) { try coder.code(&self) }
}
extension String: WireValue {
  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) { try coder.code(&self) }
}
extension UUID128: WireValue {
  /// All zeros: none.
  public init() { self = .zero }
  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) { try coder.code(&self) }
}
