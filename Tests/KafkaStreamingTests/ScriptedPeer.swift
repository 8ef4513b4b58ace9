import Groundwork
import KafkaClients
import KafkaProtocol
import Simulation
import SystemInterfaces

/// Stands between a job and the broker of a `PathHarness`, and answers in its place what the broker inside cannot do:
/// topics with transactions. Everything else passes through, one request of a connection at a time.
///
/// Sendable: confined to the thread of its simulated world.
final class ScriptedPeer: @unchecked Sendable {
  static let address = Address(host: "peer", port: PathHarness.address.port)

  private let process: SimulatedProcess
  private let loop: SimulatedLoop
  private var connections: [UInt64: Connection] = [:]
  /// Logs of partitions that it answers for; the topics exist in the broker, empty.
  var logs: [TopicPartition: TransactionalLog] = [:]
  /// From version 13 on a fetch names topics by id alone.
  private var names: [UUID128: String] = [:]
  /// How many batches fit into an answer.
  var batchesMax = 1000
  /// Requests that passed, with the time.
  private(set) var seen: [(call: APIKey, at: Instant)] = []
  /// Offsets committed for groups, with the time of each commit.
  private(set) var commits: [(group: String, partition: TopicPartition, offset: Int64, at: Instant)] = []

  /// Sendable: confined to the thread of its simulated world.
  private final class Connection: @unchecked Sendable {
    let client: ConnectionID
    var broker: ConnectionID?
    var isOpen = false
    var queue: [Bytes] = []
    var isBusy = false
    init(_ client: ConnectionID) { self.client = client }
  }

  /// - Parameter path: its broker is restarted with this peer as its advertised host.
  init(_ path: PathHarness) throws {
    process = path.simulation.makeProcess(named: "peer")
    loop = process.makeLoop(named: "peer")
    path.killBroker()
    try path.startBroker { $0.advertisedHost = ScriptedPeer.address.host }
    _ = try process.world.transport.listen(
      on: ScriptedPeer.address, framing: .lengthPrefixed(maximum: 100 << 20), loop: loop
    ) { [unowned self] id, _ in
      let connection = Connection(id)
      connections[id.rawValue] = connection
      connection.broker = process.world.transport.connect(
        to: PathHarness.address, framing: .lengthPrefixed(maximum: 100 << 20), on: loop
      ) { [unowned self] event in
        switch event {
        case .opened:
          connection.isOpen = true
          work(connection)
        case .received(let frame): answer(frame, connection)
        case .closed: close(connection)
        case .drained: break
        }
      }
      return { [unowned self] event in
        switch event {
        case .received(let frame):
          connection.queue.append(frame)
          work(connection)
        case .closed: close(connection)
        case .opened, .drained: break
        }
      }
    }
  }

  /// Answers from now on for a topic that the broker has.
  func take(over topic: String, _ path: PathHarness) throws {
    let metadata: ClusterMetadata = try path.answer { client, then in client.metadata(for: [topic], then: then) }
    names[metadata.topics[topic]!.id] = topic
  }

  private func close(_ connection: Connection) {
    guard connections.removeValue(forKey: connection.client.rawValue) != nil else { return }
    process.world.transport.close(connection.client)
    if let broker = connection.broker { process.world.transport.close(broker) }
  }

  private func framed(_ frame: Bytes) -> [SendPart] {
    var writer = ByteWriter(capacity: 16)
    writer.append(bigEndian: Int32(frame.count))
    return [.bytes(writer.finish()), .bytes(frame)]
  }

  private func answer(_ frame: Bytes, _ connection: Connection) {
    process.world.transport.send(connection.client, framed(frame))
    connection.isBusy = false
    work(connection)
  }

