import BenchmarkWorkload
import JobScheduling
import KafkaClients
import KafkaProtocol
import LinuxSystem
import LogBroker
import Sluice
import Synchronization
import SystemInterfaces

/// A broker with a filled topic, and jobs that drain it.
final class Drain {
  static let needle: Bytes = "ea"
  private static let topic = "lines"

  let records: Int
  /// Records that hold the needle.
  let matches: Int
  /// Compressed bytes in the topic.
  let bytes: Int

  private let batch: Bytes
  private let copies: Int
  private let live: LiveWorld
  private let address: Address
  private let broker: Broker
  private let brokerLoop = EpollLoop(named: "broker")
  private let folder: String
  /// The job's, by full name.
  private let settings: [String: String]

  init(
    codec: CompressionCodec, batchSize: Int, records wanted: Int, partitions: Int, executors: Int,
    settings: [String: String]
  ) throws {
    self.settings = settings
    live = LiveWorld.make(executors: executors)
    folder = "\(ThisProcess.environment("TMPDIR") ?? "/tmp")/sluice-throughput-\(ThisProcess.pid)-\(codec)"
    var configuration = BrokerConfiguration(dataDirectory: folder, processID: Int(ThisProcess.pid))
    configuration.listenAddress = Address(host: "127.0.0.1", port: 0)
    configuration.topicDefaults.messageBytesMax = 16 << 20
    broker = Broker(world: live.world, loop: brokerLoop, configuration: configuration)
    address = try broker.start()

    let workload = Workload(batchSize: batchSize, seed: 1)
    var builder = RecordBatchBuilder(capacity: batchSize)
    batch = try workload.encode(&builder, codec, CodecWorkspace())
    copies = max(partitions, (wanted + workload.records.count - 1) / workload.records.count)
    records = copies * workload.records.count
    matches = copies * workload.records.count { $0.contains(Drain.needle) }
    bytes = copies * batch.count
    try fill(partitions)
  }

  func end() {
    broker.stop { [brokerLoop] in brokerLoop.stop() }
    brokerLoop.waitUntilEnded()
    live.stop()
    try? live.world.files.removeTree(folder)
  }

  /// Fills the topic with copies of the batch, spread over the partitions.
  private func fill(_ partitions: Int) throws {
    let loop = EpollLoop(named: "fill")
    let client = KafkaClient(world: live.world, loop: loop, configuration: ClientConfiguration(bootstrap: [address]))
    var configuration = ProducerConfiguration()
    configuration.bufferMemory = .max
    configuration.requestSizeMax = 32 << 20
    let producer = Producer(client, configuration: configuration)
    let failure = Mutex<(any Error)?>(nil)
    let (batch, copies) = (batch, copies)
    loop.post {
      Admin(client).createTopics([Admin.NewTopic(Drain.topic, partitions: Int32(partitions), replicationFactor: 1)]) {
        result in
        if case .failure(let error) = result {
          failure.withLock { $0 = error }
          return loop.stop()
        }
        do {
          for copy in 0..<copies {
            let partition = TopicPartition(Drain.topic, PartitionIndex(Int32(copy % partitions)))
            try producer.sendBatches(partition, [EncodedBatch(batch)]) { delivery in
              if let error = delivery.error { failure.withLock { $0 = error } }
            }
          }
        } catch {
          failure.withLock { $0 = error }
        }
        producer.flush { _ in
          client.close()
          loop.stop()
        }
      }
    }
    loop.waitUntilEnded()
    if let error = failure.withLock({ $0 }) { throw error }
  }

  /// What one run over the whole topic took.
  struct Run {
    /// From the start of the job to its end.
    var seconds: Double
    /// Of all threads, the broker's included.
    var processorSeconds: Double
    var batches: Int
  }

  /// Runs filter and count over the whole topic.
  func drain(run: Int) throws -> Run {
    let loop = EpollLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: live.world.runner)
    let context = try StreamingContext(
      sluice: SluiceContext(runner: scheduler, defaultParallelism: live.world.runner.executorCount),
      batchInterval: .milliseconds(100),
      environment: StreamingEnvironment(
        world: live.world, loop: loop, scheduler: scheduler, jobName: "throughput-\(run)", availableNow: true,
        settings: settings, log: { _ in }))
    let address = address
    context.attach(KafkaCluster(bootstrap: { [address] }))
    let total = Mutex((matches: 0, batches: 0))
    context.topicStream(Drain.topic).filter { $0.value.contains(Drain.needle) }.count().foreachRDD { batch in
      let counted = try batch.collect().reduce(0, +)
      total.withLock {
        $0.matches += counted
        $0.batches += 1
      }
    }
    let failure = Mutex<(any Error)?>(nil)
    let began = loop.now
    let processorTime = ThisProcess.processorTime
    try context.start { error in
      failure.withLock { $0 = error }
      loop.stop()
    }
    loop.waitUntilEnded()
    let seconds = (loop.now - began).inSeconds
    if let error = failure.withLock({ $0 }) { throw error }
    let processorSeconds = Double(ThisProcess.processorTime - processorTime) / 1e9
    let (counted, batches) = total.withLock { $0 }
    guard counted == matches else { throw WrongCount(counted: counted, expected: matches) }
    return Run(seconds: seconds, processorSeconds: processorSeconds, batches: batches)
  }

  /// The reference: one thread, the same batch again and again.
  /// - Returns: seconds for as many records as the topic has.
  func loop() throws -> Double {
    let workspace = CodecWorkspace()
    let clock = LinuxClock()
    let began = clock.now
    var found = 0
    for _ in 0..<copies {
      try RecordBatch(batch).forEachRecord(using: workspace) { record in
        if record.value!.contains(Drain.needle) { found += 1 }
      }
    }
    guard found == matches else { throw WrongCount(counted: found, expected: matches) }
    return (clock.now - began).inSeconds
  }
}

struct WrongCount: Error, CustomStringConvertible {
  var counted: Int
  var expected: Int
  var description: String { "counted \(counted) records, but the topic holds \(expected) that match" }
}
