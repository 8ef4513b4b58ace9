import Groundwork
import KafkaProtocol
import LogStorage

// OffsetCommit (8), versions 0 to 9. Kept in a journal; answered after the append, under flush policy `sync` after a sync.
// A member must belong to the current generation; a group without members takes offsets from anybody (generation -1).
// Retention times in the request are ignored: offsets stay until their group or topic is deleted.

extension BrokerState {
  func offsetCommit(_ call: Call, _ request: OffsetCommitRequest) {
    var intake = OffsetIntake(self)
    for topic in request.topics {
      for partition in topic.partitions {
        intake.offer(
          topic.name, partition.partitionIndex, partition.committedOffset, leaderEpoch: partition.committedLeaderEpoch,
          metadata: partition.committedMetadata)
      }
    }
    let groupError =
      request.groupID.isEmpty && call.version > 0
      ? .invalidGroupID
      : groups.mayCommit(
        request.groupID, memberID: request.memberID, generation: request.generationIDOrMemberEpoch)
    if groupError.isError {
      intake.refuse(groupError)
    } else {
      do throws(LogError) {
        try offsets.commit(request.groupID, intake.accepted)
      } catch {
        storageFailed(error, "offsets of group \(request.groupID) could not be kept: ")
        intake.refuse(.coordinatorNotAvailable)
      }
    }
    var codes = intake.codes.makeIterator()
    var response = OffsetCommitResponse()
    response.topics = request.topics.map { wanted in
      var answer = OffsetCommitResponse.OffsetCommitResponseTopic()
      answer.name = wanted.name
      answer.partitions = wanted.partitions.map { partition in
        var result = OffsetCommitResponse.OffsetCommitResponseTopic.OffsetCommitResponsePartition()
        result.partitionIndex = partition.partitionIndex
        result.errorCode = codes.next() ?? .unknownServerError
        return result
      }
      return answer
    }
    call.answer(response)
  }
}
