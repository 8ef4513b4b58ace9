import Groundwork

/// How a record is laid out: what records of the same lengths in a row have in common.
///
/// Positions are relative to the record's first byte. A record whose bytes under the masks are those expected has each of
/// its varints in the same place and of the same size as the record the layout was taken from, and the same lengths; only
/// its deltas' values and its contents are its own.
@frozen @usableFromInline struct RecordLayout: BitwiseCopyable {
  /// Bytes of the record; 0: no layout.
  @usableFromInline var size = 0
  /// Of the word at 0: the record's length.
  @usableFromInline var lengthMask: UInt64 = 0
  @usableFromInline var length: UInt64 = 0
  @usableFromInline var timestampAt = 0
  /// Of the word at `timestampAt`: which bytes of the two deltas continue, that the offset's is not negative, and the
  /// key's length.
  @usableFromInline var deltasMask: UInt64 = 0
  @usableFromInline var deltas: UInt64 = 0
  /// Where the offset's delta begins in that word, and its bits there.
  @usableFromInline var offsetShift: UInt64 = 0
  @usableFromInline var offsetMask: UInt64 = 0
  @usableFromInline var keyAt = 0
  @usableFromInline var keyCount = 0
  /// Of the word at `valueLengthAt`: the value's length.
  @usableFromInline var valueLengthAt = 0
  @usableFromInline var valueLengthMask: UInt64 = 0
  @usableFromInline var valueLength: UInt64 = 0
  @usableFromInline var valueAt = 0
  @usableFromInline var valueCount = 0

  @inlinable init() {}
}

extension RecordCursor {
  /// Records read ahead of the walk: one kibibyte of them, which always stands on the stack.
  @inlinable static var runMax: Int { 1024 / MemoryLayout<RecordFields>.stride }

  /// Reads the next records into `slots`, as many as there is room for and as can be read; 0 where the bytes do not
  /// hold one.
  @usableFromInline @inline(never)
  mutating func fill(_ slots: UnsafeMutablePointer<RecordFields>, room: Int) -> Int {
    var count = 0
    while count < room {
      count = fillAlike(slots, count, room)
      guard count < room else { break }
      if fillUsual(slots + count) {
        count &+= 1
        continue
      }
      // A record out of the ordinary, or damage, or the end: `next` knows.
      guard let fields = next() else { break }
      (slots + count).initialize(to: fields)
      count &+= 1
    }
    return count
  }

  /// Reads records for as long as they are laid out as the last ones; returns how many slots are filled then.
  ///
  /// Safe as `fillUsual` is: the record the layout was taken from was held against its end, so one with the same lengths
  /// in the same places that ends before `end` has all its parts inside. The two words that are looked at first begin at
  /// most three bytes behind the record's start, which is before `end`: within the slack.
  @inline(__always)
  private mutating func fillAlike(_ slots: UnsafeMutablePointer<RecordFields>, _ filled: Int, _ room: Int) -> Int {
    let layout = layout
    guard layout.size > 0 else { return filled }
    var slot = slots + filled
    let slotsEnd = slots + room
    var record = position
    let end = end
    while slot < slotsEnd, end - record >= layout.size {
      let recordEnd = record + layout.size
      let timestamp = record + layout.timestampAt
      let word = timestamp.loadUnaligned(as: UInt64.self).littleEndian
      let valueWord = (record + layout.valueLengthAt).loadUnaligned(as: UInt16.self).littleEndian
      guard record.loadUnaligned(as: UInt64.self).littleEndian & layout.lengthMask == layout.length,
        word & layout.deltasMask == layout.deltas, UInt64(valueWord) & layout.valueLengthMask == layout.valueLength,
        (recordEnd - 1).load(as: UInt8.self) == 0
      else { break }
      let offset = (word &>> layout.offsetShift) & layout.offsetMask
      let raw = (offset & 0x7F) | (offset &>> 1) & 0x3F80 | (offset &>> 2) & 0x1F_C000
      slot.initialize(
        to: RecordFields(
          timestamp: timestamp, offsetDelta: Int64(bitPattern: raw &>> 1), key: record + layout.keyAt,
          keyCount: layout.keyCount, value: record + layout.valueAt, valueCount: layout.valueCount, headerCount: 0,
          end: recordEnd))
      slot += 1
      record = recordEnd
    }
    position = record
    return slot - slots
  }

