import Groundwork
import KafkaProtocol
import LogStorage
import SystemInterfaces

/// What the coordinator of transactions holds beside its log; `BrokerState` performs with it what the machines decide.
///
/// Sendable: state confined to the broker's loop; timers run there.
final class TransactionCoordinator: @unchecked Sendable {
  let log: TransactionLog
  /// Of transactions whose outcome is decided: the partitions that have no marker yet.
  var unmarked: [String: Set<TopicPartition>] = [:]
  /// Transactions whose markers wait for a sync.
  var isEnding: Set<String> = []
  /// How often the end of a transaction has failed, and is to be tried again by a timer.
  var failures: [String: Int] = [:]
  /// When a transaction that is open must have ended, by the monotonic clock.
  var deadlines: [String: Instant] = [:]
  private var timers: [String: (at: Instant, id: TimerID)] = [:]

  init(_ log: TransactionLog) { self.log = log }

  /// A group's offsets that transactions hold back.
  func pendingOffsets(of group: String) -> Set<TopicPartition> {
    var pending: Set<TopicPartition> = []
    for record in log.records.values { if let held = record.offsets[group] { pending.formUnion(held.keys) } }
    return pending
  }

  /// One timer an id. Transactions come and go all the time: a timer that is too early stays, and sets itself anew.
  func schedule(_ id: String, _ deadline: Instant?, on loop: any Loop, _ fired: @escaping @Sendable () -> Void) {
    deadlines[id] = deadline
    guard let deadline else { return }
    if let timer = timers[id] {
      if timer.at <= deadline { return }
      loop.cancel(timer.id)
    }
    timers[id] = (
      deadline,
      loop.at(deadline) { [weak self] in
        guard let self else { return }
        timers[id] = nil
        guard let deadline = deadlines[id] else { return }
        if deadline <= loop.now { fired() } else { schedule(id, deadline, on: loop, fired) }
      }
    )
  }
}

// How a step is taken: the machine decides on a copy, the log keeps it, and only then it is so.
extension BrokerState {
  typealias Producer = TransactionMachine.Producer

  /// Puts an event to an id's machine and keeps what it decides.
  ///
  /// - Parameter id: an id that is not known is refused with INVALID_PRODUCER_ID_MAPPING.
  /// - Returns: the error to answer with; `.none` where the step is kept or nothing had to change.
  func transact(
    _ id: String, _ event: (inout TransactionMachine, Timestamp) -> TransactionMachine.Decision
  ) -> KafkaErrorCode {
    guard !id.isEmpty else { return .invalidRequest }
    guard let record = transactions.log.records[id] else { return .invalidProducerIDMapping }
    var machine = TransactionMachine(record)
    switch event(&machine, loop.wallTime) {
    case .refuse(let code): return code
    case .keep, .end: return keep(id, machine.record)
    case .asBefore, .fenceFirst, .needsProducerID: return .none
    }
  }

  /// Makes a step so.
  func keep(_ id: String, _ record: TransactionRecord, mayLag: Bool = false) -> KafkaErrorCode {
    let wasOpen = transactions.log.records[id]?.phase == .ongoing
    do throws(LogError) {
      try transactions.log.put(id, record, mayLag: mayLag)
    } catch {
      storageFailed(error, "a step of transaction \(id) could not be kept: ")
      return .coordinatorNotAvailable
    }
    let isOpen = record.phase == .ongoing
    if isOpen != wasOpen {
      transactions.schedule(id, isOpen ? loop.now + record.timeout : nil, on: loop) { [weak self] in
        self?.transactionTimedOut(id)
      }
    }
    if record.phase.isPrepared { transactions.unmarked[id] = record.partitions }
    return .none
  }

  func freshProducerID() -> Int64? {
    do throws(LogError) {
      return try producerIDs.next()
    } catch {
      storageFailed(error, "no producer id could be given: ")
      return nil
    }
  }

  // MARK: The end

  /// Carries out what a kept record has decided: markers into the partitions, offsets to the groups, then the last step.
  ///
  /// `done` is called in this turn of the loop or, under flush policy `sync`, after the sync that follows it; also where
  /// something failed, which a timer then tries again: the outcome is decided all the same.
  func carryOut(_ id: String, then done: @escaping () -> Void) {
    guard let record = transactions.log.records[id], record.phase.isPrepared,
      transactions.isEnding.insert(id).inserted
    else { return done() }
    let marker = TransactionMachine(record).marker
    var hasFailed = false
    var marked: [(log: PartitionLog, partition: TopicPartition, size: Int)] = []
    for partition in (transactions.unmarked[id] ?? record.partitions).sorted() {
      // A topic that was deleted has nobody left to tell.
      guard let log = topics[partition.topic]?.log(partition.partition.rawValue) else { continue }
      do throws(LogError) {
        marked.append((log, partition, try log.append(marker, now: loop.wallTime).size))
      } catch {
        if case .staleProducerEpoch = error.code { continue }
        hasFailed = true
        storageFailed(error, "transaction \(id) could not be ended in \(partition): ")
      }
    }
    if record.phase == .prepareCommit, !commitOffsets(of: record, id) { hasFailed = true }
    whenDurable(marked.map(\.log)) { [self] errors in
      transactions.isEnding.remove(id)
      for place in marked {
        if errors[ObjectIdentifier(place.log)] != nil {
          hasFailed = true
          continue
        }
        transactions.unmarked[id]?.remove(place.partition)
        logAdvanced(place.log, by: place.size)
      }
      if !hasFailed {
        var machine = TransactionMachine(record)
        if machine.complete(now: loop.wallTime) == .keep {
          // Done again after a power loss it does no harm to partitions; to a group's offsets, which may have gone on, it
          // would.
          hasFailed = keep(id, machine.record, mayLag: record.offsets.isEmpty) != .none
        }
      }
      if hasFailed {
        retryEnd(of: id)
      } else {
        transactions.unmarked[id] = nil
        transactions.failures[id] = nil
      }
      done()
    }
  }

