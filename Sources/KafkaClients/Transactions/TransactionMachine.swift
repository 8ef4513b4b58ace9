import Groundwork
import KafkaProtocol

/// The transactions of one producer (KIP-98, KIP-360, KIP-447, KIP-890), decided without sending: what the coordinator is
/// asked next, what its answers mean, and who is told.
///
/// Events are past tense methods, each returns what to do, in order. At most one call to the transaction coordinator is
/// under way, because it takes one change at a time, and beside it one to a group's coordinator. Who waits is named by a
/// ticket and hears of it exactly once, by `finish`.
struct TransactionMachine: Sendable {
  /// Names who waits.
  typealias Ticket = UInt64
  /// Names a call under way.
  typealias CallID = UInt64

  enum State: Sendable, Equatable {
    /// No producer id yet. → initializing
    case uninitialized
    /// The coordinator is asked for one, until it has settled what a predecessor left open. → ready, or back where that
    /// took too long
    case initializing
    /// → inTransaction
    case ready
    /// Begun; the coordinator hears of it with the first partition or offset. → committing, aborting, abortableError
    case inTransaction
    /// What is open is delivered, then the coordinator commits. → ready, abortableError; stays where the time was up
    /// before an answer came, until it is asked again
    case committing
    /// Something failed: nothing more is taken. → aborting
    case abortableError(ClientError)
    /// The coordinator aborts and gives, where that is needed, another epoch. → ready; stays where the time was up
    case aborting
    /// No way out; everything is answered with this. Every state may come here.
    case fatalError(ClientError)
  }

  /// Offsets that take effect with the transaction.
  struct GroupOffsets: Sendable, Equatable {
    var group: GroupMetadata
    var offsets: [TopicPartition: OffsetAndMetadata]
  }

  enum Call: Sendable, Equatable {
    /// - current: the identity to go on from with the next epoch; nil: as a new incarnation, which ends what the last one
    ///   left open.
    case initProducerID(current: ProducerIdentity?)
    case addPartitions([TopicPartition])
    case addOffsets(group: String)
    case commitOffsets(GroupOffsets)
    case endTransaction(commits: Bool)

    var kind: TransactionVerdict.Call {
      switch self {
      case .initProducerID: .initProducerID
      case .addPartitions: .addPartitions
      case .addOffsets: .addOffsets
      case .commitOffsets: .commitOffsets
      case .endTransaction: .endTransaction
      }
    }
  }

  enum Answer: Sendable, Equatable {
    /// - identity: to go on with, where the answer has one.
    case done(ProducerIdentity?)
    /// The text says what was asked.
    case refused(KafkaErrorCode, String)
    /// None came: whether the call was carried out is not known.
    case lost(ClientError)
    /// The call never reached its coordinator.
    case unsent(ClientError)
  }

  enum Action: Sendable, Equatable {
    case send(CallID, Call)
    /// Batches that were not sent yet fail with this; `evenSent`: all do.
    case drop(ClientError, evenSent: Bool)
    /// Whoever waits is told: nil is success.
    case finish(Ticket, ClientError?)
    /// The producer ends.
    case end(ClientError)
  }

  struct PendingOffsets: Sendable {
    var ticket: Ticket
    var deadline: Instant
    var offsets: GroupOffsets
  }

  struct CallUnderWay: Sendable {
    var id: CallID
    var call: Call
  }

  /// One of the two lines in which calls go out one by one.
  struct Line: Sendable {
    var underWay: CallUnderWay?
    var retryAt: Instant?
    var failures = 0
    func isFree(at now: Instant) -> Bool { underWay == nil && (retryAt.map { $0 <= now } ?? true) }
    mutating func failed(_ pauses: Backoff, _ now: Instant, _ unit: Double) {
      failures += 1
      retryAt = now + pauses.pause(failures: failures, unit: unit)
    }
  }

  let transactionalID: String
  private let timeout: Duration
  let backoff: Backoff
  let quickBackoff: Backoff