  private func work(_ connection: Connection) {
    guard !connection.isBusy, connection.isOpen, let broker = connection.broker, !connection.queue.isEmpty,
      connections[connection.client.rawValue] != nil
    else { return }
    let frame = connection.queue.removeFirst()
    connection.isBusy = true
    guard let header = try? decodeRequestHeader(frame), let call = header.apiKey else { return close(connection) }
    seen.append((call, loop.now))
    switch call {
    case .fetch:
      if let request = try? decodeRequest(FetchRequest.self, frame, header), isScripted(request.topics.map(name)) {
        return fetch(request, header, connection, until: loop.now + .milliseconds(Int64(request.maxWaitMilliseconds)))
      }
    case .listOffsets:
      if let request = try? decodeRequest(ListOffsetsRequest.self, frame, header),
        isScripted(request.topics.map(\.name))
      {
        return send(list(request), header, connection)
      }
    case .offsetCommit:
      if let request = try? decodeRequest(OffsetCommitRequest.self, frame, header) {
        for topic in request.topics {
          for partition in topic.partitions {
            commits.append(
              (
                request.groupID, TopicPartition(topic.name, PartitionIndex(partition.partitionIndex)),
                partition.committedOffset, loop.now
              ))
          }
        }
      }
    case .txnOffsetCommit:
      if let request = try? decodeRequest(TxnOffsetCommitRequest.self, frame, header) {
        for topic in request.topics {
          for partition in topic.partitions {
            commits.append(
              (
                request.groupID, TopicPartition(topic.name, PartitionIndex(partition.partitionIndex)),
                partition.committedOffset, loop.now
              ))
          }
        }
      }
    default: break
    }
    process.world.transport.send(broker, framed(frame))
  }

  private func name(_ topic: FetchRequest.FetchTopic) -> String {
    topic.topic.isEmpty ? names[topic.topicID] ?? "" : topic.topic
  }

  private func isScripted(_ topics: [String]) -> Bool {
    !topics.isEmpty && topics.allSatisfy { topic in logs.keys.contains { $0.topic == topic } }
  }

  private func send<Response: KafkaResponse>(
    _ response: Response, _ header: RequestHeader, _ connection: Connection
  ) {
    do {
      let parts = try encodeResponse(response, version: header.version, correlationID: header.correlationID)
      process.world.transport.send(connection.client, parts.map { .bytes($0) })
    } catch { return close(connection) }
    connection.isBusy = false
    work(connection)
  }

  private func fetch(
    _ request: FetchRequest, _ header: RequestHeader, _ connection: Connection, until: Instant
  ) {
    guard connections[connection.client.rawValue] != nil else { return }
    var response = FetchResponse()
    var hasNews = loop.now >= until
    for wanted in request.topics {
      var topic = FetchResponse.FetchableTopicResponse()
      (topic.topic, topic.topicID) = (wanted.topic, wanted.topicID)
      let name = name(wanted)
      topic.partitions = wanted.partitions.map { asked in
        let partition = TopicPartition(name, PartitionIndex(asked.partition))
        var data = FetchResponse.FetchableTopicResponse.PartitionData()
        if let log = logs[partition] {
          data = log.answer(
            from: asked.fetchOffset, batchesMax: batchesMax, committedOnly: request.isolationLevel == 1)
          if data.records?.isEmpty == false || data.errorCode.isError { hasNews = true }
        } else {
          data.errorCode = .unknownTopicOrPartition
          hasNews = true
        }
        data.partitionIndex = asked.partition
        return data
      }
      response.responses.append(topic)
    }
    if hasNews { return send(response, header, connection) }
    loop.after(.milliseconds(20)) { [weak self] in self?.fetch(request, header, connection, until: until) }
  }

  private func list(_ request: ListOffsetsRequest) -> ListOffsetsResponse {
    var response = ListOffsetsResponse()
    response.topics = request.topics.map { wanted in
      var topic = ListOffsetsResponse.ListOffsetsTopicResponse()
      topic.name = wanted.name
      topic.partitions = wanted.partitions.map { asked in
        var answer = ListOffsetsResponse.ListOffsetsTopicResponse.ListOffsetsPartitionResponse()
        answer.partitionIndex = asked.partitionIndex
        guard let log = logs[TopicPartition(wanted.name, PartitionIndex(asked.partitionIndex))] else {
          answer.errorCode = .unknownTopicOrPartition
          return answer
        }
        answer.leaderEpoch = 0
        answer.offset =
          asked.timestamp == -2
          ? log.start
          : request.isolationLevel == 1 ? log.lastStableOffset : log.end
        return answer
      }
      return topic
    }
    return response
  }
}
