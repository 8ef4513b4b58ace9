import Groundwork
import Journals
import SystemInterfaces

/// The durable memory of a transaction coordinator: a journal with an entry for each step of each transaction, which
/// says only what the step added, compacted when most of it is superseded.
///
/// A step counts once its entry is written: what was not is as if it had never been decided. After a write or sync that
/// failed and left the journal's end unknown, the next step first writes everything anew, so that a disk that was full
/// for a while costs no restart.
///
/// State confined to the broker's loop.
public final class TransactionLog {
  /// By transactional id.
  public private(set) var records: [String: TransactionRecord] = [:]
  private let journal: Journal
  private let syncsSteps: Bool
  private var isEndUnknown = false

  private enum Kind: UInt8 {
    case step = 1
    case remove = 2
  }
  private static let version: UInt16 = 1
  /// Entries beyond a few for each id that are kept before the journal is compacted.
  static let spareEntries = 10_000

  private init(_ journal: Journal, syncsSteps: Bool) {
    self.journal = journal
    self.syncsSteps = syncsSteps
  }

  /// Opens the log at `path`, made if need be.
  ///
  /// - Parameter flushPolicy: `.sync`: a step is past a power loss when its call returns.
  /// - Returns: the log, and the bytes of a torn tail that were cut off: a step that was never answered for.
  public static func open(
    _ path: String, in files: any FileStore, flushPolicy: FlushPolicy
  ) throws(LogError) -> (log: TransactionLog, cutBytes: Int64) {
    var records: [String: TransactionRecord] = [:]
    let (journal, cut) = try journaling { () throws(JournalError) in
      try Journal.open(path, in: files) { entry, position throws(JournalError) in
        try replaying(entry, at: position, of: path, version: version) { reader throws(PayloadMalformed) in
          switch Kind(rawValue: try reader.integer()) {
          case .step:
            let id = try reader.text()
            records[id] = try TransactionRecord(from: &reader, since: records[id])
          case .remove: records[try reader.text()] = nil
          case nil: throw PayloadMalformed()
          }
        }
      }
    }
    let log = TransactionLog(journal, syncsSteps: flushPolicy == .sync)
    log.records = records
    return (log, cut)
  }

  /// Keeps a step: what is known of `id` from now on.
  ///
  /// - Parameter mayLag: whether a power loss may take the step back, as it may where it follows from the one before.
  /// - Throws: the step is not kept, and `records` is as before.
  public func put(_ id: String, _ record: TransactionRecord, mayLag: Bool = false) throws(LogError) {
    let known = records[id]
    let entry = TransactionLog.entry(.step) { writer in
      writer.append(field: id)
      record.encode(to: &writer, since: known)
    }
    try append(entry, sync: syncsSteps && !mayLag)
    records[id] = record
  }

  /// Forgets an id.
  public func remove(_ id: String) throws(LogError) {
    try append(TransactionLog.entry(.remove) { $0.append(field: id) }, sync: syncsSteps)
    records[id] = nil
  }

  /// Makes everything durable.
  public func sync() throws(LogError) { try journaling { () throws(JournalError) in try journal.sync() } }

  private func append(_ entry: JournalEntry, sync: Bool) throws(LogError) {
    try journaling { () throws(JournalError) in
      if isEndUnknown || journal.entryCount > 4 * records.count + TransactionLog.spareEntries {
        isEndUnknown = true
        try journal.rewrite(everything)
        isEndUnknown = false
      }
      do throws(JournalError) {
        try journal.append(entry, sync: sync)
      } catch {
        // Also where the entry was taken back: that it was, only a new file says for certain.
        isEndUnknown = true
        throw error
      }
    }
  }

  private var everything: [JournalEntry] {
    records.sorted { $0.key < $1.key }.map { id, record in
      TransactionLog.entry(.step) { writer in
        writer.append(field: id)
        record.encode(to: &writer, since: nil)
      }
    }
  }

  private static func entry(_ kind: Kind, _ body: (inout ByteWriter) -> Void) -> JournalEntry {
    var writer = ByteWriter()
    writer.append(kind.rawValue)
    body(&writer)
    return JournalEntry(version: version, payload: writer.finish())
  }
}
