import Groundwork
import Journals
import SystemInterfaces

/// A transaction that was aborted, as one partition saw it: what a reader of committed records must leave out.
public struct AbortedTransaction: Sendable, Equatable {
  /// Whose records do not count.
  public var producerID: Int64
  /// The first of them.
  public var firstOffset: Offset
  /// That of the marker, up to which they do not count.
  public var lastOffset: Offset
  /// Below it no transaction was open once the marker had been written.
  var lastStableOffset: Int64
}

/// `.txnindex`: the transactions whose abort marker stands in a segment, in the order of the markers.
///
/// All in memory, 32 bytes an aborted transaction. The file is written when the segment is sealed, as one checksummed
/// entry of a journal, also where there are none: a sealed segment without a sound one has lost it, and it is made again
/// from the batches' headers. Until then a death of the process loses it, and the recovery scan makes it again.
struct TransactionIndex {
  static let version: UInt16 = 1
  let path: String
  private(set) var aborted: [AbortedTransaction] = []
  private(set) var sealedFile: (any File)?

  init(path: String) { self.path = path }

  mutating func append(_ transaction: EndedTransaction) {
    guard !transaction.isCommitted else { return }
    aborted.append(
      AbortedTransaction(
        producerID: transaction.producerID, firstOffset: Offset(transaction.firstOffset),
        lastOffset: Offset(transaction.lastOffset), lastStableOffset: transaction.lastStableOffset))
  }

  /// Adds those of this index that touch offsets `from` up to `until`.
  ///
  /// - Returns: whether a later index may hold more of them.
  func collect(from: Int64, until: Int64, into found: inout [AbortedTransaction]) -> Bool {
    var low = 0
    var high = aborted.count
    while low < high {
      let middle = (low + high) / 2
      if aborted[middle].lastOffset.rawValue < from { low = middle + 1 } else { high = middle }
    }
    for transaction in aborted[low...] {
      if transaction.firstOffset.rawValue < until { found.append(transaction) }
      if transaction.lastStableOffset >= until { return false }
    }
    return true
  }

  /// Writes the file.
  mutating func seal(in files: any FileStore) throws(FileError) {
    var writer = ByteWriter()
    writer.append(bigEndian: UInt32(aborted.count))
    for transaction in aborted {
      writer.append(bigEndian: transaction.producerID)
      writer.append(bigEndian: transaction.firstOffset.rawValue)
      writer.append(bigEndian: transaction.lastOffset.rawValue)
      writer.append(bigEndian: transaction.lastStableOffset)
    }
    let file = try files.open(path, .create)
    try file.write(
      at: 0, Journal.encoded(JournalEntry(version: TransactionIndex.version, payload: writer.finish())))
    sealedFile = file
  }

  /// Goes on writing the index of a segment that was sealed.
  mutating func unseal() { sealedFile = nil }

  func sync() throws(FileError) { try sealedFile?.sync() }

  /// The index of a sealed segment; nil where its file is missing or damaged.
  static func openSealed(_ path: String, in files: any FileStore) throws(FileError) -> TransactionIndex? {
    let first: JournalEntry?
    do throws(JournalError) { first = try Journal.first(of: path, in: files) } catch {
      guard case .file(let code, let operation) = error.code else { return nil }
      throw FileError(code, path: path, operation: operation)
    }
    guard let entry = first, entry.version == TransactionIndex.version else { return nil }
    var reader = PayloadReader(entry.payload)
    var index = TransactionIndex(path: path)
    do {
      for _ in 0..<(try reader.count(ofElementsOfAtLeast: 32)) {
        index.aborted.append(
          AbortedTransaction(
            producerID: try reader.integer(), firstOffset: Offset(try reader.integer()),
            lastOffset: Offset(try reader.integer()), lastStableOffset: try reader.integer()))
      }
    } catch { return nil }
    return index
  }
}
