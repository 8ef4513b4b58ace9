/// A value with a canonical byte encoding: equal values give equal bytes, in every process and every release.
///
/// What is kept across processes (state, keys sent to repartition topics) is StreamCodable. `Bytes`, `String`, integers,
/// floats, `Bool`, optionals, arrays and `StreamPair` conform; a struct conforms with the two methods.
public protocol StreamCodable: Sendable {
  /// Appends the canonical encoding.
  func encode(to writer: inout ByteWriter)
  /// Reads one value; throws `StreamDecodingError` where the bytes hold none.
  static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Self
}

/// Why bytes are not the value they were taken for.
public struct StreamDecodingError: Error, CustomStringConvertible, Sendable {
  /// What was found instead.
  public var reason: String
  /// Byte position within the value's encoding.
  public var position: Int

  /// - Parameters:
  ///   - reason: what was found instead.
  ///   - position: byte position within the value's encoding.
  public init(reason: String, position: Int) {
    self.reason = reason
    self.position = position
  }

  /// The reason and the byte position, in one line.
  public var description: String { "not a value of this type: \(reason) at byte \(position)" }
}

/// A cursor over the encoding of StreamCodable values.
public struct StreamReader: Sendable {
  /// The encoding.
  public let bytes: Bytes
  /// Bytes read so far, which is the position of the next one.
  public private(set) var position = 0

  /// Begins at the first byte.
  public init(_ bytes: Bytes) { self.bytes = bytes }

  /// Bytes not yet read.
  public var remaining: Int { bytes.count - position }

  /// The next `count` bytes.
  public mutating func read(_ count: Int) throws(StreamDecodingError) -> Bytes {
    guard count >= 0, count <= remaining else {
      throw StreamDecodingError(reason: "\(count) bytes wanted, \(remaining) left", position: position)
    }
    defer { position += count }
    return bytes[position..<position + count]
  }

  /// The next byte.
  public mutating func readByte() throws(StreamDecodingError) -> UInt8 { try read(1)[0] }

  /// An unsigned LEB128 of at most ten bytes.
  public mutating func readUnsigned() throws(StreamDecodingError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      let byte = try readByte()
      // Only the shortest form is canonical, and the tenth byte has room for one bit.
      if shift > 0, byte == 0 { throw fail("a varint longer than it need be") }
      if shift == 63, byte > 1 { break }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw StreamDecodingError(reason: "a varint of more than 64 bits", position: position)
  }

  /// A count of bytes or elements, no larger than what remains could hold.
  public mutating func readCount() throws(StreamDecodingError) -> Int {
    let value = try readUnsigned()
    guard value <= UInt64(remaining) else {
      throw StreamDecodingError(reason: "a count of \(value), \(remaining) bytes left", position: position)
    }
    return Int(value)
  }

  /// An error at the present position.
  public func fail(_ reason: String) -> StreamDecodingError { StreamDecodingError(reason: reason, position: position) }
}

extension StreamCodable {
  /// The canonical encoding in memory of its own.
  public var streamEncoded: Bytes {
    var writer = ByteWriter()
    encode(to: &writer)
    return writer.finish()
  }

  /// The value that `bytes` encode, all of them.
  public static func streamDecoded(_ bytes: Bytes) throws(StreamDecodingError) -> Self {
    var reader = StreamReader(bytes)
    let value = try decode(from: &reader)
    guard reader.remaining == 0 else { throw reader.fail("\(reader.remaining) bytes too many") }
    return value
  }

  /// The hash of the encoding, version `Hash64.version`: decides state partitions.
  public var streamHash: UInt64 { streamEncoded.fastHash(seed: 0) }
}

extension Bytes: StreamCodable {
  /// An unsigned varint of the byte count, then the bytes.
  public func encode(to writer: inout ByteWriter) {
    writer.append(unsignedVarint: UInt64(count))
    writer.append(self)
  }
  /// A slice of the reader's bytes, copied only up to 15 bytes; throws where the count claims more than is left.
  public static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Bytes {
    let count = try reader.readCount()
    return try reader.read(count)
  }
}

extension String: StreamCodable {
  /// As `Bytes`, of the UTF-8 text. O(n).
  public func encode(to writer: inout ByteWriter) { Bytes(self).encode(to: &writer) }
  /// A copy of the text; throws where the bytes are not valid UTF-8. O(n).
  public static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> String {
    let bytes = try Bytes.decode(from: &reader)
    guard let text = bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
      throw reader.fail("text that is not UTF-8")
    }
    return text
  }
}

