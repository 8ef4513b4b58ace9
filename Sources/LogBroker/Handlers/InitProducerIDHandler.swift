import Groundwork
import KafkaProtocol
import LogStorage

// InitProducerId (22), versions 0 to 5. An idempotent producer gets an id that nobody has had, with epoch 0, also when it
// asks anew with its old one (KIP-360). A transactional id keeps its producer id, and each asking raises the epoch, which
// shuts out whoever came before; a transaction that the predecessor left open is aborted first, in the same turn, where
// Kafka answers CONCURRENT_TRANSACTIONS and is asked again. Where that abort cannot be finished now, so does this broker.

extension BrokerState {
  func initProducerID(_ call: Call, _ request: InitProducerIDRequest) {
    guard let id = request.transactionalID else {
      // Retriable for every client, whereas a storage error is no answer they expect here.
      guard let fresh = freshProducerID() else { return answer(call, .coordinatorNotAvailable) }
      return answer(call, .none, Producer(id: fresh, epoch: 0))
    }
    let timeout = Duration.milliseconds(Int64(request.transactionTimeoutMilliseconds))
    if id.isEmpty { return answer(call, .invalidRequest) }
    // -1 for both or for neither.
    if (request.producerID < 0) != (request.producerEpoch < 0) { return answer(call, .invalidRequest) }
    if timeout <= .zero || timeout > configuration.transactionTimeoutMax {
      return answer(call, .invalidTransactionTimeout)
    }
    let expected =
      request.producerID < 0 ? nil : Producer(id: request.producerID, epoch: request.producerEpoch)
    initialize(call, id, expected, timeout, mayFence: true)
  }

  private func initialize(_ call: Call, _ id: String, _ expected: Producer?, _ timeout: Duration, mayFence: Bool) {
    let now = loop.wallTime
    var freshID: Int64?
    var machine: TransactionMachine
    if let record = transactions.log.records[id] {
      machine = TransactionMachine(record)
    } else {
      guard let fresh = freshProducerID() else { return answer(call, .coordinatorNotAvailable) }
      machine = TransactionMachine(TransactionRecord(producerID: fresh, timeout: timeout, updated: now))
    }
    var decision = machine.initialize(expected: expected, timeout: timeout, freshID: nil, now: now)
    if decision == .needsProducerID {
      freshID = freshProducerID()
      guard freshID != nil else { return answer(call, .coordinatorNotAvailable) }
      decision = machine.initialize(expected: expected, timeout: timeout, freshID: freshID, now: now)
    }
    switch decision {
    case .refuse(let code): answer(call, code)
    case .asBefore: answer(call, .none, machine.next)
    case .keep: answer(call, keep(id, machine.record), machine.next)
    case .fenceFirst where mayFence:
      let error = transact(id) { $0.fence(now: $1) }
      if error != .none { return answer(call, error) }
      // The epoch has been raised once already: what the producer expected it to be has been seen to.
      carryOut(id) { [self] in initialize(call, id, nil, timeout, mayFence: false) }
    case .fenceFirst, .end, .needsProducerID: answer(call, .concurrentTransactions)
    }
  }

  private func answer(_ call: Call, _ error: KafkaErrorCode, _ producer: Producer? = nil) {
    var response = InitProducerIDResponse()
    response.errorCode = call.version < 4 && error == .producerFenced ? .invalidProducerEpoch : error
    response.producerID = error.isError ? -1 : producer?.id ?? -1
    response.producerEpoch = error.isError ? -1 : producer?.epoch ?? -1
    call.answer(response)
  }
}
