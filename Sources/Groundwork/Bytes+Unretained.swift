extension Bytes {
  /// The memory that a value of more than 15 bytes is a slice of; nil for an inline value.
  @inlinable package var arena: Arena? { owner }

  /// Where the reference to that memory stands in a value: a word that is zero in an inline one.
  package static var ownerOffset: Int { MemoryLayout<Bytes>.offset(of: \.owner)! }

  /// As `init(trusting:at:count:)` without retaining the arena: for elements of source chunks, which are filled and
  /// forgotten by the million while one strong reference beside them keeps the arena alive.
  ///
  /// Contract: the caller moves the value into memory that it never destroys (a source chunk's slots are overwritten
  /// bitwise), and holds the arena until nobody reads those slots any more.
  ///
  /// Proof: a `Bytes` value owns one count of its arena. `takeRetainedValue` claims a count that was never added, so the
  /// books are one short for as long as the value exists; a value that is never destroyed never gives that count back,
  /// so nothing is released that was not retained. Copies made from it by readers retain and release in pairs, and they
  /// find the arena alive because the caller holds it; a reader's copy that outlives the chunk has a true count.
  @inlinable @inline(__always)
  package init(unretained arena: Unmanaged<Arena>, at address: UnsafeRawPointer, count: Int) {
    if count <= Bytes.inlineCapacity {
      self.init(inlineAt: address, count: count)
    } else {
      self.init(
        owner: arena.takeRetainedValue(), low: UInt64(UInt(bitPattern: address)),
        high: UInt64(truncatingIfNeeded: count))
    }
  }

  /// Copies the bytes to `target`, where `Swift.max(count, 16)` bytes may be written: an inline value is stored as two
  /// words, whatever its count.
  @inlinable @inline(__always)
  package func copy(to target: UnsafeMutableRawPointer) {
    if owner == nil {
      target.storeBytes(of: low.littleEndian, as: UInt64.self)
      target.storeBytes(of: high.littleEndian, toByteOffset: 8, as: UInt64.self)
    } else {
      target.copyMemory(from: address, byteCount: Int(truncatingIfNeeded: high))
    }
  }
}
