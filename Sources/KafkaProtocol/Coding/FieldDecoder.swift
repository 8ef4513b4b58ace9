import Groundwork
import WireFormat

/// Reads the fields of a message out of a frame.
///
/// Every length is compared with what remains before anything is made of it, and arrays grow with the elements that are
/// really there, so memory follows the frame's size and never its claims. Fields of bytes are slices of the frame: they
/// keep it alive, whoever stores one for long takes `copied`.
public struct FieldDecoder: FieldCoder {
  /// The API version that the frame is in.
  public let version: Int16
  /// Whether that version uses compact lengths and tagged fields.
  public let isFlexible: Bool
  let frame: Bytes
  /// Where the next field starts in the frame.
  public private(set) var position: Int
  /// Where the readable part ends: the frame's end, or that of the tagged field being read.
  private var end: Int

  /// - Parameters:
  ///   - position: where in `frame` the first field starts; must lie inside the frame.
  public init(_ frame: Bytes, position: Int = 0, version: Int16, isFlexible: Bool) {
    self.frame = frame
    self.position = min(max(position, 0), frame.count)
    end = frame.count
    self.version = version
    self.isFlexible = isFlexible
  }

  /// Bytes not yet read.
  public var remaining: Int { end - position }

  private func error(_ code: DecodeError.Code) -> DecodeError { DecodeError(code, at: position) }

  /// Runs `body` with a reader of the unread bytes, then moves past what it read.
  private mutating func read<R>(
    _ body: (inout WireReader) throws(DecodeError) -> R
  ) throws(DecodeError) -> R {
    let start = position
    let end = end
    let (value, used) = try frame.withUnsafeBytes { raw throws(DecodeError) -> (R, Int) in
      var reader = WireReader(UnsafeRawBufferPointer(rebasing: raw[start..<end]).bytes, origin: start)
      let value = try body(&reader)
      return (value, reader.position)
    }
    position = start + used
    return value
  }

  private mutating func integer<I: FixedWidthInteger & BitwiseCopyable & Sendable>(
    _ type: I.Type = I.self
  ) throws(DecodeError) -> I {
    try read { reader throws(DecodeError) -> I in try reader.read(I.self) }
  }

  /// Throws where the frame ends before.
  public mutating func code(_ field: inout Bool) throws(DecodeError) { field = try integer(UInt8.self) != 0 }
  /// Throws where the frame ends before.
  public mutating func code(_ field: inout Int8) throws(DecodeError) { field = try integer() }
  /// Throws where the frame ends before.
  public mutating func code(_ field: inout Int16) throws(DecodeError) { field = try integer() }
  /// Throws where the frame ends before.
  public mutating func code(_ field: inout Int32) throws(DecodeError) { field = try integer() }
  /// Throws where the frame ends before.
  public mutating func code(_ field: inout Int64) throws(DecodeError) { field = try integer() }

  /// Throws where the frame ends before.
  public mutating func code(_ field: inout UUID128) throws(DecodeError) {
    let high = try integer(UInt64.self)
    field = UUID128(high: high, low: try integer(UInt64.self))
  }

  /// A length that may be null, checked against what remains.
  private mutating func compactLength() throws(DecodeError) -> Int? {
    let raw = try read { reader throws(DecodeError) -> UInt64 in try reader.readUnsignedVarint() }
    guard raw > 0 else { return nil }
    guard raw - 1 <= UInt64(remaining) else { throw error(.impossibleLength(Int64(clamping: raw - 1))) }
    return Int(raw - 1)
  }

  /// A length of fixed width, -1 for null. (Reads it itself: a non-mutating check with the read as its argument would
  /// look at the position from before the read.)
  private mutating func fixedLength<I: FixedWidthInteger & BitwiseCopyable & Sendable>(
    _ type: I.Type
  ) throws(DecodeError) -> Int? {
    let length = Int(try integer(type))
    if length == -1 { return nil }
    guard length >= 0, length <= remaining else { throw error(.impossibleLength(Int64(length))) }
    return length
  }

  private mutating func textLength() throws(DecodeError) -> Int? {
    isFlexible ? try compactLength() : try fixedLength(Int16.self)
  }

  private mutating func wideLength() throws(DecodeError) -> Int? {
    isFlexible ? try compactLength() : try fixedLength(Int32.self)
  }

