import Groundwork
import KafkaProtocol
import SystemInterfaces

/// Topics and their settings: list, describe, create, enlarge, delete. On the client's loop.
public struct Admin: Sendable {
  /// Whose connections and metadata are used.
  public let client: KafkaClient
  /// Takes a client, which others may use as well; nothing is sent yet.
  public init(_ client: KafkaClient) { self.client = client }

  /// A topic to make.
  public struct NewTopic: Sendable {
    /// The topic's name; the broker checks it.
    public var name: String
    /// -1: the broker's default (Kafka 2.4 and later).
    public var partitions: Int32
    /// -1: the broker's default (Kafka 2.4 and later).
    public var replicationFactor: Int16
    /// Settings such as `cleanup.policy`, in the order given.
    public var settings: [(name: String, value: String)]
    /// - Parameters:
    ///   - partitions: how many; -1: the broker's default (Kafka 2.4 and later).
    ///   - replicationFactor: copies of each partition; -1: the broker's default (Kafka 2.4 and later).
    ///   - settings: settings such as `cleanup.policy`, in the order given.
    public init(
      _ name: String, partitions: Int32 = -1, replicationFactor: Int16 = -1,
      settings: [(name: String, value: String)] = []
    ) {
      self.name = name
      self.partitions = partitions
      self.replicationFactor = replicationFactor
      self.settings = settings
    }
  }

  /// A setting of a topic or a broker.
  public struct Setting: Sendable, Equatable {
    /// Kafka's name, such as `retention.ms`.
    public var name: String
    /// nil where it is secret.
    public var value: String?
    /// Whether it is set nowhere, so that the value is the default.
    public var isDefault: Bool
    /// Whether no request can change it.
    public var isReadOnly: Bool
    /// Whether its value is kept secret.
    public var isSensitive: Bool
  }

  /// What settings belong to.
  public enum Resource: Sendable, Hashable {
    /// By name.
    case topic(String)
    /// By number.
    case broker(Int32)
  }

  /// Called once, on the client's loop.
  public typealias Completion<Value> = @Sendable (Result<Value, ClientError>) -> Void

  /// All topics, by name.
  public func listTopics(then: @escaping Completion<[ClusterMetadata.Topic]>) {
    var request = MetadataRequest()
    request.topics = nil
    client.send(request, to: .any, versions: 1...MetadataRequest.versions.upperBound) { result in
      then(
        result.map { answer in
          answer.topics.compactMap { topic in topic.name.map { ClusterMetadata.topic(topic, named: $0) } }
            .sorted { $0.name < $1.name }
        })
    }
  }

  /// The topics named, in that order; fails with `unknownTopic` where the cluster lacks one.
  public func describe(_ topics: [String], then: @escaping Completion<[ClusterMetadata.Topic]>) {
    let client = client
    client.retrying(
      { done in
        client.refreshMetadata(topics: topics) { result in
          done(result.map { _ in () })
        }
      },
      then: { (result: Result<Void, ClientError>) in
        if case .failure(let error) = result { return then(.failure(error)) }
        var found: [ClusterMetadata.Topic] = []
        for name in topics {
          guard let topic = client.metadata.topics[name], topic.error != .unknownTopicOrPartition else {
            client.forget(topic: name)
            return then(.failure(ClientError(.unknownTopic(name))))
          }
          if topic.error.isError { return then(.failure(ClientError(.broker(topic.error, "topic \(name)")))) }
          found.append(topic)
        }
        then(.success(found))
      })
  }

  /// Makes topics; fails with the first topic's error, after all were tried.
  /// - Parameter validateOnly: only asks whether it would succeed.
  public func createTopics(
    _ topics: [NewTopic], validateOnly: Bool = false, then: @escaping Completion<Void>
  ) {
    var request = CreateTopicsRequest()
    request.timeoutMilliseconds = milliseconds(client.configuration.requestTimeout)
    request.validateOnly = validateOnly
    request.topics = topics.map { new in
      var topic = CreateTopicsRequest.CreatableTopic()
      topic.name = new.name
      topic.numPartitions = new.partitions
      topic.replicationFactor = new.replicationFactor
      topic.configs = new.settings.map {
        var config = CreateTopicsRequest.CreatableTopic.CreatableTopicConfig()
        config.name = $0.name
        config.value = $0.value
        return config
      }
      return topic
    }
    // Defaults for partitions and replication came with version 4, validateOnly with 1.
    let needsDefaults = topics.contains { $0.partitions < 0 || $0.replicationFactor < 0 }
    let first: Int16 = needsDefaults ? 4 : validateOnly ? 1 : 0
    changeTopics(request, versions: first...CreateTopicsRequest.versions.upperBound, then: then) { answer in
      answer.topics.map { ("topic \($0.name)", $0.errorCode, $0.errorMessage) }
    }
  }

