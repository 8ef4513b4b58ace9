import Groundwork
import KafkaProtocol
import LogStorage

// DescribeConfigs (32), versions 0 to 4, of topics (resource type 2) and of this broker (4). The broker's settings are
// read-only: they are given at start.

extension BrokerState {
  private typealias Answer = DescribeConfigsResponse.DescribeConfigsResult
  private typealias Setting = DescribeConfigsResponse.DescribeConfigsResult.DescribeConfigsResourceResult

  func describeConfigs(_ call: Call, _ request: DescribeConfigsRequest) {
    var response = DescribeConfigsResponse()
    response.results = request.resources.map { resource in
      var answer = Answer()
      answer.resourceType = resource.resourceType
      answer.resourceName = resource.resourceName
      switch resource.resourceType {
      case 2:
        guard let topic = topics[resource.resourceName] else {
          answer.errorCode =
            TopicStore.isValid(resource.resourceName) ? .unknownTopicOrPartition : .invalidTopicException
          return answer
        }
        answer.configs = settings(of: topic, documented: request.includeDocumentation)
      case 4:
        guard resource.resourceName.isEmpty || resource.resourceName == String(configuration.nodeID) else {
          answer.errorCode = .invalidRequest
          answer.errorMessage = "this is broker \(configuration.nodeID)"
          return answer
        }
        answer.configs = brokerSettings
      default:
        answer.errorCode = .invalidRequest
        answer.errorMessage = "resource type \(resource.resourceType): topics (2) and brokers (4) have settings here"
        return answer
      }
      if let keys = resource.configurationKeys, !keys.isEmpty {
        answer.configs.removeAll { !keys.contains($0.name) }
      }
      return answer
    }
    call.answer(response)
  }

  private func settings(of topic: Topic, documented: Bool) -> [Setting] {
    let values = topics.settings(of: topic)
    return LogConfiguration.settings.map { setting in
      var entry = Setting()
      entry.name = setting.name
      entry.value = values.value(of: setting.name)
      entry.configSource = source(of: setting.name, topic.overrides)
      entry.isDefault = entry.configSource == 5
      entry.configType =
        switch setting.kind {
        case .text: 2
        case .int: 3
        case .long: 5
        case .list: 7
        }
      entry.documentation = documented ? setting.documentation : nil
      return entry
    }
  }

  private var brokerSettings: [Setting] {
    let configuration = configuration
    let values: [(String, String, Int8)] = [
      ("auto.create.topics.enable", "\(configuration.createsTopicsOnDemand)", 1),
      ("fetch.max.bytes", "\(configuration.fetchBytesMax)", 3),
      ("group.initial.rebalance.delay.ms", "\(configuration.groupInitialRebalanceDelay.inMilliseconds)", 3),
      ("group.max.session.timeout.ms", "\(configuration.groupSessionTimeouts.upperBound.inMilliseconds)", 3),
      ("group.min.session.timeout.ms", "\(configuration.groupSessionTimeouts.lowerBound.inMilliseconds)", 3),
      ("listeners", "PLAINTEXT://\(advertised)", 2),
      ("log.dirs", configuration.dataDirectory, 2),
      ("log.retention.check.interval.ms", "\(configuration.retentionCheckInterval.inMilliseconds)", 5),
      ("log.retention.ms", configuration.topicDefaults.value(of: "retention.ms") ?? "", 5),
      ("log.segment.bytes", configuration.topicDefaults.value(of: "segment.bytes") ?? "", 3),
      ("message.max.bytes", "\(configuration.topicDefaults.messageBytesMax)", 3),
      ("node.id", "\(configuration.nodeID)", 3),
      ("num.partitions", "\(configuration.defaultPartitionCount)", 3),
      ("offset.metadata.max.bytes", "\(configuration.offsetMetadataBytesMax)", 3),
      ("socket.request.max.bytes", "\(configuration.requestBytesMax)", 3),
    ]
    return values.map { name, value, type in
      var entry = Setting()
      entry.name = name
      entry.value = value
      entry.readOnly = true
      entry.configSource = 4
      entry.configType = type
      return entry
    }
  }
}
