import Codecs
import Groundwork
import KafkaClients
import KafkaProtocol
import LogBroker
import Simulation
import Streaming
import SystemInterfaces
import Testing

/// The whole path on one thread in virtual time: a process with the embedded broker, a process of a user with a client
/// and a producer, and, made by `job`, processes with streaming jobs.
final class PathHarness {
  static let address = Address(host: "127.0.0.1", port: 9092)

  let simulation: SimulatedWorld
  let brokerDisk: SimulatedDisk
  let userProcess: SimulatedProcess
  /// Of the user: loads and reads.
  let client: KafkaClient
  let producer: Producer
  private(set) var brokerProcess: SimulatedProcess?
  /// Kept, or else nobody would do its maintenance.
  private var broker: Broker?
  private let brokerLog = Cell<[String]>([])
  private let workspace = CodecWorkspace()

  init(seed: UInt64 = 1) throws {
    simulation = SimulatedWorld(seed: seed)
    brokerDisk = simulation.makeDisk(named: "broker disk")
    userProcess = simulation.makeProcess(named: "user")
    client = KafkaClient(
      world: userProcess.world, loop: userProcess.makeLoop(named: "client"),
      configuration: ClientConfiguration(bootstrap: [PathHarness.address], clientID: "user"))
    producer = Producer(client)
    userProcess.atEnd { [client] in client.close() }
    try startBroker()
  }

  // MARK: The broker

  /// What the broker said.
  var brokerLines: [String] { brokerLog.value }
  var isBrokerUp: Bool { brokerProcess?.isAlive ?? false }

  func startBroker(_ configure: (inout BrokerConfiguration) -> Void = { _ in }) throws {
    let process = simulation.makeProcess(named: "broker", on: brokerDisk)
    var configuration = BrokerConfiguration(dataDirectory: "/broker", processID: 7)
    configuration.listenAddress = PathHarness.address
    configuration.createsTopicsOnDemand = false
    configuration.hotTailBytes = 1 << 20
    let lines = brokerLog
    configuration.log = { line in lines.value.append("\(line)") }
    configure(&configuration)
    let broker = Broker(world: process.world, loop: process.makeLoop(named: "broker"), configuration: configuration)
    brokerProcess = process
    self.broker = broker
    do { _ = try broker.start() } catch {
      process.kill()
      throw error
    }
  }

  func killBroker() { brokerProcess?.kill() }

  // MARK: The user

  /// Asks on the client's loop and runs the world until the answer is there.
  func answer<Value: Sendable>(
    within limit: Duration = .seconds(300),
    _ ask: @escaping @Sendable (KafkaClient, @escaping @Sendable (Result<Value, ClientError>) -> Void) -> Void
  ) throws -> Value {
    let cell = Cell<Result<Value, ClientError>?>(nil)
    client.loop.post { [client] in ask(client) { cell.value = $0 } }
    try simulation.run(within: limit) { cell.value != nil }
    return try cell.value!.get()
  }

  func createTopic(_ name: String, partitions: Int = 1, settings: [(name: String, value: String)] = []) throws {
    let topic = Admin.NewTopic(name, partitions: Int32(partitions), replicationFactor: 1, settings: settings)
    try answer { client, then in Admin(client).createTopics([topic], then: then) }
  }

  /// Sends records through the producer and waits until all are acknowledged.
  func produce(_ topic: String, _ records: [Row]) throws {
    let done = Cell<[ClientError?]>([])
    let sendError = Cell<ClientError?>(nil)
    client.loop.post { [producer] in
      do throws(ClientError) {
        for record in records {
          try producer.send(
            topic: topic, partition: record.partition >= 0 ? PartitionIndex(Int32(record.partition)) : nil,
            key: record.key.map { Bytes($0) }, value: record.value.map { Bytes($0) },
            headers: record.headers.map { RecordHeader(Bytes($0.name), $0.value.map { Bytes($0) }) })
        }
      } catch { sendError.value = error }
      producer.flush { done.value.append($0) }
    }
    try simulation.run { !done.value.isEmpty }
    if let error = sendError.value ?? done.value[0] { throw error }
  }

  /// Sends values, the first to partition 0, in turn.
  func produce(_ topic: String, partitions: Int = 1, values: [String]) throws {
    try produce(topic, values.enumerated().map { Row(partition: $0.offset % partitions, value: $0.element) })
  }

  /// One record batch of these records, as given.
  func batch(_ records: [Row], codec: CompressionCodec = .none, timestamp: Timestamp = 1000) throws -> EncodedBatch {
    var builder = RecordBatchBuilder()
    for record in records {
      try builder.append(
        key: record.key.map { Bytes($0) }, value: record.value.map { Bytes($0) },
        headers: record.headers.map { RecordHeader(Bytes($0.name), $0.value.map { Bytes($0) }) }, timestamp: timestamp)
    }
    return EncodedBatch(try builder.finish(RecordBatchSettings(codec: codec), using: workspace))
  }