extension Bool: StreamCodable {
  /// One byte, 0 or 1.
  public func encode(to writer: inout ByteWriter) { writer.append(self ? 1 : 0) }
  /// Throws where the byte is neither 0 nor 1.
  public static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Bool {
    switch try reader.readByte() {
    case 0: false
    case 1: true
    default: throw reader.fail("a Bool that is neither 0 nor 1")
    }
  }
}

/// Signed integers are zig-zag varints, unsigned ones plain varints, whatever their width: a field may widen later.
extension StreamCodable where Self: FixedWidthInteger {
  /// A varint of one to ten bytes, zig-zag where the type is signed.
  public func encode(to writer: inout ByteWriter) {
    if Self.isSigned {
      writer.append(varint: Int64(self))
    } else {
      writer.append(unsignedVarint: UInt64(self))
    }
  }
  /// Throws where the varint is not in its shortest form or the value does not fit this type.
  public static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Self {
    let raw = try reader.readUnsigned()
    let value = isSigned ? Self(exactly: Int64(bitPattern: raw >> 1) ^ -Int64(raw & 1)) : Self(exactly: raw)
    guard let value else { throw reader.fail("an integer that does not fit \(Self.self)") }
    return value
  }
}

extension Int: StreamCodable {}
extension Int8: StreamCodable {}
extension Int16: StreamCodable {}
extension Int32: StreamCodable {}
extension Int64: StreamCodable {}
extension UInt: StreamCodable {}
extension UInt8: StreamCodable {}
extension UInt16: StreamCodable {}
extension UInt32: StreamCodable {}
extension UInt64: StreamCodable {}

/// Eight bytes of the bit pattern, big-endian; all NaNs become one and -0 becomes 0, so that equal values are equal bytes.
extension Double: StreamCodable {
  /// Eight bytes, however simple the value.
  public func encode(to writer: inout ByteWriter) {
    writer.append(bigEndian: isNaN ? Double.nan.bitPattern : self == 0 ? 0 : bitPattern)
  }
  /// The value of eight bytes; throws where fewer are left.
  public static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Double {
    let bytes = try reader.read(8)
    return Double(bitPattern: bytes.reduce(0) { $0 << 8 | UInt64($1) })
  }
}

extension Float: StreamCodable {
  /// As `Double`, so that a field may widen later: eight bytes.
  public func encode(to writer: inout ByteWriter) { Double(self).encode(to: &writer) }
  /// The nearest `Float` to the `Double` that is read.
  public static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Float {
    Float(try Double.decode(from: &reader))
  }
}

extension Optional: StreamCodable where Wrapped: StreamCodable {
  /// One byte, 0 for nil or 1, then the value.
  public func encode(to writer: inout ByteWriter) {
    writer.append(self == nil ? 0 : 1)
    self?.encode(to: &writer)
  }
  /// Throws where the first byte is neither 0 nor 1, or no value follows a 1.
  public static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Self {
    try Bool.decode(from: &reader) ? .some(Wrapped.decode(from: &reader)) : nil
  }
}

extension Array: StreamCodable where Element: StreamCodable {
  /// An unsigned varint of the element count, then the elements in order. O(n).
  public func encode(to writer: inout ByteWriter) {
    writer.append(unsignedVarint: UInt64(count))
    for element in self { element.encode(to: &writer) }
  }
  /// Throws where the count exceeds the bytes that are left, or an element cannot be read. O(n).
  public static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> [Element] {
    let count = try reader.readCount()
    var result: [Element] = []
    for _ in 0..<count { result.append(try Element.decode(from: &reader)) }
    return result
  }
}

/// Two StreamCodable values as one: tuples cannot conform to protocols.
public struct StreamPair<First: StreamCodable, Second: StreamCodable>: StreamCodable {
  /// The value that is encoded first.
  public var first: First
  /// The value that is encoded after it.
  public var second: Second
  /// Puts two values together.
  public init(_ first: First, _ second: Second) {
    self.first = first
    self.second = second
  }
  /// The first value, then the second, with nothing in between.
  public func encode(to writer: inout ByteWriter) {
    first.encode(to: &writer)
    second.encode(to: &writer)
  }
  /// Reads both; throws where either is not there.
  public static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Self {
    let first = try First.decode(from: &reader)
    return Self(first, try Second.decode(from: &reader))
  }
}
extension StreamPair: Equatable where First: Equatable, Second: Equatable {}
extension StreamPair: Hashable where First: Hashable, Second: Hashable {}