  var state: State = .uninitialized
  /// What batches and calls carry; nil before the first answer.
  var identity: ProducerIdentity?
  /// Whether brokers add partitions by themselves and every end of a transaction brings another epoch (KIP-890).
  private(set) var addsImplicitly = false
  /// Whether the coordinator raises the epoch of a producer that asks for it (KIP-360, Kafka 2.5).
  private(set) var canBump = false
  /// Partitions of the open transaction; only to these are batches sent.
  var added: Set<TopicPartition> = []
  /// Those still to be added, in order.
  var unadded: [TopicPartition] = []
  var addedGroups: Set<String> = []
  var pendingOffsets: [PendingOffsets] = []
  /// Whether the coordinator knows of the transaction, or a broker may have told it.
  var isStarted = false
  /// Whether it may: a call that would have told it was not answered.
  var mayBeStarted = false
  /// Whether the next transaction needs another epoch.
  var needsBump = false
  /// Whether the abort has come to asking for it.
  var isBumping = false
  /// The coordinator does not know this producer id any more: there is nothing to end.
  var skipsEnd = false
  /// Whether a commit was asked for without an answer.
  var mayBeCommitted = false
  /// The end came when nobody waited for it.
  var isEndedUnheard = false
  /// Whether batches of the transaction are not delivered yet.
  var hasOpenBatches = false
  /// Who waits for the producer id, or for the end of the transaction.
  var waiter: Ticket?
  var deadline: Instant?
  /// The last thing that went wrong, for messages.
  var lastProblem = "no answer"
  var main = Line()
  var group = Line()
  private var nextCallID: CallID = 0

  init(transactionalID: String, timeout: Duration, backoff: Backoff, quickBackoff: Backoff) {
    self.transactionalID = transactionalID
    self.timeout = timeout
    self.backoff = backoff
    self.quickBackoff = quickBackoff
  }

  /// Why records and offsets are not taken now; nil where they are.
  var refusal: ClientError? {
    switch state {
    case .inTransaction: nil
    case .abortableError(let error), .fatalError(let error): error
    case .uninitialized, .initializing: misuse("call initTransactions first, and wait for it")
    case .ready: misuse("call beginTransaction first")
    case .committing, .aborting: misuse("the transaction is ending; begin the next one when that is done")
    }
  }

  /// Whether collected records go out without further lingering.
  var isCommitting: Bool { state == .committing }

  /// Whether batches for the partition may be sent.
  func maySend(_ partition: TopicPartition) -> Bool { added.contains(partition) }

  /// When `timePassed` has something to do next, once it has been called at `now`; nil where nothing is due.
  func nextDeadline(after now: Instant) -> Instant? {
    var next: Instant?
    func consider(_ instant: Instant?) {
      // A pause may be over whose call nobody wants any more: it must not hide what comes later.
      if let instant, instant > now, next.map({ instant < $0 }) ?? true { next = instant }
    }
    if main.underWay == nil { consider(main.retryAt) }
    if group.underWay == nil { consider(group.retryAt) }
    if waiter != nil { consider(deadline) }
    consider(pendingOffsets.first?.deadline)
    return next
  }

  // MARK: What the owner asks for

  /// A producer id is wanted, and that whatever a predecessor left open is settled.
  mutating func initRequested(_ ticket: Ticket, now: Instant) -> [Action] {
    switch state {
    case .uninitialized:
      state = .initializing
      wait(ticket, now)
      return advance(now)
    case .fatalError(let error): return [.finish(ticket, error)]
    default: return [.finish(ticket, misuse("initTransactions was called before"))]
    }
  }

  /// The coordinator that answers is known: what it can do decides how this producer works from now on.
  mutating func negotiated(addsImplicitly: Bool, canBump: Bool) {
    guard state == .initializing else { return }
    self.addsImplicitly = addsImplicitly
    self.canBump = canBump
  }

