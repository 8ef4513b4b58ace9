import Groundwork
import KafkaProtocol
import SystemInterfaces

/// A client of one Kafka cluster: finds brokers, keeps connections and metadata, sends requests where they belong, and
/// tries again what may succeed later.
///
/// Everything runs on the loop it was made with: call it there; completions are called there, never inside the call.
/// `Admin`, `Offsets`, `Fetcher` and `Producer` are built on it and may share one client.
///
/// Sendable: its state is touched on its loop alone.
public final class KafkaClient: @unchecked Sendable {
  /// Where a request goes.
  public enum Destination: Sendable, Equatable {
    /// Whichever broker is at hand.
    case any
    /// The broker of this number.
    case broker(Int32)
    /// The broker that makes and deletes topics.
    case controller
    /// The broker that coordinates a group.
    case coordinator(group: String)
    /// The broker that coordinates the transactions of a transactional id.
    case transactionCoordinator(String)
    /// The broker that leads a partition; metadata is asked for first where it does not name one.
    case leader(TopicPartition)
  }

  /// Brokers answer the requests of one connection one after the other, so a fetch that waits for data would hold up
  /// everything behind it: it gets a connection of its own.
  public enum Lane: Sendable, Hashable {
    /// Everything that is answered promptly.
    case main
    /// Fetches, which may wait at the broker.
    case fetch
  }

  /// The seams: transport for connections, randomness for back-off.
  public let world: World
  /// Where everything of the client runs.
  public let loop: any Loop
  /// What it was made with.
  public let configuration: ClientConfiguration
  /// What is known of the cluster. On the loop.
  public internal(set) var metadata = ClusterMetadata()

  private struct ConnectionKey: Hashable, Comparable {
    /// A broker's number, or -1 - index for a bootstrap address.
    var node: Int32
    var lane: Lane
    static func < (a: ConnectionKey, b: ConnectionKey) -> Bool {
      a.node != b.node ? a.node < b.node : a.lane == .main && b.lane != .main
    }
  }

  private var connections: [ConnectionKey: BrokerConnection] = [:]
  /// Which candidate is tried next where no connection is open.
  private var rotation = 0
  /// Since when no broker has been reached; nil once one has.
  private var searchingSince: Instant?
  private var hasEverConnected = false
  private var isClosed = false
  var refresh = MetadataRefresh()
  var coordinators: [Coordinated: Int32] = [:]
  /// What the cluster has switched on, as the connection that knows best has heard it.
  private(set) var features = FinalizedFeatures()

  /// Opens no connection: the first request does.
  /// - Parameter loop: call the client here only; completions come here.
  public init(world: World, loop: any Loop, configuration: ClientConfiguration) {
    self.world = world
    self.loop = loop
    self.configuration = configuration
  }

  /// Ends all connections; calls under way fail with `closed`.
  public func close() {
    isClosed = true
    let open = connections.sorted { $0.key < $1.key }
    connections = [:]
    for (_, connection) in open { connection.close() }
  }

  // MARK: Requests

  /// Sends a request and tries again, with growing pauses, while the failure is one of connection or leadership.
  ///
  /// Error codes inside the answer are the caller's to judge.
  /// - Parameters:
  ///   - versions: narrows the versions that may be used.
  ///   - timeout: for one attempt; nil: `request.timeout.ms`.
  ///   - deadline: for all attempts; nil: `default.api.timeout.ms` from now.
  public func send<Request: KafkaRequest>(
    _ request: Request, to destination: Destination, lane: Lane = .main, versions: ClosedRange<Int16>? = nil,
    timeout: Duration? = nil, deadline: Instant? = nil,
    then: @escaping @Sendable (Result<Request.Response, ClientError>) -> Void
  ) {
    retrying(
      until: deadline,
      { [self] done in
        sendOnce(request, to: destination, lane: lane, versions: versions, timeout: timeout, then: done)
      }, then: then)
  }

  /// One attempt of `send`.
  func sendOnce<Request: KafkaRequest>(
    _ request: Request, to destination: Destination, lane: Lane = .main, versions: ClosedRange<Int16>? = nil,
    timeout: Duration? = nil, hasAnswer: Bool = true,
    then: @escaping @Sendable (Result<Request.Response, ClientError>) -> Void
  ) {
    locate(destination, lane) { [self] located in
      switch located {
      case .failure(let error): then(.failure(error))
      case .success(let connection):
        connection.send(
          request, versions: versions, timeout: timeout ?? configuration.requestTimeout, hasAnswer: hasAnswer
        ) { [self] result in
          switch result {
          case .success: noteSuccess()
          case .failure(let error): noteFailure(error, destination)
          }
          then(result)
        }
      }
    }
  }

