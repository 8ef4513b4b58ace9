import Groundwork
import KafkaProtocol
import LogStorage

// TxnOffsetCommit (28), versions 0 to 5. The offsets are kept with the transaction and take effect when it commits. A
// request that names a member must come from the group's current generation (KIP-447); one that names none is taken, as
// producers of before 2.5 send it. Up to version 4 the group must have been announced with AddOffsetsToTxn; version 5
// announces it by itself (KIP-890).

extension BrokerState {
  func txnOffsetCommit(_ call: Call, _ request: TxnOffsetCommitRequest) {
    var intake = OffsetIntake(self)
    for topic in request.topics {
      for partition in topic.partitions {
        intake.offer(
          topic.name, partition.partitionIndex, partition.committedOffset, leaderEpoch: partition.committedLeaderEpoch,
          metadata: partition.committedMetadata)
      }
    }
    var error = groupError(request)
    if !error.isError {
      let producer = Producer(id: request.producerID, epoch: request.producerEpoch)
      let isImplicit = call.version >= 5 && configuration.transactionVersion >= 2
      error = transact(request.transactionalID) {
        $0.commit(intake.accepted, of: request.groupID, producer, isImplicit: isImplicit, now: $1)
      }
      error = error.forCoordinator(call.version, fencedFrom: .max, abortableFrom: 4)
    }
    if error.isError { intake.refuse(error) }
    var codes = intake.codes.makeIterator()
    var response = TxnOffsetCommitResponse()
    response.topics = request.topics.map { wanted in
      var answer = TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic()
      answer.name = wanted.name
      answer.partitions = wanted.partitions.map { partition in
        var result = TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic.TxnOffsetCommitResponsePartition()
        result.partitionIndex = partition.partitionIndex
        result.errorCode = codes.next() ?? .unknownServerError
        return result
      }
      return answer
    }
    call.answer(response)
  }

  private func groupError(_ request: TxnOffsetCommitRequest) -> KafkaErrorCode {
    if request.groupID.isEmpty { return .invalidGroupID }
    let namesMember = request.generationID >= 0 || !request.memberID.isEmpty || request.groupInstanceID != nil
    guard namesMember else { return .none }
    return groups.mayCommit(request.groupID, memberID: request.memberID, generation: request.generationID)
  }
}
