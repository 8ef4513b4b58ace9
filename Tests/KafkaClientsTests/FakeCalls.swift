import Groundwork
import KafkaProtocol

/// The fake brokers' answers to the calls that need no connection state.
enum FakeCalls {
  static func answer(
    _ call: APIKey, _ frame: Bytes, _ header: RequestHeader, _ broker: FakeBroker
  ) -> (any KafkaResponse)? {
    let cluster = broker.cluster
    switch call {
    case .findCoordinator:
      let request = try! decodeRequest(FindCoordinatorRequest.self, frame, header)
      var answer = FindCoordinatorResponse()
      let code = cluster.nextError(.findCoordinator)
      let address = FakeCluster.address(cluster.coordinator)
      if header.version >= 4 {
        answer.coordinators = request.coordinatorKeys.map {
          var found = FindCoordinatorResponse.Coordinator()
          (found.key, found.nodeID, found.errorCode) = ($0, cluster.coordinator, code)
          (found.host, found.port) = (address.host, Int32(address.port))
          return found
        }
      } else {
        (answer.nodeID, answer.errorCode) = (cluster.coordinator, code)
        (answer.host, answer.port) = (address.host, Int32(address.port))
      }
      return answer
    case .listOffsets: return listOffsets(try! decodeRequest(ListOffsetsRequest.self, frame, header), broker)
    case .offsetCommit: return commit(try! decodeRequest(OffsetCommitRequest.self, frame, header), broker)
    case .offsetFetch:
      return committed(try! decodeRequest(OffsetFetchRequest.self, frame, header), header.version, broker)
    case .createTopics:
      let request = try! decodeRequest(CreateTopicsRequest.self, frame, header)
      var answer = CreateTopicsResponse()
      answer.topics = request.topics.map { topic in
        var result = CreateTopicsResponse.CreatableTopicResult()
        result.name = topic.name
        result.errorCode = cluster.nextError(.createTopics)
        if cluster.topics[topic.name] != nil { result.errorCode = .topicAlreadyExists }
        if !result.errorCode.isError, !request.validateOnly {
          cluster.makeTopic(topic.name, leaders: Array(repeating: broker.id, count: max(1, Int(topic.numPartitions))))
        }
        return result
      }
      return answer
    case .deleteTopics:
      let request = try! decodeRequest(DeleteTopicsRequest.self, frame, header)
      var answer = DeleteTopicsResponse()
      let names = header.version >= 6 ? request.topics.map { $0.name ?? "" } : request.topicNames
      answer.responses = names.map { name in
        var result = DeleteTopicsResponse.DeletableTopicResult()
        result.name = name
        result.errorCode = cluster.topics.removeValue(forKey: name) == nil ? .unknownTopicOrPartition : .none
        return result
      }
      return answer
    case .createPartitions:
      let request = try! decodeRequest(CreatePartitionsRequest.self, frame, header)
      var answer = CreatePartitionsResponse()
      answer.results = request.topics.map { topic in
        var result = CreatePartitionsResponse.CreatePartitionsTopicResult()
        result.name = topic.name
        let have = cluster.topics[topic.name]?.count ?? 0
        if have == 0 || Int(topic.count) <= have {
          result.errorCode = have == 0 ? .unknownTopicOrPartition : .invalidPartitions
        } else {
          cluster.topics[topic.name]! += (have..<Int(topic.count)).map { _ in FakeCluster.Partition(leader: broker.id) }
        }
        return result
      }
      return answer
    case .describeConfigs:
      let request = try! decodeRequest(DescribeConfigsRequest.self, frame, header)
      var answer = DescribeConfigsResponse()
      answer.results = request.resources.map { resource in
        var result = DescribeConfigsResponse.DescribeConfigsResult()
        result.resourceName = resource.resourceName
        if cluster.topics[resource.resourceName] == nil { result.errorCode = .unknownTopicOrPartition }
        var config = DescribeConfigsResponse.DescribeConfigsResult.DescribeConfigsResourceResult()
        (config.name, config.value, config.configSource) = ("cleanup.policy", "delete", 5)
        config.isDefault = header.version == 0
        result.configs = [config]
        return result
      }
      return answer
    default: return nil
    }
  }

