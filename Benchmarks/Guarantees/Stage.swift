import BenchmarkWorkload
import KafkaClients
import KafkaProtocol
import LinuxSystem
import LogBroker
import Sluice
import Synchronization
import SystemInterfaces

/// A broker in this process with the input that all jobs read, and the folder in which everything stands.
final class Stage {
  static let backlog = "backlog"
  static let live = "live"

  let folder: String
  let world: LiveWorld
  let address: Address
  /// Records of the backlog.
  let records: Int
  /// What the broker wrote beside its segments.
  let brokerCounts = Counts()
  private let partitions: Int
  private let broker: Broker
  private let brokerLoop = EpollLoop(named: "broker")
  private let loop = EpollLoop(named: "load")
  private let client: KafkaClient
  private let producer: Producer

  /// - Parameter records: of the backlog, at least.
  init(records wanted: Int, partitions: Int, executors: Int) throws {
    world = LiveWorld.make(executors: executors)
    folder = "\(ThisProcess.environment("TMPDIR") ?? "/tmp")/sluice-guarantees-\(ThisProcess.pid)"
    self.partitions = partitions
    let data = "\(folder)/broker"
    var configuration = BrokerConfiguration(dataDirectory: data, processID: Int(ThisProcess.pid))
    configuration.listenAddress = Address(host: "127.0.0.1", port: 0)
    var counted = world.world
    counted.files = CountedFiles(base: world.world.files, counts: brokerCounts) { path in
      switch path.dropFirst(data.count) {
      case "/offsets.journal": "offsets"
      case "/transactions.journal": "transactions"
      default: nil
      }
    }
    broker = Broker(world: counted, loop: brokerLoop, configuration: configuration)
    address = try broker.start()
    client = KafkaClient(world: world.world, loop: loop, configuration: ClientConfiguration(bootstrap: [address]))
    var producing = ProducerConfiguration()
    producing.bufferMemory = .max
    producing.requestSizeMax = 32 << 20
    producer = Producer(client, configuration: producing)

    let workload = Workload(batchSize: 256 << 10, seed: 1)
    let copies = max(partitions, (wanted + workload.records.count - 1) / workload.records.count)
    records = copies * workload.records.count
    try makeTopics([Stage.backlog, Stage.live])
    var builder = RecordBatchBuilder(capacity: 256 << 10)
    let batch = EncodedBatch(try workload.encode(&builder, .lz4, CodecWorkspace()))
    try wait { [producer, partitions] answer in
      for copy in 0..<copies {
        let partition = TopicPartition(Stage.backlog, PartitionIndex(Int32(copy % partitions)))
        do { try producer.sendBatches(partition, [batch]) { _ in } } catch { return answer(error) }
      }
      producer.flush { answer($0) }
    }
  }

  func end() {
    loop.post { [producer, client, loop] in
      producer.close()
      client.close()
      loop.stop()
    }
    loop.waitUntilEnded()
    broker.stop { [brokerLoop] in brokerLoop.stop() }
    brokerLoop.waitUntilEnded()
    world.stop()
    try? world.world.files.removeTree(folder)
  }

  // MARK: Topics

  func makeTopics(_ names: [String]) throws {
    let topics = names.map { Admin.NewTopic($0, partitions: Int32(partitions), replicationFactor: 1) }
    try wait { [client] answer in
      Admin(client).createTopics(topics) { result in
        if case .failure(let error) = result { answer(error) } else { answer(nil) }
      }
    }
  }

  func remove(topic: String) throws {
    try wait { [client] answer in
      Admin(client).deleteTopics([topic]) { result in
        if case .failure(let error) = result { answer(error) } else { answer(nil) }
      }
    }
  }

  /// What a topic's segments hold.
  struct Content {
    var records = 0
    var recordBytes: Int64 = 0
    var markers = 0
    var markerBytes: Int64 = 0
  }

