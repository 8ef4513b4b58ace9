import Groundwork
import KafkaProtocol
import LogStorage

// OffsetCommit (8), versions 0 to 9. Kept in a journal; answered after the append, under flush policy `sync` after a sync.
// A member must belong to the current generation; a group without members takes offsets from anybody (generation -1).
// Retention times in the request are ignored: offsets stay until their group or topic is deleted.

extension BrokerState {
  func offsetCommit(_ call: Call, _ request: OffsetCommitRequest) {
    let groupError =
      request.groupID.isEmpty && call.version > 0
      ? .invalidGroupID
      : groups.mayCommit(
        request.groupID, memberID: request.memberID, generation: request.generationIDOrMemberEpoch)
    var response = OffsetCommitResponse()
    var accepted: [(partition: TopicPartition, offset: CommittedOffset)] = []
    let now = loop.wallTime
    response.topics = request.topics.map { wanted in
      var answer = OffsetCommitResponse.OffsetCommitResponseTopic()
      answer.name = wanted.name
      let topic = topics[wanted.name]
      answer.partitions = wanted.partitions.map { partition in
        var result = OffsetCommitResponse.OffsetCommitResponseTopic.OffsetCommitResponsePartition()
        result.partitionIndex = partition.partitionIndex
        let metadata = partition.committedMetadata ?? ""
        if groupError.isError {
          result.errorCode = groupError
        } else if topic?.log(partition.partitionIndex) == nil {
          result.errorCode = .unknownTopicOrPartition
        } else if metadata.utf8.count > configuration.offsetMetadataBytesMax {
          result.errorCode = .offsetMetadataTooLarge
        } else {
          accepted.append(
            (
              TopicPartition(wanted.name, PartitionIndex(partition.partitionIndex)),
              CommittedOffset(
                offset: Offset(partition.committedOffset), leaderEpoch: partition.committedLeaderEpoch,
                metadata: metadata, committed: now)
            ))
        }
        return result
      }
      return answer
    }
    do throws(LogError) {
      try offsets.commit(request.groupID, accepted)
    } catch {
      storageFailed(error, "offsets of group \(request.groupID) could not be kept: ")
      for topic in response.topics.indices {
        for partition in response.topics[topic].partitions.indices
        where !response.topics[topic].partitions[partition].errorCode.isError {
          response.topics[topic].partitions[partition].errorCode = .coordinatorNotAvailable
        }
      }
    }
    call.answer(response)
  }
}
