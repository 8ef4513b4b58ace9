import Groundwork
import KafkaProtocol
import LogStorage

// CreateTopics (19), versions 0 to 7. Each topic succeeds or fails by itself; `validate_only` makes none.
// The replication factor must be 1 or -1 (the default), a manual assignment must name this broker alone.

extension BrokerState {
  private typealias TopicAnswer = CreateTopicsResponse.CreatableTopicResult

  func createTopics(_ call: Call, _ request: CreateTopicsRequest) {
    var response = CreateTopicsResponse()
    var counts: [String: Int] = [:]
    for topic in request.topics { counts[topic.name, default: 0] += 1 }
    response.topics = request.topics.map { wanted in
      var answer = TopicAnswer()
      answer.name = wanted.name
      if counts[wanted.name]! > 1 {
        answer.errorCode = .invalidRequest
        answer.errorMessage = "the request names the topic \(wanted.name) more than once"
        return answer
      }
      do throws(Refusal) {
        try create(wanted, validateOnly: request.validateOnly, &answer)
      } catch {
        answer.errorCode = error.code
        answer.errorMessage = error.message
      }
      return answer
    }
    call.answer(response)
  }

  /// An error for one topic, with the text its asker reads.
  struct Refusal: Error {
    var code: KafkaErrorCode
    var message: String
    init(_ code: KafkaErrorCode, _ message: String) {
      self.code = code
      self.message = message
    }
    init(_ error: LogError) { self.init(KafkaErrorCode(error), error.description) }
  }

  private func create(
    _ wanted: CreateTopicsRequest.CreatableTopic, validateOnly: Bool, _ answer: inout TopicAnswer
  ) throws(Refusal) {
    guard TopicStore.isValid(wanted.name) else {
      throw Refusal(
        .invalidTopicException,
        "a topic name has 1 to 249 characters out of letters, digits, '.', '_' and '-', and is neither '.' nor '..'")
    }
    guard topics[wanted.name] == nil else {
      throw Refusal(.topicAlreadyExists, "topic '\(wanted.name)' already exists")
    }
    let count = try partitionCount(wanted)
    guard wanted.replicationFactor == 1 || wanted.replicationFactor == -1 else {
      throw Refusal(
        .invalidReplicationFactor,
        "replication factor \(wanted.replicationFactor): this broker is alone, only 1 is possible")
    }
    var overrides: [String: String] = [:]
    for config in wanted.configs {
      // A null value means the default.
      if let value = config.value { overrides[config.name] = value }
    }
    let settings: LogConfiguration
    do throws(LogError) {
      settings = try configuration.topicDefaults.applying(overrides)
      if !validateOnly {
        let topic = try topics.create(
          wanted.name, partitionCount: count, overrides: overrides, now: loop.wallTime)
        answer.topicID = topic.id
        report(.info, "made topic \(wanted.name) with \(count) partitions")
      }
    } catch {
      throw Refusal(error)
    }
    answer.numPartitions = Int32(count)
    answer.replicationFactor = 1
    answer.configs = LogConfiguration.settings.map { setting in
      var config = TopicAnswer.CreatableTopicConfigs()
      config.name = setting.name
      config.value = settings.value(of: setting.name)
      config.configSource = source(of: setting.name, overrides)
      return config
    }
  }

  private func partitionCount(_ wanted: CreateTopicsRequest.CreatableTopic) throws(Refusal) -> Int {
    var count = Int(wanted.numPartitions)
    if !wanted.assignments.isEmpty {
      guard wanted.numPartitions == -1, wanted.replicationFactor == -1 else {
        throw Refusal(.invalidRequest, "a manual assignment leaves partition count and replication factor at -1")
      }
      let indexes = wanted.assignments.map(\.partitionIndex).sorted()
      guard indexes == Array(0..<Int32(indexes.count)),
        wanted.assignments.allSatisfy({ $0.brokerIDs == [configuration.nodeID] })
      else {
        throw Refusal(
          .invalidReplicaAssignment,
          "partitions count from 0 without a gap, and broker \(configuration.nodeID) is the only one there is")
      }
      count = indexes.count
    } else if count == -1 {
      count = configuration.defaultPartitionCount
    }
    guard count > 0 else { throw Refusal(.invalidPartitions, "a topic has at least 1 partition, not \(count)") }
    try requireRoom(for: count)
    return count
  }

  /// Partitions take files and memory: a request may ask for any number, and gets them up to a limit.
  func requireRoom(for count: Int) throws(Refusal) {
    let existing = topics.partitionCount
    guard count <= configuration.partitionCountMax - existing else {
      throw Refusal(
        .invalidPartitions,
        "\(count) more partitions: the broker has \(existing) and its limit is \(configuration.partitionCountMax)")
    }
  }

  /// Where a topic setting's value comes from: 1, the topic itself; 4, the broker's own settings; 5, the default.
  func source(of name: String, _ overrides: [String: String]) -> Int8 {
    if overrides[name] != nil { return 1 }
    return configuration.topicDefaults.value(of: name) == LogConfiguration().value(of: name) ? 5 : 4
  }
}