  private func commitOffsets(of record: TransactionRecord, _ id: String) -> Bool {
    for (group, held) in record.offsets.sorted(by: { $0.key < $1.key }) {
      let alive = held.filter { topics[$0.key.topic]?.log($0.key.partition.rawValue) != nil }
      do throws(LogError) {
        try offsets.commit(group, alive.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
      } catch {
        storageFailed(error, "offsets of group \(group) in transaction \(id) could not be kept: ")
        return false
      }
    }
    return true
  }

  private func retryEnd(of id: String) {
    let count = transactions.failures[id, default: 0]
    transactions.failures[id] = count + 1
    loop.after(.milliseconds(Int64(100) << Int64(min(count, 6)))) { [weak self] in
      self?.carryOut(id) {}
    }
  }

  private func transactionTimedOut(_ id: String) {
    guard let record = transactions.log.records[id], record.phase == .ongoing else { return }
    report(
      .warning,
      "transaction \(id) of producer \(record.producerID) was open for longer than its timeout of "
        + "\(record.timeout.inMilliseconds) ms: it is aborted")
    let error = transact(id) { $0.fence(now: $1) }
    if error == .none { return carryOut(id) {} }
    transactions.schedule(id, loop.now + .seconds(1), on: loop) { [weak self] in self?.transactionTimedOut(id) }
  }

  // MARK: Beginning and upkeep

  /// After a start: ends what was decided, sets the timers of what is open, and ends what no coordinator knows of.
  func resumeTransactions() {
    for (id, record) in transactions.log.records.sorted(by: { $0.key < $1.key }) {
      if record.phase.isPrepared {
        let marker = TransactionMachine(record).marker
        transactions.unmarked[id] = record.partitions.filter { partition in
          topics[partition.topic]?.log(partition.partition.rawValue)?.hasEnded(marker) == false
        }
        carryOut(id) {}
      } else if record.phase == .ongoing {
        let age = max(loop.wallTime.milliseconds - record.started.milliseconds, 0)
        let left = max(record.timeout.inMilliseconds - age, 0)
        transactions.schedule(id, loop.now + .milliseconds(left), on: loop) { [weak self] in
          self?.transactionTimedOut(id)
        }
      }
    }
    abortForgottenTransactions()
  }

  /// A power loss may leave a partition with records of a transaction whose announcement is gone: nobody will end it, and
  /// readers of committed records would wait for ever. As there is one coordinator, what it does not know is aborted.
  private func abortForgottenTransactions() {
    var known: [Int64: TransactionRecord] = [:]
    for record in transactions.log.records.values where record.phase == .ongoing || record.phase.isPrepared {
      known[record.producerID] = record
    }
    for topic in topics.all {
      for (index, log) in topic.logs.enumerated() {
        let partition = TopicPartition(topic.name, PartitionIndex(Int32(index)))
        for producer in log.openTransactions
        where known[producer.producerID]?.partitions.contains(partition) != true {
          let marker = TransactionMarker(
            producerID: producer.producerID, producerEpoch: producer.epoch,
            coordinatorEpoch: max(producer.coordinatorEpoch, TransactionMachine.coordinatorEpoch), isCommitted: false)
          do throws(LogError) {
            _ = try log.append(marker, now: loop.wallTime)
            try log.flush()
            report(
              .warning,
              "\(partition): a transaction of producer \(producer.producerID) that no transactional id knows of was "
                + "aborted")
          } catch {
            report(.warning, "\(partition): a forgotten transaction could not be aborted: \(error)")
          }
        }
      }
    }
  }

  /// Forgets transactional ids that have been idle for `transactional.id.expiration.ms`.
  func expireTransactionalIDs() {
    let limit = loop.wallTime + (.zero - configuration.transactionalIDExpiration)
    for (id, record) in transactions.log.records.sorted(by: { $0.key < $1.key })
    where record.phase != .ongoing && !record.phase.isPrepared && record.updated < limit {
      do throws(LogError) {
        try transactions.log.remove(id)
        report(.info, "transactional id \(id) was idle for too long and is forgotten")
      } catch {
        report(.warning, "transactional id \(id) could not be forgotten: \(error)")
      }
    }
  }
}
