import Groundwork
import WireFormat

/// One visit to the fields of a message, in wire order: the same visit writes or reads, so that a message has one
/// definition (KIP-482 describes the flexible forms).
///
/// A message's `code` calls one method per field; `version` and `isFlexible` belong to the call being coded.
public protocol FieldCoder: ~Copyable, ~Escapable {
  /// The API version being coded.
  var version: Int16 { get }
  /// Whether this version uses compact lengths and tagged fields.
  var isFlexible: Bool { get }

  mutating func code(_ field: inout Bool) throws(DecodeError)
  mutating func code(_ field: inout Int8) throws(DecodeError)
  mutating func code(_ field: inout Int16) throws(DecodeError)
  mutating func code(_ field: inout Int32) throws(DecodeError)
  mutating func code(_ field: inout Int64) throws(DecodeError)
  mutating func code(_ field: inout Double) throws(DecodeError)
  mutating func code(_ field: inout String) throws(DecodeError)
  mutating func code(_ field: inout String?) throws(DecodeError)
  mutating func code(_ field: inout Bytes) throws(DecodeError)
  mutating func code(_ field: inout Bytes?) throws(DecodeError)
  mutating func code(_ field: inout UUID128) throws(DecodeError)
  /// An array; `element` codes one, starting from `initial` when reading.
  mutating func array<Element>(
    _ field: inout [Element], of initial: @autoclosure () -> Element,
    _ element: (inout Element, inout Self) throws(DecodeError) -> Void
  ) throws(DecodeError)
  mutating func array<Element>(
    _ field: inout [Element]?, of initial: @autoclosure () -> Element,
    _ element: (inout Element, inout Self) throws(DecodeError) -> Void
  ) throws(DecodeError)
  /// The end of a structure: in flexible versions its tagged fields, all of which are skipped when reading and none
  /// written.
  mutating func endOfFields() throws(DecodeError)
}
