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
    let baseTimestamp = header.baseTimestamp.milliseconds
    let lastDelta = Int64(header.lastOffsetDelta)
    // One time for all where the broker stamped the batch.
    let appendTime = header.timestampType == .logAppendTime ? header.maxTimestamp.milliseconds : nil
    let firstDelta = from.rawValue &- baseOffset
    let endDelta = until.rawValue <= baseOffset ? 0 : until.rawValue &- baseOffset
    var remaining = header.recordCount
    var previous: Int64 = -1
    while remaining > 0 {
      guard let fields = cursor.next() else { throw failure(cursor) }
      guard fields.offsetDelta > previous, fields.offsetDelta <= lastDelta else {
        throw outOfOrder(fields.offsetDelta)
      }
      previous = fields.offsetDelta
      remaining &-= 1
      if previous < firstDelta, from.rawValue >= baseOffset { continue }
      if previous >= endDelta { return }
      try body(
        RecordView(
          offset: baseOffset &+ previous, milliseconds: appendTime ?? baseTimestamp &+ fields.timestampDelta,
          fields: fields,
          owner: owner))
    }
    guard cursor.position == cursor.end else { throw countMismatch() }
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
