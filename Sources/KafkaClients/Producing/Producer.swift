import Codecs
import Groundwork
import KafkaProtocol
import SystemInterfaces

/// Sends records, or batches that were encoded before, to the leaders of their partitions: collected into batches,
/// retried in order, by default without doubles (KIP-98).
///
/// Call it on the client's loop; what it calls, it calls there. A record that was accepted is answered for: its batch's
/// `Delivery` says delivered or why not.
///
/// Sendable: its state is touched on the client's loop alone.
public final class Producer: @unchecked Sendable {
  /// Whose connections and metadata are used.
  public let client: KafkaClient
  /// What it was made with.
  public let configuration: ProducerConfiguration
  let onDelivery: @Sendable (Delivery) -> Void
  let workspace = CodecWorkspace()

  struct Batch {
    var partition: TopicPartition
    var bytes: Bytes
    var recordCount: Int32
    /// Whether it was made here of records, and can be made again in another way.
    var isOwn = false
    /// What to tell of it beside `onDelivery`.
    var then: (@Sendable (Delivery) -> Void)?
    var lastError: String?
  }

  /// A record of a topic whose partitions are not known yet.
  struct Unplaced {
    var key: Bytes?
    var value: Bytes?
    var headers: [RecordHeader]
    var timestamp: Timestamp
    var size: Int
  }

  enum Identity: Equatable {
    case unknown, requested
    case known(ProducerIdentity)
  }

  var identity: Identity = .unknown
  var batches: [PartitionQueue.BatchID: Batch] = [:]
  var nextBatchID: PartitionQueue.BatchID = 0
  var queues: [TopicPartition: PartitionQueue] = [:]
  /// The queues' partitions, in order.
  var order: [TopicPartition] = []
  var accumulators: [TopicPartition: RecordAccumulator] = [:]
  var unplaced: [String: [Unplaced]] = [:]
  var unknownSince: [String: Instant] = [:]
  var partitioner = Partitioner()
  var requestsInFlight: [Int32: Int] = [:]
  var flushes: [@Sendable (ClientError?) -> Void] = []
  var errorSinceFlush: ClientError?
  var waiters: [@Sendable () -> Void] = []
  var isPumpPosted = false
  var isRefreshing = false
  var refreshFailures = 0
  var refreshAt: Instant?
  let timer: Reminder
  var fatalError: ClientError?
  /// Decides of transactions; nil where the producer has no transactional id.
  var transactions: TransactionMachine?
  var tickets: [TransactionMachine.Ticket: @Sendable (ClientError?) -> Void] = [:]
  var nextTicket: TransactionMachine.Ticket = 0
  /// Bytes held: collected, waiting and under way.
  public internal(set) var bufferedBytes = 0

  var isTransactional: Bool { configuration.transactionalID != nil }
  var isIdempotent: Bool { configuration.isIdempotent && configuration.acks == .all || isTransactional }
  /// What is asked of the brokers: a transaction needs all in-sync replicas, whatever is configured.
  var acks: ProducerConfiguration.Acknowledgement { isTransactional ? .all : configuration.acks }

  /// - Parameter onDelivery: hears of every batch, in the order of completion.
  public init(
    _ client: KafkaClient, configuration: ProducerConfiguration = ProducerConfiguration(),
    onDelivery: @escaping @Sendable (Delivery) -> Void = { _ in }
  ) {
    self.client = client
    self.configuration = configuration
    self.onDelivery = onDelivery
    timer = Reminder(client.loop)
    transactions = configuration.transactionalID.map {
      TransactionMachine(
        transactionalID: $0, timeout: configuration.deliveryTimeout, backoff: client.configuration.backoff,
        quickBackoff: client.configuration.quickBackoff)
    }
  }

  /// Why nothing is taken now: the producer has ended, or its transaction does not allow it.
  private var refusal: ClientError? { fatalError ?? transactions?.refusal }

  // MARK: Sending

  /// Whether `bytes` more would be accepted now.
  public func canAccept(_ bytes: Int = 0) -> Bool {
    fatalError == nil && (bufferedBytes == 0 || bufferedBytes + bytes <= configuration.bufferMemory)
  }

  /// Calls `then` once, when the buffer is at most half full (or the producer has failed, which `send` then tells).
  public func whenAccepting(_ then: @escaping @Sendable () -> Void) {
    waiters.append(then)
    schedulePump()
  }

  /// Adds a record to the batch of its partition.
  /// - Parameters:
  ///   - partition: nil: by the key's hash, or for a null key one partition until its batch is full.
  ///   - timestamp: nil: now.
  /// - Throws: `bufferFull`, `recordTooLarge`, or why the producer has ended.
  public func send(
    topic: String, partition: PartitionIndex? = nil, key: Bytes?, value: Bytes?, headers: [RecordHeader] = [],
    timestamp: Timestamp? = nil
  ) throws(ClientError) {
    if let refusal { throw refusal }
    let size = RecordBatchBuilder.sizeBound(key: key?.count ?? 0, value: value?.count ?? 0, headers: headers)
    guard size + RecordBatchLayout.records <= configuration.requestSizeMax else {
      throw ClientError(.recordTooLarge(size, limit: configuration.requestSizeMax))
    }
    guard canAccept(size) else { throw ClientError(.bufferFull(limit: configuration.bufferMemory)) }
    let timestamp = timestamp ?? client.loop.wallTime
    if let partition {
      return try append(TopicPartition(topic, partition), key, value, headers, timestamp, size)
    }
    guard let count = client.metadata.topics[topic]?.partitions.count, count > 0, unplaced[topic] == nil else {
      unplaced[topic, default: []].append(
        Unplaced(key: key, value: value, headers: headers, timestamp: timestamp, size: size))
      bufferedBytes += size
      return schedulePump()
    }
    let chosen = partitioner.partition(
      topic: topic, key: key, count: count, random: client.world.randomness.next())
    try append(TopicPartition(topic, chosen), key, value, headers, timestamp, size)
  }

