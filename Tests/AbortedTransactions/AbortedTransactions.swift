import Groundwork
import KafkaClients
import KafkaProtocol
import LinuxSystem
import SystemInterfaces

/// What a job's input may look like: records in transactions that are open for 5 ms each, of which three in ten are aborted.
///
/// `AbortedTransactions BOOTSTRAP TOPIC PARTITIONS LIFE COUNT` makes COUNT transactions, one after the other, all under one
/// transactional id. LIFE, a number, tells its records from those of other lives and seeds its chance. Values are
/// `LIFE NUMBER kept` or `LIFE NUMBER dropped`.
@main enum AbortedTransactions {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 5, let bootstrap = Address(text: arguments[0]), let partitions = Int32(arguments[2]),
      let life = UInt64(arguments[3]), let count = Int(arguments[4])
    else {
      TextOutput.error.write("AbortedTransactions BOOTSTRAP TOPIC PARTITIONS LIFE COUNT\n")
      ThisProcess.exit(2)
    }
    let loop = EpollLoop(named: "transactions")
    let client = KafkaClient(
      world: LiveWorld.make(executors: 1).world, loop: loop, configuration: ClientConfiguration(bootstrap: [bootstrap]))
    let writer = TransactionWriter(client, topic: arguments[1], partitions, life, count)
    loop.post { writer.start() }
    loop.waitUntilEnded()
  }
}

/// Makes one transaction after the other.
///
/// Sendable: confined to the client's loop once it is made.
private final class TransactionWriter: @unchecked Sendable {
  private static let open = Duration.milliseconds(5)
  private let client: KafkaClient
  private let producer: Producer
  private let topic: String
  private let partitions: Int32
  private let life: UInt64
  private var left: Int
  private var number = 0
  private var random: SeededRandom

  init(_ client: KafkaClient, topic: String, _ partitions: Int32, _ life: UInt64, _ count: Int) {
    self.client = client
    self.topic = topic
    self.partitions = partitions
    self.life = life
    left = count
    random = SeededRandom(seed: life)
    var configuration = ProducerConfiguration()
    configuration.transactionalID = "aborted-transactions"
    producer = Producer(client, configuration: configuration)
  }

  func start() {
    producer.initTransactions { [self] error in
      if let error { end(error) }
      next()
    }
  }

  private func next() {
    if left == 0 { ThisProcess.exit(0) }
    left -= 1
    let isKept = random.next() % 10 >= 3
    let begin = client.loop.now
    do throws(ClientError) {
      try producer.beginTransaction()
      for _ in 0...random.next() % 8 {
        try producer.send(
          topic: topic, partition: PartitionIndex(Int32(random.next() % UInt64(partitions))), key: nil,
          value: Bytes("\(life) \(number) \(isKept ? "kept" : "dropped")"))
        number += 1
      }
    } catch {
      end(error)
    }
    // All of it is in the log before it is decided: what is aborted is there to be read by mistake.
    producer.flush { [self] error in
      if let error, !error.requiresAbort { end(error) }
      let decide: @Sendable () -> Void = { [self] in self.decide(isKept && error == nil) }
      client.loop.after(max(.zero, begin + Self.open - client.loop.now), decide)
    }
  }

  private func decide(_ isKept: Bool) {
    guard isKept else {
      return producer.abortTransaction { [self] error in
        if let error { end(error) }
        next()
      }
    }
    producer.commitTransaction { [self] error in
      if let error, error.requiresAbort { return decide(false) }
      if let error { end(error) }
      next()
    }
  }

  private func end(_ error: ClientError) -> Never {
    TextOutput.error.write("AbortedTransactions: \(error)\n")
    TextOutput.error.flush()
    ThisProcess.exit(1)
  }
}
