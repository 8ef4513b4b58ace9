import Groundwork
import Journals

/// Where a recovery may begin to scan: segments that begin below are synced and were whole when they were sealed.
///
/// One journal entry, overwritten in place; a torn one fails its checksum and means: scan everything.
struct Checkpoint: Equatable {
  static let name = "recovery-checkpoint"
  static let version: UInt16 = 1
  var recoveryOffset: Int64

  var entry: JournalEntry {
    var writer = ByteWriter()
    writer.append(bigEndian: recoveryOffset)
    return JournalEntry(version: Checkpoint.version, payload: writer.finish())
  }

  init(recoveryOffset: Int64) { self.recoveryOffset = recoveryOffset }

  init?(_ entry: JournalEntry) {
    var reader = PayloadReader(entry.payload)
    guard entry.version == Checkpoint.version, let offset = try? reader.integer(Int64.self) else { return nil }
    recoveryOffset = offset
  }
}

/// What a clean close leaves behind, so that the next open need not scan: the active segment's numbers and the
/// producers' state. It is void if the file has another size, and removed when the log is opened.
struct CleanMarker: Equatable {
  static let name = "clean-shutdown"
  /// Version 1 knew no transactions; a log with one is scanned.
  static let version: UInt16 = 2
  var activeBase: Int64
  var activeSize: Int64
  var endOffset: Int64
  var maxTimestamp: Int64
  var offsetOfMaxTimestamp: Int64
  /// -1: none.
  var firstTimestamp: Int64
  var bytesSinceIndexEntry: Int64
  var producers: ProducerStates

  init(_ segment: Segment, _ producers: ProducerStates) {
    activeBase = segment.baseOffset
    activeSize = segment.size
    endOffset = segment.endOffset
    maxTimestamp = segment.maxTimestamp
    offsetOfMaxTimestamp = segment.offsetOfMaxTimestamp
    firstTimestamp = segment.firstTimestamp ?? -1
    bytesSinceIndexEntry = Int64(segment.bytesSinceIndexEntry)
    self.producers = producers
  }

  var entry: JournalEntry {
    var writer = ByteWriter()
    for number in [
      activeBase, activeSize, endOffset, maxTimestamp, offsetOfMaxTimestamp, firstTimestamp, bytesSinceIndexEntry,
    ] { writer.append(bigEndian: number) }
    producers.encode(to: &writer)
    return JournalEntry(version: CleanMarker.version, payload: writer.finish())
  }

  init?(_ entry: JournalEntry) {
    guard entry.version == CleanMarker.version else { return nil }
    var reader = PayloadReader(entry.payload)
    do {
      activeBase = try reader.integer()
      activeSize = try reader.integer()
      endOffset = try reader.integer()
      maxTimestamp = try reader.integer()
      offsetOfMaxTimestamp = try reader.integer()
      firstTimestamp = try reader.integer()
      bytesSinceIndexEntry = try reader.integer()
      producers = try ProducerStates(from: &reader)
    } catch { return nil }
  }
}
