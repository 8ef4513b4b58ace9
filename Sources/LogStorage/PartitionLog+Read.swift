import Groundwork
import KafkaProtocol
import SystemInterfaces

/// What a read found: whole batches, ready to be sent.
public struct LogSlice: Sendable {
  /// Bytes in memory, or ranges of files that need not pass through it.
  public var parts: [SendPart]
  /// Bytes of all parts together.
  public var byteCount: Int
  /// The offset after its last batch; nil where it has none.
  public var endOffset: Offset?
  /// Nothing to send: the answer at the log's end.
  public static let empty = LogSlice(parts: [], byteCount: 0, endOffset: nil)
}

extension PartitionLog {
  /// Whole batches from the one that holds `offset` on, below the high watermark.
  ///
  /// A reader skips the records before `offset` in the first batch. Batches still in memory are answered from there,
  /// others as a range of one segment's file.
  ///
  /// - Parameters:
  ///   - bytesMax: no more bytes than this, except for the first batch.
  ///   - limit: no batch at or beyond this offset, where one begins; `lastStableOffset` for a reader of committed records.
  ///     nil: up to the high watermark.
  ///   - atLeastOneBatch: whether the first batch is given even if it alone is larger, so that a reader makes progress.
  /// - Returns: nothing at the high watermark.
  /// - Throws: `.offsetOutOfRange`, before the start or beyond the high watermark; `.file`; `.offline`.
  /// - Complexity: O(log n) to find the place, then at most twice an index interval and a batch of log is read here.
  public func read(
    from offset: Offset, until limit: Offset? = nil, bytesMax: Int, atLeastOneBatch: Bool
  ) throws(LogError) -> LogSlice {
    try requireOnline()
    guard offset >= startOffset, offset <= highWatermark else {
      throw LogError(
        .offsetOutOfRange(requested: offset, start: startOffset, end: highWatermark), path: directory)
    }
    let end = min(limit ?? highWatermark, highWatermark)
    guard offset < end else { return .empty }
    if let first = tail.index(of: offset.rawValue) {
      return readMemory(first, until: end, bytesMax: bytesMax, atLeastOneBatch: atLeastOneBatch)
    }
    return try storing { () throws(FileError) in
      try readFiles(offset.rawValue, until: end, bytesMax: bytesMax, atLeastOneBatch: atLeastOneBatch)
    }
  }

  private func readMemory(_ first: Int, until end: Offset, bytesMax: Int, atLeastOneBatch: Bool) -> LogSlice {
    var slice = LogSlice.empty
    var small = ByteWriter(capacity: 0)
    for batch in tail.batches[first...] {
      guard batch.lastOffset < end.rawValue else { break }
      if slice.byteCount + batch.byteCount > bytesMax, slice.byteCount > 0 || !atLeastOneBatch { break }
      slice.byteCount += batch.byteCount
      slice.endOffset = Offset(batch.lastOffset + 1)
      if batch.byteCount < PartitionLog.smallBatch {
        // A system call takes a bounded number of pieces: small ones are put together.
        for part in batch.parts { small.append(part) }
      } else {
        if small.count > 0 {
          slice.parts.append(.bytes(small.copyBytes()))
          small.removeAll()
        }
        for part in batch.parts { slice.parts.append(.bytes(part)) }
      }
    }
    if small.count > 0 { slice.parts.append(.bytes(small.finish())) }
    return slice
  }

  private func readFiles(
    _ offset: Int64, until end: Offset, bytesMax: Int, atLeastOneBatch: Bool
  ) throws(FileError) -> LogSlice {
    for segment in segments[segmentIndex(of: offset)...] {
      guard let first = try segment.locate(offset) else { continue }
      var limit = segment.size
      var limitOffset = segment.endOffset
      if segment.endOffset > end.rawValue {
        // A reader of committed records at an open transaction, or, under `.sync`, between an append and its flush.
        guard first.header.lastOffset < end else { return .empty }
        limit = try segment.locate(end.rawValue)?.position ?? limit
        limitOffset = end.rawValue
      }
      var stop = first.position + Int64(first.header.totalSize)
      var stopOffset = first.header.nextOffset.rawValue
      if first.header.totalSize > bytesMax {
        if !atLeastOneBatch { return .empty }
      } else {
        let wanted = first.position + Int64(bytesMax)
        if wanted >= limit {
          stop = limit
          stopOffset = limitOffset
        } else {
          stop = try segment.wholeBatches(from: stop, limit: wanted)
          // What follows says where this ends; nothing does where it ends with the segment.
          var walker = BatchWalker(try segment.file(), from: stop, limit: segment.size)
          stopOffset = try walker.next()?.header.baseOffset.rawValue ?? segment.endOffset
        }
      }
      let count = Int(stop - first.position)
      return LogSlice(
        parts: [.file(try segment.file(), position: first.position, count: count)], byteCount: count,
        endOffset: Offset(stopOffset))
    }
    return .empty
  }

  /// The segment that holds `offset`, or would: the last whose base is not above it.
  func segmentIndex(of offset: Int64) -> Int {
    var low = 0
    var high = segments.count
    while low < high {
      let middle = (low + high) / 2
      if segments[middle].baseOffset <= offset { low = middle + 1 } else { high = middle }
    }
    return max(low - 1, 0)
  }
}
