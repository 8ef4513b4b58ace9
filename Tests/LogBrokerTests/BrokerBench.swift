import Groundwork
import KafkaProtocol
import LogBroker
import LogStorage
import Simulation
import SystemInterfaces
import Testing

/// A broker and its clients in one simulated world.
final class BrokerBench {
  let simulation: SimulatedWorld
  let clientProcess: SimulatedProcess
  let lines = LineLog()
  private(set) var process: SimulatedProcess
  private(set) var broker: Broker
  private(set) var address = Address(host: "", port: 0)
  private var lives = 0
  private let configure: (inout BrokerConfiguration) -> Void

  init(seed: UInt64 = 1, _ configure: @escaping (inout BrokerConfiguration) -> Void = { _ in }) throws {
    simulation = SimulatedWorld(seed: seed)
    clientProcess = simulation.makeProcess(named: "client", on: simulation.makeDisk(named: "client disk"))
    self.configure = configure
    process = simulation.makeProcess(named: "broker 0")
    broker = BrokerBench.makeBroker(process, lines, configure)
    address = try broker.start()
  }

  private static func makeBroker(
    _ process: SimulatedProcess, _ lines: LineLog, _ configure: (inout BrokerConfiguration) -> Void
  ) -> Broker {
    var configuration = BrokerConfiguration(dataDirectory: "/data", processID: 4711)
    configuration.log = { lines.add($0.description) }
    configure(&configuration)
    return Broker(world: process.world, loop: process.makeLoop(named: "broker"), configuration: configuration)
  }

  /// Starts the next broker on the same disk.
  func restart() throws {
    lives += 1
    process = simulation.makeProcess(named: "broker \(lives)")
    broker = BrokerBench.makeBroker(process, lines, configure)
    address = try broker.start()
  }

  /// The broker's process dies; what it wrote stays.
  func killAndRestart() throws {
    process.kill()
    try restart()
  }

  func losePowerAndRestart() throws {
    simulation.losePower(of: process.disk)
    try restart()
  }

  func stop() throws {
    let done = Flag()
    broker.stop { done.isSet = true }
    try simulation.run { done.isSet }
  }

  /// - Parameter host: where to connect; nil for what the broker tells.
  func client(at host: String? = nil) throws -> TestClient {
    let client = TestClient(self, Address(host: host ?? address.host, port: address.port))
    try simulation.run { client.isOpen }
    return client
  }

  /// What is read of the disk by another process.
  var files: any FileStore { simulation.makeProcess(named: "look").world.files }
}

/// Sendable: used by the one thread of a simulated world.
final class Flag: @unchecked Sendable { var isSet = false }

/// Sendable: used by the one thread of a simulated world.
final class LineLog: @unchecked Sendable {
  private(set) var lines: [String] = []
  func add(_ line: String) { lines.append(line) }
  func contains(_ part: String) -> Bool { lines.contains { $0.contains(part) } }
}

/// A client that speaks in whole frames.
///
/// Sendable: used by the one thread of a simulated world.
final class TestClient: @unchecked Sendable {
  private let bench: BrokerBench
  private var connection = ConnectionID(0)
  private(set) var isOpen = false
  private(set) var closed: CloseReason?
  private(set) var frames: [Bytes] = []
  private var nextCorrelation: Int32 = 100

  init(_ bench: BrokerBench, _ address: Address) {
    self.bench = bench
    connection = transport.connect(
      to: address, framing: .lengthPrefixed(maximum: 1 << 30), on: bench.clientProcess.makeLoop(named: "client")
    ) { [weak self] event in
      guard let self else { return }
      switch event {
      case .opened: isOpen = true
      case .received(let frame): frames.append(frame)
      case .drained: break
      case .closed(let reason): closed = reason
      }
    }
  }

  var transport: any Transport { bench.clientProcess.world.transport }

  /// Sends a request; its answer is found by the number.
  @discardableResult
  func send<Request: KafkaRequest>(_ request: Request, version: Int16? = nil) throws -> Int32 {
    nextCorrelation += 1
    let parts = try encodeRequest(
      request, version: version ?? Request.versions.upperBound, correlationID: nextCorrelation, clientID: "test")
    transport.send(connection, parts.map { .bytes($0) })
    return nextCorrelation
  }

  func sendRaw(_ bytes: [UInt8]) { transport.send(connection, [.bytes(Bytes(bytes))]) }

  func setReading(_ isOn: Bool) { transport.setReading(connection, isOn) }

  func close() { transport.close(connection) }

  func frame(_ correlation: Int32) -> Bytes? {
    frames.first { (try? decodeCorrelationID($0)) == correlation }
  }

  func has(_ correlation: Int32) -> Bool { frame(correlation) != nil }

