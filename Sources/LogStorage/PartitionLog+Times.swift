import Groundwork
import KafkaProtocol
import SystemInterfaces

extension PartitionLog {
  /// The first record whose timestamp is at least `timestamp`, with that timestamp; nil where there is none below the
  /// high watermark.
  ///
  /// The time index finds the place, headers the batch, and only that batch is decompressed.
  public func offset(for timestamp: Timestamp) throws(LogError) -> (offset: Offset, timestamp: Timestamp)? {
    try requireOnline()
    for segment in segments where segment.maxTimestamp >= timestamp.milliseconds {
      let found = try storing { () throws(FileError) in try segment.locate(timestamp: timestamp.milliseconds) }
      if let found, let record = try firstRecord(in: segment, found, atOrAfter: timestamp) {
        return record.offset < highWatermark ? record : nil
      }
    }
    return nil
  }

  /// The first of the records with the highest timestamp (KIP-734); nil in a log without timestamps.
  public func offsetOfMaxTimestamp() throws(LogError) -> (offset: Offset, timestamp: Timestamp)? {
    guard let newest = segments.map(\.maxTimestamp).max(), newest >= 0 else { return nil }
    return try offset(for: Timestamp(milliseconds: newest))
  }

  private func firstRecord(
    in segment: Segment, _ found: (header: RecordBatchHeader, position: Int64), atOrAfter timestamp: Timestamp
  ) throws(LogError) -> (offset: Offset, timestamp: Timestamp)? {
    let bytes = try storing { () throws(FileError) in
      try segment.file().read(at: found.position, count: found.header.totalSize)
    }
    do throws(RecordBatchError) {
      return try RecordBatch(bytes).firstRecord(atOrAfter: timestamp)
    } catch {
      throw LogError(.corruptBatch(error.description), path: segment.logPath)
    }
  }
}
