import CPrimitives

/// An immutable run of bytes in 24 bytes: up to 15 stand inline, longer ones are a slice that keeps its arena alive.
///
/// Text and record payloads are `Bytes` until somebody asks for a `String`. A value is safe to keep: it owns or retains
/// what it shows. Note that a short slice of a large arena that is longer than 15 bytes keeps the whole arena; `copied`
/// gives it memory of its own.
///
/// The form is canonical: 15 bytes or fewer are always inline, so equality of short values is equality of two words.
@frozen public struct Bytes: Sendable {
  /// nil: inline.
  @usableFromInline var owner: Arena?
  /// Inline: bytes 0 to 7, the first in the low end, unused ones zero. Slice: the address.
  @usableFromInline var low: UInt64
  /// Inline: bytes 8 to 14, and the count in the top byte. Slice: the count.
  @usableFromInline var high: UInt64

  /// How many bytes stand inline.
  @inlinable public static var inlineCapacity: Int { 15 }

  @inlinable init(owner: Arena?, low: UInt64, high: UInt64) {
    self.owner = owner
    self.low = low
    self.high = high
  }

  /// No bytes.
  @inlinable public init() { self.init(owner: nil, low: 0, high: 0) }

  /// Copies the bytes.
  public init(copying bytes: UnsafeRawBufferPointer) {
    guard bytes.count > Bytes.inlineCapacity else {
      var words: (UInt64, UInt64) = (0, UInt64(bytes.count) << 56)
      withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
      self.init(owner: nil, low: words.0.littleEndian, high: words.1.littleEndian)
      return
    }
    let arena = Arena(capacity: bytes.count)
    arena.base.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
    self.init(owner: arena, low: UInt64(UInt(bitPattern: arena.base)), high: UInt64(bytes.count))
  }

  /// The UTF-8 form of a text.
  public init(_ text: String) {
    var text = text
    self = text.withUTF8 { Bytes(copying: UnsafeRawBufferPointer($0)) }
  }

  /// The UTF-8 form of a part of a text.
  public init(_ text: Substring) {
    var text = text
    self = text.withUTF8 { Bytes(copying: UnsafeRawBufferPointer($0)) }
  }

  /// A copy of the bytes of a sequence. O(n).
  public init(_ bytes: some Sequence<UInt8>) {
    let array = ContiguousArray(bytes)
    self = array.withUnsafeBytes { Bytes(copying: $0) }
  }

  /// `count` bytes of an arena from `offset` on, without a copy when longer than 15.
  ///
  /// The range must lie inside the arena's capacity.
  @inlinable public init(_ arena: Arena, offset: Int, count: Int) {
    precondition(offset >= 0 && count >= 0 && offset <= arena.capacity - count, "slice outside its arena")
    self.init(trusting: arena, at: UnsafeRawPointer(arena.base) + offset, count: count)
  }

  /// As `init(_:offset:count:)`, unchecked: `address` and the `count` bytes there must lie inside the arena.
  @inlinable package init(trusting arena: Arena, at address: UnsafeRawPointer, count: Int) {
    if count <= Bytes.inlineCapacity {
      self.init(inlineAt: address, count: count)
    } else {
      self.init(owner: arena, low: UInt64(UInt(bitPattern: address)), high: UInt64(truncatingIfNeeded: count))
    }
  }

  /// An inline value of up to 15 bytes by two word loads: 16 bytes from `address` on must be readable.
  @inlinable package init(inlineAt address: UnsafeRawPointer, count: Int) {
    let first = UInt64(littleEndian: address.loadUnaligned(as: UInt64.self))
    let bits = UInt64(truncatingIfNeeded: count &* 8)
    if count < 8 {
      // A shift by 64 gives 0 in Swift's smart shift; `&-` keeps it one instruction for the counts that occur here.
      self.init(owner: nil, low: first & ((1 &<< bits) &- 1), high: UInt64(truncatingIfNeeded: count) &<< 56)
    } else {
      let second = UInt64(littleEndian: address.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      let mask = (1 &<< (bits &- 64)) &- 1 as UInt64
      self.init(owner: nil, low: first, high: (second & mask) | (UInt64(truncatingIfNeeded: count) &<< 56))
    }
  }

  /// Number of bytes.
  @inlinable public var count: Int {
    owner == nil ? Int(truncatingIfNeeded: high &>> 56) : Int(truncatingIfNeeded: high)
  }

  /// Whether there are no bytes. O(1).
  @inlinable public var isEmpty: Bool { count == 0 }

  /// The first byte of a slice; only when `owner` is not nil.
  @inlinable var address: UnsafeRawPointer {
    UnsafeRawPointer(bitPattern: UInt(truncatingIfNeeded: low)).unsafelyUnwrapped
  }

  /// Calls `body` with the bytes in memory; the pointer is valid during the call only, and 16 bytes from its start on
  /// are always readable.
  @inlinable public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    if let owner {
      defer { withExtendedLifetime(owner) {} }
      return try body(UnsafeRawBufferPointer(start: address, count: Int(truncatingIfNeeded: high)))
    }
    let words = (low.littleEndian, high.littleEndian)
    let size = count
    return try withUnsafePointer(to: words) { pointer throws(E) -> R in
      try body(UnsafeRawBufferPointer(start: UnsafeRawPointer(pointer), count: size))
    }
  }