  func response<Response: KafkaResponse>(_ type: Response.Type, _ correlation: Int32, version: Int16) throws -> Response
  {
    try decodeResponse(Response.self, try #require(frame(correlation)), version: version)
  }

  /// Sends a request and lets time pass until it is answered.
  func call<Request: KafkaRequest>(_ request: Request, version: Int16? = nil) throws -> Request.Response {
    let version = version ?? Request.versions.upperBound
    let correlation = try send(request, version: version)
    try bench.simulation.run(within: .seconds(600)) { has(correlation) || closed != nil }
    if let closed { throw ConnectionLost(reason: closed) }
    return try response(Request.Response.self, correlation, version: version)
  }

  func waitForClose() throws -> CloseReason {
    try bench.simulation.run(within: .seconds(60)) { closed != nil }
    return closed!
  }
}

/// The broker, or its process, has ended the connection instead of answering.
struct ConnectionLost: Error { var reason: CloseReason }

// MARK: Requests in short

extension TestClient {
  @discardableResult
  func makeTopic(
    _ name: String, partitions: Int32 = 1, configs: [String: String] = [:]
  ) throws -> CreateTopicsResponse.CreatableTopicResult {
    var topic = CreateTopicsRequest.CreatableTopic()
    topic.name = name
    topic.numPartitions = partitions
    topic.replicationFactor = 1
    topic.configs = configs.sorted { $0.key < $1.key }.map {
      var config = CreateTopicsRequest.CreatableTopic.CreatableTopicConfig()
      config.name = $0.key
      config.value = $0.value
      return config
    }
    var request = CreateTopicsRequest()
    request.topics = [topic]
    return try #require(call(request).topics.first)
  }

  func produceRequest(_ topic: String, partition: Int32 = 0, _ records: Bytes?, acks: Int16 = -1) -> ProduceRequest {
    var data = ProduceRequest.TopicProduceData.PartitionProduceData()
    data.index = partition
    data.records = records
    var topicData = ProduceRequest.TopicProduceData()
    topicData.name = topic
    topicData.partitionData = [data]
    var request = ProduceRequest()
    request.acks = acks
    request.topicData = [topicData]
    return request
  }

  func produce(
    _ topic: String, partition: Int32 = 0, _ records: Bytes?, version: Int16 = 11
  ) throws -> ProduceResponse.TopicProduceResponse.PartitionProduceResponse {
    let response = try call(produceRequest(topic, partition: partition, records), version: version)
    return try #require(response.responses.first?.partitionResponses.first)
  }

  func fetchRequest(
    _ topic: String, partition: Int32 = 0, from offset: Int64, minBytes: Int32 = 1, maxWait: Int32 = 0,
    partitionBytes: Int32 = 1 << 20
  ) -> FetchRequest {
    var wanted = FetchRequest.FetchTopic.FetchPartition()
    wanted.partition = partition
    wanted.fetchOffset = offset
    wanted.partitionMaxBytes = partitionBytes
    var topicWanted = FetchRequest.FetchTopic()
    topicWanted.topic = topic
    topicWanted.partitions = [wanted]
    var request = FetchRequest()
    request.minBytes = minBytes
    request.maxWaitMilliseconds = maxWait
    request.topics = [topicWanted]
    return request
  }

  func fetch(
    _ topic: String, partition: Int32 = 0, from offset: Int64, partitionBytes: Int32 = 1 << 20, version: Int16 = 12
  ) throws -> FetchResponse.FetchableTopicResponse.PartitionData {
    let response = try call(
      fetchRequest(topic, partition: partition, from: offset, partitionBytes: partitionBytes), version: version)
    return try #require(response.responses.first?.partitions.first)
  }

  func listOffset(
    _ topic: String, partition: Int32 = 0, at timestamp: Int64
  ) throws -> ListOffsetsResponse.ListOffsetsTopicResponse.ListOffsetsPartitionResponse {
    var wanted = ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition()
    wanted.partitionIndex = partition
    wanted.timestamp = timestamp
    var topicWanted = ListOffsetsRequest.ListOffsetsTopic()
    topicWanted.name = topic
    topicWanted.partitions = [wanted]
    var request = ListOffsetsRequest()
    request.topics = [topicWanted]
    return try #require(call(request).topics.first?.partitions.first)
  }
}

/// A record batch of one record a value.
func batch(
  _ values: String..., timestamp: Int64 = 1000, producerID: Int64 = -1, sequence: Int32 = -1
) throws -> Bytes {
  var builder = RecordBatchBuilder()
  for value in values {
    try builder.append(key: nil, value: Bytes(value), timestamp: Timestamp(milliseconds: timestamp))
  }
  var settings = RecordBatchSettings()
  settings.producerID = producerID
  settings.producerEpoch = producerID < 0 ? -1 : 0
  settings.baseSequence = sequence
  return try builder.finish(settings, using: .init())
}

/// The values in fetched batches, with their offsets.
func values(_ records: Bytes?) throws -> [(offset: Int64, value: String)] {
  var found: [(offset: Int64, value: String)] = []
  var sequence = RecordBatchSequence(records ?? Bytes())
  while let batch = try sequence.next() {
    try batch.forEachRecord(using: .init()) { record in
      found.append((record.offset.rawValue, String(record.value ?? Bytes())))
    }
  }
  return found
}