  private static func listOffsets(_ request: ListOffsetsRequest, _ broker: FakeBroker) -> ListOffsetsResponse {
    var answer = ListOffsetsResponse()
    answer.topics = request.topics.map { topic in
      var wireTopic = ListOffsetsResponse.ListOffsetsTopicResponse()
      wireTopic.name = topic.name
      wireTopic.partitions = topic.partitions.map { asked in
        var wire = ListOffsetsResponse.ListOffsetsTopicResponse.ListOffsetsPartitionResponse()
        wire.partitionIndex = asked.partitionIndex
        wire.errorCode = broker.cluster.nextError(.listOffsets)
        guard !wire.errorCode.isError else { return wire }
        guard let partition = broker.cluster.partition(topic.name, asked.partitionIndex) else {
          wire.errorCode = .unknownTopicOrPartition
          return wire
        }
        if partition.leader != broker.id { wire.errorCode = .notLeaderOrFollower }
        wire.offset = asked.timestamp == -2 ? partition.startOffset : partition.nextOffset
        return wire
      }
      return wireTopic
    }
    return answer
  }

  private static func commit(_ request: OffsetCommitRequest, _ broker: FakeBroker) -> OffsetCommitResponse {
    let cluster = broker.cluster
    var answer = OffsetCommitResponse()
    answer.topics = request.topics.map { topic in
      var wireTopic = OffsetCommitResponse.OffsetCommitResponseTopic()
      wireTopic.name = topic.name
      wireTopic.partitions = topic.partitions.map { item in
        var wire = OffsetCommitResponse.OffsetCommitResponseTopic.OffsetCommitResponsePartition()
        wire.partitionIndex = item.partitionIndex
        wire.errorCode = broker.id == cluster.coordinator ? cluster.nextError(.offsetCommit) : .notCoordinator
        if !wire.errorCode.isError {
          let partition = TopicPartition(topic.name, PartitionIndex(item.partitionIndex))
          cluster.committed[request.groupID, default: [:]][partition] = (item.committedOffset, item.committedMetadata)
        }
        return wire
      }
      return wireTopic
    }
    return answer
  }

  private static func committed(
    _ request: OffsetFetchRequest, _ version: Int16, _ broker: FakeBroker
  ) -> OffsetFetchResponse {
    let cluster = broker.cluster
    var answer = OffsetFetchResponse()
    let group = version >= 8 ? request.groups.first?.groupID ?? "" : request.groupID
    let code: KafkaErrorCode =
      broker.id == cluster.coordinator ? cluster.nextError(.offsetFetch) : .notCoordinator
    let known = cluster.committed[group] ?? [:]
    let asked: [TopicPartition]
    if version >= 8 {
      asked =
        request.groups.first?.topics?.flatMap { topic in
          topic.partitionIndexes.map { TopicPartition(topic.name, PartitionIndex($0)) }
        } ?? known.keys.sorted()
    } else {
      asked =
        request.topics?.flatMap { topic in
          topic.partitionIndexes.map { TopicPartition(topic.name, PartitionIndex($0)) }
        } ?? known.keys.sorted()
    }
    if version >= 8 {
      var wireGroup = OffsetFetchResponse.OffsetFetchResponseGroup()
      (wireGroup.groupID, wireGroup.errorCode) = (group, code)
      wireGroup.topics = asked.map { partition in
        var topic = OffsetFetchResponse.OffsetFetchResponseGroup.OffsetFetchResponseTopics()
        var wire = OffsetFetchResponse.OffsetFetchResponseGroup.OffsetFetchResponseTopics
          .OffsetFetchResponsePartitions()
        topic.name = partition.topic
        wire.partitionIndex = partition.partition.rawValue
        wire.committedOffset = known[partition]?.offset ?? -1
        wire.metadata = known[partition]?.metadata
        topic.partitions = [wire]
        return topic
      }
      answer.groups = [wireGroup]
    } else {
      answer.errorCode = code
      answer.topics = asked.map { partition in
        var topic = OffsetFetchResponse.OffsetFetchResponseTopic()
        var wire = OffsetFetchResponse.OffsetFetchResponseTopic.OffsetFetchResponsePartition()
        topic.name = partition.topic
        wire.partitionIndex = partition.partition.rawValue
        wire.committedOffset = known[partition]?.offset ?? -1
        wire.metadata = known[partition]?.metadata
        topic.partitions = [wire]
        return topic
      }
    }
    return answer
  }
}