  /// The same bytes in memory that nothing else shares.
  public var copied: Bytes { owner == nil ? self : withUnsafeBytes { Bytes(copying: $0) } }
}

extension Bytes: RandomAccessCollection {
  /// Always 0: positions count from the first byte, in a slice too, unlike those of `Array` slices.
  @inlinable public var startIndex: Int { 0 }
  /// The position after the last byte, equal to `count`.
  @inlinable public var endIndex: Int { count }

  /// The byte at a position, counted from 0. O(1).
  @inlinable public subscript(position: Int) -> UInt8 {
    precondition(position >= 0 && position < count, "index outside the bytes")
    if owner != nil { return address.load(fromByteOffset: position, as: UInt8.self) }
    return UInt8(truncatingIfNeeded: position < 8 ? low &>> UInt64(position * 8) : high &>> UInt64((position - 8) * 8))
  }

  /// A part, without a copy when longer than 15 bytes.
  @inlinable public subscript(range: Range<Int>) -> Bytes {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside the bytes")
    if let owner { return Bytes(trusting: owner, at: address + range.lowerBound, count: range.count) }
    return withUnsafeBytes { words in
      Bytes(copying: UnsafeRawBufferPointer(rebasing: words[range]))
    }
  }

  /// Calls `body` with the bytes in memory; never gives nil. The pointer is valid during the call only.
  @inlinable public func withContiguousStorageIfAvailable<R>(
    _ body: (UnsafeBufferPointer<UInt8>) throws -> R
  ) rethrows -> R? {
    try withUnsafeBytes { raw in
      try raw.withMemoryRebound(to: UInt8.self) { try body($0) }
    }
  }
}

extension Bytes: ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
  /// The UTF-8 bytes of the literal.
  public init(stringLiteral value: String) { self.init(value) }
}

extension Bytes: CustomStringConvertible, CustomDebugStringConvertible {
  /// The bytes as UTF-8 text, invalid ones replaced.
  public var description: String { String(self) }
  /// The bytes as UTF-8 text, invalid ones replaced, in quotes and with escapes.
  public var debugDescription: String { String(self).debugDescription }
}

extension String {
  /// The bytes as UTF-8 text; invalid ones become U+FFFD. O(n).
  @inlinable public init(_ bytes: Bytes) {
    self = bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
  }
}

extension Bytes: Hashable, Comparable {
  /// Whether both hold the same bytes: O(1) up to 15 bytes, for different lengths and for the same slice; else O(n).
  @inlinable public static func == (a: Bytes, b: Bytes) -> Bool {
    if a.owner == nil { return b.owner == nil && a.low == b.low && a.high == b.high }
    guard b.owner != nil, a.high == b.high else { return false }
    return a.low == b.low || sluice_compare(a.address, b.address, Int(truncatingIfNeeded: a.high)) == 0
  }

  /// Byte by byte, unsigned; a prefix comes first.
  public static func < (a: Bytes, b: Bytes) -> Bool {
    a.withUnsafeBytes { left in
      b.withUnsafeBytes { right in
        let order = sluice_compare(left.baseAddress!, right.baseAddress!, Swift.min(left.count, right.count))
        return order != 0 ? order < 0 : left.count < right.count
      }
    }
  }

  /// Feeds the hasher one word, `fastHash(seed: 0)`. O(n).
  @inlinable public func hash(into hasher: inout Hasher) { hasher.combine(fastHash(seed: 0)) }

  /// The hash that tables ask for with a seed of their own: `fastHash`, past the standard hasher. O(n).
  @inlinable public func _rawHashValue(seed: Int) -> Int {
    Int(truncatingIfNeeded: fastHash(seed: UInt64(bitPattern: Int64(seed))))
  }

  /// A 64-bit hash that is the same in every process for the same bytes and seed. Version 1 of StreamCodable's hash
  /// stands on it, so its values are fixed; golden values in the tests hold them.
  @inlinable public func fastHash(seed: UInt64) -> UInt64 {
    if owner == nil { return Hash64.short(low, high, seed: seed) }
    let hash = Hash64.long(address, count: Int(truncatingIfNeeded: high), seed: seed)
    withExtendedLifetime(owner) {}
    return hash
  }
}
