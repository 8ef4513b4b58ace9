import Groundwork
import KafkaProtocol

/// The batches of one partition on their way to its leader, in order, decided without sending: which one goes next, with
/// which sequence number, and what an answer means.
///
/// An idempotent producer has up to five batches in flight; the broker takes them only in sequence (KIP-98), so after a
/// failure those behind it are refused. Then nothing is sent until all answers are in, and what is left is sent again
/// from the first on: order is kept, and the broker recognises what it has already.
///
/// Sequence numbers count within one identity of the producer. The queue takes over another one once nothing is open that
/// was sent under the old. Where a batch ran out of time before its fate was known, those sent behind it find out: if one
/// of them is taken, it was written; if they are out of order, it was not, nor were they, and all go out anew under the
/// next epoch (KIP-360).
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
    /// A batch before it was given up without being known to be written.
    var isBehindUnknown = false
  }

  private var entries: [Entry] = []
  private let isIdempotent: Bool
  private let isTransactional: Bool
  private let startsAlone: Bool
  private let inFlightMax: Int
  private let backoff: Backoff
  private let quickBackoff: Backoff
  /// Whose sequence numbers are counted; nil before the first.
  private(set) var identity: ProducerIdentity?
  /// Another identity waits until what was sent under this one is settled.
  private var isSuperseded = false
  /// Whether a batch was given up without being known to be written.
  private var hasUnknown = false
  /// Whether such a batch is known not to be written: its numbers will never come.
  private var hasGap = false
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

  /// - Parameters:
  ///   - isTransactional: whether a gap is for the transaction to clear up; else the queue asks for another identity.
  ///   - startsAlone: whether the first batch is sent alone. A broker takes any sequence from a producer that it does not
  ///     know: where the first batch failed and the second one was taken, the first could never follow. A transaction is
  ///     aborted then.
  init(
    isIdempotent: Bool, isTransactional: Bool = false, inFlightMax: Int, backoff: Backoff, quickBackoff: Backoff? = nil,
    startsAlone: Bool = false
  ) {
    self.isIdempotent = isIdempotent
    self.isTransactional = isTransactional
    self.startsAlone = startsAlone
    self.quickBackoff = quickBackoff ?? backoff
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
    guard !isDraining, !hasGap, inFlightCount < entries.count, retryAt.map({ $0 <= now }) ?? true else { return false }
    // What is new waits for what is old: its numbers may have to be others.
    if isSuperseded || hasUnknown, entries[inFlightCount].sequence < 0 { return false }
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
  /// Whether the queue can go on only under another identity, and is ready to.
  var needsIdentity: Bool { inFlightCount == 0 && (hasGap || hasUnknown && !entries.contains { $0.wasSent }) }

  /// The producer's identity is this: numbers are counted from 0 again where it is another one and nothing is open that
  /// was sent under the last; else that is awaited.
  mutating func adopt(_ new: ProducerIdentity) {
    guard new != identity else { return }
    guard inFlightCount == 0, hasGap || !entries.contains(where: { $0.wasSent }) else {
      isSuperseded = true
      return
    }
    // A broker knows the old epochs of a producer, so it takes nothing but 0 first from a new one.
    if new.id != identity?.id { isFirstAlone = startsAlone }
    identity = new
    nextSequence = 0
    isSuperseded = false
    hasUnknown = false
    hasGap = false
    for index in entries.indices {
      entries[index].sequence = -1
      entries[index].wasSent = false
      entries[index].isRetried = false
      entries[index].isBehindUnknown = false
    }
  }

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
      // The numbers before it are in the log.
      if entries.remove(at: index).isBehindUnknown {
        hasUnknown = false
        for later in entries.indices { entries[later].isBehindUnknown = false }
      }
      failures = 0
      settle()
      return .delivered
    case .outOfOrderSequenceNumber, .unknownProducerID:
      // Behind a batch that failed this is how it must be; at the front it means a loss.
      guard index > 0 || hadRefusal || entries[0].isBehindUnknown && !isTransactional else { return lose(index) }
      hasGap = hasGap || index == 0 && !hadRefusal
      failed(index, now, unit)
      return .retried
    case .invalidProducerEpoch, .producerFenced: return lose(index)
    case _ where code.isRetriable:
      failed(index, now, unit, isQuick: code.passesQuickly)
      return .retried
    default:
      landed(index)
      let entry = entries.remove(at: index)
      if isIdempotent, entry.sequence >= 0 {
        // The numbers it took are free again: those behind it move up. What of them is in flight carries the old
        // numbers, will be refused as out of order, and is sent again with the new ones.
        nextSequence = entry.sequence
        for later in index..<entries.count where entries[later].sequence >= 0 {
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

  /// The broker refused a batch for its size, and smaller ones with the same records take its place and its numbers.
  mutating func replaced(_ id: BatchID, by pieces: [(id: BatchID, span: Int32)]) {
    guard let index = entries.firstIndex(where: { $0.id == id }) else { return }
    landed(index)
    let whole = entries.remove(at: index)
    var sequence = whole.sequence
    for (offset, piece) in pieces.enumerated() {
      var entry = Entry(
        id: piece.id, span: piece.span, sequence: sequence, deadline: whole.deadline, wasSent: false, isInFlight: false)
      entry.isBehindUnknown = whole.isBehindUnknown
      entries.insert(entry, at: index + offset)
      if sequence >= 0 { sequence = PartitionQueue.sequence(sequence, plus: piece.span) }
    }
    // Those in flight behind it will be refused as out of order, and are sent again.
    hadRefusal = true
    isDraining = true
    settle()
  }

  /// Takes out the batches whose time is up and that are not in flight.
  mutating func expired(now: Instant) -> [BatchID] {
    var ids: [BatchID] = []
    var isBehind = false
    for index in entries.indices {
      if !entries[index].isInFlight, entries[index].deadline <= now {
        ids.append(entries[index].id)
        isBehind = isBehind || entries[index].sequence >= 0
      } else if isBehind, entries[index].sequence >= 0 {
        entries[index].isBehindUnknown = true
      }
    }
    hasUnknown = hasUnknown || isBehind
    let gone = Set(ids)
    entries.removeAll { gone.contains($0.id) }
    return ids
  }

  /// Takes out the batches that were never sent, or all: answers that still come are then not for any of them.
  mutating func dropped(evenSent: Bool) -> [BatchID] {
    let ids = entries.filter { evenSent || !$0.wasSent }.map(\.id)
    entries.removeAll { evenSent || !$0.wasSent }
    if evenSent {
      inFlightCount = 0
      retryAt = nil
      failures = 0
      hasUnknown = false
      hasGap = false
      settle()
    }
    return ids
  }

  /// A batch that no answer can save.
  private mutating func lose(_ index: Int) -> Verdict {
    landed(index)
    entries.remove(at: index)
    isDraining = true
    settle()
    return .sequenceLost
  }

  private mutating func landed(_ index: Int) {
    guard entries[index].isInFlight else { return }
    entries[index].isInFlight = false
    inFlightCount -= 1
  }

  private mutating func failed(_ index: Int, _ now: Instant, _ unit: Double, isQuick: Bool = false) {
    landed(index)
    entries[index].isRetried = true
    isDraining = true
    failures += 1
    let at = now + (isQuick ? quickBackoff : backoff).pause(failures: failures, unit: unit)
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
