import Groundwork
import WireFormat

/// Encodes a Fetch response around record batches that are sent from somewhere else, a file perhaps, and never pass
/// through this process's memory.
///
/// - Parameters:
///   - response: the partitions' `records` are not looked at.
///   - recordSizes: for each partition, in order of the response, how many bytes of batches it will be sent; as many as
///     there are partitions.
/// - Returns: what stands before each partition's batches, then what stands after the last: one piece more than there
///   are sizes. The length in front of the first piece counts everything.
/// - Throws: when the whole is longer than the protocol allows, `version` is not one of the response's, or there are
///   fewer sizes than partitions.
public func encodeFetchResponse(
  _ response: FetchResponse, recordSizes: [Int], version: Int16, correlationID: Int32
) throws(DecodeError) -> [Bytes] {
  guard FetchResponse.versions.contains(version) else {
    throw DecodeError(.invalid("a version that this response does not have"), at: 0)
  }
  let isFlexible = FetchResponse.isFlexible(version)
  var encoder = SplitEncoder(version: version, isFlexible: isFlexible, sizes: recordSizes)
  encoder.base.writer.append(bigEndian: Int32(0))
  encoder.base.writer.append(bigEndian: correlationID)
  if isFlexible { encoder.base.writer.append(0) }
  var response = response
  try response.code(&encoder)
  return try encoder.finish()
}

/// A field encoder that leaves a gap for each nullable field of bytes: in a Fetch response these are the records.
private struct SplitEncoder: FieldCoder, ~Copyable {
  var base: FieldEncoder
  private let sizes: [Int]
  /// Where the gaps are, in bytes written.
  private var gaps: [Int] = []

  init(version: Int16, isFlexible: Bool, sizes: [Int]) {
    base = FieldEncoder(version: version, isFlexible: isFlexible, capacity: 256 + 64 * sizes.count)
    self.sizes = sizes
  }

  var version: Int16 { base.version }
  var isFlexible: Bool { base.isFlexible }

  consuming func finish() throws(DecodeError) -> [Bytes] {
    let gaps = gaps
    guard gaps.count == sizes.count else {
      throw DecodeError(.invalid("as many sizes of records as partitions are needed"), at: 0)
    }
    let size = base.writer.count - 4 + sizes.reduce(0, +)
    guard let length = Int32(exactly: size) else {
      throw DecodeError(.invalid("a message of more than 2 GiB"), at: 0)
    }
    base.writer.patch(bigEndian: length, at: 0)
    let written = base.writer.copyBytes()
    var pieces: [Bytes] = []
    var from = 0
    for gap in gaps + [written.count] {
      pieces.append(written[from..<gap])
      from = gap
    }
    return pieces
  }

  private mutating func appendLength(_ length: Int?) throws(DecodeError) {
    if let length, length > Int(Int32.max) - 1 {
      throw DecodeError(.invalid("a value that is too long for its length field"), at: base.count)
    }
    if isFlexible {
      base.writer.append(unsignedVarint: UInt64((length ?? -1) + 1))
    } else {
      base.writer.append(bigEndian: Int32(length ?? -1))
    }
  }

  mutating func code(_ field: inout Bytes?) throws(DecodeError) {
    guard gaps.count < sizes.count else {
      throw DecodeError(.invalid("as many sizes of records as partitions are needed"), at: base.count)
    }
    try appendLength(sizes[gaps.count])
    gaps.append(base.writer.count)
  }

  mutating func code(_ field: inout Bool) throws(DecodeError) { try base.code(&field) }
  mutating func code(_ field: inout Int8) throws(DecodeError) { try base.code(&field) }
  mutating func code(_ field: inout Int16) throws(DecodeError) { try base.code(&field) }
  mutating func code(_ field: inout Int32) throws(DecodeError) { try base.code(&field) }
  mutating func code(_ field: inout Int64) throws(DecodeError) { try base.code(&field) }
  mutating func code(_ field: inout String) throws(DecodeError) { try base.code(&field) }
  mutating func code(_ field: inout String?) throws(DecodeError) { try base.code(&field) }
  mutating func code(_ field: inout UUID128) throws(DecodeError) { try base.code(&field) }

  mutating func code(_ field: inout Bytes) throws(DecodeError) {
    try appendLength(field.count)
    base.writer.append(field)
  }

  mutating func code<Element: WireValue>(_ field: inout [Element]) throws(DecodeError) {
    try appendLength(field.count)
    for index in field.indices { try field[index].code(&self) }
  }

  mutating func code<Element: WireValue>(_ field: inout [Element]?) throws(DecodeError) {
    try appendLength(field?.count)
    guard var elements = field else { return }
    for index in elements.indices { try elements[index].code(&self) }
  }

  mutating func endOfFields() throws(DecodeError) { try base.endOfFields() }

  mutating func endOfFields<Structure: TaggedFields>(of structure: inout Structure) throws(DecodeError) {
    try base.endOfFields(of: &structure)
  }
}
