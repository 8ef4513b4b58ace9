import Groundwork

/// Where the parts of one record stand; pointers into the section it was read from.
///
///     length          varint   bytes that follow
///     attributes      int8     unused
///     timestampDelta  varint   to the batch's base timestamp
///     offsetDelta     varint   to the batch's base offset
///     keyLength       varint   -1: null
///     key
///     valueLength     varint   -1: null
///     value
///     headerCount     varint
///     headers                  see RecordHeaders
@frozen @usableFromInline struct RecordFields: BitwiseCopyable {
  /// Where the timestamp's delta stands, which is read when asked for.
  @usableFromInline var timestamp: UnsafeRawPointer
  @usableFromInline var offsetDelta: Int64
  @usableFromInline var key: UnsafeRawPointer
  /// -1: null.
  @usableFromInline var keyCount: Int
  @usableFromInline var value: UnsafeRawPointer
  /// -1: null.
  @usableFromInline var valueCount: Int
  /// The headers stand before `end`, behind the value and their number; they were checked.
  @usableFromInline var headerCount: Int
  @usableFromInline var end: UnsafeRawPointer

  @inlinable init(
    timestamp: UnsafeRawPointer, offsetDelta: Int64, key: UnsafeRawPointer, keyCount: Int, value: UnsafeRawPointer,
    valueCount: Int, headerCount: Int, end: UnsafeRawPointer
  ) {
    self.timestamp = timestamp
    self.offsetDelta = offsetDelta
    self.key = key
    self.keyCount = keyCount
    self.value = value
    self.valueCount = valueCount
    self.headerCount = headerCount
    self.end = end
  }

  @inlinable var timestampDelta: Int64 {
    var position = timestamp
    // It was found to be one when the record was read.
    return Int64(RecordCursor.varint(&position, end) ?? 0)
  }

  /// Where the first header stands; only where `headerCount` is positive.
  @usableFromInline var headers: UnsafeRawPointer {
    var position = value + max(valueCount, 0)
    // It was read before: this passes over the number once more.
    _ = RecordCursor.varint(&position, end)
    return position
  }
}

/// Walks the bytes of decompressed records.
///
/// Speed comes from the slack behind every arena: up to `Arena.slack` (16) bytes from any position inside a section may
/// be loaded, so short varints are loaded first and held against the end afterwards, once for several of them.
///
/// `next` is what decides: it reads a record of any form. `fill` reads runs of records of the usual form faster, and
/// leaves all others to `next`; see RecordCursor+Runs.
@frozen @usableFromInline struct RecordCursor {
  /// The start of the record to read next, also after one could not be read.
  @usableFromInline var position: UnsafeRawPointer
  @usableFromInline let end: UnsafeRawPointer
  /// How the last records were laid out, for `fill`.
  @usableFromInline var layout = RecordLayout()
  /// Bytes of the last record of the usual form.
  @usableFromInline var lastSize = 0

  /// `content` lies in an arena.
  @inlinable init(_ content: UnsafeRawBufferPointer) {
    position = content.baseAddress.unsafelyUnwrapped
    end = position + content.count
  }

  /// The next record, or nil where the bytes do not hold one.
  @usableFromInline @inline(never)
  mutating func next() -> RecordFields? {
    // Position < end, and two bytes at most are taken here.
    guard position < end else { return nil }
    var next = position
    guard let length = RecordCursor.varint(&next, end), next <= end, length >= 0, length <= end - next else {
      return nil
    }
    let recordEnd = next + length
    // The attributes byte and three varints, seven bytes where all are short: within the slack.
    next += 1
    let timestamp = next
    guard RecordCursor.varint(&next, recordEnd) != nil,
      let offsetDelta = RecordCursor.varint(&next, recordEnd),
      let keyCount = RecordCursor.varint(&next, recordEnd), next <= recordEnd, keyCount >= -1,
      keyCount <= recordEnd - next
    else { return nil }
    let key = next
    if keyCount > 0 { next += keyCount }
    guard let valueCount = RecordCursor.varint(&next, recordEnd), next <= recordEnd, valueCount >= -1,
      valueCount <= recordEnd - next
    else { return nil }
    let value = next
    if valueCount > 0 { next += valueCount }
    guard let headerCount = RecordCursor.varint(&next, recordEnd), next <= recordEnd, headerCount >= 0 else {
      return nil
    }
    if headerCount == 0 {
      guard next == recordEnd else { return nil }
    } else {
      guard RecordHeaders.areValid(at: next, end: recordEnd, count: headerCount) else { return nil }
    }
    position = recordEnd
    return RecordFields(
      timestamp: timestamp, offsetDelta: Int64(offsetDelta), key: key, keyCount: keyCount, value: value,
      valueCount: valueCount, headerCount: headerCount, end: recordEnd)
  }

  /// A zig-zag varint. One or two bytes are taken without looking at `end`, which the caller does; more only before it.
  @inlinable @inline(__always)
  static func varint(_ position: inout UnsafeRawPointer, _ end: UnsafeRawPointer) -> Int? {
    let two = UInt64(UInt16(littleEndian: position.loadUnaligned(as: UInt16.self)))
    let raw: UInt64
    if two & 0x80 == 0 {
      raw = two & 0x7F
      position += 1
    } else if two & 0x8000 == 0 {
      raw = (two & 0x7F) | ((two &>> 1) & 0x3F80)
      position += 2
    } else {
      let long = longVarint(position, end)
      guard long.count > 0 else { return nil }
      raw = long.value
      position += long.count
    }
    return Int(truncatingIfNeeded: raw &>> 1) ^ (0 &- Int(truncatingIfNeeded: raw & 1))
  }

  /// An unsigned varint of any length before `end`; count 0 where there is none.
  @usableFromInline @inline(never)
  static func longVarint(_ start: UnsafeRawPointer, _ end: UnsafeRawPointer) -> (value: UInt64, count: Int) {
    var value: UInt64 = 0
    var count = 0
    while count < 10, start + count < end {
      let byte = start.load(fromByteOffset: count, as: UInt8.self)
      // The tenth byte has room for one bit.
      if count == 9, byte > 1 { return (0, 0) }
      value |= UInt64(byte & 0x7F) &<< UInt64(count * 7)
      count += 1
      if byte < 0x80 { return (value, count) }
    }
    return (0, 0)
  }
}
