import Groundwork
import KafkaProtocol
import Simulation
import SystemInterfaces

/// One scripted broker: answers frames in order, one request of a connection at a time, as Kafka's do.
///
/// Sendable: confined to the thread of its simulated world.
final class FakeBroker: @unchecked Sendable {
  let id: Int32
  unowned let cluster: FakeCluster
  private(set) var process: SimulatedProcess
  private var loop: SimulatedLoop
  private var connections: [UInt64: Connection] = [:]

  /// Sendable: confined to the thread of its simulated world.
  private final class Connection: @unchecked Sendable {
    let id: ConnectionID
    var queue: [Bytes] = []
    /// A fetch that waits for data, until its time is up.
    var waiting: (header: RequestHeader, request: FetchRequest, until: Instant)?
    init(_ id: ConnectionID) { self.id = id }
  }

  init(_ id: Int32, _ cluster: FakeCluster) throws {
    self.id = id
    self.cluster = cluster
    process = cluster.simulation.makeProcess(named: "broker-\(id)")
    loop = process.makeLoop(named: "loop")
    try listen()
  }

  func kill() {
    process.kill()
    connections = [:]
  }

  func restart() throws {
    process = cluster.simulation.makeProcess(named: "broker-\(id)")
    loop = process.makeLoop(named: "loop")
    try listen()
  }

  private func listen() throws {
    _ = try process.world.transport.listen(
      on: FakeCluster.address(id), framing: .lengthPrefixed(maximum: 10 << 20), loop: loop
    ) { [unowned self] connection, _ in
      connections[connection.rawValue] = Connection(connection)
      return { [unowned self] event in
        switch event {
        case .received(let frame):
          connections[connection.rawValue]?.queue.append(frame)
          work(connection.rawValue)
        case .closed: connections[connection.rawValue] = nil
        case .opened, .drained: break
        }
      }
    }
  }

  private func work(_ key: UInt64) {
    while let connection = connections[key], connection.waiting == nil, !connection.queue.isEmpty {
      handle(connection.queue.removeFirst(), connection)
    }
  }

  private func handle(_ frame: Bytes, _ connection: Connection) {
    guard let header = try? decodeRequestHeader(frame), let call = header.apiKey else {
      return close(connection)
    }
    cluster.log.append((id, call, header.version))
    let disposition = cluster.disposition(id, header)
    switch disposition {
    case .closeConnection: return close(connection)
    case .ignore: return
    case .answer, .doThenClose: break
    }
    let isSilent = disposition == .doThenClose
    func reply<Response: KafkaResponse>(_ response: Response, _ version: Int16? = nil) {
      if isSilent { return close(connection) }
      send(response, version ?? header.version, header, connection)
    }
    func read<Request: KafkaRequest>(_ type: Request.Type) -> Request {
      try! decodeRequest(Request.self, frame, header)
    }
    switch call {
    case .apiVersions:
      var answer = ApiVersionsResponse()
      answer.apiKeys = cluster.ranges.sorted { $0.key.rawValue < $1.key.rawValue }.map {
        var range = ApiVersionsResponse.ApiVersion()
        (range.apiKey, range.minVersion, range.maxVersion) = ($0.key.rawValue, $0.value.lowerBound, $0.value.upperBound)
        return range
      }
      var feature = ApiVersionsResponse.FinalizedFeatureKey()
      (feature.name, feature.maxVersionLevel) = ("transaction.version", cluster.transactions.version)
      answer.finalizedFeatures = [feature]
      answer.finalizedFeaturesEpoch = 1
      if header.version > cluster.apiVersionsMax {
        answer.errorCode = .unsupportedVersion
        return reply(answer, 0)
      }
      reply(answer)
    case .metadata: reply(metadata(read(MetadataRequest.self)))
    case .produce:
      let request = read(ProduceRequest.self)
      let answer = produce(request, header.version)
      if request.acks != 0 { reply(answer) }
    case .fetch:
      let request = read(FetchRequest.self)
      let until = loop.now + .milliseconds(Int64(request.maxWaitMilliseconds))
      if let answer = fetch(request, isLast: false) { return reply(answer) }
      connection.waiting = (header, request, until)
      let key = connection.id.rawValue
      loop.at(until) { [weak self] in self?.retry(key) }
    case .initProducerID where read(InitProducerIDRequest.self).transactionalID == nil:
      var answer = InitProducerIDResponse()
      answer.errorCode = cluster.nextError(.initProducerID)
      answer.producerID = cluster.nextProducerID
      cluster.nextProducerID += 1
      reply(answer)
    default:
      let answer =
        FakeCalls.answer(call, frame, header, self) ?? cluster.transactions.answer(call, frame, header, id)
      if let answer { reply(answer) } else { close(connection) }
    }
  }

  func retryWaiting() { for key in connections.keys.sorted() { retry(key) } }

  private func retry(_ key: UInt64) {
    guard process.isAlive, let connection = connections[key], let waiting = connection.waiting else { return }
    guard let answer = fetch(waiting.request, isLast: waiting.until <= loop.now) else { return }
    connection.waiting = nil
    loop.post { [weak self] in
      self?.send(answer, waiting.header.version, waiting.header, connection)
      self?.work(key)
    }
  }

