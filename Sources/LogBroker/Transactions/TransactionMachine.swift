import Groundwork
import KafkaProtocol
import LogStorage

/// Decides what becomes of a transactional id: one method an event, on a copy of what is known. Whoever performs keeps
/// the changed record before anything follows from it, and forgets the copy where that fails: then nothing has happened.
///
/// The rules are those of Kafka's `TransactionMetadata` and `TransactionCoordinator`: KIP-98 (the protocol), KIP-360 (a
/// producer goes on by raising its epoch), KIP-588 (what a fenced producer is told), KIP-890 (with its second part every
/// end of a transaction raises the epoch). The phases and their ways are drawn at `TransactionRecord.Phase`.
///
/// Epochs run from 0 to 32,766; 32,767 is only ever written into markers, to shut out the last one. Then the next
/// producer, or with KIP-890 the next transaction, gets a new producer id.
struct TransactionMachine: Equatable {
  private(set) var record: TransactionRecord

  init(_ record: TransactionRecord) { self.record = record }

  /// The last epoch that a producer is given.
  static let epochMax = Int16.max - 1

  /// Who asks, by the producer id and epoch in the request.
  struct Producer: Equatable {
    var id: Int64
    var epoch: Int16
  }

  /// What an event leads to.
  enum Decision: Equatable {
    /// Answer with the error; nothing has changed.
    case refuse(KafkaErrorCode)
    /// Answer; it is so already.
    case asBefore
    /// Keep the record, then answer.
    case keep
    /// Keep the record, tell the partitions and the groups, then `complete`; answer when the record is kept or, so that
    /// the producer's next request finds nothing in its way, when all is done.
    case end
    /// Shut out the producer that has a transaction open (`fence`) and end it, then ask again.
    case fenceFirst
    /// Ask again with a producer id that nobody has had.
    case needsProducerID
  }

  private var isExhausted: Bool { record.epoch >= TransactionMachine.epochMax }

  // MARK: A producer begins

  /// A producer asks for its epoch (InitProducerId).
  ///
  /// - Parameters:
  ///   - expected: what a producer that has an epoch already asks with (KIP-360); nil for one that begins.
  ///   - freshID: an id that nobody has had, where one is at hand.
  mutating func initialize(
    expected: Producer?, timeout: Duration, freshID: Int64?, now: Timestamp
  ) -> Decision {
    if let expected, record.epoch >= 0 {
      let isKnown =
        expected.id == record.producerID
        || expected.id == record.previousProducerID && expected.epoch >= TransactionMachine.epochMax
      guard isKnown else { return .refuse(.producerFenced) }
    }
    switch record.phase {
    case .prepareCommit, .prepareAbort: return .refuse(.concurrentTransactions)
    case .ongoing:
      if let expected, expected.epoch != record.epoch { return .refuse(.producerFenced) }
      return .fenceFirst
    case .empty, .completeCommit, .completeAbort: break
    }
    if isExhausted, expected == nil || expected?.epoch == record.epoch {
      guard let freshID else { return .needsProducerID }
      record.previousProducerID = record.producerID
      record.producerID = freshID
      record.lastEpoch = expected == nil ? -1 : record.epoch
      record.epoch = 0
    } else if let expected, record.epoch >= 0, expected.epoch != record.epoch {
      // Its first request may have been answered with what is known now, and the answer lost.
      let isRepeated =
        expected.epoch == record.lastEpoch && expected.id == record.producerID
        || expected.id == record.previousProducerID && record.epoch == 0
      return isRepeated ? .asBefore : .refuse(.producerFenced)
    } else {
      record.lastEpoch = expected == nil ? -1 : record.epoch
      record.epoch += 1
    }
    record.phase = .empty
    record.timeout = timeout
    record.started = .none
    record.updated = now
    return .keep
  }

  /// The transaction that is open ends with an abort under a raised epoch, so that its producer is shut out: another
  /// producer has come, or the time is up.
  mutating func fence(now: Timestamp) -> Decision {
    guard record.phase == .ongoing else { return .refuse(.invalidTxnState) }
    record.epoch = min(record.epoch, Int16.max - 1) + 1
    record.lastEpoch = -1
    record.phase = .prepareAbort
    record.updated = now
    return .end
  }

  // MARK: A transaction grows

  /// nil: the producer is the one who may write.
  private func refusal(_ producer: Producer) -> KafkaErrorCode? {
    if producer.id != record.producerID { return .invalidProducerIDMapping }
    if producer.epoch != record.epoch { return .producerFenced }
    return record.phase.isPrepared ? .concurrentTransactions : nil
  }

  private mutating func open(now: Timestamp) {
    if record.phase != .ongoing {
      record.phase = .ongoing
      record.started = now
    }
    record.updated = now
  }

  /// The producer will write to partitions (AddPartitionsToTxn, or with KIP-890 the produce itself).
  mutating func add(_ partitions: [TopicPartition], _ producer: Producer, now: Timestamp) -> Decision {
    if let error = refusal(producer) { return .refuse(error) }
    if record.phase == .ongoing, record.partitions.isSuperset(of: partitions) { return .asBefore }
    open(now: now)
    record.partitions.formUnion(partitions)
    return .keep
  }

  /// Whether the producer may write to a partition, which it has announced before.
  func verify(_ partition: TopicPartition, _ producer: Producer) -> KafkaErrorCode {
    if let error = refusal(producer) { return error }
    return record.phase == .ongoing && record.partitions.contains(partition) ? .none : .transactionAbortable
  }

  /// The producer will commit offsets of a group (AddOffsetsToTxn).
  mutating func add(group: String, _ producer: Producer, now: Timestamp) -> Decision {
    if let error = refusal(producer) { return .refuse(error) }
    if record.phase == .ongoing, record.offsets[group] != nil { return .asBefore }
    open(now: now)
    record.offsets[group] = record.offsets[group] ?? [:]
    return .keep
  }

