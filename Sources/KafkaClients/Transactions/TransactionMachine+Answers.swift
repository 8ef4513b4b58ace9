import Groundwork
import KafkaProtocol

// What the coordinators' answers mean, and what becomes of the transaction by them.
extension TransactionMachine {
  /// A call was answered, or will not be; one that is not waited for any more changes nothing.
  mutating func answered(_ id: CallID, _ answer: Answer, now: Instant, unit: Double) -> [Action] {
    if let call = main.underWay, call.id == id {
      main.underWay = nil
      if case .done(let identity) = answer {
        main.failures = 0
        return done(call.call, identity, now)
      }
      return refused(call.call, answer, now, unit)
    }
    if let call = group.underWay, call.id == id {
      group.underWay = nil
      if case .done = answer {
        group.failures = 0
        return offsetsDone(now)
      }
      return refused(call.call, answer, now, unit)
    }
    return []
  }

  private mutating func done(_ call: Call, _ identity: ProducerIdentity?, _ now: Instant) -> [Action] {
    switch call {
    case .initProducerID:
      guard state == .initializing || state == .aborting && isBumping else { return [] }
      self.identity = identity ?? self.identity
      needsBump = false
      return transactionEnded(now)
    case .addPartitions(let partitions):
      isStarted = true
      added.formUnion(partitions)
      unadded.removeAll { added.contains($0) }
    case .addOffsets(let group):
      isStarted = true
      addedGroups.insert(group)
    case .endTransaction:
      // The broker keeps count of epochs; where they are used up it goes on with another producer id.
      if addsImplicitly {
        if let identity, identity.id >= 0 { self.identity = identity }
        needsBump = false
      }
      isStarted = false
      mayBeStarted = false
      return transactionEnded(now)
    case .commitOffsets: break
    }
    return advance(now)
  }

  private mutating func offsetsDone(_ now: Instant) -> [Action] {
    guard state == .inTransaction || state == .committing, !pendingOffsets.isEmpty else { return advance(now) }
    let ticket = pendingOffsets.removeFirst().ticket
    return [.finish(ticket, nil)] + advance(now)
  }

  private mutating func refused(_ call: Call, _ answer: Answer, _ now: Instant, _ unit: Double) -> [Action] {
    switch answer {
    case .done: return []
    case .refused(let code, let what):
      lastProblem = "\(what): \(code.message) (\(code.name))"
      // Nothing was begun, as it turns out: there is nothing to abort.
      if case .endTransaction(commits: false) = call, code == .invalidTxnState, !isStarted {
        needsBump = true
        mayBeStarted = false
        return transactionEnded(now)
      }
      let verdict = TransactionVerdict(code, on: call.kind)
      guard verdict == .retry else { return weigh(verdict, code, call, now, unit) }
      // A coordinator that could not replicate the decision in time answers so, and so does one that carries it out just
      // now: only one that is still loading has surely not decided anything.
      if case .endTransaction(commits: true) = call, code != .coordinatorLoadInProgress { mayBeCommitted = true }
      return retry(call, isQuick: code.passesQuickly, now, unit)
    case .unsent(let error):
      lastProblem = error.description
      if case .broker(let code, _) = error.code {
        let verdict = TransactionVerdict(code, on: .findCoordinator)
        guard verdict == .retry else { return weigh(verdict, code, call, now, unit) }
      } else if !error.isRetriable {
        return judge(.fatal, nil, lastProblem, now)
      }
      return retry(call, isQuick: false, now, unit)
    case .lost(let error):
      lastProblem = error.description
      switch call {
      case .addPartitions, .addOffsets: mayBeStarted = true
      case .endTransaction(commits: true): mayBeCommitted = true
      case .commitOffsets, .endTransaction, .initProducerID: break
      }
      guard error.isRetriable else { return judge(.fatal, nil, lastProblem, now) }
      return retry(call, isQuick: false, now, unit)
    }
  }

