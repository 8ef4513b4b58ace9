import Groundwork
import KafkaProtocol
import LogStorage

// OffsetFetch (9), versions 0 to 9: of one group up to version 7, of several from 8 on (KIP-709). Offset -1 without an
// error where nothing is committed. `require_stable` is always fulfilled: nothing is ever pending in a transaction.

extension BrokerState {
  func offsetFetch(_ call: Call, _ request: OffsetFetchRequest) {
    var response = OffsetFetchResponse()
    if call.version >= 8 {
      response.groups = request.groups.map { wanted in
        var answer = OffsetFetchResponse.OffsetFetchResponseGroup()
        answer.groupID = wanted.groupID
        let topics = wanted.topics?.map { ($0.name, $0.partitionIndexes) }
        answer.topics = committed(wanted.groupID, topics).map { name, partitions in
          var topic = OffsetFetchResponse.OffsetFetchResponseGroup.OffsetFetchResponseTopics()
          topic.name = name
          topic.partitions = partitions.map { index, offset in
            var partition =
              OffsetFetchResponse.OffsetFetchResponseGroup.OffsetFetchResponseTopics.OffsetFetchResponsePartitions()
            partition.partitionIndex = index
            partition.committedOffset = offset?.offset.rawValue ?? -1
            partition.committedLeaderEpoch = offset?.leaderEpoch ?? -1
            partition.metadata = offset?.metadata ?? ""
            return partition
          }
          return topic
        }
        return answer
      }
    } else {
      let topics = request.topics?.map { ($0.name, $0.partitionIndexes) }
      response.topics = committed(request.groupID, topics).map { name, partitions in
        var topic = OffsetFetchResponse.OffsetFetchResponseTopic()
        topic.name = name
        topic.partitions = partitions.map { index, offset in
          var partition = OffsetFetchResponse.OffsetFetchResponseTopic.OffsetFetchResponsePartition()
          partition.partitionIndex = index
          partition.committedOffset = offset?.offset.rawValue ?? -1
          partition.committedLeaderEpoch = offset?.leaderEpoch ?? -1
          partition.metadata = offset?.metadata ?? ""
          return partition
        }
        return topic
      }
    }
    call.answer(response)
  }

  /// What a group has committed, for the partitions asked for or for all it has, by topic.
  private func committed(
    _ group: String, _ wanted: [(name: String, partitions: [Int32])]?
  ) -> [(name: String, partitions: [(Int32, CommittedOffset?)])] {
    if let wanted {
      return wanted.map { topic in
        let partitions = topic.partitions.map {
          ($0, offsets.offset(of: group, TopicPartition(topic.name, PartitionIndex($0))))
        }
        return (topic.name, partitions)
      }
    }
    var all: [(name: String, partitions: [(Int32, CommittedOffset?)])] = []
    for (partition, offset) in offsets.offsets(of: group) {
      if all.last?.name != partition.topic { all.append((partition.topic, [])) }
      all[all.count - 1].partitions.append((partition.partition.rawValue, offset))
    }
    return all
  }
}
