import Groundwork
import KafkaProtocol
import LogStorage

// Metadata (3), versions 0 to 12. This broker leads everything; leader epoch 0.
// A topic that does not exist is made on demand where the request allows it and the broker is so configured, and is
// there in the same answer (Kafka answers LEADER_NOT_AVAILABLE first). Authorized operations are not told.

extension BrokerState {
  func metadata(_ call: Call, _ request: MetadataRequest) {
    var response = MetadataResponse()
    var broker = MetadataResponse.MetadataResponseBroker()
    let address = advertised
    broker.nodeID = configuration.nodeID
    broker.host = address.host
    broker.port = Int32(address.port)
    response.brokers = [broker]
    response.clusterID = topics.clusterID
    response.controllerID = configuration.nodeID
    if let wanted = request.topics, !(call.version == 0 && wanted.isEmpty) {
      response.topics = wanted.map { metadata(of: $0, mayCreate: request.allowAutoTopicCreation) }
    } else {
      response.topics = topics.all.map { described($0) }
    }
    call.answer(response)
  }

  private func metadata(
    of wanted: MetadataRequest.MetadataRequestTopic, mayCreate: Bool
  ) -> MetadataResponse.MetadataResponseTopic {
    var answer = MetadataResponse.MetadataResponseTopic()
    answer.name = wanted.name
    answer.topicID = wanted.topicID
    guard let name = wanted.name else {
      if let topic = topics[wanted.topicID] { return described(topic) }
      answer.errorCode = .unknownTopicID
      return answer
    }
    if let topic = topics[name] { return described(topic) }
    guard TopicStore.isValid(name) else {
      answer.errorCode = .invalidTopicException
      return answer
    }
    guard mayCreate, configuration.createsTopicsOnDemand else {
      answer.errorCode = .unknownTopicOrPartition
      return answer
    }
    guard topics.partitionCount + configuration.defaultPartitionCount <= configuration.partitionCountMax else {
      answer.errorCode = .policyViolation
      report(
        .warning, "topic \(name) was not made on demand: the broker has \(topics.partitionCount) partitions already")
      return answer
    }
    do throws(LogError) {
      let topic = try topics.create(
        name, partitionCount: configuration.defaultPartitionCount, overrides: [:], now: loop.wallTime)
      report(.info, "made topic \(name) on demand")
      return described(topic)
    } catch {
      report(.warning, "topic \(name) could not be made: \(error)")
      answer.errorCode = KafkaErrorCode(error)
      return answer
    }
  }

  private func described(_ topic: Topic) -> MetadataResponse.MetadataResponseTopic {
    var answer = MetadataResponse.MetadataResponseTopic()
    answer.name = topic.name
    answer.topicID = topic.id
    answer.partitions = topic.logs.indices.map { index in
      var partition = MetadataResponse.MetadataResponseTopic.MetadataResponsePartition()
      partition.partitionIndex = Int32(index)
      partition.leaderID = configuration.nodeID
      partition.leaderEpoch = PartitionLog.leaderEpoch
      partition.replicaNodes = [configuration.nodeID]
      partition.isrNodes = [configuration.nodeID]
      return partition
    }
    return answer
  }
}
