import Datasets
import Groundwork
import Journals
import SystemInterfaces

/// The batches of a job that were committed, with the offset ranges each one took: one text entry a batch, in a journal.
///
/// In an at-least-once job it is a record of what happened and not an authority: it is written after the output and not
/// synced, and a restart goes by the committed offsets of the source. It gives batch numbers and batch times their
/// continuity over restarts.
package struct CommitLog: ~Copyable {
  /// What stands in the log for one batch.
  package struct Entry: Sendable, Equatable {
    package var batch: BatchIdentity
    package var records: Int
    /// By source name.
    package var ranges: [OffsetRange]

    package init(batch: BatchIdentity, records: Int, ranges: [OffsetRange]) {
      self.batch = batch
      self.records = records
      self.ranges = ranges
    }
  }

  /// Version of the entries written.
  package static let version: UInt16 = 1
  /// The log is cut down to its newest half when it has grown beyond so many entries.
  package static let entriesMax = 200_000

  private let journal: Journal
  private var newest: [Entry]
  private let entriesMax: Int
  /// The last committed batch.
  package private(set) var last: BatchIdentity?
  /// Bytes that were cut off a torn end when the log was opened.
  package let cutBytes: Int64

  /// Opens the log in a checkpoint folder, both made if need be.
  package init(
    directory: String, files: any FileStore, entriesMax: Int = CommitLog.entriesMax
  ) throws(StreamingError) {
    var entries: [Entry] = []
    let path = "\(directory)/commits.journal"
    do {
      try files.createDirectories(directory)
      let opened = try Journal.open(path, in: files) { entry, position throws(JournalError) in
        guard entry.version == CommitLog.version else {
          throw JournalError(.unsupportedVersion(entry.version, position: position), path: path)
        }
        guard let read = Entry(text: String(entry.payload)) else {
          throw JournalError(.malformedEntry(position: position), path: path)
        }
        entries.append(read)
      }
      journal = opened.journal
      cutBytes = opened.cutBytes
    } catch {
      throw .checkpoint("the checkpoint folder \(directory) cannot be used: \(error)")
    }
    last = entries.last?.batch
    self.entriesMax = entriesMax
    newest = Array(entries.suffix(entriesMax / 2))
  }

  /// All entries the log still holds, oldest first; those of the present run included.
  package var entries: [Entry] { newest }

  /// Adds a committed batch.
  package mutating func append(_ entry: Entry) throws(StreamingError) {
    last = entry.batch
    newest.append(entry)
    do throws(JournalError) {
      if journal.entryCount >= entriesMax {
        newest.removeFirst(newest.count - entriesMax / 2)
        try journal.rewrite(newest.map(\.journalEntry))
      } else {
        try journal.append(entry.journalEntry, sync: false)
        if newest.count > entriesMax { newest.removeFirst(newest.count - entriesMax / 2) }
      }
    } catch {
      throw .checkpoint("the commit log cannot be written: \(error)")
    }
  }
}

extension CommitLog.Entry {
  /// `batch=12 time=1357002000000 records=18 ranges=flights-0:12-30,flights-1:7-7`
  package var text: String {
    let ranges = ranges.map { "\($0.topicPartition):\($0.from)-\($0.until)" }.joined(separator: ",")
    return "batch=\(batch.number) time=\(batch.time.milliseconds) records=\(records) ranges=\(ranges)"
  }

  /// Reads `text`; nil where it is anything else.
  package init?(text: String) {
    var fields: [Substring: Substring] = [:]
    for field in text.split(separator: " ") {
      guard let equals = field.firstIndex(of: "=") else { return nil }
      fields[field[..<equals]] = field[field.index(after: equals)...]
    }
    guard let number = fields["batch"].flatMap({ Int64($0) }), let time = fields["time"].flatMap({ Int64($0) }),
      let records = fields["records"].flatMap({ Int($0) }), let list = fields["ranges"]
    else { return nil }
    var ranges: [OffsetRange] = []
    for item in list.split(separator: ",") {
      guard let colon = item.lastIndex(of: ":"), let dash = item[..<colon].lastIndex(of: "-"),
        let partition = Int32(item[item.index(after: dash)..<colon])
      else { return nil }
      let bounds = item[item.index(after: colon)...].split(separator: "-")
      guard bounds.count == 2, let from = Int64(bounds[0]), let until = Int64(bounds[1]) else { return nil }
      ranges.append(
        OffsetRange(
          TopicPartition(String(item[..<dash]), PartitionIndex(partition)), from: Offset(from), until: Offset(until)))
    }
    self.init(
      batch: BatchIdentity(number: BatchNumber(number), time: Timestamp(milliseconds: time)), records: records,
      ranges: ranges)
  }

  var journalEntry: JournalEntry { JournalEntry(version: CommitLog.version, payload: Bytes(text)) }
}
