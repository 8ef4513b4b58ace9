import Codecs
import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming
import SystemInterfaces

/// Writes to a topic: tasks encode record batches, and they are sent in the transaction that decides the batch; or, where
/// at-least-once was chosen, by the commit, which waits until all are acknowledged.
///
/// Sendable: `partitionCount` and `isTransactional` are written on the driver's loop before the first task runs; the rest is
/// constant.
final class TopicSink: Sink, @unchecked Sendable {
  /// Record batches are closed when they have this many bytes, uncompressed.
  static let batchBytesMax = 256 << 10

  private let connection: KafkaConnection
  let topic: String
  let compression: CompressionCodec
  private(set) var partitionCount = 1
  private var isTransactional = false

  init(_ connection: KafkaConnection, topic: String, compression: CompressionCodec) {
    self.connection = connection
    self.topic = topic
    self.compression = compression
  }

  var name: String { "topic \(topic)" }

  var decider: (any Decider)? { connection.transactions }

  var guarantee: OutputGuarantee {
    if isTransactional {
      return OutputGuarantee(
        .exactlyOnce,
        reason: "output and offsets are one transaction; \(connection.durability())")
    }
    return OutputGuarantee(
      .atLeastOnce,
      reason: "offsets are committed after the output, so a batch cut short by a crash is repeated; "
        + connection.durability())
  }

  func open(_ opening: SinkOpening, then: @escaping @Sendable ((any Error)?) -> Void) {
    isTransactional = opening.isDeciding
    connection.transactions.add(topic: topic)
    let client = connection.client
    let driver = connection.driverLoop
    connection.createTopic(topic, partitions: 1, settings: [:]) { [self, topic] error in
      if let error { return then(error) }
      client.loop.post {
        client.metadata(for: [topic]) { result in
          driver.post { [self] in
            switch result {
            case .failure(let error): then(error)
            case .success(let metadata):
              partitionCount = max(1, metadata.topics[topic]?.partitions.count ?? 1)
              then(nil)
            }
          }
        }
      }
    }
  }

  func lastCommitted(then: @escaping @Sendable (Result<BatchNumber?, any Error>) -> Void) { then(.success(nil)) }

  /// Encoded record batches of one task, by partition.
  struct Encoded: Sendable {
    var batches: [(partition: PartitionIndex, batch: EncodedBatch)]
  }

  struct Prepared: PreparedOutput {
    var batch: BatchIdentity
    var outbox: Outbox
  }

  /// What is to be sent; a batch leaves when it is delivered, so that a commit that is tried again sends none twice.
  ///
  /// Sendable: touched on the client's loop alone, once made.
  final class Outbox: @unchecked Sendable {
    let topic: String
    var batches: [(partition: PartitionIndex, batch: EncodedBatch)?]
    init(_ topic: String, _ batches: [(partition: PartitionIndex, batch: EncodedBatch)]) {
      self.topic = topic
      self.batches = batches
    }
  }

  func prepare(
    _ batch: BatchIdentity, _ outputs: [TaskOutput],
    then: @escaping @Sendable (Result<any PreparedOutput, any Error>) -> Void
  ) {
    let batches = outputs.flatMap { ($0.payload as? Encoded)?.batches ?? [] }
    then(.success(Prepared(batch: batch, outbox: Outbox(topic, batches))))
  }

  func commit(_ prepared: any PreparedOutput, then: @escaping @Sendable ((any Error)?) -> Void) {
    guard let outbox = (prepared as? Prepared)?.outbox, !outbox.batches.isEmpty else { return then(nil) }
    let driver = connection.driverLoop
    let producer = connection.producer
    connection.client.loop.post { [topic] in
      let left = outbox.batches.indices.filter { outbox.batches[$0] != nil }
      if left.isEmpty { return driver.post { then(nil) } }
      let answers = Answers(left.count) { error in driver.post { then(error) } }
      for index in left {
        guard let (partition, batch) = outbox.batches[index] else { continue }
        do throws(ClientError) {
          try producer.sendBatches(TopicPartition(topic, partition), [batch]) { delivery in
            if delivery.error == nil { outbox.batches[index] = nil }
            answers.add(delivery.error)
          }
        } catch {
          answers.add(error)
        }
      }
    }
  }

