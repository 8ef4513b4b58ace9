import Groundwork
import WireFormat

/// The records of one batch, decompressed; keeps the memory they stand in.
///
/// Sendable: the memory is only read, for as long as the arena lives, and the section holds that.
public struct RecordSection: @unchecked Sendable {
  /// The header of the batch that the records came in.
  public let header: RecordBatchHeader
  /// The memory the records stand in. Whoever fills chunks with unretained `Bytes` holds it meanwhile.
  public let arena: Arena
  @usableFromInline let content: UnsafeRawBufferPointer

  /// `content` lies in `arena`.
  init(header: RecordBatchHeader, arena: Arena, content: UnsafeRawBufferPointer) {
    self.header = header
    self.arena = arena
    self.content = content
  }

  /// Bytes of all records, decompressed.
  public var byteCount: Int { content.count }

  /// Calls `body` with each record, in order, whose offset lies in `from ..< until`.
  ///
  /// A fetch that starts inside a batch gets the whole batch: records below `from` are passed over. The walk allocates
  /// nothing and retains nothing per record.
  ///
  /// - Throws: what `body` throws, and `RecordBatchError` where a record or the record count lies; records before it have
  ///   been given by then. A walk that `until` ended early has not looked at what follows.
  @inlinable
  public func forEachRecord(
    from: Offset = 0, until: Offset = Offset(.max), _ body: (RecordView) throws -> Void
  ) throws {
    let owner = Unmanaged.passUnretained(arena)
    defer { withExtendedLifetime(arena) {} }
    var cursor = RecordCursor(content)
    let baseOffset = header.baseOffset.rawValue
    let lastDelta = Int64(header.lastOffsetDelta)
    // One time for all where the broker stamped the batch.
    let hasAppendTime = header.timestampType == .logAppendTime
    let time = hasAppendTime ? header.maxTimestamp.milliseconds : header.baseTimestamp.milliseconds
    let firstDelta = from.rawValue <= baseOffset ? 0 : from.rawValue &- baseOffset
    let endDelta = until.rawValue <= baseOffset ? 0 : until.rawValue &- baseOffset
    var remaining = Int(header.recordCount)
    var previous: Int64 = -1
    let runMax = RecordCursor.runMax
    try withUnsafeTemporaryAllocation(of: RecordFields.self, capacity: runMax) { run in
      let slots = run.baseAddress.unsafelyUnwrapped
      while remaining > 0 {
        let count = cursor.fill(slots, room: min(remaining, runMax))
        guard count > 0 else { throw failure(cursor) }
        remaining &-= count
        var slot = slots
        let slotsEnd = slots + count
        while slot < slotsEnd {
          let delta = slot.pointee.offsetDelta
          guard delta > previous, delta <= lastDelta else { throw outOfOrder(delta) }
          previous = delta
          if delta >= endDelta { return }
          if delta >= firstDelta {
            try body(
              RecordView(
                offset: baseOffset &+ delta, time: time, hasAppendTime: hasAppendTime, fields: UnsafePointer(slot),
                owner: owner))
          }
          slot += 1
        }
      }
      guard cursor.position == cursor.end else { throw countMismatch() }
    }
  }

  @usableFromInline @inline(never) func failure(_ cursor: RecordCursor) -> RecordBatchError {
    // The bytes end where a record should begin: then it is the count that lies.
    if cursor.position == cursor.end { return countMismatch() }
    let position = cursor.position - content.baseAddress!
    let error = DecodeError(.invalid("a record whose lengths do not fit the bytes it has"), at: position)
    return RecordBatchError(.malformed(error), baseOffset: header.baseOffset)
  }

  @usableFromInline @inline(never) func outOfOrder(_ delta: Int64) -> RecordBatchError {
    RecordBatchError(.invalidOffset(delta: delta), baseOffset: header.baseOffset)
  }

  @usableFromInline @inline(never) func countMismatch() -> RecordBatchError {
    RecordBatchError(.recordCountMismatch(claimed: header.recordCount), baseOffset: header.baseOffset)
  }
}