  /// Sends batches that were encoded before, in order; the producer writes its identity and their sequence into copies.
  /// - Parameter then: called for each batch, in order where all are delivered.
  /// - Throws: `badRecordBatch`, `bufferFull` (nothing was taken then), or why the producer has ended.
  public func sendBatches(
    _ partition: TopicPartition, _ encoded: [EncodedBatch], then: @escaping @Sendable (Delivery) -> Void
  ) throws(ClientError) {
    if let refusal { throw refusal }
    let size = encoded.reduce(0) { $0 + $1.bytes.count }
    guard canAccept(size) else { throw ClientError(.bufferFull(limit: configuration.bufferMemory)) }
    var headers: [RecordBatchHeader] = []
    for batch in encoded {
      do {
        let header = try batch.bytes.withUnsafeBytes { raw throws(RecordBatchError) in
          try RecordBatchHeader.parse(raw)
        }
        guard header.totalSize == batch.bytes.count, header.recordCount > 0 else {
          throw ClientError(.badRecordBatch(partition, "bytes that are not one whole record batch"))
        }
        headers.append(header)
      } catch let error as RecordBatchError {
        throw ClientError(.badRecordBatch(partition, error.description))
      } catch let error as ClientError {
        throw error
      } catch {
        throw ClientError(.badRecordBatch(partition, String(describing: error)))
      }
    }
    // What was collected of this partition came first.
    close(partition)
    for (batch, header) in zip(encoded, headers) {
      enqueue(
        Batch(partition: partition, bytes: batch.bytes, recordCount: header.recordCount, then: then),
        span: header.lastOffsetDelta &+ 1)
    }
    schedulePump()
  }

  /// Sends everything collected without further lingering.
  /// - Parameter then: called when nothing is left, with the first error of any batch since the last flush.
  public func flush(then: @escaping @Sendable (ClientError?) -> Void) {
    flushes.append(then)
    schedulePump()
  }

  /// Ends the producer; what is left fails with `closed`.
  public func close() { fail(ClientError(.closed)) }

  // MARK: Collecting

  func append(
    _ partition: TopicPartition, _ key: Bytes?, _ value: Bytes?, _ headers: [RecordHeader], _ timestamp: Timestamp,
    _ size: Int
  ) throws(ClientError) {
    let accumulator: RecordAccumulator
    if let found = accumulators[partition] {
      accumulator = found
    } else {
      accumulator = RecordAccumulator(batchSize: configuration.batchSize)
      accumulators[partition] = accumulator
    }
    if !accumulator.isEmpty, accumulator.size + size > configuration.batchSize { close(partition) }
    let before = accumulator.isEmpty ? 0 : accumulator.size
    do {
      try accumulator.append(key: key, value: value, headers: headers, timestamp: timestamp, now: client.loop.now)
    } catch {
      throw ClientError(.badRecordBatch(partition, error.description))
    }
    bufferedBytes += accumulator.size - before
    if accumulator.size >= configuration.batchSize { close(partition) }
    schedulePump()
  }

  /// Makes a batch of what was collected for a partition.
  func close(_ partition: TopicPartition) {
    guard let accumulator = accumulators[partition], !accumulator.isEmpty else { return }
    partitioner.batchClosed(partition)
    bufferedBytes -= accumulator.size
    let count = accumulator.recordCount
    do {
      let settings = RecordBatchSettings(codec: configuration.codec, level: configuration.level)
      let bytes = try accumulator.finish(settings, workspace)
      enqueue(Batch(partition: partition, bytes: bytes, recordCount: count, isOwn: true), span: count)
    } catch {
      let failure = ClientError(.badRecordBatch(partition, error.description))
      report(Delivery(partition: partition, baseOffset: nil, recordCount: count, error: failure), nil)
      transactionLost(failure)
    }
  }

  func enqueue(_ batch: Batch, span: Int32) {
    let id = nextBatchID
    nextBatchID += 1
    bufferedBytes += batch.bytes.count
    batches[id] = batch
    if queues[batch.partition] == nil {
      queues[batch.partition] = PartitionQueue(
        isIdempotent: isIdempotent, isTransactional: isTransactional, inFlightMax: configuration.inFlightMax,
        backoff: client.configuration.backoff, quickBackoff: client.configuration.quickBackoff,
        startsAlone: isIdempotent && !isTransactional)
      let place = order.firstIndex { batch.partition < $0 } ?? order.count
      order.insert(batch.partition, at: place)
    }
    queues[batch.partition]!.added(id, span: span, deadline: client.loop.now + configuration.deliveryTimeout)
  }
}
