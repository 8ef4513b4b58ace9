import Groundwork

/// Reads the elements of one frame, by address; a position that would leave the frame is an error.
///
/// Lives inside one `Bytes.withUnsafeBytes`, which keeps the address valid.
struct FrameCursor {
  /// The frame, for what is read through `StreamReader`.
  let bytes: Bytes
  /// Its first byte.
  let base: UnsafeRawPointer
  /// The next byte to read.
  private(set) var position = 0
  let end: Int

  init(_ bytes: Bytes, at base: UnsafeRawPointer) {
    self.bytes = bytes
    self.base = base
    end = bytes.count
  }

  var isAtEnd: Bool { position == end }

  func fail(_ reason: String) -> StreamDecodingError { StreamDecodingError(reason: reason, position: position) }

  /// The address of the next `count` bytes, which are then read.
  mutating func take(_ count: Int) throws(StreamDecodingError) -> UnsafeRawPointer {
    guard count >= 0, count <= end - position else { throw fail("\(count) bytes wanted, \(end - position) left") }
    defer { position += count }
    return base + position
  }

  /// An unsigned LEB128.
  mutating func unsigned() throws(StreamDecodingError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end, shift < 70 {
      let byte = base.load(fromByteOffset: position, as: UInt8.self)
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw fail("a number that does not end")
  }

  /// A zig-zag LEB128.
  mutating func signed() throws(StreamDecodingError) -> Int64 {
    let raw = try unsigned()
    return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
  }

  /// A count of things that follow, each of at least `size` bytes.
  mutating func count(of size: Int = 1) throws(StreamDecodingError) -> Int {
    let value = try unsigned()
    guard value <= UInt64(size == 0 ? Int(Int32.max) : (end - position) / size) else {
      throw fail("a count of \(value), \(end - position) bytes left")
    }
    return Int(value)
  }

  /// Eight bytes, big-endian.
  mutating func word() throws(StreamDecodingError) -> UInt64 {
    UInt64(bigEndian: try take(8).loadUnaligned(as: UInt64.self))
  }

  /// A value by its own decoding.
  mutating func decode<Value: StreamCodable>(_ type: Value.Type) throws(StreamDecodingError) -> Value {
    var reader = StreamReader(bytes[position..<end])
    let value = try Value.decode(from: &reader)
    position += reader.position
    return value
  }
}
