import Groundwork
import KafkaProtocol

// The calls of a transaction on the wire, and what their answers come down to.
extension Producer {
  /// Sends a call of the machine, once; the machine hears how it went.
  func send(_ call: TransactionMachine.Call, _ id: TransactionMachine.CallID) {
    guard let name = configuration.transactionalID, let machine = transactions else { return }
    let coordinator = KafkaClient.Destination.transactionCoordinator(name)
    let who = machine.identity ?? ProducerIdentity(id: -1, epoch: -1)
    let isImplicit = machine.addsImplicitly
    switch call {
    case .initProducerID(let current):
      var request = InitProducerIDRequest()
      request.transactionalID = name
      request.transactionTimeoutMilliseconds = Int32(clamping: configuration.transactionTimeout.inMilliseconds)
      request.producerID = current?.id ?? -1
      request.producerEpoch = current?.epoch ?? -1
      // An epoch to go on from is lost before version 3: the answer would be that of a new incarnation.
      let first: Int16 = current == nil ? 0 : 3
      let what = "getting a producer id for \(name)"
      ask(request, coordinator, first...InitProducerIDRequest.versions.upperBound, id) { [weak self] answer in
        self?.negotiate(name)
        return Producer.answer(
          answer.errorCode, what, ProducerIdentity(id: answer.producerID, epoch: answer.producerEpoch))
      }
    case .addPartitions(let partitions):
      var request = AddPartitionsToTxnRequest()
      request.transactionalID = name
      (request.producerID, request.producerEpoch) = (who.id, who.epoch)
      for partition in partitions {
        if request.topics.last?.name != partition.topic {
          var topic = AddPartitionsToTxnRequest.AddPartitionsToTxnTopic()
          topic.name = partition.topic
          request.topics.append(topic)
        }
        request.topics[request.topics.count - 1].partitions.append(partition.partition.rawValue)
      }
      // From version 4 on it is a call between brokers.
      ask(request, coordinator, 0...3, id) { answer in
        let outcomes = answer.resultsByTopic.flatMap { topic in
          topic.resultsByPartition.map {
            (TopicPartition(topic.name, PartitionIndex($0.partitionIndex)), $0.partitionErrorCode)
          }
        }
        return Producer.answer(outcomes, .addPartitions) { "adding \($0) to the transaction of \(name)" }
      }
    case .addOffsets(let group):
      var request = AddOffsetsToTxnRequest()
      request.transactionalID = name
      (request.producerID, request.producerEpoch) = (who.id, who.epoch)
      request.groupID = group
      let what = "adding the offsets of group \(group) to the transaction of \(name)"
      ask(request, coordinator, 0...AddOffsetsToTxnRequest.versions.upperBound, id) { answer in
        Producer.answer(answer.errorCode, what, nil)
      }
    case .commitOffsets(let given): commitOffsets(given, name, who, isImplicit, id)
    case .endTransaction(let commits):
      var request = EndTxnRequest()
      request.transactionalID = name
      (request.producerID, request.producerEpoch) = (who.id, who.epoch)
      request.committed = commits
      let what = "\(commits ? "committing" : "aborting") the transaction of \(name)"
      // From version 5 on the answer brings the identity of the next transaction (KIP-890).
      let versions = isImplicit ? 5...EndTxnRequest.versions.upperBound : 0...4
      ask(request, coordinator, versions, id) { answer in
        Producer.answer(
          answer.errorCode, what, ProducerIdentity(id: answer.producerID, epoch: answer.producerEpoch))
      }
    }
  }