  /// Deletes topics; fails with the first topic's error, after all were tried.
  public func deleteTopics(_ topics: [String], then: @escaping Completion<Void>) {
    var request = DeleteTopicsRequest()
    request.timeoutMilliseconds = milliseconds(client.configuration.requestTimeout)
    // To version 5 by name, in version 6 by name or id.
    request.topicNames = topics
    request.topics = topics.map {
      var topic = DeleteTopicsRequest.DeleteTopicState()
      topic.name = $0
      return topic
    }
    let client = client
    changeTopics(
      request,
      then: { result in
        for topic in topics { client.forget(topic: topic) }
        if case .failure(let error) = result, case .broker(.unknownTopicOrPartition, _) = error.code,
          let topic = topics.first, topics.count == 1
        {
          return then(.failure(ClientError(.unknownTopic(topic))))
        }
        then(result)
      },
      outcomes: { answer in answer.responses.map { ("topic \($0.name ?? "")", $0.errorCode, $0.errorMessage) } })
  }

  /// Raises a topic's number of partitions to `count`.
  public func createPartitions(_ topic: String, count: Int32, then: @escaping Completion<Void>) {
    var request = CreatePartitionsRequest()
    request.timeoutMilliseconds = milliseconds(client.configuration.requestTimeout)
    var new = CreatePartitionsRequest.CreatePartitionsTopic()
    new.name = topic
    new.count = count
    request.topics = [new]
    changeTopics(request, then: then) { answer in
      answer.results.map { ("topic \($0.name)", $0.errorCode, $0.errorMessage) }
    }
  }

  /// The settings of a topic or broker, by name.
  public func describeConfigs(_ resource: Resource, then: @escaping Completion<[Setting]>) {
    var request = DescribeConfigsRequest()
    var wanted = DescribeConfigsRequest.DescribeConfigsResource()
    let destination: KafkaClient.Destination
    let what: String
    switch resource {
    case .topic(let name):
      wanted.resourceType = 2
      wanted.resourceName = name
      destination = .any
      what = "topic \(name)"
    case .broker(let id):
      wanted.resourceType = 4
      wanted.resourceName = String(id)
      destination = .broker(id)
      what = "broker \(id)"
    }
    request.resources = [wanted]
    let sent = request
    let client = client
    client.retrying(
      { done in
        client.sendOnce(sent, to: destination) { result in
          done(
            result.flatMap { answer in
              guard let found = answer.results.first else { return .success([]) }
              if found.errorCode.isError {
                return .failure(ClientError(.broker(found.errorCode, found.errorMessage ?? what)))
              }
              return .success(
                found.configs.map {
                  // Version 0 says whether it is the default, later ones where it comes from: 5 is the default.
                  Setting(
                    name: $0.name, value: $0.value, isDefault: $0.isDefault || $0.configSource == 5,
                    isReadOnly: $0.readOnly, isSensitive: $0.isSensitive)
                }.sorted { $0.name < $1.name })
            })
        }
      }, then: then)
  }

  /// Sends a request to the controller, tries again while any outcome says so, and reports the first failure.
  ///
  /// A second attempt may find what the first one did, its answer lost: that topic then counts as done.
  private func changeTopics<Request: KafkaRequest>(
    _ request: Request, versions: ClosedRange<Int16>? = nil, then: @escaping Completion<Void>,
    outcomes: @escaping @Sendable (Request.Response) -> [(what: String, code: KafkaErrorCode, text: String?)]
  ) {
    let client = client
    client.retrying(
      { done in
        client.sendOnce(request, to: .controller, versions: versions) { result in
          done(
            result.flatMap { answer -> Result<ClientError?, ClientError> in
              let failed = outcomes(answer).filter { $0.code.isError }
              // What may be tried again decides: the others then report what they are anyway. A topic that does not
              // exist will not come by being asked for again, though elsewhere the code may pass.
              guard
                let first = failed.first(where: { $0.code.isRetriable && $0.code != .unknownTopicOrPartition })
                  ?? failed.first
              else { return .success(nil) }
              client.forgetWhatIsStale(first.code)
              let error = ClientError(.broker(first.code, first.text.map { "\(first.what): \($0)" } ?? first.what))
              return first.code == .unknownTopicOrPartition ? .success(error) : .failure(error)
            })
        }
      },
      then: { (result: Result<ClientError?, ClientError>) in
        then(result.flatMap { error in error.map { .failure($0) } ?? .success(()) })
      })
  }

  private func milliseconds(_ duration: Duration) -> Int32 { Int32(clamping: duration.inMilliseconds) }
}
