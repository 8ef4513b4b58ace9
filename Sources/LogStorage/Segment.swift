import Groundwork
import KafkaProtocol
import SystemInterfaces

/// A run of a log: one file of batches, named by the offset it begins with, and its two indexes. Confined to the log's
/// loop.
final class Segment {
  let baseOffset: Int64
  let directory: String
  private let files: any FileStore
  private var opened: (any File)?
  /// Bytes in the file.
  var size: Int64 = 0
  /// The offset after its last record.
  var endOffset: Int64
  /// The largest timestamp and the last offset of the batch that brought it; -1 where there is none.
  var maxTimestamp: Int64 = -1
  var offsetOfMaxTimestamp: Int64 = -1
  /// The largest timestamp of the first batch: the age of a segment counts from it, as in Kafka.
  var firstTimestamp: Int64?
  /// When the file was begun, for a segment without timestamps.
  var created: Timestamp
  var bytesSinceIndexEntry = 0
  var offsets: SparseIndex<OffsetEntry>
  var times: SparseIndex<TimeEntry>
  var transactions: TransactionIndex
  /// Bytes of log that the last lookup by offset walked over; for the test of the index interval.
  var lastLookupScan = 0

  init(baseOffset: Int64, directory: String, files: any FileStore, created: Timestamp) {
    self.baseOffset = baseOffset
    self.directory = directory
    self.files = files
    self.created = created
    endOffset = baseOffset
    offsets = SparseIndex(path: Segment.path(directory, baseOffset, "index"))
    times = SparseIndex(path: Segment.path(directory, baseOffset, "timeindex"))
    transactions = TransactionIndex(path: Segment.path(directory, baseOffset, "txnindex"))
  }

  /// Kafka's names: twenty digits of the base offset.
  static func path(_ directory: String, _ baseOffset: Int64, _ suffix: String) -> String {
    let digits = String(baseOffset)
    return directory + "/" + String(repeating: "0", count: max(0, 20 - digits.count)) + digits + "." + suffix
  }

  /// The base offset in a file name of the given suffix; nil for other names.
  static func baseOffset(ofName name: String, suffix: String) -> Int64? {
    guard name.hasSuffix("." + suffix) else { return nil }
    let digits = name.dropLast(suffix.count + 1)
    guard digits.count == 20, digits.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
    return Int64(digits)
  }

  var logPath: String { Segment.path(directory, baseOffset, "log") }

  /// The file of batches, opened at first use.
  func file() throws(FileError) -> any File {
    if let opened { return opened }
    let file = try files.open(logPath, .readWrite)
    opened = file
    return file
  }

  // MARK: Writing

  /// Writes a batch at the end. On an error the file is as before, or the error says that the segment is unusable.
  func append(_ parts: [Bytes], _ header: RecordBatchHeader, indexInterval: Int) throws(LogError) {
    let file = try storing { () throws(FileError) -> any File in try self.file() }
    do throws(FileError) {
      try file.write(at: size, parts)
    } catch {
      do throws(FileError) { try file.truncate(to: size) } catch { throw LogError(.offline, path: logPath) }
      throw LogError(error)
    }
    note(header, at: size, indexInterval: indexInterval)
  }

  /// Takes note of a batch that stands at `position`, the end so far.
  func note(_ header: RecordBatchHeader, at position: Int64, indexInterval: Int) {
    let timestamp = header.maxTimestamp.milliseconds
    if timestamp > maxTimestamp {
      maxTimestamp = timestamp
      offsetOfMaxTimestamp = header.lastOffset.rawValue
    }
    if firstTimestamp == nil, timestamp >= 0 { firstTimestamp = timestamp }
    if bytesSinceIndexEntry > indexInterval {
      offsets.append(OffsetEntry(relativeOffset: header.lastOffset.rawValue - baseOffset, position: position))
      appendTimeEntry()
      bytesSinceIndexEntry = 0
    }
    bytesSinceIndexEntry += header.totalSize
    size = position + Int64(header.totalSize)
    endOffset = header.nextOffset.rawValue
  }

  private var lastIndexedTimestamp: Int64 = -1

  private func appendTimeEntry() {
    guard maxTimestamp > lastIndexedTimestamp else { return }
    times.append(TimeEntry(timestamp: maxTimestamp, relativeOffset: offsetOfMaxTimestamp - baseOffset))
    lastIndexedTimestamp = maxTimestamp
  }

  /// Writes the indexes: no batch is appended after.
  func seal() throws(FileError) {
    try sealPlaces()
    try transactions.seal(in: files)
  }

