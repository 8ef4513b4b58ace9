import Codecs
import Groundwork

extension RecordBatch {
  /// The first record whose timestamp is at least `timestamp`, or nil where there is none: what a log answers with when
  /// it is asked for a time. The checksum is not looked at again. O(records), decompression included.
  ///
  /// - Throws: as `records(using:)` and `RecordSection.forEachRecord`.
  public func firstRecord(
    atOrAfter timestamp: Timestamp
  ) throws(RecordBatchError) -> (offset: Offset, timestamp: Timestamp)? {
    let section = try records(using: CodecWorkspace(), checkingChecksum: false)
    var found: (offset: Offset, timestamp: Timestamp)?
    do {
      try section.forEachRecord { record in
        if found == nil, record.timestamp >= timestamp { found = (record.offset, record.timestamp) }
      }
    } catch let error as RecordBatchError {
      // What stands before the damage still counts.
      if found == nil { throw error }
    } catch {}
    return found
  }
}
