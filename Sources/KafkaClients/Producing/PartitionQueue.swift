import Groundwork
import KafkaProtocol

/// The batches of one partition on their way to its leader, in order, decided without sending: which one goes next, with
/// which sequence number, and what an answer means.
///
/// An idempotent producer has up to five batches in flight; the broker takes them only in sequence (KIP-98), so after a
/// failure those behind it are refused. Then nothing is sent until all answers are in, and what is left is sent again
/// from the first on: order is kept, and the broker recognises what it has already.
struct PartitionQueue: Sendable {
  typealias BatchID = UInt64

  enum Verdict: Sendable, Equatable {
    /// It is in the log.
    case delivered
    /// It will be sent again.
    case retried
    /// The broker will never take it.
    case refused
    /// The broker lost something that this producer sent before: no order can be promised any more.
    case sequenceLost
  }

  private struct Entry: Sendable {
    var id: BatchID
    /// Sequence numbers it takes.
    var span: Int32
    /// -1: not sent yet, or not idempotent.
    var sequence: Int32
    var deadline: Instant
    var wasSent: Bool
    var isInFlight: Bool
    /// It was sent before and failed.
    var isRetried = false
  }

  private var entries: [Entry] = []
  private let isIdempotent: Bool
  private let inFlightMax: Int
  private let backoff: Backoff
  private var nextSequence: Int32 = 0
  private(set) var inFlightCount = 0
  private var failures = 0
  /// After a failure: nothing is sent before all in flight have been answered.
  private var isDraining = false
  /// After a refusal, until all in flight have been answered: those sent behind it will be out of order.
  private var hadRefusal = false
  /// Not before this.
  private(set) var retryAt: Instant?

  /// Nothing goes out beside the first batch before that has been delivered.
  private var isFirstAlone: Bool

  /// - Parameter startsAlone: whether the first batch is sent alone. A broker takes any sequence from a producer that it
  ///   does not know: where the first batch failed and the second one was taken, the first could never follow.
  init(isIdempotent: Bool, inFlightMax: Int, backoff: Backoff, startsAlone: Bool = false) {
    self.isIdempotent = isIdempotent
    isFirstAlone = startsAlone
    // Without sequence numbers a batch that is sent again would come behind those that were in flight with it.
    self.inFlightMax = isIdempotent ? min(inFlightMax, 5) : 1
    self.backoff = backoff
  }

  var isEmpty: Bool { entries.isEmpty }
  /// When the first batch's time is up.
  var firstDeadline: Instant? { entries.first?.deadline }
  /// Whether something could be sent now if the leader were known.
  func hasSendable(at now: Instant) -> Bool {
    guard !isDraining, inFlightCount < entries.count, retryAt.map({ $0 <= now }) ?? true else { return false }
    // A batch that is sent again goes alone: it may be in the log already, and the broker remembers five batches. With
    // more going out behind it, it would be forgotten there before its answer is here.
    let isAlone = isIdempotent && (isFirstAlone || entries[0].isRetried)
    return inFlightCount < (isAlone ? 1 : inFlightMax)
  }
  /// Whether a batch waits to be sent, or sent again.
  var hasUnsent: Bool { inFlightCount < entries.count }
  /// The batch that would be sent next.
  var next: BatchID? { inFlightCount < entries.count ? entries[inFlightCount].id : nil }
  var ids: [BatchID] { entries.map(\.id) }

  mutating func added(_ id: BatchID, span: Int32, deadline: Instant) {
    entries.append(
      Entry(id: id, span: span, sequence: -1, deadline: deadline, wasSent: false, isInFlight: false))
  }

  /// The next batch is being sent; what is in flight is always the front of the queue.
  /// - Returns: its sequence number; -1 for a producer that is not idempotent.
  mutating func sent() -> Int32 {
    let index = inFlightCount
    if isIdempotent, entries[index].sequence < 0 {
      entries[index].sequence = nextSequence
      nextSequence = PartitionQueue.sequence(nextSequence, plus: entries[index].span)
    }
    entries[index].wasSent = true
    entries[index].isInFlight = true
    inFlightCount += 1
    return entries[index].sequence
  }

  /// The broker answered for a batch.
  mutating func answered(_ id: BatchID, _ code: KafkaErrorCode, now: Instant, unit: Double) -> Verdict {
    guard let index = entries.firstIndex(where: { $0.id == id }) else { return .delivered }
    switch code {
    case .none, .duplicateSequenceNumber:
      isFirstAlone = false
      landed(index)
      entries.remove(at: index)
      failures = 0
      settle()
      return .delivered
    case .outOfOrderSequenceNumber, .unknownProducerID:
      // Behind a batch that failed this is how it must be; at the front it means a loss.
      guard index > 0 || hadRefusal else { return .sequenceLost }
      failed(index, now, unit)
      return .retried
    case .invalidProducerEpoch, .producerFenced: return .sequenceLost
    case _ where code.isRetriable:
      failed(index, now, unit)
      return .retried
    default:
      landed(index)
      let entry = entries.remove(at: index)
      if isIdempotent, entry.sequence >= 0 {
        // The numbers it took are free again: those behind it move up. What of them is in flight carries the old
        // numbers, will be refused as out of order, and is sent again with the new ones.
        nextSequence = entry.sequence
        for later in index..<entries.count where entries[later].wasSent {
          entries[later].sequence = nextSequence
          nextSequence = PartitionQueue.sequence(nextSequence, plus: entries[later].span)
        }
        hadRefusal = true
        isDraining = true
      }
      settle()
      return .refused
    }
  }

  /// No answer came, and whether the batch was written is not known.
  mutating func lost(_ id: BatchID, now: Instant, unit: Double) {
    guard let index = entries.firstIndex(where: { $0.id == id }) else { return }
    failed(index, now, unit)
  }

  /// Takes out the batches whose time is up and that are not in flight.
  /// - Returns: the batches, and whether one of them may have been written: the order is lost then.
  mutating func expired(now: Instant) -> (ids: [BatchID], mayHaveBeenWritten: Bool) {
    var ids: [BatchID] = []
    var mayHaveBeenWritten = false
    entries.removeAll { entry in
      guard !entry.isInFlight, entry.deadline <= now else { return false }
      ids.append(entry.id)
      mayHaveBeenWritten = mayHaveBeenWritten || entry.wasSent
      return true
    }
    return (ids, mayHaveBeenWritten && isIdempotent)
  }

  private mutating func landed(_ index: Int) {
    guard entries[index].isInFlight else { return }
    entries[index].isInFlight = false
    inFlightCount -= 1
  }

  private mutating func failed(_ index: Int, _ now: Instant, _ unit: Double) {
    landed(index)
    entries[index].isRetried = true
    isDraining = true
    failures += 1
    let at = now + backoff.pause(failures: failures, unit: unit)
    retryAt = max(retryAt ?? at, at)
    settle()
  }

  /// Ends the draining once all answers are in.
  private mutating func settle() {
    guard inFlightCount == 0 else { return }
    isDraining = false
    hadRefusal = false
  }

  /// Sequence numbers go round from the largest 32-bit number to 0.
  static func sequence(_ sequence: Int32, plus span: Int32) -> Int32 {
    let (sum, overflow) = sequence.addingReportingOverflow(span)
    return overflow ? sum &- Int32.min : sum
  }
}
