import Codecs
import Dispatch
import Groundwork
import KafkaClients
import KafkaProtocol
import LinuxSystem
import Synchronization
import SystemInterfaces

/// The live seams, once for all tests.
let liveWorld = LiveWorld.make(executors: 2).world

/// Waits for an answer that comes on another thread.
final class Answer<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  private let semaphore = DispatchSemaphore(value: 0)

  /// The first value counts.
  func give(_ given: Value) {
    value.withLock { if $0 == nil { $0 = given } }
    semaphore.signal()
  }

  func wait(for what: String, within seconds: Int = 60) throws -> Value {
    guard semaphore.wait(timeout: .now() + .seconds(seconds)) == .success, let value = value.withLock({ $0 }) else {
      throw SetupFailure("waited \(seconds) s in vain for \(what)")
    }
    return value
  }
}

/// Our own client, on a loop of its own, with calls that wait.
final class LiveClient: Sendable {
  let loop = EpollLoop(named: "test client")
  let client: KafkaClient

  init(_ address: Address) {
    client = KafkaClient(world: liveWorld, loop: loop, configuration: ClientConfiguration(bootstrap: [address]))
  }

  deinit {
    loop.post { [client] in client.close() }
    loop.stop()
  }

  func call<Value: Sendable>(
    _ what: String, _ body: @escaping @Sendable (@escaping @Sendable (Result<Value, ClientError>) -> Void) -> Void
  ) throws -> Value {
    let answer = Answer<Result<Value, ClientError>>()
    loop.post { body { answer.give($0) } }
    return try answer.wait(for: what).get()
  }

  func createTopics(
    _ topics: [(name: String, partitions: Int32)], settings: [(name: String, value: String)] = []
  ) throws {
    let new = topics.map {
      Admin.NewTopic($0.name, partitions: $0.partitions, replicationFactor: 1, settings: settings)
    }
    let _: Void = try call("new topics") { [client] done in Admin(client).createTopics(new) { done($0) } }
  }

  /// Writes records, in order.
  /// - Parameters:
  ///   - partition: nil: by key.
  ///   - timestamp: nil: now.
  func produce(
    _ records: [TestRecord], to topic: String, partition: PartitionIndex? = 0, codec: CompressionCodec,
    timestamp: Timestamp? = nil
  ) throws {
    var configuration = ProducerConfiguration()
    configuration.codec = codec
    configuration.linger = .milliseconds(20)
    let producer = Producer(client, configuration: configuration)
    let _: Void = try call("the producer's flush") { done in
      do throws(ClientError) {
        for record in records {
          try producer.send(
            topic: topic, partition: partition, key: record.key, value: record.value, headers: record.headers,
            timestamp: timestamp)
        }
      } catch {
        return done(.failure(error))
      }
      producer.flush { done($0.map { .failure($0) } ?? .success(())) }
    }
    loop.post { producer.close() }
  }

  /// Where a topic's first partition begins.
  func start(of topic: String) throws -> Offset {
    let partition = TopicPartition(topic, 0)
    let listed: [TopicPartition: Offsets.Listed] = try call("the start of \(topic)") { [client] done in
      Offsets(client).list([partition: .earliest]) { done($0) }
    }
    return listed[partition]?.offset ?? -1
  }

  /// Everything committed in the partitions, in order, read by the fetcher.
  func readAll(_ partitions: [TopicPartition]) throws -> [TopicPartition: [TestRecord]] {
    let wanted = Dictionary(uniqueKeysWithValues: partitions.map { ($0, Offsets.Position.latest) })
    let ends = try call("the ends of the topics") { [client] done in
      Offsets(client).list(wanted, isolation: .readCommitted) { done($0) }
    }
    let arrived = DispatchSemaphore(value: 0)
    let failure = Mutex<String?>(nil)
    var configuration = FetcherConfiguration()
    configuration.isolation = .readCommitted
    let fetcher = Fetcher(client, configuration: configuration) { event in
      switch event {
      case .arrived: break
      case .offsetOutOfRange(let partition, let offset):
        failure.withLock { $0 = "\(partition) at \(offset): out of range" }
      case .recreated(let partition): failure.withLock { $0 = "\(partition): its topic was made again" }
      case .failed(let partition, let error, _): failure.withLock { $0 = "\(partition): \(error)" }
      }
      arrived.signal()
    }
    defer { fetcher.close() }
    fetcher.start(Dictionary(uniqueKeysWithValues: partitions.map { ($0, Offset(0)) }))
    var read = Dictionary(uniqueKeysWithValues: partitions.map { ($0, [TestRecord]()) })
    var from = Dictionary(uniqueKeysWithValues: partitions.map { ($0, Offset(0)) })
    var filters: [TopicPartition: AbortedFilter] = [:]
    let workspace = CodecWorkspace()
    let deadline = DispatchTime.now() + .seconds(60)
    while let open = partitions.first(where: { from[$0]! < ends[$0]!.offset }) {
      for snapshot in fetcher.buffer.snapshot() where snapshot.nextOffset > from[snapshot.partition]! {
        let partition = snapshot.partition
        for batch in snapshot.batches where batch.header.nextOffset > from[partition]! {
          let first = from[partition]!
          from[partition] = batch.header.nextOffset
          if filters[partition, default: AbortedFilter()].hides(batch.header, batch.aborted) { continue }
          try RecordBatch(batch.bytes).forEachRecord(from: first, using: workspace) { record in
            read[partition]!.append(
              TestRecord(
                key: record.key?.copied, value: record.value?.copied,
                headers: record.headers.map { RecordHeader($0.key.copied, $0.value?.copied) }))
          }
        }
        from[partition] = max(from[partition]!, snapshot.nextOffset)
        fetcher.release(partition, upTo: from[partition]!)
      }
      if from[open]! >= ends[open]!.offset { continue }
      if let failure = failure.withLock({ $0 }) { throw SetupFailure(failure) }
      guard arrived.wait(timeout: deadline) == .success else {
        throw SetupFailure("\(open) was read to \(from[open]!) of \(ends[open]!.offset) only")
      }
    }
    return read
  }

  func readAll(_ topic: String, partitions: Int32 = 1) throws -> [TestRecord] {
    let names = (0..<partitions).map { TopicPartition(topic, PartitionIndex($0)) }
    let read = try readAll(names)
    return names.flatMap { read[$0] ?? [] }
  }
}