  /// Runs `attempt` until it succeeds, fails for good, or the deadline has come; pauses in between.
  func retrying<Value: Sendable>(
    until deadline: Instant? = nil,
    _ attempt: @escaping @Sendable (@escaping @Sendable (Result<Value, ClientError>) -> Void) -> Void,
    then: @escaping @Sendable (Result<Value, ClientError>) -> Void
  ) {
    let start = loop.now
    let end = deadline ?? start + configuration.callTimeout
    let backoff = configuration.backoff
    let quickBackoff = configuration.quickBackoff
    @Sendable func run(_ failures: Int) {
      attempt { [self] result in
        guard case .failure(let error) = result, error.isRetriable, !isClosed else { return then(result) }
        if case .unreachable = error.code { return then(result) }
        var last = end
        if case .unknownTopic = error.code { last = min(last, start + configuration.unknownTopicTimeout) }
        if !hasEverConnected, let since = searchingSince { last = min(last, since + configuration.bootstrapTimeout) }
        let pauses = error.kafkaCode?.passesQuickly == true ? quickBackoff : backoff
        let next = loop.now + pauses.pause(failures: failures + 1, unit: world.randomness.unit())
        // The last attempt is made when the time is up, not a pause before.
        guard loop.now < last else { return then(.failure(unreachable(error) ?? error)) }
        loop.at(min(next, last)) { run(failures + 1) }
      }
    }
    run(0)
  }

  // MARK: Destinations

  /// Finds out where requests for a destination go, so that a failure of that is told from one of the request.
  func reach(_ destination: Destination, then: @escaping @Sendable (Result<Void, ClientError>) -> Void) {
    locate(destination, .main) { located in then(located.map { _ in () }) }
  }

  private func locate(
    _ destination: Destination, _ lane: Lane,
    _ then: @escaping @Sendable (Result<BrokerConnection, ClientError>) -> Void
  ) {
    if isClosed { return loop.post { then(.failure(ClientError(.closed))) } }
    func answer(_ id: Int32) {
      guard let connection = connection(toBroker: id, lane) else {
        refreshMetadata { _ in then(.failure(ClientError(.unknownBroker(id)))) }
        return
      }
      then(.success(connection))
    }
    switch destination {
    case .any: then(anyConnection())
    case .broker(let id): answer(id)
    case .controller:
      if let found = connection(toBroker: metadata.controller, lane) { return then(.success(found)) }
      refreshMetadata { [self] result in
        if case .failure(let error) = result { return then(.failure(error)) }
        // A cluster that names no controller (KRaft may name any broker) is asked at whichever broker is at hand.
        if let found = connection(toBroker: metadata.controller, lane) { return then(.success(found)) }
        then(anyConnection())
      }
    case .leader(let partition):
      if let leader = metadata.leader(of: partition), let found = connection(toBroker: leader, lane) {
        return then(.success(found))
      }
      refreshMetadata(topics: [partition.topic]) { [self] result in
        if case .failure(let error) = result { return then(.failure(error)) }
        if let error = topicError(partition) { return then(.failure(error)) }
        guard let leader = metadata.leader(of: partition), let found = connection(toBroker: leader, lane) else {
          return then(.failure(ClientError(.noLeader(partition))))
        }
        then(.success(found))
      }
    case .coordinator(let group): locate(coordinatorOf: .group(group), lane, then)
    case .transactionCoordinator(let id): locate(coordinatorOf: .transactionalID(id), lane, then)
    }
  }

  private func locate(
    coordinatorOf key: Coordinated, _ lane: Lane,
    _ then: @escaping @Sendable (Result<BrokerConnection, ClientError>) -> Void
  ) {
    if let id = coordinators[key], let found = connection(toBroker: id, lane) { return then(.success(found)) }
    findCoordinator(key) { [self] result in
      switch result {
      case .failure(let error): then(.failure(error))
      case .success(let id):
        guard let found = connection(toBroker: id, lane) else {
          return then(.failure(ClientError(.unknownBroker(id))))
        }
        then(.success(found))
      }
    }
  }

