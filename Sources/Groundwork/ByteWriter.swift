import CPrimitives

/// A growing run of bytes; big-endian numbers, as network formats have them.
///
/// Amortised O(1) per byte. `finish` hands the memory over without a copy.
public struct ByteWriter: ~Copyable {
  @usableFromInline var base: UnsafeMutableRawPointer
  @usableFromInline var capacity: Int
  @usableFromInline var written: Int
  /// Bytes written so far.
  @inlinable public var count: Int { written }

  /// - Parameter capacity: bytes to reserve at first.
  public init(capacity: Int = 256) {
    self.capacity = max(capacity, 64)
    base = sluice_allocate(self.capacity + Arena.slack)
    written = 0
  }

  deinit { sluice_free(base) }

  /// Makes room for `more` bytes.
  @inlinable public mutating func reserve(_ more: Int) {
    if capacity &- count < more { grow(more) }
  }

  @usableFromInline @inline(never) mutating func grow(_ more: Int) {
    capacity = max(capacity * 2, count + more)
    base = sluice_reallocate(base, capacity + Arena.slack)
  }

  /// Where the next byte goes; at least the reserved number of bytes may be written there, then `advance` tells how many
  /// were.
  @inlinable public var end: UnsafeMutableRawPointer { base + count }
  /// Bytes that may be written at `end` now.
  @inlinable public var room: Int { capacity &- written }
  @inlinable public mutating func advance(_ more: Int) { written &+= more }

  /// One byte.
  @inlinable public mutating func append(_ byte: UInt8) {
    reserve(1)
    (base + count).storeBytes(of: byte, as: UInt8.self)
    advance(1)
  }

  /// Big-endian.
  @inlinable public mutating func append<I: FixedWidthInteger & BitwiseCopyable>(bigEndian value: I) {
    reserve(MemoryLayout<I>.size)
    (base + count).storeBytes(of: value.bigEndian, as: I.self)
    advance(MemoryLayout<I>.size)
  }

  /// A copy of the bytes.
  @inlinable public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let from = bytes.baseAddress, bytes.count > 0 else { return }
    reserve(bytes.count)
    (base + count).copyMemory(from: from, byteCount: bytes.count)
    advance(bytes.count)
  }

  /// A copy of the bytes.
  @inlinable public mutating func append(_ bytes: Bytes) {
    bytes.withUnsafeBytes { append($0) }
  }

  /// The UTF-8 form of a text.
  public mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  /// Unsigned LEB128, as in protocol buffers: 7 bits a byte, low ones first.
  @inlinable public mutating func append(unsignedVarint value: UInt64) {
    reserve(10)
    var value = value
    var size = 0
    while value >= 0x80 {
      (base + (count &+ size)).storeBytes(of: UInt8(truncatingIfNeeded: value) | 0x80, as: UInt8.self)
      value &>>= 7
      size &+= 1
    }
    (base + (count &+ size)).storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    advance(size &+ 1)
  }

  /// Zig-zag LEB128: small magnitudes are short.
  @inlinable public mutating func append(varint value: Int64) {
    append(unsignedVarint: UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)))
  }

  /// Overwrites what was written at `position` with a number of the same size.
  public mutating func patch<I: FixedWidthInteger & BitwiseCopyable>(bigEndian value: I, at position: Int) {
    precondition(position >= 0 && position + MemoryLayout<I>.size <= count)
    (base + position).storeBytes(of: value.bigEndian, as: I.self)
  }

  /// Forgets what was written from `newCount` on; the memory is kept.
  public mutating func truncate(to newCount: Int) {
    precondition(newCount >= 0 && newCount <= count)
    written = newCount
  }

  /// Forgets everything written; the memory is kept.
  @inlinable public mutating func removeAll() { written = 0 }

  /// Calls `body` with what was written so far.
  @inlinable public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try body(UnsafeRawBufferPointer(start: base, count: count))
  }

  /// A copy of what was written so far.
  public func copyBytes() -> Bytes { withUnsafeBytes { Bytes(copying: $0) } }

  /// What was written, without a copy; the writer is used up.
  public consuming func finish() -> Bytes {
    let size = count
    let memory = base
    (memory + size).initializeMemory(as: UInt8.self, repeating: 0, count: Arena.slack)
    discard self
    let arena = Arena(adopting: memory, capacity: size)
    return Bytes(arena, offset: 0, count: size)
  }
}
