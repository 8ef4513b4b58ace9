import Groundwork
import Journals
import SystemInterfaces

/// Gives out producer ids, none of them twice, also across restarts: it reserves a block durably, then gives out of it.
///
/// State confined to the broker's loop.
public final class ProducerIDCounter {
  /// Ids reserved at once: what a restart skips at most.
  public static let blockSize: Int64 = 1000
  private static let version: UInt16 = 1
  private let journal: Journal
  private var nextID: Int64
  private var reservedEnd: Int64

  private init(_ journal: Journal, reservedEnd: Int64) {
    self.journal = journal
    nextID = reservedEnd
    self.reservedEnd = reservedEnd
  }

  /// Opens the counter at `path`, made if need be.
  public static func open(_ path: String, in files: any FileStore) throws(LogError) -> ProducerIDCounter {
    var end: Int64 = 0
    let (journal, _) = try journaling { () throws(JournalError) in
      try Journal.open(path, in: files) { entry, position throws(JournalError) in
        try replaying(entry, at: position, of: path, version: version) { reader throws(PayloadMalformed) in
          end = max(end, try reader.integer(Int64.self))
        }
      }
    }
    return ProducerIDCounter(journal, reservedEnd: end)
  }

  /// An id that nobody has had.
  /// - Throws: where a new block is due and cannot be reserved durably.
  public func next() throws(LogError) -> Int64 {
    if nextID == reservedEnd {
      let end = reservedEnd + ProducerIDCounter.blockSize
      var writer = ByteWriter()
      writer.append(bigEndian: end)
      let entry = JournalEntry(version: ProducerIDCounter.version, payload: writer.finish())
      try journaling { () throws(JournalError) in
        if journal.entryCount >= 100 { try journal.rewrite([entry]) } else { try journal.append(entry, sync: true) }
      }
      reservedEnd = end
    }
    defer { nextID += 1 }
    return nextID
  }
}