  /// A transaction begins; nobody is told before there is something in it.
  /// - Returns: why it does not.
  mutating func begun() -> ClientError? {
    switch state {
    case .ready:
      state = .inTransaction
      return nil
    case .inTransaction: return misuse("a transaction is open already")
    default: return refusal
    }
  }

  /// Batches are there for these partitions.
  mutating func partitionsTouched(_ partitions: [TopicPartition], now: Instant) -> [Action] {
    guard state == .inTransaction || state == .committing else { return [] }
    for partition in partitions where !added.contains(partition) && !unadded.contains(partition) {
      if addsImplicitly {
        added.insert(partition)
        isStarted = true
      } else {
        unadded.append(partition)
      }
    }
    return advance(now)
  }

  /// Offsets are to take effect with the transaction.
  mutating func offsetsGiven(_ ticket: Ticket, _ offsets: GroupOffsets, now: Instant) -> [Action] {
    if let refusal { return [.finish(ticket, refusal)] }
    guard !offsets.offsets.isEmpty else { return [.finish(ticket, nil)] }
    pendingOffsets.append(PendingOffsets(ticket: ticket, deadline: now + timeout, offsets: offsets))
    return advance(now)
  }

  /// The transaction is to be committed, or aborted. Asked again after the time was up it goes on where it was.
  mutating func endRequested(_ ticket: Ticket, commits: Bool, now: Instant) -> [Action] {
    switch state {
    case .inTransaction where commits:
      state = .committing
      // Until the producer says otherwise: what was just handed in has not been counted yet.
      hasOpenBatches = true
    case .inTransaction, .abortableError:
      if commits, let refusal { return [.finish(ticket, refusal)] }
      return beginAbort(ticket, now)
    case .committing where commits && waiter == nil, .aborting where !commits && waiter == nil: break
    case .committing:
      let what = commits ? "the transaction is being committed" : "a commit that was asked for cannot be taken back"
      return [.finish(ticket, misuse(what))]
    case .aborting: return [.finish(ticket, misuse("the transaction is being aborted"))]
    case .fatalError(let error): return [.finish(ticket, error)]
    case .uninitialized, .initializing, .ready: return [.finish(ticket, misuse("no transaction is open"))]
    }
    if isEndedUnheard {
      state = .ready
      isEndedUnheard = false
      return [.finish(ticket, nil)]
    }
    wait(ticket, now)
    return advance(now)
  }

  private mutating func beginAbort(_ ticket: Ticket, _ now: Instant) -> [Action] {
    state = .aborting
    hasOpenBatches = true
    unadded = []
    let dropped = ClientError(.transactionAborted(transactionalID))
    var actions: [Action] = pendingOffsets.map { .finish($0.ticket, dropped) }
    pendingOffsets = []
    wait(ticket, now)
    // With implicit adding the abort raises the epoch, and what is still under way is refused. Without, what was sent and
    // not answered must be cleared up first: it could be written behind the marker and hang there (KIP-890).
    actions.append(.drop(dropped, evenSent: addsImplicitly))
    return actions + advance(now)
  }

  // MARK: What happened

  /// The producer looked at its batches.
  mutating func batchesCounted(hasOpen: Bool, now: Instant) -> [Action] {
    hasOpenBatches = hasOpen
    return advance(now)
  }

  /// A batch will not be delivered.
  mutating func batchFailed(_ code: KafkaErrorCode?, _ cause: String, now: Instant) -> [Action] {
    let verdict = code.map { TransactionVerdict($0, on: .produce) }
    // What may pass was tried until the time was up.
    guard let verdict, verdict != .retry else { return judge(.abort(bumps: true), code, cause, now) }
    return judge(verdict, code, cause, now)
  }

  /// The time of `nextDeadline` may have come.
  mutating func timePassed(now: Instant) -> [Action] {
    if let late = pendingOffsets.first, late.deadline <= now {
      return judge(.abort(bumps: true), nil, "offsets were not committed within \(timeout.text): \(lastProblem)", now)
    }
    if let waiter, let deadline, deadline <= now {
      self.waiter = nil
      return timeWasUp(waiter, now)
    }
    return advance(now)
  }

