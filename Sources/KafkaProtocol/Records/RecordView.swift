import Groundwork

/// One record while a walk shows it: pointers into the batch's memory, valid during the call only, which the compiler
/// holds the caller to.
///
/// `key`, `value` and header values are `Bytes`, made when asked for: safe to keep, inline up to 15 bytes, else slices
/// that retain the whole batch's memory.
///
/// It holds nothing that would have to be destroyed. Swift 6.3 still ends each view of a non-escaping type with a call
/// that does nothing (about 1 ns, seen in the disassembly); that a view cannot be kept by mistake is worth it.
@frozen public struct RecordView: ~Escapable, BitwiseCopyable {
  @usableFromInline let rawOffset: Int64
  /// The append time, or what the record's delta is added to.
  @usableFromInline let time: Int64
  @usableFromInline let hasAppendTime: Bool
  @usableFromInline let pointer: UnsafePointer<RecordFields>
  @usableFromInline let owner: Unmanaged<Arena>

  // The view has no source the compiler could see; the walk that makes it gives it to a closure as a borrow.
  @inlinable @_lifetime(immortal)
  init(offset: Int64, time: Int64, hasAppendTime: Bool, fields: UnsafePointer<RecordFields>, owner: Unmanaged<Arena>) {
    rawOffset = offset
    self.time = time
    self.hasAppendTime = hasAppendTime
    pointer = fields
    self.owner = owner
  }

  @inlinable var fields: RecordFields { pointer.pointee }

  /// The record's offset in its partition.
  @inlinable public var offset: Offset { Offset(rawOffset) }

  /// The producer's time, or the broker's where the batch says so.
  @inlinable public var timestamp: Timestamp {
    Timestamp(milliseconds: hasAppendTime ? time : time &+ fields.timestampDelta)
  }

  /// The key; nil where it is null.
  @inlinable public var key: Bytes? {
    fields.keyCount < 0
      ? nil : Bytes(trusting: owner.takeUnretainedValue(), at: fields.key, count: fields.keyCount)
  }

  /// The value; nil where it is null: a tombstone in a compacted topic.
  @inlinable public var value: Bytes? {
    fields.valueCount < 0
      ? nil : Bytes(trusting: owner.takeUnretainedValue(), at: fields.value, count: fields.valueCount)
  }

  /// The headers, in order, keys possibly more than once.
  @inlinable public var headers: RecordHeaders {
    RecordHeaders(owner.takeUnretainedValue(), at: fields.headers, end: fields.end, count: fields.headerCount)
  }

  /// How many headers there are.
  @inlinable public var headerCount: Int { fields.headerCount }

  /// The key in the batch's memory, during the call.
  @inlinable package var keyBuffer: UnsafeRawBufferPointer? {
    fields.keyCount < 0 ? nil : UnsafeRawBufferPointer(start: fields.key, count: fields.keyCount)
  }

  /// The value in the batch's memory, during the call.
  @inlinable package var valueBuffer: UnsafeRawBufferPointer? {
    fields.valueCount < 0 ? nil : UnsafeRawBufferPointer(start: fields.value, count: fields.valueCount)
  }

  /// The key as a value that does not retain the batch's memory; the contract is that of `Bytes(unretained:at:count:)`.
  @inlinable package var unretainedKey: Bytes? {
    fields.keyCount < 0 ? nil : Bytes(unretained: owner, at: fields.key, count: fields.keyCount)
  }

  /// The value as one that does not retain the batch's memory; the contract is that of `Bytes(unretained:at:count:)`.
  @inlinable package var unretainedValue: Bytes? {
    fields.valueCount < 0 ? nil : Bytes(unretained: owner, at: fields.value, count: fields.valueCount)
  }
}
