import Groundwork
import KafkaProtocol
import LogStorage

// AddPartitionsToTxn (24), versions 0 to 5. All partitions of a transaction are added, or none; what is kept is durable
// before it is answered. Versions 4 and 5 carry several transactions, and may only ask; brokers use them among
// themselves, here they are answered like any.

extension BrokerState {
  private typealias TopicAnswer = AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult
  private typealias PartitionAnswer = AddPartitionsToTxnResponse.AddPartitionsToTxnPartitionResult

  func addPartitionsToTxn(_ call: Call, _ request: AddPartitionsToTxnRequest) {
    var response = AddPartitionsToTxnResponse()
    if call.version < 4 {
      let producer = Producer(id: request.producerID, epoch: request.producerEpoch)
      response.resultsByTopic = add(
        request.topics, to: request.transactionalID, producer, onlyVerifies: false, call.version)
    } else {
      response.resultsByTransaction = request.transactions.map { transaction in
        var result = AddPartitionsToTxnResponse.AddPartitionsToTxnResult()
        result.transactionalID = transaction.transactionalID
        let producer = Producer(id: transaction.producerID, epoch: transaction.producerEpoch)
        result.topicResults = add(
          transaction.topics, to: transaction.transactionalID, producer, onlyVerifies: transaction.verifyOnly,
          call.version)
        return result
      }
    }
    call.answer(response)
  }

  private func add(
    _ wanted: [AddPartitionsToTxnRequest.AddPartitionsToTxnTopic], to id: String, _ producer: Producer,
    onlyVerifies: Bool, _ version: Int16
  ) -> [TopicAnswer] {
    let all = wanted.flatMap { topic in
      topic.partitions.map { TopicPartition(topic.name, PartitionIndex($0)) }
    }
    let unknown = Set(all.filter { topics[$0.topic]?.log($0.partition.rawValue) == nil })
    var verdicts: [KafkaErrorCode]
    if onlyVerifies {
      verdicts = admit(id, producer, all, isImplicit: false)
    } else if unknown.isEmpty {
      verdicts = all.map { _ in .none }
      let code = transact(id) { $0.add(all, producer, now: $1) }
      if code.isError { verdicts = all.map { _ in code } }
    } else {
      verdicts = all.map { unknown.contains($0) ? .unknownTopicOrPartition : .operationNotAttempted }
    }
    var next = 0
    return wanted.map { topic in
      var answer = TopicAnswer()
      answer.name = topic.name
      answer.resultsByPartition = topic.partitions.map { partition in
        defer { next += 1 }
        var result = PartitionAnswer()
        result.partitionIndex = partition
        result.partitionErrorCode = verdicts[next].forCoordinator(version, fencedFrom: 2, abortableFrom: 5)
        return result
      }
      return answer
    }
  }

  /// Whether a producer may write to partitions in its transaction.
  ///
  /// - Parameter isImplicit: they are added to it, durably, before the answer (KIP-890).
  /// - Returns: an error for each partition, or `.none`.
  func admit(
    _ id: String, _ producer: Producer, _ partitions: [TopicPartition], isImplicit: Bool
  ) -> [KafkaErrorCode] {
    if isImplicit {
      let code = transact(id) { $0.add(partitions, producer, now: $1) }
      return partitions.map { _ in code }
    }
    guard let record = transactions.log.records[id] else { return partitions.map { _ in .invalidProducerIDMapping } }
    let machine = TransactionMachine(record)
    return partitions.map { machine.verify($0, producer) }
  }
}

extension KafkaErrorCode {
  /// The error in the words of a version: clients of before did not know PRODUCER_FENCED (KIP-588) nor
  /// TRANSACTION_ABORTABLE (KIP-890).
  func forCoordinator(_ version: Int16, fencedFrom: Int16, abortableFrom: Int16) -> KafkaErrorCode {
    if self == .producerFenced, version < fencedFrom { return .invalidProducerEpoch }
    if self == .transactionAbortable, version < abortableFrom { return .invalidTxnState }
    return self
  }
}
