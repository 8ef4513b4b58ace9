import Groundwork
import Journals
import SystemInterfaces

/// The bytes of all state of a job: a log of what each batch changed, and a snapshot of everything before the log.
///
/// One write and one sync a batch, however many operators and partitions there are; a batch that changes nothing writes
/// nothing. The version of the state is the number of the last committed batch. What a batch wrote is *prepared* until
/// `committed` or `discard` says what became of it; a restart names the last decided batch, and all behind it is cut off.
///
/// In the folder, all made of journal entries (length, checksum, version, payload):
///
///     catalog.journal             the operators: see StateCatalog
///     deltas-000001.journal …     changes, batch by batch; the last of these files grows
///     snapshot-<from>-<to>.journal  every key, read in slices while batches went on: values are as of version `from` or
///                                 later, so that the changes of all batches after `from`, laid over it, give the truth
///
/// One snapshot for all operators and partitions, not a file for each: what must be kept of the log is the same, and a
/// restart has one chain of files to check instead of many.
///
/// Belongs to the driver's loop.
package final class StateStore {
  /// Version of the entries written.
  static let version: UInt16 = 1

  /// What an entry is: the first byte of its payload.
  enum Kind: UInt8 {
    /// A block: batch, operator, partition (unsigned varints), changes.
    case block = 1
    /// The end of a batch: batch, the batch whose end stands before it, blocks.
    case batchEnd = 2
    /// The beginning of a snapshot: from, the last batch that changed something up to there.
    case snapshotStart = 3
    /// The end of a snapshot: to, blocks.
    case snapshotEnd = 4
  }

  let folder: String
  let files: any FileStore
  /// The segments of the log, oldest first, by number and size; the last one grows.
  var segments: [(number: Int, bytes: Int64)] = []
  var file: (any File)?
  /// The next batch begins a new segment.
  var isSealed = false
  /// The largest number that a segment has had.
  var lastSegmentNumber = 0
  /// The last batch whose changes stand in the log.
  var lastDelta: Int64 = 0
  private var prepared: (batch: Int64, bytesBefore: Int64, lastDeltaBefore: Int64)?
  /// What `prepare` left to be synced before the batch is decided.
  package private(set) var unsynced: (any File)?
  /// Nobody knows what a file holds: nothing is written any more.
  private var broken: String?
  /// Whether the log may hold changes of a batch that failed.
  package var isBroken: Bool { broken != nil }
  var snapshotFile: String?
  var snapshot: SnapshotInProgress?
  /// Bytes of the published snapshot.
  package internal(set) var snapshotBytes: Int64 = 0

  init(folder: String, files: any FileStore) {
    self.folder = folder
    self.files = files
  }

  /// Bytes of the log since the last snapshot.
  package var logBytes: Int64 { segments.reduce(0) { $0 + $1.bytes } }
  /// The last batch that changed anything.
  package var lastChange: Int64 { lastDelta }

  func path(_ name: String) -> String { "\(folder)/\(name)" }

  static func segmentName(_ number: Int) -> String {
    let digits = String(number)
    return "deltas-\(String(repeating: "0", count: max(0, 6 - digits.count)))\(digits).journal"
  }

  /// Bytes of a journal entry beside its payload.
  static var entryHeaderSize: Int64 { Int64(Journal.encoded(JournalEntry(version: version, payload: Bytes())).count) }

  static func failure(_ what: String, _ error: any Error) -> StreamingError {
    .checkpoint("\(what): \(error)")
  }

  // MARK: A batch

  /// Makes a batch's changes durable, as prepared. Nothing is written where there are none.
  /// - Parameter sync: false leaves the sync of `unsynced` to the caller.
  /// - Throws: where it fails nothing of the batch is left, and the next batch may be tried, unless a sync failed.
  package func prepare(
    _ batch: BatchNumber, _ blocks: [StateBlock], sync: Bool = true
  ) throws(StreamingError) {
    unsynced = nil
    if let broken { throw .checkpoint("the state cannot be written: \(broken); restart the job to recover it") }
    guard !blocks.isEmpty else { return }
    let number = batch.rawValue
    var writer = ByteWriter()
    for block in blocks {
      try append(Self.payload(.block, [number, Int64(block.operatorID), Int64(block.partition)], block), to: &writer)
    }
    try append(Self.payload(.batchEnd, [number, lastDelta, Int64(blocks.count)]), to: &writer)
    let bytes = writer.finish()
    let size: Int64
    do throws(FileError) {
      if file == nil || isSealed { try openNextSegment() }
      size = segments[segments.count - 1].bytes
    } catch {
      throw Self.failure("the state of batch \(batch) cannot be kept", error)
    }
    guard let file else { throw .checkpoint("the state of batch \(batch) cannot be kept: no log is open") }
    do throws(FileError) {
      try file.write(at: size, bytes)
    } catch {
      do throws(FileError) {
        try file.truncate(to: size)
        // Past a power loss: the next batch may change nothing, and sync nothing.
        try file.sync()
      } catch {
        broken = "a write to \(file.path) failed and could not be taken back"
      }
      throw Self.failure("the state of batch \(batch) cannot be kept", error)
    }
    if sync {
      do throws(FileError) {
        try file.sync()
      } catch {
        broken = "a sync of \(file.path) failed"
        throw Self.failure("the state of batch \(batch) cannot be kept", error)
      }
    } else {
      unsynced = file
    }
    segments[segments.count - 1].bytes = size + Int64(bytes.count)
    prepared = (number, size, lastDelta)
    lastDelta = number
  }

  private func append(_ payload: Bytes, to writer: inout ByteWriter) throws(StreamingError) {
    guard payload.count + 2 <= Journal.entrySizeMax else {
      throw .checkpoint(
        "one value of the state takes \(payload.count) bytes, \(Journal.entrySizeMax) at most are possible: split it "
          + "over several keys")
    }
    writer.append(Journal.encoded(JournalEntry(version: StateStore.version, payload: payload)))
  }

  /// The batch is decided: what was prepared stays.
  package func committed(_ batch: BatchNumber) {
    unsynced = nil
    if prepared?.batch == batch.rawValue { prepared = nil }
  }

  /// The batch failed: what was prepared of it goes, past a power loss.
  package func discard(_ batch: BatchNumber) {
    guard let prepared, prepared.batch == batch.rawValue else { return }
    self.prepared = nil
    lastDelta = prepared.lastDeltaBefore
    guard let file, !segments.isEmpty else { return }
    do throws(FileError) {
      try file.truncate(to: prepared.bytesBefore)
      try file.sync()
      segments[segments.count - 1].bytes = prepared.bytesBefore
    } catch {
      broken = "what batch \(batch) had written to \(file.path) could not be taken back (\(error))"
    }
  }

  // MARK: Files

  private func openNextSegment() throws(FileError) {
    let number = lastSegmentNumber + 1
    let opened = try files.open(path(Self.segmentName(number)), .create)
    try files.syncDirectory(folder)
    file = opened
    lastSegmentNumber = number
    isSealed = false
    segments.append((number, 0))
  }

  static func payload(_ kind: Kind, _ numbers: [Int64], _ block: StateBlock? = nil) -> Bytes {
    var writer = ByteWriter(capacity: 40 + (block?.changes.count ?? 0))
    writer.append(kind.rawValue)
    for number in numbers { writer.append(unsignedVarint: UInt64(number)) }
    if let block { writer.append(block.changes) }
    return writer.finish()
  }
}
