import Groundwork

/// A bounded cursor over bytes that it cannot outlive: every read is checked, a nested body gets a child that cannot read
/// past it, and a claimed length is compared with what remains before anything is done with it.
public struct WireReader: ~Escapable {
  @usableFromInline let span: RawSpan
  /// Position of the span's first byte in the outermost buffer: errors name positions there.
  @usableFromInline let origin: Int
  @usableFromInline var cursor: Int

  /// Begins at the span's first byte.
  /// - Parameter origin: that byte's position in the outermost buffer, for errors.
  @inlinable @_lifetime(copy span)
  public init(_ span: RawSpan, origin: Int = 0) {
    self.span = span
    self.origin = origin
    cursor = 0
  }

  /// Bytes not yet read.
  @inlinable public var remaining: Int { span.byteCount &- cursor }
  /// Bytes read so far.
  @inlinable public var position: Int { cursor }

  /// An error at the present position, counted in the outermost buffer.
  @inlinable public func error(_ code: DecodeError.Code) -> DecodeError { DecodeError(code, at: origin &+ cursor) }

  @usableFromInline @inline(never) func truncated(_ wanted: Int) -> DecodeError {
    wanted < 0
      ? error(.impossibleLength(Int64(wanted))) : error(.truncated(wanted: wanted, remaining: remaining))
  }

  /// A big-endian integer.
  @inlinable @_lifetime(self: copy self)
  public mutating func read<I: FixedWidthInteger & BitwiseCopyable & Sendable>(
    _ type: I.Type = I.self
  ) throws(DecodeError) -> I {
    let size = MemoryLayout<I>.size
    guard remaining >= size else { throw truncated(size) }
    let value = span.unsafeLoadUnaligned(fromUncheckedByteOffset: cursor, as: I.self)
    cursor &+= size
    return I(bigEndian: value)
  }

  /// Moves on over `count` bytes and tells where they start.
  @inlinable @_lifetime(self: copy self)
  public mutating func skip(_ count: Int) throws(DecodeError) -> Int {
    guard count >= 0, count <= remaining else { throw truncated(count) }
    let start = cursor
    cursor &+= count
    return start
  }

  /// A reader of the next `count` bytes alone; this one moves past them.
  @inlinable @_lifetime(copy self)
  public mutating func child(_ count: Int) throws(DecodeError) -> WireReader {
    let start = try skip(count)
    return WireReader(span.extracting(unchecked: start..<start &+ count), origin: origin &+ start)
  }

  /// An unsigned LEB128 of at most 10 bytes.
  @inlinable @_lifetime(self: copy self)
  public mutating func readUnsignedVarint() throws(DecodeError) -> UInt64 {
    if remaining > 0 {
      let first = span.unsafeLoad(fromUncheckedByteOffset: cursor, as: UInt8.self)
      if first < 0x80 {
        cursor &+= 1
        return UInt64(first)
      }
    }
    return try readLongVarint()
  }

  @usableFromInline @_lifetime(self: copy self)
  mutating func readLongVarint() throws(DecodeError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard remaining > 0 else { throw truncated(1) }
      let byte = span.unsafeLoad(fromUncheckedByteOffset: cursor, as: UInt8.self)
      if shift == 63, byte > 1 { throw error(.overlongVarint) }
      cursor &+= 1
      value |= UInt64(byte & 0x7F) &<< shift
      if byte < 0x80 { return value }
      shift &+= 7
    }
  }

  /// A zig-zag LEB128.
  @inlinable @_lifetime(self: copy self)
  public mutating func readVarint() throws(DecodeError) -> Int64 {
    let raw = try readUnsignedVarint()
    return Int64(bitPattern: raw &>> 1) ^ -Int64(bitPattern: raw & 1)
  }

  /// A zig-zag LEB128 that must fit 32 bits.
  @inlinable @_lifetime(self: copy self)
  public mutating func readVarint32() throws(DecodeError) -> Int32 {
    let value = try readVarint()
    guard let narrow = Int32(exactly: value) else { throw error(.overlongVarint) }
    return narrow
  }

  /// UTF-8 text of `count` bytes.
  @_lifetime(self: copy self)
  public mutating func readText(_ count: Int) throws(DecodeError) -> String {
    guard count >= 0, count <= remaining else { throw truncated(count) }
    let start = cursor
    let text = span.extracting(start..<start + count).withUnsafeBytes { String(validating: $0, as: UTF8.self) }
    guard let text else { throw error(.invalidText) }
    cursor += count
    return text
  }
}