  private func commitOffsets(
    _ given: TransactionMachine.GroupOffsets, _ name: String, _ who: ProducerIdentity, _ isImplicit: Bool,
    _ id: TransactionMachine.CallID
  ) {
    typealias Topic = TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic
    let group = given.group
    var request = TxnOffsetCommitRequest()
    request.transactionalID = name
    (request.producerID, request.producerEpoch) = (who.id, who.epoch)
    (request.groupID, request.generationID) = (group.groupID, group.generation)
    (request.memberID, request.groupInstanceID) = (group.memberID, group.instanceID)
    for (partition, offset) in given.offsets.sorted(by: { $0.key < $1.key }) {
      var wire = Topic.TxnOffsetCommitRequestPartition()
      wire.partitionIndex = partition.partition.rawValue
      wire.committedOffset = offset.offset.rawValue
      wire.committedLeaderEpoch = offset.leaderEpoch
      wire.committedMetadata = offset.metadata
      if request.topics.last?.name != partition.topic {
        var topic = Topic()
        topic.name = partition.topic
        request.topics.append(topic)
      }
      request.topics[request.topics.count - 1].partitions.append(wire)
    }
    // A membership is lost before version 3, and with it the fencing that is asked for (KIP-447).
    let isMember = group.generation >= 0 || !group.memberID.isEmpty
    let versions =
      isImplicit ? 5...TxnOffsetCommitRequest.versions.upperBound : (isMember ? 3 : 0)...4
    ask(request, .coordinator(group: group.groupID), versions, id) { answer in
      let outcomes = answer.topics.flatMap { topic in
        topic.partitions.map { (TopicPartition(topic.name, PartitionIndex($0.partitionIndex)), $0.errorCode) }
      }
      return Producer.answer(outcomes, .commitOffsets) {
        "committing offsets of \($0) for group \(group.groupID) in the transaction of \(name)"
      }
    }
  }

  private func ask<Request: KafkaRequest>(
    _ request: Request, _ destination: KafkaClient.Destination, _ versions: ClosedRange<Int16>,
    _ id: TransactionMachine.CallID, _ read: @escaping @Sendable (Request.Response) -> TransactionMachine.Answer
  ) {
    let client = client
    client.reach(destination) { [weak self] reached in
      if case .failure(let error) = reached {
        self?.heard(id, .unsent(error), destination)
        return
      }
      client.sendOnce(request, to: destination, versions: versions) { [weak self] result in
        switch result {
        case .success(let answer): self?.heard(id, read(answer), destination)
        case .failure(let error): self?.heard(id, error.neverArrived ? .unsent(error) : .lost(error), destination)
        }
      }
    }
  }

  private func heard(
    _ id: TransactionMachine.CallID, _ answer: TransactionMachine.Answer, _ destination: KafkaClient.Destination
  ) {
    guard fatalError == nil else { return }
    if case .refused(let code, _) = answer { client.forgetWhatIsStale(code, at: destination) }
    let now = client.loop.now
    let unit = client.world.randomness.unit()
    handle { $0.answered(id, answer, now: now, unit: unit) }
    schedulePump()
  }

  /// What the coordinator and its cluster can do, known once it has answered.
  private func negotiate(_ name: String) {
    let ends = client.versions(.endTxn, atCoordinatorOf: .transactionalID(name))
    let inits = client.versions(.initProducerID, atCoordinatorOf: .transactionalID(name))
    let isImplicit = client.features.transactionVersion >= 2 && (ends?.upperBound ?? 0) >= 5
    transactions?.negotiated(addsImplicitly: isImplicit, canBump: (inits?.upperBound ?? 0) >= 3)
  }

  private static func answer(
    _ code: KafkaErrorCode, _ what: String, _ identity: ProducerIdentity?
  ) -> TransactionMachine.Answer {
    code.isError ? .refused(code, what) : .done(identity)
  }

  /// Of several outcomes the one that weighs most: there is no way on past a fatal one, and nothing to try again where the
  /// transaction is lost.
  private static func answer(
    _ outcomes: [(TopicPartition, KafkaErrorCode)], _ call: TransactionVerdict.Call,
    _ what: (TopicPartition) -> String
  ) -> TransactionMachine.Answer {
    func weight(_ code: KafkaErrorCode) -> Int {
      switch TransactionVerdict(code, on: call) {
      case .done: 0
      case .retry: 2
      // Refused for another partition's sake: that one says why.
      case .abort: code == .operationNotAttempted ? 1 : 3
      case .fatal: 4
      case .fenced: 5
      }
    }
    var worst: (partition: TopicPartition, code: KafkaErrorCode)?
    for (partition, code) in outcomes where code.isError {
      if worst.map({ weight($0.code) < weight(code) }) ?? true { worst = (partition, code) }
    }
    guard let worst else { return .done(nil) }
    return .refused(worst.code, what(worst.partition))
  }
}

extension ClientError {
  /// Whether the request is known not to have reached a broker.
  var neverArrived: Bool {
    switch code {
    case .disconnected, .timedOut, .malformedAnswer: false
    default: true
    }
  }
}
