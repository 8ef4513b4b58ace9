import Groundwork
import KafkaProtocol

/// An empty answer, or a part of one, filled in.
private func filled<Value>(_ empty: Value, _ fill: (inout Value) -> Void) -> Value {
  var value = empty
  fill(&value)
  return value
}

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
      let results = request.topics.map { topic in
        let scripted = cluster.nextError(.createTopics)
        let code = cluster.topics[topic.name] != nil ? .topicAlreadyExists : scripted
        if !code.isError, !request.validateOnly {
          cluster.makeTopic(topic.name, leaders: Array(repeating: broker.id, count: max(1, Int(topic.numPartitions))))
        }
        return filled(CreateTopicsResponse.CreatableTopicResult()) { ($0.name, $0.errorCode) = (topic.name, code) }
      }
      return filled(CreateTopicsResponse()) { $0.topics = results }
    case .deleteTopics:
      let request = try! decodeRequest(DeleteTopicsRequest.self, frame, header)
      let names = header.version >= 6 ? request.topics.map { $0.name ?? "" } : request.topicNames
      let results = names.map { name in
        let code: KafkaErrorCode =
          cluster.topics.removeValue(forKey: name) == nil ? .unknownTopicOrPartition : .none
        return filled(DeleteTopicsResponse.DeletableTopicResult()) { ($0.name, $0.errorCode) = (name, code) }
      }
      return filled(DeleteTopicsResponse()) { $0.responses = results }
    case .createPartitions:
      let request = try! decodeRequest(CreatePartitionsRequest.self, frame, header)
      let results = request.topics.map { topic in
        let have = cluster.topics[topic.name]?.count ?? 0
        let added = have == 0 ? 0..<0 : have..<max(have, Int(topic.count))
        cluster.topics[topic.name]? += added.map { _ in FakeCluster.Partition(leader: broker.id) }
        let code: KafkaErrorCode = have == 0 ? .unknownTopicOrPartition : added.isEmpty ? .invalidPartitions : .none
        return filled(CreatePartitionsResponse.CreatePartitionsTopicResult()) {
          ($0.name, $0.errorCode) = (topic.name, code)
        }
      }
      return filled(CreatePartitionsResponse()) { $0.results = results }
    case .describeConfigs:
      let request = try! decodeRequest(DescribeConfigsRequest.self, frame, header)
      let config = filled(DescribeConfigsResponse.DescribeConfigsResult.DescribeConfigsResourceResult()) {
        ($0.name, $0.value, $0.configSource) = ("cleanup.policy", "delete", 5)
        $0.isDefault = header.version == 0
      }
      let results = request.resources.map { resource in
        filled(DescribeConfigsResponse.DescribeConfigsResult()) {
          ($0.resourceName, $0.configs) = (resource.resourceName, [config])
          if cluster.topics[resource.resourceName] == nil { $0.errorCode = .unknownTopicOrPartition }
        }
      }
      return filled(DescribeConfigsResponse()) { $0.results = results }
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
    let names: [(topic: String, partitions: [Int32])]? =
      version >= 8
      ? request.groups.first?.topics?.map { ($0.name, $0.partitionIndexes) }
      : request.topics?.map { ($0.name, $0.partitionIndexes) }
    let asked =
      names?.flatMap { name in name.partitions.map { TopicPartition(name.topic, PartitionIndex($0)) } }
      ?? known.keys.sorted()
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