  /// Writes the indexes by offset and by time, the largest timestamp as the last entry.
  func sealPlaces() throws(FileError) {
    appendTimeEntry()
    try offsets.seal(in: files)
    try times.seal(in: files)
  }

  /// Opens the indexes by offset and by time of a sealed segment and takes its numbers from them; false where they do not fit the file, then
  /// the segment is as it was.
  func openIndexes() throws(FileError) -> Bool {
    guard let offsets = try SparseIndex<OffsetEntry>.openSealed(self.offsets.path, in: files),
      let times = try SparseIndex<TimeEntry>.openSealed(self.times.path, in: files)
    else { return false }
    if let last = try offsets.last {
      guard last.position < size, last.relativeOffset < endOffset - baseOffset else { return false }
    }
    guard let newest = try times.last else { return false }
    guard newest.relativeOffset < endOffset - baseOffset else { return false }
    self.offsets = offsets
    self.times = times
    maxTimestamp = newest.timestamp
    offsetOfMaxTimestamp = newest.relativeOffset + baseOffset
    return true
  }

  /// Goes on writing a segment whose indexes are in their files.
  func unseal() throws(FileError) {
    try offsets.unseal()
    try times.unseal()
    transactions.unseal()
    lastIndexedTimestamp = try times.last?.timestamp ?? -1
  }

  /// Makes the indexes by offset and by time empty, in memory, before a scan fills them.
  func resetIndexes() {
    offsets = SparseIndex(path: offsets.path)
    times = SparseIndex(path: times.path)
    maxTimestamp = -1
    offsetOfMaxTimestamp = -1
    firstTimestamp = nil
    bytesSinceIndexEntry = 0
    lastIndexedTimestamp = -1
    size = 0
    endOffset = baseOffset
  }

  /// Makes the index of aborted transactions empty, before the batches are walked.
  func resetTransactions() { transactions = TransactionIndex(path: transactions.path) }

  /// Reads the index of aborted transactions of a sealed segment; false where it is lost or damaged.
  func openTransactions() throws(FileError) -> Bool {
    guard let found = try TransactionIndex.openSealed(transactions.path, in: files) else { return false }
    transactions = found
    return true
  }

  /// Removes the files; the batches first, so that what a death leaves behind is an index without them, never the
  /// reverse. Who reads the file at this moment may finish.
  func remove() throws(FileError) {
    opened = nil
    for path in [
      logPath, offsets.path, times.path, transactions.path, Segment.path(directory, baseOffset, "snapshot"),
    ]
    where try files.attributes(path) != nil {
      try files.removeFile(path)
    }
  }

  // MARK: Finding

  /// The batch that holds `offset`, or the first one after it; nil past the last.
  /// O(log n) in the index, then at most an index interval and one batch of log.
  func locate(_ offset: Int64) throws(FileError) -> (header: RecordBatchHeader, position: Int64)? {
    let relative = offset - baseOffset
    let start = try offsets.last { $0.relativeOffset <= relative }?.position ?? 0
    var walker = BatchWalker(try file(), from: start, limit: size)
    while let found = try walker.next() {
      if found.header.lastOffset.rawValue >= offset {
        lastLookupScan = Int(walker.position - start)
        return found
      }
    }
    lastLookupScan = Int(walker.position - start)
    return nil
  }

  /// Where the last whole batch ends that, counted from `start`, ends at or before `limit`; `start` if none does.
  func wholeBatches(from start: Int64, limit: Int64) throws(FileError) -> Int64 {
    let from = max(start, try offsets.last { $0.position <= limit }?.position ?? 0)
    var walker = BatchWalker(try file(), from: from, limit: limit)
    while try walker.next() != nil {}
    return max(start, walker.position)
  }

  /// The first batch whose largest timestamp is at least `timestamp`; nil where none is.
  func locate(timestamp: Int64) throws(FileError) -> (header: RecordBatchHeader, position: Int64)? {
    guard maxTimestamp >= timestamp else { return nil }
    // Batches before the one an entry names have smaller timestamps than the entry.
    var start: Int64 = 0
    if let entry = try times.last(where: { $0.timestamp <= timestamp }) {
      start = try locate(entry.relativeOffset + baseOffset)?.position ?? 0
    }
    var walker = BatchWalker(try file(), from: start, limit: size)
    while let found = try walker.next() {
      if found.header.maxTimestamp.milliseconds >= timestamp { return found }
    }
    return nil
  }
}
