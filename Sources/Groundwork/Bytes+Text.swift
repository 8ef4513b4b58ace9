import CPrimitives

extension Bytes {
  /// Whether `part` stands somewhere in these bytes. An empty part does. O(n).
  @inlinable public func contains(_ part: Bytes) -> Bool {
    withUnsafeBytes { whole in
      part.withUnsafeBytes { sluice_find(whole.baseAddress!, whole.count, $0.baseAddress!, $0.count) != nil }
    }
  }

  /// Whether the bytes begin with `part`. An empty part fits.
  @inlinable public func hasPrefix(_ part: Bytes) -> Bool {
    part.count <= count
      && withUnsafeBytes { whole in
        part.withUnsafeBytes { sluice_compare(whole.baseAddress!, $0.baseAddress!, $0.count) == 0 }
      }
  }

  /// Whether the bytes end with `part`. An empty part fits.
  @inlinable public func hasSuffix(_ part: Bytes) -> Bool {
    part.count <= count
      && withUnsafeBytes { whole in
        part.withUnsafeBytes {
          sluice_compare(whole.baseAddress! + (whole.count - $0.count), $0.baseAddress!, $0.count) == 0
        }
      }
  }

  /// The pieces between separators, lazily; slices, no copies. Empty pieces are left out unless asked for, as in
  /// Swift's own `split`.
  @inlinable public func split(separator: UInt8, omittingEmptySubsequences: Bool = true) -> SplitBytes {
    SplitBytes(self, separator, omittingEmptySubsequences)
  }

  /// The pieces between separators, lazily. The separator must be one ASCII character.
  @inlinable public func split(separator: Character, omittingEmptySubsequences: Bool = true) -> SplitBytes {
    SplitBytes(self, separator.asciiValue!, omittingEmptySubsequences)
  }

  /// Without white space (space, tab, carriage return, line feed) at both ends.
  public var trimmed: Bytes {
    var start = 0
    var end = count
    func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 13 || byte == 10 }
    while start < end, isSpace(self[start]) { start += 1 }
    while end > start, isSpace(self[end - 1]) { end -= 1 }
    return self[start..<end]
  }
}

/// The pieces of a `Bytes` value between separators: a sequence that finds each when asked.
@frozen public struct SplitBytes: Sequence, IteratorProtocol, Sendable {
  @usableFromInline let whole: Bytes
  @usableFromInline let separator: UInt8
  @usableFromInline let omitsEmpty: Bool
  /// Where the next piece starts; beyond the count once the last was given.
  @usableFromInline var position: Int

  @inlinable init(_ whole: Bytes, _ separator: UInt8, _ omitsEmpty: Bool) {
    self.whole = whole
    self.separator = separator
    self.omitsEmpty = omitsEmpty
    position = 0
  }

  /// The next piece, nil after the last.
  @inlinable public mutating func next() -> Bytes? {
    guard whole.owner != nil else { return nextOfInline() }
    // Addresses instead of slices of `whole`: a slice would retain and release its arena for each piece, though most
    // pieces are short and stand inline. `whole` keeps the arena meanwhile.
    let base = whole.address
    let count = Int(truncatingIfNeeded: whole.high)
    while position <= count {
      let start = position
      let end: Int
      if start < count, let found = sluice_find_byte(base + start, Int32(separator), count &- start) {
        end = found - base
      } else {
        end = count
      }
      position = end &+ 1
      if end > start || !omitsEmpty {
        return end &- start <= Bytes.inlineCapacity
          ? Bytes(inlineAt: base + start, count: end &- start)
          : Bytes(
            owner: whole.owner, low: UInt64(UInt(bitPattern: base + start)),
            high: UInt64(truncatingIfNeeded: end &- start))
      }
    }
    return nil
  }

  @inlinable mutating func nextOfInline() -> Bytes? {
    let count = whole.count
    while position <= count {
      let start = position
      let end = whole.firstIndex(ofByte: separator, from: start)
      position = end + 1
      if end > start || !omitsEmpty { return whole[start..<end] }
    }
    return nil
  }
}

extension Bytes {
  /// The index of the first `byte` at or after `start`, or the count where there is none.
  @inlinable public func firstIndex(ofByte byte: UInt8, from start: Int = 0) -> Int {
    withUnsafeBytes { whole in
      guard start < whole.count else { return whole.count }
      let from = whole.baseAddress! + start
      guard let found = sluice_find_byte(from, Int32(byte), whole.count - start) else { return whole.count }
      return start + (found - from)
    }
  }
}

extension FixedWidthInteger {
  /// A decimal integer with an optional sign and nothing else; nil otherwise or when it does not fit.
  @inlinable public init?(_ bytes: Bytes) {
    let count = bytes.count
    guard count > 0 else { return nil }
    let value: Self? = bytes.withUnsafeBytes { raw in
      var position = 0
      let isNegative = raw[0] == UInt8(ascii: "-")
      if isNegative || raw[0] == UInt8(ascii: "+") { position = 1 }
      guard position < count else { return nil }
      var value: Self = 0
      while position < count {
        let digit = raw[position] &- 48
        guard digit < 10 else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, sumOverflow) =
          isNegative
          ? product.subtractingReportingOverflow(Self(digit)) : product.addingReportingOverflow(Self(digit))
        if overflow || sumOverflow { return nil }
        value = sum
        position += 1
      }
      return value
    }
    guard let value else { return nil }
    self = value
  }
}