  func content(of topic: String) throws -> Content {
    var content = Content()
    let files = world.world.files
    for partition in 0..<partitions {
      let directory = "\(folder)/broker/topics/\(topic)-\(partition)"
      for name in try files.list(directory) where name.hasSuffix(".log") {
        let file = try files.open("\(directory)/\(name)", .read)
        let size = try file.size()
        var position: Int64 = 0
        while position + Int64(RecordBatchLayout.records) <= size {
          let bytes = try file.read(at: position, count: RecordBatchLayout.records)
          let header = try bytes.withUnsafeBytes { try RecordBatchHeader.parse($0) }
          if header.isControl {
            content.markers += 1
            content.markerBytes += Int64(header.totalSize)
          } else {
            content.records += Int(header.recordCount)
            content.recordBytes += Int64(header.totalSize)
          }
          position += Int64(header.totalSize)
        }
      }
    }
    return content
  }

  private func wait(_ body: @escaping @Sendable (_ answer: @escaping @Sendable ((any Error)?) -> Void) -> Void) throws {
    let result = Mutex<(any Error)??>(nil)
    let done = EpollLoop(named: "wait")
    loop.post {
      body { error in
        result.withLock { $0 = .some(error) }
        done.stop()
      }
    }
    done.waitUntilEnded()
    if case .some(.some(let error)) = result.withLock({ $0 }) { throw error }
  }

  // MARK: A steady load

  /// Sends so many records a second to the live topic, a few each millisecond, until it is stopped.
  func beginLoad(recordsPerSecond: Int) throws -> Load {
    // One batch a millisecond; less often where that is less than a record.
    let perBatch = max(1, recordsPerSecond / 1_000)
    let workload = Workload(batchSize: 64 << 10, seed: 2)
    var builder = RecordBatchBuilder()
    for record in workload.records.prefix(perBatch) {
      try builder.append(key: nil, value: record, headers: [], timestamp: loop.wallTime)
    }
    let batch = try builder.finish(RecordBatchSettings(codec: .none), using: CodecWorkspace())
    let load = Load(
      producer, loop, EncodedBatch(batch), perBatch: perBatch, recordsPerSecond: recordsPerSecond,
      partitions: partitions)
    load.begin()
    return load
  }

  /// Sendable: its state is touched on its loop only.
  final class Load: @unchecked Sendable {
    private let producer: Producer
    private let loop: EpollLoop
    private let batch: EncodedBatch
    private let perBatch: Int
    private let interval: Duration
    private let partitions: Int
    private var began = Instant(nanoseconds: 0)
    private var sent = 0
    private var isStopped = false

    fileprivate init(
      _ producer: Producer, _ loop: EpollLoop, _ batch: EncodedBatch, perBatch: Int, recordsPerSecond: Int,
      partitions: Int
    ) {
      self.producer = producer
      self.loop = loop
      self.batch = batch
      self.perBatch = perBatch
      self.partitions = partitions
      interval = .seconds(1) * (Double(perBatch) / Double(recordsPerSecond))
    }

    fileprivate func begin() {
      loop.post { [self] in
        began = loop.now
        step()
      }
    }

    private func step() {
      if isStopped { return }
      // What is late is sent at once: the rate holds on average.
      while began + interval * sent <= loop.now {
        let partition = TopicPartition(Stage.live, PartitionIndex(Int32(sent % partitions)))
        do { try producer.sendBatches(partition, [batch]) { _ in } } catch { return isStopped = true }
        sent += 1
      }
      loop.at(began + interval * sent) { [self] in step() }
    }

    /// Stops; returns the records sent, once all are there.
    func end() -> Int {
      let result = Mutex(0)
      let done = EpollLoop(named: "wait")
      loop.post { [self] in
        isStopped = true
        producer.flush { [self] _ in
          result.withLock { $0 = sent * perBatch }
          done.stop()
        }
      }
      done.waitUntilEnded()
      return result.withLock { $0 }
    }
  }
}
