import Codecs
import Groundwork
import KafkaClients
import KafkaProtocol
import LogBroker
import Simulation
import SystemInterfaces

/// The real broker in a process of its own, on a disk that outlives it, and a reader of what it has committed.
///
/// Sendable: confined to the thread of its simulated world.
final class BrokerWorld: @unchecked Sendable {
  static let address = Address(host: "127.0.0.1", port: 9092)

  let simulation: SimulatedWorld
  let disk: SimulatedDisk
  let transactionVersion: Int16
  private(set) var broker: SimulatedProcess?
  private let reader: KafkaClient
  private var clients = 0

  init(seed: UInt64, transactionVersion: Int16) throws {
    simulation = SimulatedWorld(seed: seed)
    disk = simulation.makeDisk(named: "broker disk")
    self.transactionVersion = transactionVersion
    let process = simulation.makeProcess(named: "reader")
    reader = KafkaClient(
      world: process.world, loop: process.makeLoop(named: "loop"),
      configuration: ClientConfiguration(bootstrap: [BrokerWorld.address], clientID: "reader"))
    try startBroker()
  }

  var isUp: Bool { broker?.isAlive ?? false }

  func startBroker() throws {
    let process = simulation.makeProcess(named: "broker", on: disk)
    var configuration = BrokerConfiguration(dataDirectory: "/broker", processID: 7)
    configuration.listenAddress = BrokerWorld.address
    configuration.createsTopicsOnDemand = false
    configuration.hotTailBytes = 1 << 20
    configuration.transactionVersion = transactionVersion
    let broker = Broker(world: process.world, loop: process.makeLoop(named: "broker"), configuration: configuration)
    self.broker = process
    _ = try broker.start()
  }

  func killBroker() { broker?.kill() }

  /// A client in a process of its own.
  func client(_ adjust: (inout ClientConfiguration) -> Void = { _ in }) -> KafkaClient {
    clients += 1
    let process = simulation.makeProcess(named: "client \(clients)")
    var configuration = ClientConfiguration(bootstrap: [BrokerWorld.address], clientID: "client \(clients)")
    adjust(&configuration)
    return KafkaClient(world: process.world, loop: process.makeLoop(named: "loop"), configuration: configuration)
  }

  /// Asks the reader's client and runs the world until the answer is there.
  func answer<Value: Sendable>(
    _ ask: @escaping @Sendable (KafkaClient, @escaping @Sendable (Result<Value, ClientError>) -> Void) -> Void
  ) throws -> Value {
    let box = Box<Result<Value, ClientError>>()
    reader.loop.post { [reader] in ask(reader) { box.value = $0 } }
    try simulation.run(within: .seconds(600)) { box.value != nil }
    return try box.value!.get()
  }

  func createTopic(_ name: String, partitions: Int32) throws {
    try answer { client, then in
      Admin(client).createTopics([Admin.NewTopic(name, partitions: partitions, replicationFactor: 1)], then: then)
    }
  }

  /// What a reader of committed records is shown of a partition, up to its last stable offset.
  func committedValues(_ partition: TopicPartition) throws -> [String] {
    let ends: [TopicPartition: Offsets.Listed] = try answer { client, then in
      Offsets(client).list([partition: .latest], isolation: .readCommitted, then: then)
    }
    let end = ends[partition]!.offset
    if end == 0 { return [] }
    let found: FetchedRange = try answer { client, then in
      client.fetchRange(OffsetRange(partition, from: 0, until: end), then: then)
    }
    var filter = AbortedFilter()
    var values: [String] = []
    for bytes in found.batches {
      let header = try RecordBatch(bytes).header
      if !filter.hides(header, found.aborted) { values += recordValues(bytes) }
    }
    return values
  }

  func committedOffset(_ group: String, _ partition: TopicPartition) throws -> Int64? {
    let found: [TopicPartition: Offsets.Committed] = try answer { client, then in
      Offsets(client).committed(group: group, [partition], requiresStable: true, then: then)
    }
    return found[partition]?.offset.rawValue
  }
}