  /// Offsets of a group that take effect with the transaction (TxnOffsetCommit).
  ///
  /// - Parameter isImplicit: whether the group need not have been announced (KIP-890).
  mutating func commit(
    _ offsets: [(partition: TopicPartition, offset: CommittedOffset)], of group: String, _ producer: Producer,
    isImplicit: Bool, now: Timestamp
  ) -> Decision {
    if let error = refusal(producer) { return .refuse(error) }
    let isAnnounced = record.phase == .ongoing && record.offsets[group] != nil
    guard isImplicit || isAnnounced else { return .refuse(.transactionAbortable) }
    open(now: now)
    record.offsets[group, default: [:]].merge(offsets.lazy.map { ($0.partition, $0.offset) }) { _, new in new }
    return .keep
  }

  // MARK: A transaction ends

  /// The producer commits or aborts (EndTxn).
  ///
  /// - Parameters:
  ///   - raisesEpoch: whether the producer's next transaction has another epoch (KIP-890, EndTxn 5).
  ///   - freshID: an id that nobody has had, where one is at hand.
  mutating func end(
    isCommit: Bool, _ producer: Producer, raisesEpoch: Bool, freshID: Int64?, now: Timestamp
  ) -> Decision {
    raisesEpoch
      ? endRaising(isCommit: isCommit, producer, freshID: freshID, now: now)
      : endKeeping(isCommit: isCommit, producer, now: now)
  }

  private mutating func endKeeping(isCommit: Bool, _ producer: Producer, now: Timestamp) -> Decision {
    if producer.id != record.producerID { return .refuse(.invalidProducerIDMapping) }
    if producer.epoch != record.epoch { return .refuse(.producerFenced) }
    switch record.phase {
    case .ongoing:
      record.phase = isCommit ? .prepareCommit : .prepareAbort
      record.updated = now
      return .end
    // Decided as asked: the request is repeated, its answer was lost.
    case .completeCommit where isCommit, .completeAbort where !isCommit: return .asBefore
    case .prepareCommit where isCommit, .prepareAbort where !isCommit: return .refuse(.concurrentTransactions)
    default: return .refuse(.invalidTxnState)
    }
  }

  private mutating func endRaising(
    isCommit: Bool, _ producer: Producer, freshID: Int64?, now: Timestamp
  ) -> Decision {
    // A repeated request comes with the epoch from before the end it asks for.
    let isRepeatedAcrossIDs =
      producer.id == record.previousProducerID && producer.epoch == TransactionMachine.epochMax && record.epoch == 0
    let isRepeated =
      isRepeatedAcrossIDs || producer.id == record.producerID && Int(producer.epoch) + 1 == Int(record.epoch)
    guard producer.id == record.producerID || isRepeatedAcrossIDs else { return .refuse(.invalidProducerIDMapping) }
    let isCurrent = producer.id == record.producerID && producer.epoch == record.epoch
    // The epoch was raised by a fence, not by an end that this producer asked for.
    let wasFenced = record.lastEpoch != producer.epoch
    switch record.phase {
    case .ongoing:
      guard isCurrent else { return .refuse(.producerFenced) }
    case .prepareCommit, .prepareAbort:
      guard isRepeated else { return .refuse(.producerFenced) }
      return .refuse(
        (record.phase == .prepareCommit) == isCommit ? .concurrentTransactions : .invalidTxnState)
    case .completeCommit, .completeAbort:
      guard isCurrent || isRepeated else { return .refuse(.producerFenced) }
      if isRepeated {
        if (record.phase == .completeCommit) == isCommit { return .asBefore }
        return .refuse(wasFenced ? .producerFenced : .invalidTxnState)
      }
      // An abort of nothing raises the epoch, so that what may still be under way from before is shut out.
      if isCommit { return .refuse(.invalidTxnState) }
    case .empty:
      guard isCurrent else { return .refuse(.producerFenced) }
      if isCommit { return .refuse(.invalidTxnState) }
    }
    if isExhausted {
      guard let freshID else { return .needsProducerID }
      record.nextProducerID = freshID
    }
    if record.phase != .ongoing { record.started = now }
    record.lastEpoch = record.epoch
    record.epoch = min(record.epoch, Int16.max - 1) + 1
    record.phase = isCommit ? .prepareCommit : .prepareAbort
    record.updated = now
    return .end
  }

  /// All partitions and groups know how the transaction ended.
  mutating func complete(now: Timestamp) -> Decision {
    guard record.phase.isPrepared else { return .asBefore }
    record.phase = record.phase == .prepareCommit ? .completeCommit : .completeAbort
    if record.nextProducerID >= 0 {
      record.previousProducerID = record.producerID
      record.producerID = record.nextProducerID
      record.nextProducerID = -1
      record.epoch = 0
    }
    record.partitions = []
    record.offsets = [:]
    record.started = .none
    record.updated = now
    return .keep
  }

  /// What the producer's next transaction is written with, also while the last one is being ended.
  var next: Producer {
    record.nextProducerID >= 0
      ? Producer(id: record.nextProducerID, epoch: 0) : Producer(id: record.producerID, epoch: record.epoch)
  }

  /// What partitions are told of a transaction whose outcome is decided.
  var marker: TransactionMarker {
    TransactionMarker(
      producerID: record.producerID, producerEpoch: record.epoch,
      coordinatorEpoch: TransactionMachine.coordinatorEpoch, isCommitted: record.phase == .prepareCommit)
  }

  /// That of every marker: there is one coordinator, which has always been it.
  static let coordinatorEpoch: Int32 = 0
}