  /// Reads the next record if it is of the usual form: lengths of up to two bytes, deltas of up to three, no headers.
  /// What it takes is what `next` would read, in the same way. Takes its layout where the last one had the same size.
  ///
  /// Safe by the slack behind arenas: each load of eight bytes starts at most three bytes behind a place before `end` or
  /// at one not beyond it. Lengths have at most 13 bits and none is negative, so each place is at or behind the one
  /// before, and holding the last one against the record's end holds them all.
  @inline(__always)
  private mutating func fillUsual(_ slot: UnsafeMutablePointer<RecordFields>) -> Bool {
    let record = position
    guard record < end else { return false }
    // The length, and the attributes byte.
    let lengthWord = record.loadUnaligned(as: UInt64.self).littleEndian
    var next = record
    guard let length = RecordCursor.takeCount(lengthWord, &next) else { return false }
    let recordEnd = next + length
    guard length > 0, recordEnd <= end else { return false }
    let timestamp = next + 1
    next = timestamp
    // Two deltas and the key's length: eight bytes at most.
    let deltasWord = next.loadUnaligned(as: UInt64.self).littleEndian
    guard RecordCursor.takeDelta(deltasWord, &next) != nil else { return false }
    let offsetShift = UInt64(truncatingIfNeeded: (next - timestamp) &* 8)
    guard let offsetDelta = RecordCursor.takeDelta(deltasWord &>> offsetShift, &next) else { return false }
    let keyShift = UInt64(truncatingIfNeeded: (next - timestamp) &* 8)
    guard let keyCount = RecordCursor.takeCount(deltasWord &>> keyShift, &next) else { return false }
    let key = next
    if keyCount > 0 { next += keyCount }
    guard next <= recordEnd else { return false }
    let valueWord = next.loadUnaligned(as: UInt64.self).littleEndian
    let valueLengthAt = next - record
    guard let valueCount = RecordCursor.takeCount(valueWord, &next) else { return false }
    let value = next
    if valueCount > 0 { next += valueCount }
    guard next + 1 == recordEnd, next.load(as: UInt8.self) == 0 else { return false }
    slot.initialize(
      to: RecordFields(
        timestamp: timestamp, offsetDelta: offsetDelta, key: key, keyCount: keyCount, value: value,
        valueCount: valueCount, headerCount: 0, end: recordEnd))
    position = recordEnd
    let size = recordEnd - record
    guard size == lastSize, offsetDelta >= 0 else {
      lastSize = size
      layout.size = 0
      return true
    }
    layout.size = size
    layout.lengthMask = lengthWord & 0x80 == 0 ? 0xFF : 0xFFFF
    layout.length = lengthWord & layout.lengthMask
    layout.timestampAt = timestamp - record
    let keyBits = UInt64(truncatingIfNeeded: (key - timestamp) &* 8)
    let used = UInt64.max &>> (64 &- keyBits)
    let before = (1 as UInt64) &<< keyShift &- 1
    layout.deltasMask = (used & 0x8080_8080_8080_8080) | (used & ~before) | (1 &<< offsetShift)
    layout.deltas = deltasWord & layout.deltasMask
    layout.offsetShift = offsetShift
    layout.offsetMask = before &>> offsetShift
    layout.keyAt = key - record
    layout.keyCount = keyCount
    layout.valueLengthAt = valueLengthAt
    layout.valueLengthMask = valueWord & 0x80 == 0 ? 0xFF : 0xFFFF
    layout.valueLength = valueWord & layout.valueLengthMask
    layout.valueAt = value - record
    layout.valueCount = valueCount
    return true
  }

  /// A varint of up to three bytes at the low end of `word`.
  @inline(__always)
  private static func takeDelta(_ word: UInt64, _ next: inout UnsafeRawPointer) -> Int64? {
    var raw = word & 0x7F
    next += 1
    if word & 0x80 != 0 {
      raw |= (word &>> 1) & 0x3F80
      next += 1
      if word & 0x8000 != 0 {
        guard word & 0x80_0000 == 0 else { return nil }
        raw |= (word &>> 2) & 0x1F_C000
        next += 1
      }
    }
    return Int64(bitPattern: (raw &>> 1) ^ (0 &- (raw & 1)))
  }

  /// A varint of up to two bytes at the low end of `word` that is a count, or -1.
  @inline(__always)
  private static func takeCount(_ word: UInt64, _ next: inout UnsafeRawPointer) -> Int? {
    var raw = word & 0x7F
    next += 1
    if word & 0x80 != 0 {
      guard word & 0x8000 == 0 else { return nil }
      raw |= (word &>> 1) & 0x3F80
      next += 1
    }
    if raw & 1 == 0 { return Int(truncatingIfNeeded: raw &>> 1) }
    return raw == 1 ? -1 : nil
  }
}
