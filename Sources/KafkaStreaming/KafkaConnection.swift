import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming
import SystemInterfaces

/// How a job finds its cluster, put into the context by whoever runs the job: it may start an embedded broker when the
/// first stream of topics is defined.
public final class KafkaCluster: Sendable {
  /// The brokers to begin with; called when they are needed first.
  public let bootstrap: @Sendable () throws -> [Address]
  /// What an acknowledged record survives, for the guarantee that is printed at start.
  public let durability: @Sendable () -> String

  /// A cluster to be found later.
  /// - Parameters:
  ///   - bootstrap: called when a stream or sink of topics needs a connection; it may start a broker, and throws where
  ///     none can be named.
  ///   - durability: what an acknowledged record survives, in words; by default as for any Kafka cluster.
  public init(
    bootstrap: @escaping @Sendable () throws -> [Address],
    durability: @escaping @Sendable () -> String = { "acknowledged by all in-sync replicas" }
  ) {
    self.bootstrap = bootstrap
    self.durability = durability
  }
}

/// A job's connection to its cluster: one client, on a loop of its own, a producer, and the job's transactions.
///
/// Sendable: its properties are constant; the client and the producer are used on their loop.
final class KafkaConnection: Sendable {
  let client: KafkaClient
  let producer: Producer
  let transactions: TransactionDecider
  let durability: @Sendable () -> String
  /// The driver's loop, on which the job's sources and sinks are called back.
  let driverLoop: any Loop

  init(_ context: StreamingContext) throws {
    let environment = context.environment
    let cluster = try context.attachment(KafkaCluster.self) {
      guard let text = context.setting("sluice.kafka.bootstrapServers") else {
        throw StreamingError.invalidDefinition(
          "no brokers are named: set sluice.kafka.bootstrapServers or give --bootstrap-server HOST:PORT")
      }
      let addresses = text.split(separator: ",").compactMap { Address(text: String($0)) }
      return KafkaCluster(bootstrap: { addresses })
    }
    var configuration = ClientConfiguration(bootstrap: try cluster.bootstrap(), clientID: environment.jobName)
    configuration.allowsAutoTopicCreation = false
    let loop = environment.world.runner.makeLoop(named: "kafka")
    client = KafkaClient(world: environment.world, loop: loop, configuration: configuration)
    var producing = ProducerConfiguration()
    // A batch's output is in memory already when it is sent: the producer's own bound would only get in its way.
    producing.bufferMemory = .max
    producer = Producer(client, configuration: producing)
    transactions = TransactionDecider(
      client, transactionalID: "\(environment.jobName)-0",
      timeout: try KafkaConnection.transactionTimeout(context),
      driver: environment.loop)
    durability = cluster.durability
    driverLoop = environment.loop
  }

  private static func transactionTimeout(_ context: StreamingContext) throws -> Duration {
    let key = "sluice.kafka.transactionTimeout"
    guard let text = context.setting(key) else { return .seconds(60) }
    guard let duration = Duration(text: text), duration >= .seconds(1) else {
      throw StreamingError.invalidDefinition("\(key): `\(text)` is not a duration of a second or more; write 60s or 5m")
    }
    return duration
  }

  /// Makes a topic where it does not exist yet.
  func createTopic(
    _ name: String, partitions: Int32, settings: [String: String], then: @escaping @Sendable ((any Error)?) -> Void
  ) {
    let topic = Admin.NewTopic(
      name, partitions: partitions, replicationFactor: 1,
      settings: settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    client.loop.post { [self] in
      Admin(client).createTopics([topic]) { [driverLoop] result in
        driverLoop.post {
          if case .failure(let error) = result, error.kafkaCode != .topicAlreadyExists { return then(error) }
          then(nil)
        }
      }
    }
  }

  /// Ends the producers and the client; what the producers still hold is answered with `closed`.
  func close() {
    client.loop.post { [client, producer, transactions] in
      producer.close()
      transactions.close()
      client.close()
    }
  }
}

extension StreamingContext {
  /// The job's connection, made when the first stream or sink needs it.
  func kafka() throws -> KafkaConnection {
    try attachment(KafkaConnection.self) {
      let connection = try KafkaConnection(self)
      atStop { connection.close() }
      atRelease { connection.transactions.release() }
      return connection
    }
  }
}