  /// A refusal that asks for an abort means something else to an abort.
  private mutating func weigh(
    _ verdict: TransactionVerdict, _ code: KafkaErrorCode, _ call: Call, _ now: Instant, _ unit: Double
  ) -> [Action] {
    guard state == .aborting, case .abort = verdict else { return judge(verdict, code, lastProblem, now) }
    needsBump = true
    guard code == .invalidProducerIDMapping || code == .unknownProducerID else {
      return retry(call, isQuick: false, now, unit)
    }
    // The coordinator has nothing to end.
    guard canBump else {
      return judge(.fatal, code, lastProblem, now)
    }
    skipsEnd = true
    return advance(now)
  }

  private mutating func retry(_ call: Call, isQuick: Bool, _ now: Instant, _ unit: Double) -> [Action] {
    let pauses = isQuick ? quickBackoff : backoff
    switch call {
    case .commitOffsets:
      // One that may still arrive would belong to the next transaction.
      if state == .aborting { needsBump = true }
      group.failed(pauses, now, unit)
    case .addPartitions, .addOffsets:
      if state == .aborting {
        needsBump = needsBump || mayBeStarted
        return advance(now)
      }
      main.failed(pauses, now, unit)
    case .initProducerID, .endTransaction: main.failed(pauses, now, unit)
    }
    return advance(now)
  }

  /// A failure that is not simply tried again.
  mutating func judge(_ verdict: TransactionVerdict, _ code: KafkaErrorCode?, _ cause: String, _ now: Instant)
    -> [Action]
  {
    lastProblem = cause
    switch verdict {
    case .done, .retry: return advance(now)
    case .fenced:
      return fatal(ClientError(.producerFenced(transactionalID, code ?? .producerFenced)))
    case .fatal: return fatal(ClientError(.transactionFailed(transactionalID, code, cause: cause)))
    case .abort(let bumps):
      if code == .invalidProducerIDMapping { skipsEnd = true }
      needsBump = needsBump || bumps
      let isLost = bumps && !addsImplicitly && !canBump
      switch state {
      case .inTransaction, .committing:
        if isLost { return fatal(ClientError(.transactionFailed(transactionalID, code, cause: cause))) }
        if mayBeCommitted, code != .transactionAbortable {
          return fatal(ClientError(.transactionFailed(transactionalID, code, cause: cause)))
        }
        mayBeCommitted = false
        let error = ClientError(.transactionMustAbort(transactionalID, code, cause: cause))
        state = .abortableError(error)
        unadded = []
        return release(error) + [.drop(error, evenSent: false)]
      case .aborting where isLost: return fatal(ClientError(.transactionFailed(transactionalID, code, cause: cause)))
      case .aborting, .abortableError: return advance(now)
      case .uninitialized, .initializing, .ready:
        return fatal(ClientError(.transactionFailed(transactionalID, code, cause: cause)))
      case .fatalError: return []
      }
    }
  }

  private mutating func fatal(_ error: ClientError) -> [Action] {
    if case .fatalError = state { return [] }
    var told = error
    if state == .committing, mayBeCommitted {
      told = ClientError(.transactionOutcomeUnknown(transactionalID, isFinal: true, last: lastProblem))
    }
    state = .fatalError(told)
    return release(told) + [.end(told)]
  }

  /// Tells all who wait.
  mutating func release(_ error: ClientError) -> [Action] {
    var actions: [Action] = pendingOffsets.map { .finish($0.ticket, error) }
    pendingOffsets = []
    if let waiter { actions.append(.finish(waiter, error)) }
    waiter = nil
    deadline = nil
    return actions
  }

  /// What was asked for is done, but for another epoch where one is needed.
  mutating func transactionEnded(_ now: Instant) -> [Action] {
    if state == .aborting, needsBump, bumpIsOurs {
      isBumping = true
      return advance(now)
    }
    added = []
    unadded = []
    addedGroups = []
    isStarted = false
    mayBeStarted = false
    needsBump = false
    isBumping = false
    skipsEnd = false
    mayBeCommitted = false
    group.retryAt = nil
    guard let ticket = waiter else {
      // Whoever asked was told that the time was up: the answer is kept until it is asked for again.
      isEndedUnheard = true
      return []
    }
    waiter = nil
    deadline = nil
    state = .ready
    return [.finish(ticket, nil)]
  }

  /// Whether this producer has to ask for the next epoch; else the end of the transaction brought it.
  private var bumpIsOurs: Bool { canBump && (!addsImplicitly || skipsEnd) }
}