  func abort(_ prepared: any PreparedOutput) {}
  func discard(_ output: TaskOutput) {}
}

/// Calls on when all have answered, with the first error.
///
/// Sendable: touched on the client's loop alone.
private final class Answers: @unchecked Sendable {
  private var remaining: Int
  private var error: (any Error)?
  private let then: @Sendable ((any Error)?) -> Void
  init(_ count: Int, then: @escaping @Sendable ((any Error)?) -> Void) {
    remaining = count
    self.then = then
  }
  func add(_ error: (any Error)?) {
    self.error = self.error ?? error
    remaining -= 1
    if remaining == 0 { then(self.error) }
  }
}

extension DStream {
  /// Writes each batch to a topic, which is made with one partition where it does not exist.
  /// - Parameters:
  ///   - compression: of the record batches.
  ///   - record: makes an element's record.
  /// - Returns: the output, to be named.
  @discardableResult
  public func saveToTopic(
    _ topic: String, compression: CompressionCodec = .lz4,
    record: @escaping @Sendable (Element) throws -> ProducerRecord
  ) -> OutputDefinition {
    let sink: TopicSink
    do {
      sink = TopicSink(try context.kafka(), topic: topic, compression: compression)
    } catch {
      context.note((error as? StreamingError) ?? .invalidDefinition("\(error)"))
      return .none(context)
    }
    return write(to: sink, label: "saveToTopic") { dataset, partition, task in
      var encoder = TopicEncoder(sink, task)
      try dataset.compute(partition, task) { view in
        try task.naming("saveToTopic") {
          for index in 0..<view.count { try encoder.append(try record(view[index])) }
        }
      }
      return try encoder.finish()
    }
  }
}

/// Encodes the records of one task into record batches, one builder a partition.
struct TopicEncoder: ~Copyable {
  private let sink: TopicSink
  private let task: TaskContext
  private let workspace: CodecWorkspace
  private var builders: [Int: BuilderBox] = [:]
  private var batches: [(partition: PartitionIndex, batch: EncodedBatch)] = []
  private var records = 0
  private var bytes = 0
  /// Where records without key go: one partition a task and batch, so that record batches fill.
  private let sticky: Int

  /// A builder that lives in a dictionary.
  private final class BuilderBox { var builder = RecordBatchBuilder() }

  init(_ sink: TopicSink, _ task: TaskContext) {
    self.sink = sink
    self.task = task
    workspace = task.locals.object(CodecWorkspace.self) { CodecWorkspace() }
    sticky = Int(truncatingIfNeeded: task.batch.number.rawValue &+ Int64(task.partition)) % sink.partitionCount
  }

  mutating func append(_ record: ProducerRecord) throws {
    let partition =
      record.partition.map { Int($0.rawValue) }
      ?? record.key.map { Int(murmur2($0) & Int32.max) % sink.partitionCount } ?? sticky
    let box = builders[partition] ?? BuilderBox()
    builders[partition] = box
    try box.builder.append(
      key: record.key, value: record.value, headers: record.headers, timestamp: record.timestamp ?? task.batch.time)
    records += 1
    if box.builder.uncompressedSize >= TopicSink.batchBytesMax { try close(partition, box) }
  }

  private mutating func close(_ partition: Int, _ box: BuilderBox) throws {
    let encoded = try box.builder.finish(RecordBatchSettings(codec: sink.compression), using: workspace)
    box.builder.reset()
    bytes += encoded.count
    batches.append((PartitionIndex(Int32(partition)), EncodedBatch(encoded)))
  }

  consuming func finish() throws -> TaskOutput {
    for (partition, box) in builders.sorted(by: { $0.key < $1.key }) where !box.builder.isEmpty {
      try close(partition, box)
    }
    return TaskOutput(records: records, bytes: bytes, payload: TopicSink.Encoded(batches: batches))
  }
}