  private func send<Response: KafkaResponse>(
    _ response: Response, _ version: Int16, _ header: RequestHeader, _ connection: Connection
  ) {
    let parts = try! encodeResponse(response, version: version, correlationID: header.correlationID)
    process.world.transport.send(connection.id, parts.map { .bytes($0) })
  }

  private func close(_ connection: Connection) {
    connections[connection.id.rawValue] = nil
    process.world.transport.close(connection.id)
  }

  private func metadata(_ request: MetadataRequest) -> MetadataResponse {
    var answer = MetadataResponse()
    answer.controllerID = cluster.brokers.keys.min() ?? -1
    answer.clusterID = "fake"
    answer.brokers = cluster.brokers.keys.sorted().map {
      var broker = MetadataResponse.MetadataResponseBroker()
      broker.nodeID = $0
      broker.host = FakeCluster.address($0).host
      broker.port = Int32(FakeCluster.address($0).port)
      return broker
    }
    let names = request.topics?.map { $0.name ?? "" } ?? cluster.topics.keys.sorted()
    answer.topics = names.map { name in
      if cluster.topics[name] == nil, request.allowAutoTopicCreation, request.topics != nil {
        cluster.makeTopic(name, leaders: Array(repeating: id, count: Int(cluster.autoCreatedPartitions)))
      }
      var topic = MetadataResponse.MetadataResponseTopic()
      topic.name = name
      topic.topicID = cluster.topicIDs[name] ?? .zero
      guard let partitions = cluster.topics[name] else {
        topic.errorCode = .unknownTopicOrPartition
        return topic
      }
      topic.partitions = partitions.enumerated().map { index, partition in
        var wire = MetadataResponse.MetadataResponseTopic.MetadataResponsePartition()
        (wire.partitionIndex, wire.leaderID, wire.leaderEpoch) = (Int32(index), partition.leader, partition.leaderEpoch)
        (wire.replicaNodes, wire.isrNodes) = ([partition.leader], [partition.leader])
        return wire
      }
      return topic
    }
    return answer
  }

  private func produce(_ request: ProduceRequest, _ version: Int16) -> ProduceResponse {
    var answer = ProduceResponse()
    if !cluster.throttles.isEmpty { answer.throttleTimeMilliseconds = cluster.throttles.removeFirst() }
    answer.responses = request.topicData.map { topic in
      var wireTopic = ProduceResponse.TopicProduceResponse()
      wireTopic.name = topic.name
      wireTopic.partitionResponses = topic.partitionData.map { data in
        var wire = ProduceResponse.TopicProduceResponse.PartitionProduceResponse()
        wire.index = data.index
        wire.baseOffset = -1
        wire.errorCode = cluster.nextError(.produce)
        if wire.errorCode.isError { return wire }
        guard let partition = cluster.partition(topic.name, data.index) else {
          wire.errorCode = .unknownTopicOrPartition
          return wire
        }
        guard partition.leader == id else {
          wire.errorCode = .notLeaderOrFollower
          return wire
        }
        if let name = request.transactionalID, let batch = try? RecordBatch(data.records ?? Bytes()) {
          let place = TopicPartition(topic.name, PartitionIndex(data.index))
          wire.errorCode = cluster.transactions.mayAppend(name, batch.header, place, version)
          if wire.errorCode.isError { return wire }
        }
        (wire.errorCode, wire.baseOffset) = cluster.append(partition, data.records ?? Bytes())
        return wire
      }
      return wireTopic
    }
    return answer
  }

  /// nil where there is nothing yet to answer with.
  private func fetch(_ request: FetchRequest, isLast: Bool) -> FetchResponse? {
    var answer = FetchResponse()
    var hasNews = isLast
    for topic in request.topics {
      let name = topic.topic.isEmpty ? cluster.topicIDs.first { $0.value == topic.topicID }?.key ?? "" : topic.topic
      var wireTopic = FetchResponse.FetchableTopicResponse()
      (wireTopic.topic, wireTopic.topicID) = (topic.topic, topic.topicID)
      for asked in topic.partitions {
        var data = FetchResponse.FetchableTopicResponse.PartitionData()
        data.partitionIndex = asked.partition
        data.errorCode = cluster.nextError(.fetch)
        if let partition = cluster.partition(name, asked.partition), !data.errorCode.isError {
          (data.highWatermark, data.lastStableOffset) = (partition.nextOffset, partition.nextOffset)
          data.logStartOffset = partition.startOffset
          if partition.leader != id {
            data.errorCode = .notLeaderOrFollower
          } else if asked.fetchOffset < partition.startOffset || asked.fetchOffset > partition.nextOffset {
            data.errorCode = .offsetOutOfRange
          } else {
            var writer = ByteWriter()
            for batch in partition.batches where batch.next > asked.fetchOffset {
              if writer.count > 0, writer.count + batch.bytes.count > Int(asked.partitionMaxBytes) { break }
              writer.append(batch.bytes)
            }
            data.records = writer.finish()
            if data.records?.isEmpty == false { hasNews = true }
          }
        } else if !data.errorCode.isError {
          data.errorCode = topic.topic.isEmpty ? .unknownTopicID : .unknownTopicOrPartition
        }
        if data.errorCode.isError { hasNews = true }
        wireTopic.partitions.append(data)
      }
      answer.responses.append(wireTopic)
    }
    return hasNews ? answer : nil
  }
}