  /// A text whose length is always 16 bits wide, as in request headers of every version.
  mutating func shortText() throws(DecodeError) -> String? {
    guard let length = try fixedLength(Int16.self) else { return nil }
    return try text(length)
  }

  private mutating func text(_ length: Int) throws(DecodeError) -> String {
    try read { reader throws(DecodeError) -> String in try reader.readText(length) }
  }

  /// Copies the text. Throws for a null, and for a length that reaches beyond the frame.
  public mutating func code(_ field: inout String) throws(DecodeError) {
    guard let length = try textLength() else { throw error(.invalid("null where a text must be")) }
    field = try text(length)
  }

  /// Copies the text. Throws for a length that reaches beyond the frame.
  public mutating func code(_ field: inout String?) throws(DecodeError) {
    guard let length = try textLength() else {
      field = nil
      return
    }
    field = try text(length)
  }

  private mutating func slice(_ length: Int) -> Bytes {
    defer { position += length }
    return frame[position..<position + length]
  }

  /// A slice, not copied. Throws for a null, and for a length that reaches beyond the frame.
  public mutating func code(_ field: inout Bytes) throws(DecodeError) {
    guard let length = try wideLength() else { throw error(.invalid("null where bytes must be")) }
    field = slice(length)
  }

  /// A slice, not copied. Throws for a length that reaches beyond the frame.
  public mutating func code(_ field: inout Bytes?) throws(DecodeError) {
    guard let length = try wideLength() else {
      field = nil
      return
    }
    field = slice(length)
  }

  private mutating func elements<Element: WireValue>(_ count: Int) throws(DecodeError) -> [Element] {
    var elements: [Element] = []
    for _ in 0..<count {
      let start = position
      var element = Element()
      try element.code(&self)
      // No element of the protocol is empty; one that were would let a count of two billion pass unpaid.
      guard position > start else { throw error(.invalid("an element of no bytes")) }
      elements.append(element)
    }
    return elements
  }

  public mutating func code<Element: WireValue>(_ field: inout [Element]) throws(DecodeError) {
    guard let count = try wideLength() else { throw error(.invalid("null where an array must be")) }
    field = try elements(count)
  }

  public mutating func code<Element: WireValue>(_ field: inout [Element]?) throws(DecodeError) {
    guard let count = try wideLength() else {
      field = nil
      return
    }
    field = try elements(count)
  }

  /// Visits the tagged fields; `body` reads one and says whether it knew it.
  private mutating func tagged(
    _ body: (UInt32, inout FieldDecoder) throws(DecodeError) -> Bool
  ) throws(DecodeError) {
    guard isFlexible else { return }
    let count = try read { reader throws(DecodeError) -> UInt64 in try reader.readUnsignedVarint() }
    guard count <= UInt64(remaining) else { throw error(.impossibleLength(Int64(clamping: count))) }
    let outerEnd = end
    for _ in 0..<count {
      let (tag, size) = try read { reader throws(DecodeError) -> (UInt64, UInt64) in
        let tag = try reader.readUnsignedVarint()
        return (tag, try reader.readUnsignedVarint())
      }
      guard size <= UInt64(remaining) else { throw error(.impossibleLength(Int64(clamping: size))) }
      let fieldEnd = position + Int(size)
      guard let known = UInt32(exactly: tag) else { throw error(.overlongVarint) }
      end = fieldEnd
      if try body(known, &self) {
        guard position == fieldEnd else { throw error(.trailingBytes(fieldEnd - position)) }
      }
      position = fieldEnd
      end = outerEnd
    }
  }

  /// Skips all tagged fields; throws where one claims to reach beyond what remains.
  public mutating func endOfFields() throws(DecodeError) {
    try tagged { (_, _) throws(DecodeError) -> Bool in false }
  }

  /// Reads the tagged fields that `Structure` has in this version and skips the others. Throws where a known one does
  /// not fill the size it claims.
  public mutating func endOfFields<Structure: TaggedFields>(of structure: inout Structure) throws(DecodeError) {
    let tags = Structure.tags(version)
    try tagged { (tag, decoder) throws(DecodeError) -> Bool in
      guard tags.contains(tag) else { return false }
      try structure.code(tag: tag, &decoder)
      return true
    }
  }

  /// Throws where bytes are left over.
  public func finish() throws(DecodeError) {
    guard remaining == 0 else { throw error(.trailingBytes(remaining)) }
  }
}
