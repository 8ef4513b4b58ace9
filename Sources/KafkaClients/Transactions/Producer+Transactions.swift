import Groundwork
import KafkaProtocol
import SystemInterfaces

// Transactions: what a producer with a transactional id offers, and how its machine is driven. On the client's loop, like
// all of a producer; completions are called there.
extension Producer {
  /// Who writes at the moment; nil before a broker gave an identity. With transactions the epoch may change with each.
  public var producerIdentity: ProducerIdentity? {
    if case .known(let known) = identity { known } else { nil }
  }

  /// Gets a producer id for the transactional id, shuts every predecessor out, and waits until the transaction that the
  /// last one left open is committed or aborted. Once, before anything else; committed offsets are to be read after it.
  /// - Parameter then: nil: ready. `producerFenced` where a successor was faster; `transactionTimedOut` where it may be
  ///   tried again.
  public func initTransactions(then: @escaping @Sendable (ClientError?) -> Void) {
    guard let ticket = ticket(then) else { return }
    let now = client.loop.now
    handle { $0.initRequested(ticket, now: now) }
    schedulePump()
  }

  /// Begins a transaction. Nothing is sent before its first record or offset, so an empty one costs nothing.
  /// - Throws: `transactionMisuse` where one is open or `initTransactions` is not done, or why the producer has ended.
  public func beginTransaction() throws(ClientError) {
    if let fatalError { throw fatalError }
    guard transactions != nil else { throw Producer.noTransactionalID }
    if let error = transactions!.begun() { throw error }
  }

  /// Commits offsets of a group that take effect with the transaction, in it or not at all.
  /// - Parameter then: nil: the group's coordinator holds them. An error that `requiresAbort` where not.
  public func sendOffsets(
    _ offsets: [TopicPartition: OffsetAndMetadata], group: GroupMetadata,
    then: @escaping @Sendable (ClientError?) -> Void
  ) {
    guard let ticket = ticket(then) else { return }
    let given = TransactionMachine.GroupOffsets(group: group, offsets: offsets)
    let now = client.loop.now
    handle { $0.offsetsGiven(ticket, given, now: now) }
    schedulePump()
  }

  /// Waits until all that was sent is delivered, offsets included, and commits.
  ///
  /// A commit without an answer is not known to have failed: the coordinator is looked up and asked again until
  /// `delivery.timeout.ms` is over, and only then `then` hears `transactionOutcomeUnknown`. Where that `isRetriable`, commit
  /// again to go on asking; else the producer is at its end, and the decision stands in the group's offsets
  /// (`readCommittedOffsets`, after a new producer's `initTransactions`).
  /// - Parameter then: nil: committed. An error that `requiresAbort`: not committed, abort and run the batch again.
  public func commitTransaction(then: @escaping @Sendable (ClientError?) -> Void) { end(commits: true, then) }

  /// Drops what was not sent, and aborts: nothing of the transaction is ever read as committed.
  /// - Parameter then: nil: aborted, the next transaction may begin. An error that `isRetriable`: abort again.
  public func abortTransaction(then: @escaping @Sendable (ClientError?) -> Void) { end(commits: false, then) }

  /// The offsets that a group has committed, by transactions too; with `requireStable` not before every transaction that
  /// has offsets for the partitions is decided (KIP-447).
  /// - Parameter partitions: nil: all that the group has.
  public func readCommittedOffsets(
    _ group: String, _ partitions: [TopicPartition]? = nil, requireStable: Bool = true,
    then: @escaping Offsets.Completion<[TopicPartition: OffsetAndMetadata]>
  ) {
    Offsets(client).committed(group: group, partitions, requiresStable: requireStable, then: then)
  }

  private func end(commits: Bool, _ then: @escaping @Sendable (ClientError?) -> Void) {
    guard let ticket = ticket(then) else { return }
    let now = client.loop.now
    handle { $0.endRequested(ticket, commits: commits, now: now) }
    schedulePump()
  }

  private static var noTransactionalID: ClientError {
    ClientError(.transactionMisuse("(none)", what: "the producer was made without a transactional id"))
  }

  /// A name for who waits; where nobody will ever be told, he is told why at once.
  private func ticket(_ then: @escaping @Sendable (ClientError?) -> Void) -> TransactionMachine.Ticket? {
    if let error = fatalError ?? (isTransactional ? nil : Producer.noTransactionalID) {
      client.loop.post { then(error) }
      return nil
    }
    nextTicket += 1
    tickets[nextTicket] = then
    return nextTicket
  }

  // MARK: Driving the machine

  /// Tells the machine of an event and does what it says; nothing without transactions.
  func handle(_ event: (inout TransactionMachine) -> [TransactionMachine.Action]) {
    guard transactions != nil else { return }
    let actions = event(&transactions!)
    if let known = transactions!.identity, identity != .known(known) { identity = .known(known) }
    for action in actions { perform(action) }
  }

  private func perform(_ action: TransactionMachine.Action) {
    switch action {
    case .send(let id, let call): send(call, id)
    case .drop(let error, let evenSent): drop(error, evenSent: evenSent)
    case .finish(let ticket, let error):
      // Posted: whoever is told may call anything, and the machine's other actions come first.
      guard let then = tickets.removeValue(forKey: ticket) else { return }
      client.loop.post { then(error) }
    case .end(let error): fail(error)
    }
  }

  /// The machine hears of partitions that have something to send, all at once.
  func announcePartitions(_ now: Instant) {
    let waiting = order.filter { queues[$0]!.hasUnsent && transactions?.maySend($0) == false }
    if !waiting.isEmpty { handle { $0.partitionsTouched(waiting, now: now) } }
  }

  /// Records of the transaction will not be delivered.
  func transactionLost(_ error: ClientError) {
    let now = client.loop.now
    handle { $0.batchFailed(error.kafkaCode, error.description, now: now) }
  }

  private func drop(_ error: ClientError, evenSent: Bool) {
    for partition in order {
      for id in queues[partition]?.dropped(evenSent: evenSent) ?? [] { finish(id, .failure(error)) }
    }
    failUnplaced(Array(unplaced.keys), error)
    failCollected(error)
    schedulePump()
  }
}