  /// Sends whole record batches to one partition and waits.
  func produce(_ topic: String, partition: Int = 0, batches: [EncodedBatch]) throws {
    let left = Cell(batches.count)
    let errors = Cell<[ClientError]>([])
    client.loop.post { [producer] in
      do throws(ClientError) {
        try producer.sendBatches(TopicPartition(topic, PartitionIndex(Int32(partition))), batches) { delivery in
          if let error = delivery.error { errors.value.append(error) }
          left.value -= 1
        }
      } catch {
        errors.value.append(error)
        left.value = 0
      }
    }
    try simulation.run { left.value == 0 }
    if let error = errors.value.first { throw error }
  }

  /// The offsets at which a topic's partitions end.
  func ends(_ topic: String) throws -> [Int64] { try offsets(topic, .latest) }

  func offsets(_ topic: String, _ position: Offsets.Position) throws -> [Int64] {
    let metadata: ClusterMetadata = try answer { client, then in client.metadata(for: [topic], then: then) }
    let names = metadata.topics[topic]!.partitions.map { TopicPartition(topic, $0.index) }
    let listed: [TopicPartition: Offsets.Listed] = try answer { client, then in
      Offsets(client).list(Dictionary(uniqueKeysWithValues: names.map { ($0, position) }), then: then)
    }
    return names.map { listed[$0]!.offset.rawValue }
  }

  /// What a group has committed, by partition; -1 for nothing.
  func committed(_ topic: String, group: String = "job") throws -> [Int64] {
    let count = try ends(topic).count
    let names = (0..<count).map { TopicPartition(topic, PartitionIndex(Int32($0))) }
    let found: [TopicPartition: Offsets.Committed] = try answer { client, then in
      Offsets(client).committed(group: group, names, then: then)
    }
    return names.map { found[$0]?.offset.rawValue ?? -1 }
  }

  /// Joins a group, and is never heard of again.
  @discardableResult func joinGroup(_ group: String) throws -> JoinGroupResponse {
    var join = JoinGroupRequest()
    join.groupID = group
    join.protocolType = "consumer"
    join.sessionTimeoutMilliseconds = 60_000
    join.rebalanceTimeoutMilliseconds = 60_000
    var range = JoinGroupRequest.JoinGroupRequestProtocol()
    range.name = "range"
    join.protocols = [range]
    let sent = join
    let answer: JoinGroupResponse = try answer { client, then in
      client.send(sent, to: .coordinator(group: group), versions: 0...3, then: then)
    }
    #expect(!answer.errorCode.isError)
    return answer
  }

  /// Everything in a topic, partition after partition.
  func readAll(_ topic: String) throws -> [Row] { try readBatches(topic).flatMap { $0 } }

  /// As `readAll`, by record batches: those of committed records.
  func readBatches(_ topic: String) throws -> [[Row]] {
    var batches: [[Row]] = []
    let starts = try offsets(topic, .earliest)
    for (partition, end) in try ends(topic).enumerated() {
      let range = OffsetRange(
        TopicPartition(topic, PartitionIndex(Int32(partition))), from: Offset(starts[partition]), until: Offset(end))
      if range.isEmpty { continue }
      let found: FetchedRange = try answer { client, then in
        client.fetchRange(range, isolation: .readCommitted, then: then)
      }
      var filter = AbortedFilter()
      for bytes in found.batches {
        if filter.hides(try RecordBatch(bytes).header, found.aborted) { continue }
        var rows: [Row] = []
        try RecordBatch(bytes).forEachRecord(using: workspace) { record in
          rows.append(Row(record, partition: partition))
        }
        batches.append(rows)
      }
    }
    return batches
  }

  /// A topic's values, sorted, with null as `(null)`.
  func values(_ topic: String) throws -> [String] { try readAll(topic).map { $0.value ?? "(null)" }.sorted() }
}

/// A record as tests write it down.
struct Row: Equatable, Sendable, CustomStringConvertible {
  struct Header: Equatable, Sendable {
    var name: String
    var value: String?
  }
  /// -1: wherever the producer puts it.
  var partition = -1
  var offset: Int64 = -1
  var key: String?
  var value: String?
  var headers: [Header] = []

  init(partition: Int = -1, key: String? = nil, value: String?, headers: [Header] = []) {
    self.partition = partition
    self.key = key
    self.value = value
    self.headers = headers
  }

  init(_ record: RecordView, partition: Int) {
    self.partition = partition
    offset = record.offset.rawValue
    key = record.key.map { String($0) }
    value = record.value.map { String($0) }
    headers = record.headers.map { Header(name: String($0.key), value: $0.value.map { String($0) }) }
  }

  var description: String {
    "\(partition)@\(offset) \(key ?? "(null)")=\(value ?? "(null)")"
      + headers.map { " \($0.name):\($0.value ?? "(null)")" }.joined()
  }
}

/// A value that closures of a test share; everything runs on one thread in simulation.
final class Cell<Value>: @unchecked Sendable {
  // Sendable: a simulated world and all in it is used by one thread.
  var value: Value
  init(_ value: Value) { self.value = value }
}