  /// The producer has ended: whoever waits is told.
  mutating func ended(_ error: ClientError) -> [Action] {
    if case .fatalError = state { return [] }
    state = .fatalError(error)
    return release(error)
  }

  // MARK: Steps

  func misuse(_ what: String) -> ClientError { ClientError(.transactionMisuse(transactionalID, what: what)) }

  private mutating func wait(_ ticket: Ticket, _ now: Instant) {
    waiter = ticket
    deadline = now + timeout
    main.retryAt = nil
  }

  private mutating func timeWasUp(_ ticket: Ticket, _ now: Instant) -> [Action] {
    func late(_ what: String) -> ClientError {
      ClientError(.transactionTimedOut(transactionalID, what: what, after: timeout, last: lastProblem))
    }
    switch state {
    case .initializing:
      state = .uninitialized
      main = Line()
      return [.finish(ticket, late("getting a producer id"))]
    case .committing:
      if case .endTransaction = main.underWay?.call { mayBeCommitted = true }
      if mayBeCommitted {
        let unknown = ClientError.Code.transactionOutcomeUnknown(transactionalID, isFinal: false, last: lastProblem)
        return [.finish(ticket, ClientError(unknown))]
      }
      waiter = ticket
      return judge(.abort(bumps: true), nil, "the commit was not reached within \(timeout.text): \(lastProblem)", now)
    case .aborting: return [.finish(ticket, late("aborting the transaction"))]
    default: return [.finish(ticket, late("the call"))]
    }
  }

  /// Sends what can be sent, and ends what has nothing left to wait for.
  mutating func advance(_ now: Instant) -> [Action] {
    var actions: [Action] = []
    if main.isFree(at: now) {
      switch nextStep() {
      case .send(let call):
        main.retryAt = nil
        main.underWay = CallUnderWay(id: callID(), call: call)
        actions.append(.send(main.underWay!.id, call))
      case .finished: actions += transactionEnded(now)
      case nil: break
      }
    }
    let mayCommitOffsets = state == .inTransaction || state == .committing
    if mayCommitOffsets, group.isFree(at: now), let first = pendingOffsets.first?.offsets,
      addsImplicitly || addedGroups.contains(first.group.groupID)
    {
      isStarted = true
      group.retryAt = nil
      group.underWay = CallUnderWay(id: callID(), call: .commitOffsets(first))
      actions.append(.send(group.underWay!.id, .commitOffsets(first)))
    }
    return actions
  }

  private enum Step {
    case send(Call)
    case finished
  }

  private func nextStep() -> Step? {
    switch state {
    case .initializing: return .send(.initProducerID(current: nil))
    case .inTransaction: return addition.map { .send($0) }
    case .committing:
      if let addition { return .send(addition) }
      guard waiter != nil, !hasOpenBatches, pendingOffsets.isEmpty, group.underWay == nil else { return nil }
      return isStarted ? .send(.endTransaction(commits: true)) : .finished
    case .aborting:
      guard waiter != nil else { return nil }
      if isBumping { return .send(.initProducerID(current: identity)) }
      guard group.underWay == nil, addsImplicitly || !hasOpenBatches else { return nil }
      return (isStarted || mayBeStarted) && !skipsEnd ? .send(.endTransaction(commits: false)) : .finished
    case .uninitialized, .ready, .abortableError, .fatalError: return nil
    }
  }

  /// What the coordinator has to be told before the rest of the transaction can go on; nothing where brokers tell it.
  private var addition: Call? {
    if addsImplicitly { return nil }
    if !unadded.isEmpty { return .addPartitions(unadded.sorted()) }
    return pendingOffsets.first { !addedGroups.contains($0.offsets.group.groupID) }
      .map { .addOffsets(group: $0.offsets.group.groupID) }
  }

  private mutating func callID() -> CallID {
    nextCallID += 1
    return nextCallID
  }
}
