import Groundwork
import KafkaProtocol
import LogStorage

// OffsetFetch (9), versions 0 to 9: of one group up to version 7, of several from 8 on (KIP-709). Offset -1 without an
// error where nothing is committed. With `require_stable` a partition whose offset a transaction holds back gets
// UNSTABLE_OFFSET_COMMIT: asked again, it will say what the transaction has made of it (KIP-447).

extension BrokerState {
  func offsetFetch(_ call: Call, _ request: OffsetFetchRequest) {
    var response = OffsetFetchResponse()
    if call.version >= 8 {
      response.groups = request.groups.map { wanted in
        var answer = OffsetFetchResponse.OffsetFetchResponseGroup()
        answer.groupID = wanted.groupID
        let topics = wanted.topics?.map { ($0.name, $0.partitionIndexes) }
        answer.topics = committed(wanted.groupID, topics, isStable: request.requireStable).map { name, partitions in
          var topic = OffsetFetchResponse.OffsetFetchResponseGroup.OffsetFetchResponseTopics()
          topic.name = name
          topic.partitions = partitions.map { index, offset, isPending in
            var partition =
              OffsetFetchResponse.OffsetFetchResponseGroup.OffsetFetchResponseTopics.OffsetFetchResponsePartitions()
            partition.partitionIndex = index
            partition.committedOffset = offset?.offset.rawValue ?? -1
            partition.committedLeaderEpoch = offset?.leaderEpoch ?? -1
            partition.metadata = offset?.metadata ?? ""
            if isPending { partition.errorCode = .unstableOffsetCommit }
            return partition
          }
          return topic
        }
        return answer
      }
    } else {
      let topics = request.topics?.map { ($0.name, $0.partitionIndexes) }
      response.topics = committed(request.groupID, topics, isStable: request.requireStable).map { name, partitions in
        var topic = OffsetFetchResponse.OffsetFetchResponseTopic()
        topic.name = name
        topic.partitions = partitions.map { index, offset, isPending in
          var partition = OffsetFetchResponse.OffsetFetchResponseTopic.OffsetFetchResponsePartition()
          partition.partitionIndex = index
          partition.committedOffset = offset?.offset.rawValue ?? -1
          partition.committedLeaderEpoch = offset?.leaderEpoch ?? -1
          partition.metadata = offset?.metadata ?? ""
          if isPending { partition.errorCode = .unstableOffsetCommit }
          return partition
        }
        return topic
      }
    }
    call.answer(response)
  }

  private typealias Committed = (index: Int32, offset: CommittedOffset?, isPending: Bool)

  /// What a group has committed, for the partitions asked for or for all it has, by topic.
  ///
  /// - Parameter isStable: whether an offset that a transaction holds back is withheld, and said to be pending.
  private func committed(
    _ group: String, _ wanted: [(name: String, partitions: [Int32])]?, isStable: Bool
  ) -> [(name: String, partitions: [Committed])] {
    let pending = isStable ? transactions.pendingOffsets(of: group) : []
    func look(_ partition: TopicPartition) -> Committed {
      let isPending = pending.contains(partition)
      return (partition.partition.rawValue, isPending ? nil : offsets.offset(of: group, partition), isPending)
    }
    if let wanted {
      return wanted.map { topic in
        (topic.name, topic.partitions.map { look(TopicPartition(topic.name, PartitionIndex($0))) })
      }
    }
    var all: [(name: String, partitions: [Committed])] = []
    for partition in pending.union(offsets.offsets(of: group).map(\.partition)).sorted() {
      if all.last?.name != partition.topic { all.append((partition.topic, [])) }
      all[all.count - 1].partitions.append(look(partition))
    }
    return all
  }
}
