import Groundwork
import KafkaProtocol
import SystemInterfaces

/// Who waits for metadata, and for which topics. One request is under way at a time; who comes meanwhile waits for the
/// next one, because the one under way may not have asked for his topics.
struct MetadataRefresh {
  typealias Waiter = @Sendable (Result<ClusterMetadata, ClientError>) -> Void
  /// Every topic that was ever asked for: kept fresh together.
  var interest: Set<String> = []
  var isUnderWay = false
  var waiters: [Waiter] = []
}

extension KafkaClient {
  /// Asks for the cluster's brokers and for the topics named, and for all topics asked for before.
  ///
  /// One attempt; requests made while one is under way share the next. `then` hears of the metadata as they are then.
  public func refreshMetadata(
    topics: [String] = [], then: @escaping @Sendable (Result<ClusterMetadata, ClientError>) -> Void
  ) {
    refresh.interest.formUnion(topics)
    refresh.waiters.append(then)
    if !refresh.isUnderWay { startRefresh() }
  }

  /// The topics' metadata from the cache where they are there and young enough, else from a broker. Tries again until
  /// all topics are known, each with a leader for every partition, or the deadline has come.
  /// - Throws (in the result): `unknownTopic` for the first topic that the cluster does not have.
  public func metadata(
    for topics: [String], deadline: Instant? = nil,
    then: @escaping @Sendable (Result<ClusterMetadata, ClientError>) -> Void
  ) {
    retrying(until: deadline, { [self] done in metadataOnce(for: topics, then: done) }, then: then)
  }

  /// One attempt of `metadata(for:)`.
  func metadataOnce(
    for topics: [String], then: @escaping @Sendable (Result<ClusterMetadata, ClientError>) -> Void
  ) {
    refresh.interest.formUnion(topics)
    if isFresh, topics.allSatisfy({ self.problem($0) == nil }) {
      let known = metadata
      return loop.post { then(.success(known)) }
    }
    refreshMetadata(topics: topics) { [self] result in
      guard case .success = result else { return then(result) }
      if let problem = topics.lazy.compactMap({ self.problem($0) }).first { return then(.failure(problem)) }
      then(result)
    }
  }

  /// Forgets a topic: it is no longer kept fresh.
  public func forget(topic: String) {
    refresh.interest.remove(topic)
    metadata.topics[topic] = nil
  }

  /// Whether the metadata are younger than `metadata.max.age.ms`.
  var isFresh: Bool { metadata.updated.map { loop.now - $0 < configuration.metadataAgeMax } ?? false }

  /// Asks again in the background where the metadata have grown old.
  func refreshIfOld() {
    guard !isFresh, !refresh.isUnderWay else { return }
    refreshMetadata { _ in }
  }

  private func problem(_ name: String) -> ClientError? {
    guard let topic = metadata.topics[name] else { return ClientError(.unknownTopic(name)) }
    if topic.error == .unknownTopicOrPartition { return ClientError(.unknownTopic(name)) }
    if topic.error.isError { return ClientError(.broker(topic.error, "topic \(name)")) }
    guard !topic.partitions.isEmpty else { return ClientError(.unknownTopic(name)) }
    for partition in topic.partitions where partition.leader < 0 || metadata.brokers[partition.leader] == nil {
      return ClientError(.noLeader(TopicPartition(name, partition.index)))
    }
    return nil
  }

  private func startRefresh() {
    refresh.isUnderWay = true
    let waiters = refresh.waiters
    refresh.waiters = []
    var request = MetadataRequest()
    let names = refresh.interest.sorted()
    request.topics = names.map {
      var topic = MetadataRequest.MetadataRequestTopic()
      topic.name = $0
      return topic
    }
    request.allowAutoTopicCreation = configuration.allowsAutoTopicCreation
    // From version 1 on "no topics" means none; version 0 would answer with all of them.
    sendOnce(request, to: .any, versions: 1...MetadataRequest.versions.upperBound) { [self] result in
      refresh.isUnderWay = false
      let outcome = result.map { answer in
        metadata.update(answer, isComplete: false, at: loop.now)
        return metadata
      }
      for waiter in waiters { waiter(outcome) }
      if !refresh.waiters.isEmpty, !refresh.isUnderWay { startRefresh() }
    }
  }

  // MARK: Coordinators

  /// What a broker may coordinate.
  enum Coordinated: Hashable, Sendable, CustomStringConvertible {
    case group(String)
    case transactionalID(String)

    var name: String {
      switch self {
      case .group(let name), .transactionalID(let name): name
      }
    }
    /// As FindCoordinator numbers them.
    var keyType: Int8 {
      switch self {
      case .group: 0
      case .transactionalID: 1
      }
    }
    var description: String {
      switch self {
      case .group(let name): "group \(name)"
      case .transactionalID(let name): "transactional id \(name)"
      }
    }
  }

  /// Finds the broker that coordinates a group or the transactions of an id; one attempt.
  func findCoordinator(_ key: Coordinated, then: @escaping @Sendable (Result<Int32, ClientError>) -> Void) {
    var request = FindCoordinatorRequest()
    request.key = key.name
    request.keyType = key.keyType
    request.coordinatorKeys = [key.name]
    // Version 0 knows groups alone.
    let first: Int16 = key.keyType == 0 ? 0 : 1
    sendOnce(request, to: .any, versions: first...FindCoordinatorRequest.versions.upperBound) { [self] result in
      switch result {
      case .failure(let error): then(.failure(error))
      case .success(let answer):
        // Versions up to 3 answer for one group at the top, later ones in a list.
        let first = answer.coordinators.first
        let code = first?.errorCode ?? answer.errorCode
        if code.isError {
          return then(.failure(ClientError(.broker(code, "the coordinator of \(key)"))))
        }
        let id = first?.nodeID ?? answer.nodeID
        metadata.brokers[id] = Address(host: first?.host ?? answer.host, port: Int(first?.port ?? answer.port))
        coordinators[key] = id
        then(.success(id))
      }
    }
  }

  /// Forgets what an error code says is out of date, so that the next attempt looks it up again.
  func forgetWhatIsStale(_ code: KafkaErrorCode, group: String? = nil, topic: String? = nil) {
    if code.asksForCoordinator, let group { coordinators[.group(group)] = nil }
    if code.asksForMetadata, let topic { metadata.topics[topic] = nil }
    if code == .notController { metadata.controller = -1 }
  }

  /// Forgets what an error code, answered there, says of that destination.
  func forgetWhatIsStale(_ code: KafkaErrorCode, at destination: Destination) {
    switch destination {
    case .coordinator(let group): forgetWhatIsStale(code, group: group)
    case .leader(let partition): forgetWhatIsStale(code, topic: partition.topic)
    case .transactionCoordinator(let id): if code.asksForCoordinator { coordinators[.transactionalID(id)] = nil }
    case .any, .broker, .controller: forgetWhatIsStale(code)
    }
  }
}
