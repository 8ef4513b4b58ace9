import Groundwork
import KafkaProtocol

/// Tells which record batches of one partition belong to aborted transactions, by the lists that come with fetches
/// (KIP-98; `CompletedFetch` of Kafka's consumer).
///
/// It is told of a partition's batches in offset order, each with the list of the answer it came in. A list names every
/// aborted transaction that has an offset at or after the one that was asked for; a transaction is open from the first
/// offset named up to its producer's next marker. The value is the state at one offset: a copy taken there carries
/// transactions still open over a cut, and reading a batch twice changes nothing. Headers are all it looks at.
public struct AbortedFilter: Sendable, Equatable {
  /// Aborted transactions whose marker is yet to come, by producer.
  private var open: [Int64: Offset] = [:]
  /// The last marker of producers that the present list still names: a list goes on naming a transaction behind whose
  /// marker the log has already been read.
  private var closed: [Int64: Offset] = [:]

  /// At a place in the log where no aborted transaction is open, or whose first list tells of those that are.
  public init() {}

  /// Whether aborted transactions are open here.
  public var hasOpenTransactions: Bool { !open.isEmpty }

  /// How many transactions it keeps in mind.
  var remembered: Int { open.count + closed.count }

  /// Takes in the next batch.
  /// - Parameter aborted: the list of the answer that the batch came in; empty where uncommitted records are read.
  /// - Returns: whether its records are not for reading: a marker, or part of an aborted transaction.
  /// - Complexity: O(transactions in the list).
  public mutating func hides(_ header: RecordBatchHeader, _ aborted: [AbortedTransaction]) -> Bool {
    if aborted.isEmpty {
      if !closed.isEmpty { closed = [:] }
      if open.isEmpty { return header.isControl }
    } else {
      if closed.count > aborted.count {
        // Whom an answer does not name any more, none after it will: the memory stays as small as a list.
        let named = Set(aborted.map(\.producerID))
        closed = closed.filter { named.contains($0.key) }
      }
      for transaction in aborted where transaction.firstOffset <= header.lastOffset {
        if let marker = closed[transaction.producerID], transaction.firstOffset <= marker { continue }
        if let known = open[transaction.producerID], known <= transaction.firstOffset { continue }
        open[transaction.producerID] = transaction.firstOffset
      }
    }
    guard header.isTransactional || header.isControl, let first = open[header.producerID] else {
      return header.isControl
    }
    if header.isControl {
      // Transactions of one producer follow each other: the first marker behind a start is its end.
      guard header.baseOffset >= first else { return true }
      open[header.producerID] = nil
      closed[header.producerID] = header.baseOffset
      return true
    }
    return header.lastOffset >= first
  }
}
