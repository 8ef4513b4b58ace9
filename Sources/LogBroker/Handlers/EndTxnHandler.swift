import Groundwork
import KafkaProtocol
import LogStorage

// AddOffsetsToTxn (25), versions 0 to 4; EndTxn (26), versions 0 to 5. The outcome is decided once it is kept; then the
// partitions are told, and the answer comes when all know, so that the producer's next request finds nothing in its way.
// Where one cannot be told now, the answer comes all the same, a timer tries again, and meanwhile the producer is
// answered CONCURRENT_TRANSACTIONS. Version 5 raises the epoch and says what to go on with (KIP-890).

extension BrokerState {
  func addOffsetsToTxn(_ call: Call, _ request: AddOffsetsToTxnRequest) {
    var response = AddOffsetsToTxnResponse()
    let producer = Producer(id: request.producerID, epoch: request.producerEpoch)
    let code =
      request.groupID.isEmpty
      ? .invalidGroupID
      : transact(request.transactionalID) { $0.add(group: request.groupID, producer, now: $1) }
    response.errorCode = code.forCoordinator(call.version, fencedFrom: 2, abortableFrom: 4)
    call.answer(response)
  }

  func endTxn(_ call: Call, _ request: EndTxnRequest) {
    let id = request.transactionalID
    let producer = Producer(id: request.producerID, epoch: request.producerEpoch)
    guard !id.isEmpty else { return answer(call, .invalidRequest) }
    guard let record = transactions.log.records[id] else { return answer(call, .invalidProducerIDMapping) }
    let raisesEpoch = call.version >= 5 && configuration.transactionVersion >= 2
    var machine = TransactionMachine(record)
    func decide(_ freshID: Int64?) -> TransactionMachine.Decision {
      machine.end(
        isCommit: request.committed, producer, raisesEpoch: raisesEpoch, freshID: freshID, now: loop.wallTime)
    }
    var decision = decide(nil)
    if decision == .needsProducerID {
      guard let fresh = freshProducerID() else { return answer(call, .coordinatorNotAvailable) }
      decision = decide(fresh)
    }
    let next = machine.next
    switch decision {
    case .refuse(let code): answer(call, code)
    case .end:
      let error = keep(id, machine.record)
      if error != .none { return answer(call, error) }
      carryOut(id) { [self] in answer(call, .none, next) }
    case .asBefore, .keep, .fenceFirst, .needsProducerID: answer(call, .none, next)
    }
  }

  private func answer(_ call: Call, _ error: KafkaErrorCode, _ next: Producer? = nil) {
    var response = EndTxnResponse()
    response.errorCode = error.forCoordinator(call.version, fencedFrom: 2, abortableFrom: 4)
    if call.version >= 5, let next {
      response.producerID = next.id
      response.producerEpoch = next.epoch
    }
    call.answer(response)
  }
}
