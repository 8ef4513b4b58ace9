import Datasets
import Groundwork
import Journals
import SystemInterfaces

/// A log of batch records in a folder of journals, each named by its first batch: `00000000000000012345.journal`.
///
/// A new journal begins after so many entries, and all but the newest few are removed: the log stays small, and opening
/// it reads the newest journals only, however many batches there were.
///
/// Belongs to the driver's loop.
package final class BatchJournal {
  /// Version of the entries written: text of `BatchRecord`.
  package static let version: UInt16 = 2
  /// Entries of one journal.
  package static let segmentEntries = 1_000
  /// Entries that a start looks at. What was written for a batch may stand in the journal before the one that begins with
  /// the plan of a batch behind it: this is far more than the batches between plan and decision have.
  static let recentMin = 20
  /// Journals that are kept beside the one written to.
  static let segmentsKept = 10

  private let directory: String
  private let files: any FileStore
  private let segmentEntries: Int
  private var journal: Journal?
  private var segments: [String]
  /// What the newest journals held when the log was opened, oldest first: at least the last `recentMin` entries there are.
  package private(set) var recent: [BatchRecord] = []
  /// Bytes that were cut off a torn end when the log was opened.
  package private(set) var cutBytes: Int64 = 0

  /// Opens the log, made if need be.
  /// - Parameters:
  ///   - directory: its folder.
  ///   - segmentEntries: entries of one journal.
  /// - Throws: `StreamingError.checkpoint` where the folder cannot be used or holds what this version cannot read.
  package init(
    directory: String, files: any FileStore, segmentEntries: Int = BatchJournal.segmentEntries
  ) throws(StreamingError) {
    self.directory = directory
    self.files = files
    self.segmentEntries = max(1, segmentEntries)
    do {
      try files.createDirectories(directory)
      segments = try BatchJournal.segments(of: directory, files)
      // The newest may hold little, or nothing where it is torn at its first entry: then the one before is read too.
      for (index, name) in segments.enumerated().reversed() {
        var records: [BatchRecord] = []
        let path = "\(directory)/\(name)"
        if index == segments.count - 1 {
          let opened = try Journal.open(path, in: files) { entry, position throws(JournalError) in
            records.append(try BatchJournal.read(entry, position, path))
          }
          // What the start goes by must not go again: its writer may have died before it was synced.
          try opened.journal.sync()
          journal = opened.journal
          cutBytes = opened.cutBytes
        } else {
          _ = try Journal.scan(path, in: files) { entry, position throws(JournalError) in
            records.append(try BatchJournal.read(entry, position, path))
          }
        }
        recent = records + recent
        if recent.count >= BatchJournal.recentMin { break }
      }
    } catch let error as StreamingError {
      throw error
    } catch {
      throw .checkpoint("the checkpoint folder \(directory) cannot be used: \(error)")
    }
  }

  /// Adds a record.
  /// - Parameters:
  ///   - sync: whether it must be past a power loss when the call returns.
  ///   - others: files that are synced with it, at the same time.
  /// - Throws: `StreamingError.checkpoint` where it cannot be written.
  package func append(
    _ record: BatchRecord, sync: Bool, with others: [any File] = []
  ) throws(StreamingError) {
    do {
      if journal.map({ $0.entryCount >= segmentEntries }) ?? true { try rotate(to: record.batch.number) }
      try journal?.append(JournalEntry(version: BatchJournal.version, payload: Bytes(record.text)), sync: false)
      if sync { try journal?.sync(with: others) }
    } catch {
      throw .checkpoint(
        "\(directory) cannot be written, so no further batch can run: \(error); make room or mend the folder, then start "
          + "the job again")
    }
  }

  /// Drops what was read at the opening: nobody needs it any more.
  package func forgetRecent() { recent = [] }

  private func rotate(to first: BatchNumber) throws {
    let digits = String(first.rawValue)
    let name = String(repeating: "0", count: max(0, 20 - digits.count)) + digits + ".journal"
    // What a power loss takes is at the end of the log.
    try journal?.sync()
    journal = try Journal.open("\(directory)/\(name)", in: files) { _, _ in }.journal
    if segments.last != name { segments.append(name) }
    while segments.count > BatchJournal.segmentsKept + 1 {
      try files.removeFile("\(directory)/\(segments[0])")
      segments.removeFirst()
    }
  }

  /// All records that a log still holds, oldest first, without changing it: for tools and tests.
  /// - Throws: `StreamingError.checkpoint` where the folder cannot be read.
  package static func records(in directory: String, _ files: any FileStore) throws(StreamingError) -> [BatchRecord] {
    var records: [BatchRecord] = []
    do {
      guard try files.attributes(directory) != nil else { return [] }
      for name in try segments(of: directory, files) {
        let path = "\(directory)/\(name)"
        _ = try Journal.scan(path, in: files) { entry, position throws(JournalError) in
          records.append(try read(entry, position, path))
        }
      }
    } catch {
      throw .checkpoint("\(directory) cannot be read: \(error)")
    }
    return records
  }

  private static func segments(of directory: String, _ files: any FileStore) throws(FileError) -> [String] {
    try files.list(directory).filter { $0.hasSuffix(".journal") && $0.utf8.count == 28 }.sorted()
  }

  private static func read(
    _ entry: JournalEntry, _ position: Int64, _ path: String
  ) throws(JournalError) -> BatchRecord {
    guard entry.version == version else {
      throw JournalError(.unsupportedVersion(entry.version, position: position), path: path)
    }
    guard let record = BatchRecord(text: String(entry.payload)) else {
      throw JournalError(.malformedEntry(position: position), path: path)
    }
    return record
  }
}