  /// The versions of a call that the coordinator has; nil where it is not connected at the moment.
  func versions(_ call: APIKey, atCoordinatorOf key: Coordinated) -> ClosedRange<Int16>? {
    guard let node = coordinators[key] else { return nil }
    return connections[ConnectionKey(node: node, lane: .main)]?.brokerVersions(call)
  }

  /// Why the metadata do not name the partition's leader, nil where they do.
  func topicError(_ partition: TopicPartition) -> ClientError? {
    guard let topic = metadata.topics[partition.topic] else { return ClientError(.unknownTopic(partition.topic)) }
    if topic.error == .unknownTopicOrPartition { return ClientError(.unknownTopic(partition.topic)) }
    if topic.error.isError, topic.error != .leaderNotAvailable {
      return ClientError(.broker(topic.error, "topic \(partition.topic)"))
    }
    guard metadata.partition(partition) != nil else {
      return ClientError(topic.error.isError ? .noLeader(partition) : .unknownPartition(partition))
    }
    return metadata.leader(of: partition) == nil ? ClientError(.noLeader(partition)) : nil
  }

  private func connection(toBroker id: Int32, _ lane: Lane) -> BrokerConnection? {
    guard id >= 0, let address = metadata.brokers[id] else { return nil }
    let key = ConnectionKey(node: id, lane: lane)
    if let found = connections[key] {
      if found.address == address { return found }
      found.close()
    }
    return open(address, key)
  }

  private func open(_ address: Address, _ key: ConnectionKey) -> BrokerConnection {
    let connection = BrokerConnection(world, loop, address, configuration)
    connection.onReady = { [weak self, weak connection] in
      guard let self else { return }
      noteSuccess()
      // The epoch of the features grows with each change of them.
      if let heard = connection?.features, heard.epoch >= features.epoch { features = heard }
    }
    connections[key] = connection
    return connection
  }

  /// A connection that is open, else one to the next candidate: the brokers known, then the bootstrap list.
  private func anyConnection() -> Result<BrokerConnection, ClientError> {
    let known = metadata.brokers.sorted { $0.key < $1.key }.map { ($0.value, ConnectionKey(node: $0.key, lane: .main)) }
    let bootstrap = configuration.bootstrap.enumerated().map {
      ($0.element, ConnectionKey(node: -1 - Int32($0.offset), lane: .main))
    }
    let candidates = known + bootstrap
    for (address, key) in candidates {
      if let open = connections[key], open.isReady, open.address == address { return .success(open) }
    }
    guard !candidates.isEmpty else { return .failure(unreachableNow("no bootstrap address is given")) }
    if searchingSince == nil { searchingSince = loop.now }
    let (address, key) = candidates[rotation % candidates.count]
    if let found = connections[key] {
      if found.address == address { return .success(found) }
      found.close()
    }
    return .success(open(address, key))
  }

  private func noteSuccess() {
    hasEverConnected = true
    searchingSince = nil
  }

  private func noteFailure(_ error: ClientError, _ destination: Destination) {
    switch error.code {
    case .disconnected, .cannotConnect, .timedOut:
      rotation += 1
      if searchingSince == nil, !connections.values.contains(where: \.isReady) { searchingSince = loop.now }
      switch destination {
      case .coordinator(let group): coordinators[.group(group)] = nil
      case .transactionCoordinator(let id): coordinators[.transactionalID(id)] = nil
      case .leader(let partition): metadata.topics[partition.topic] = nil
      case .controller: metadata.controller = -1
      case .any, .broker: break
      }
    default: break
    }
  }

  /// The error to report in place of `error` where the cluster as a whole is out of reach.
  private func unreachable(_ error: ClientError) -> ClientError? {
    guard let since = searchingSince else { return nil }
    let reason: String
    switch error.code {
    case .cannotConnect(_, let text): reason = text
    case .disconnected(_, let why): reason = why.description
    case .timedOut: reason = error.description
    default: return nil
    }
    return ClientError(.unreachable(configuration.bootstrap, after: rounded(loop.now - since), reason: reason))
  }

  private func unreachableNow(_ reason: String) -> ClientError {
    ClientError(.unreachable(configuration.bootstrap, after: .zero, reason: reason))
  }

  /// Whole seconds where there are any: nobody asks for milliseconds of waiting.
  private func rounded(_ duration: Duration) -> Duration {
    let milliseconds = duration.inMilliseconds
    return milliseconds >= 1000 ? .seconds(milliseconds / 1000) : .milliseconds(milliseconds)
  }
}
