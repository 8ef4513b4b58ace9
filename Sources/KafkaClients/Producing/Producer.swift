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
  public let client: KafkaClient
  public let configuration: ProducerConfiguration
  private let onDelivery: @Sendable (Delivery) -> Void
  private let workspace = CodecWorkspace()

  private struct Batch {
    var partition: TopicPartition
    var bytes: Bytes
    var recordCount: Int32
    /// What to tell of it beside `onDelivery`.
    var then: (@Sendable (Delivery) -> Void)?
    var lastError: String?
  }

  /// A record of a topic whose partitions are not known yet.
  private struct Unplaced {
    var key: Bytes?
    var value: Bytes?
    var headers: [RecordHeader]
    var timestamp: Timestamp
    var size: Int
  }

  private enum Identity: Equatable {
    case unknown, requested
    case known(id: Int64, epoch: Int16)
  }

  private var identity: Identity = .unknown
  private var batches: [PartitionQueue.BatchID: Batch] = [:]
  private var nextBatchID: PartitionQueue.BatchID = 0
  private var queues: [TopicPartition: PartitionQueue] = [:]
  /// The queues' partitions, in order.
  private var order: [TopicPartition] = []
  private var accumulators: [TopicPartition: RecordAccumulator] = [:]
  private var unplaced: [String: [Unplaced]] = [:]
  private var unknownSince: [String: Instant] = [:]
  private var partitioner = Partitioner()
  private var requestsInFlight: [Int32: Int] = [:]
  private var flushes: [@Sendable (ClientError?) -> Void] = []
  private var errorSinceFlush: ClientError?
  private var waiters: [@Sendable () -> Void] = []
  private var isPumpPosted = false
  private var isRefreshing = false
  private var refreshFailures = 0
  private var refreshAt: Instant?
  private var timer: (id: TimerID, at: Instant)?
  private var fatalError: ClientError?
  /// Bytes held: collected, waiting and under way.
  public private(set) var bufferedBytes = 0

  private var isIdempotent: Bool { configuration.isIdempotent && configuration.acks == .all }

  /// - Parameter onDelivery: hears of every batch, in the order of completion.
  public init(
    _ client: KafkaClient, configuration: ProducerConfiguration = ProducerConfiguration(),
    onDelivery: @escaping @Sendable (Delivery) -> Void = { _ in }
  ) {
    self.client = client
    self.configuration = configuration
    self.onDelivery = onDelivery
  }

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
    if let fatalError { throw fatalError }
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
    if let fatalError { throw fatalError }
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

  private func append(
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
  private func close(_ partition: TopicPartition) {
    guard let accumulator = accumulators[partition], !accumulator.isEmpty else { return }
    partitioner.batchClosed(partition)
    bufferedBytes -= accumulator.size
    let count = accumulator.recordCount
    do {
      let settings = RecordBatchSettings(codec: configuration.codec, level: configuration.level)
      let bytes = try accumulator.finish(settings, workspace)
      enqueue(Batch(partition: partition, bytes: bytes, recordCount: count), span: count)
    } catch {
      let failure = ClientError(.badRecordBatch(partition, error.description))
      report(Delivery(partition: partition, baseOffset: nil, recordCount: count, error: failure), nil)
    }
  }

  private func enqueue(_ batch: Batch, span: Int32) {
    let id = nextBatchID
    nextBatchID += 1
    bufferedBytes += batch.bytes.count
    batches[id] = batch
    if queues[batch.partition] == nil {
      let backoff = Backoff(base: client.configuration.retryBackoff, max: client.configuration.retryBackoffMax)
      queues[batch.partition] = PartitionQueue(
        isIdempotent: isIdempotent, inFlightMax: configuration.inFlightMax, backoff: backoff, startsAlone: isIdempotent)
      let place = order.firstIndex { batch.partition < $0 } ?? order.count
      order.insert(batch.partition, at: place)
    }
    queues[batch.partition]!.added(id, span: span, deadline: client.loop.now + configuration.deliveryTimeout)
  }

  // MARK: The pump

  private func schedulePump() {
    guard !isPumpPosted else { return }
    isPumpPosted = true
    client.loop.post { [self] in
      isPumpPosted = false
      pump()
    }
  }

  private func pump() {
    guard fatalError == nil else { return notifyWaiters() }
    client.refreshIfOld()
    let now = client.loop.now
    var reminder: Instant?
    func remind(at instant: Instant) { if reminder.map({ instant < $0 }) ?? true { reminder = instant } }
    placeUnplaced()
    for partition in accumulators.keys.sorted() {
      guard let accumulator = accumulators[partition], !accumulator.isEmpty else { continue }
      let due = accumulator.openedAt + configuration.linger
      if due <= now || !flushes.isEmpty { close(partition) } else { remind(at: due) }
    }
    expire(now)
    guard fatalError == nil else { return notifyWaiters() }
    if isIdempotent, identity == .unknown, !batches.isEmpty || !unplaced.isEmpty { requestIdentity() }
    if !isIdempotent || identity != .unknown && identity != .requested { sendReady(now) }
    for partition in order {
      guard let queue = queues[partition], !queue.isEmpty else { continue }
      if let deadline = queue.firstDeadline, deadline > now { remind(at: deadline) }
      if let retryAt = queue.retryAt, retryAt > now { remind(at: retryAt) }
    }
    refreshUnknown(now)
    if let refreshAt, refreshAt > now { remind(at: refreshAt) }
    setTimer(reminder)
    notifyWaiters()
  }

  private func setTimer(_ instant: Instant?) {
    guard let instant else { return }
    if let timer {
      if timer.at <= instant { return }
      client.loop.cancel(timer.id)
    }
    let id = client.loop.at(instant) { [weak self] in
      guard let self else { return }
      timer = nil
      pump()
    }
    timer = (id, instant)
  }

  private func notifyWaiters() {
    if !waiters.isEmpty, fatalError != nil || bufferedBytes <= configuration.bufferMemory / 2 {
      let ready = waiters
      waiters = []
      for waiter in ready { waiter() }
    }
    guard !flushes.isEmpty, batches.isEmpty, unplaced.isEmpty, accumulators.values.allSatisfy(\.isEmpty) else { return }
    let done = flushes
    let error = fatalError ?? errorSinceFlush
    flushes = []
    errorSinceFlush = nil
    for flush in done { flush(error) }
  }

  private func placeUnplaced() {
    for topic in unplaced.keys.sorted() {
      guard let count = client.metadata.topics[topic]?.partitions.count, count > 0 else { continue }
      let records = unplaced.removeValue(forKey: topic) ?? []
      unknownSince[topic] = nil
      for record in records {
        bufferedBytes -= record.size
        let chosen = TopicPartition(
          topic,
          partitioner.partition(
            topic: topic, key: record.key, count: count, random: client.world.randomness.next()))
        do {
          try append(chosen, record.key, record.value, record.headers, record.timestamp, record.size)
        } catch {
          report(Delivery(partition: chosen, baseOffset: nil, recordCount: 1, error: error), nil)
        }
      }
    }
  }

  private func expire(_ now: Instant) {
    for partition in order {
      guard let deadline = queues[partition]?.firstDeadline, deadline <= now else { continue }
      let (ids, mayHaveBeenWritten) = queues[partition]!.expired(now: now)
      for id in ids {
        let last = batches[id]?.lastError ?? "the partition's leader could not be reached"
        finish(
          id, .failure(ClientError(.deliveryTimedOut(partition, after: configuration.deliveryTimeout, last: last))))
      }
      // Whether they are in the log is not known: what comes behind them could be out of order.
      if mayHaveBeenWritten { fail(ClientError(.sequenceLost(partition, .requestTimedOut))) }
    }
  }

  private func requestIdentity() {
    identity = .requested
    var request = InitProducerIDRequest()
    request.transactionTimeoutMilliseconds = .max
    let sent = request
    let client = client
    client.retrying(
      { done in
        client.sendOnce(sent, to: .any) { result in
          done(
            result.flatMap { answer in
              answer.errorCode.isError
                ? .failure(ClientError(.broker(answer.errorCode, "asking for a producer id"))) : .success(answer)
            })
        }
      },
      then: { [weak self] result in
        guard let self else { return }
        switch result {
        case .success(let answer): identity = .known(id: answer.producerID, epoch: answer.producerEpoch)
        case .failure(let error):
          // Nothing has been sent: what waits fails, and the next record asks again.
          identity = .unknown
          failWaiting(error)
        }
        schedulePump()
      })
  }

  private func failWaiting(_ error: ClientError) {
    for partition in order {
      let ids = queues[partition]?.ids ?? []
      queues[partition] = nil
      for id in ids { finish(id, .failure(error)) }
    }
    order = []
    failUnplaced(Array(unplaced.keys), error)
  }

  private func failUnplaced(_ topics: [String], _ error: ClientError) {
    for topic in topics.sorted() {
      let records = unplaced.removeValue(forKey: topic) ?? []
      guard !records.isEmpty else { continue }
      for record in records { bufferedBytes -= record.size }
      let count = Int32(clamping: records.count)
      report(
        Delivery(
          partition: TopicPartition(topic, PartitionIndex(-1)), baseOffset: nil, recordCount: count, error: error),
        nil)
    }
  }

  // MARK: Requests

  private func sendReady(_ now: Instant) {
    var byLeader: [Int32: [TopicPartition]] = [:]
    for partition in order {
      guard queues[partition]?.hasSendable(at: now) == true, let leader = client.metadata.leader(of: partition)
      else { continue }
      byLeader[leader, default: []].append(partition)
    }
    for (leader, partitions) in byLeader.sorted(by: { $0.key < $1.key }) {
      while requestsInFlight[leader, default: 0] < configuration.inFlightMax {
        guard sendRequest(partitions, to: leader, now) else { break }
      }
    }
  }

  /// Sends one request with at most one batch of each partition: brokers take no more (KIP-98).
  /// - Returns: false where nothing was to be sent.
  private func sendRequest(_ partitions: [TopicPartition], to leader: Int32, _ now: Instant) -> Bool {
    var request = ProduceRequest()
    request.acks = configuration.acks.rawValue
    request.timeoutMilliseconds = Int32(clamping: client.configuration.requestTimeout.inMilliseconds)
    var sent: [TopicPartition: PartitionQueue.BatchID] = [:]
    var size = 0
    for partition in partitions {
      guard queues[partition]!.hasSendable(at: now), let id = queues[partition]!.next, let batch = batches[id] else {
        continue
      }
      if size > 0, size + batch.bytes.count > configuration.requestSizeMax { continue }
      size += batch.bytes.count
      var wire = ProduceRequest.TopicProduceData.PartitionProduceData()
      wire.index = partition.partition.rawValue
      wire.records = stamped(batch.bytes, sequence: queues[partition]!.sent())
      sent[partition] = id
      if request.topicData.last?.name != partition.topic {
        var topic = ProduceRequest.TopicProduceData()
        topic.name = partition.topic
        request.topicData.append(topic)
      }
      request.topicData[request.topicData.count - 1].partitionData.append(wire)
    }
    guard !sent.isEmpty else { return false }
    requestsInFlight[leader, default: 0] += 1
    let ids = sent
    // Format 2 came with version 3, zstd with 7.
    let first: Int16 = configuration.codec == .zstd ? 7 : 3
    client.sendOnce(
      request, to: .broker(leader), versions: first...ProduceRequest.versions.upperBound,
      timeout: client.configuration.requestTimeout, hasAnswer: configuration.acks != .none
    ) { [weak self] result in
      self?.answered(result, ids, leader)
    }
    return true
  }

  /// A copy that carries the producer's identity; the batch as it came where there is none.
  private func stamped(_ bytes: Bytes, sequence: Int32) -> Bytes {
    guard isIdempotent, case .known(let id, let epoch) = identity else { return bytes }
    let arena = Arena(capacity: bytes.count)
    let copy = UnsafeMutableRawBufferPointer(start: arena.base, count: bytes.count)
    bytes.withUnsafeBytes { copy.copyMemory(from: $0) }
    do {
      try RecordBatchHeader.assign(producerID: id, producerEpoch: epoch, baseSequence: sequence, in: copy)
    } catch {
      // Every batch was parsed or built here before, so it is long enough; the broker would refuse it unstamped.
      return bytes
    }
    return Bytes(arena, offset: 0, count: bytes.count)
  }

  private func answered(
    _ result: Result<ProduceResponse, ClientError>, _ sent: [TopicPartition: PartitionQueue.BatchID], _ leader: Int32
  ) {
    requestsInFlight[leader, default: 1] -= 1
    guard fatalError == nil else { return }
    let now = client.loop.now
    switch result {
    case .failure(let error):
      for (partition, id) in sent.sorted(by: { $0.key < $1.key }) {
        batches[id]?.lastError = error.description
        if error.isRetriable {
          queues[partition]?.lost(id, now: now, unit: client.world.randomness.unit())
        } else {
          judge(partition, id, .unsupportedVersion, nil, error)
        }
        client.metadata.topics[partition.topic] = nil
      }
    case .success where configuration.acks == .none:
      for (partition, id) in sent.sorted(by: { $0.key < $1.key }) { judge(partition, id, .none, nil, nil) }
    case .success(let answer):
      var open = sent
      for topic in answer.responses {
        for data in topic.partitionResponses {
          let partition = TopicPartition(topic.name, PartitionIndex(data.index))
          guard let id = open.removeValue(forKey: partition) else { continue }
          let offset = data.baseOffset >= 0 ? Offset(data.baseOffset) : nil
          let text = data.errorMessage ?? "writing to \(partition)"
          let error = data.errorCode.isError ? ClientError(.broker(data.errorCode, text)) : nil
          client.forgetWhatIsStale(data.errorCode, topic: topic.name)
          judge(partition, id, data.errorCode, offset, error)
          if fatalError != nil { return }
        }
      }
      for (partition, id) in open.sorted(by: { $0.key < $1.key }) {
        queues[partition]?.lost(id, now: now, unit: client.world.randomness.unit())
      }
    }
    schedulePump()
  }

  private func judge(
    _ partition: TopicPartition, _ id: PartitionQueue.BatchID, _ code: KafkaErrorCode, _ offset: Offset?,
    _ error: ClientError?
  ) {
    if let error { batches[id]?.lastError = error.description }
    let verdict = queues[partition]?.answered(
      id, code, now: client.loop.now, unit: client.world.randomness.unit())
    switch verdict {
    case .delivered: finish(id, .success(offset))
    case .refused: finish(id, .failure(error ?? ClientError(.broker(code, "writing to \(partition)"))))
    case .sequenceLost: fail(ClientError(.sequenceLost(partition, code)))
    case .retried, nil: break
    }
  }

  private func refreshUnknown(_ now: Instant) {
    var topics = Set(unplaced.keys)
    for partition in order where queues[partition]?.isEmpty == false && client.metadata.leader(of: partition) == nil {
      topics.insert(partition.topic)
    }
    for topic in topics.sorted() where unknownSince[topic] == nil { unknownSince[topic] = now }
    guard !topics.isEmpty, !isRefreshing, refreshAt.map({ $0 <= now }) ?? true else { return }
    isRefreshing = true
    let asked = topics.sorted()
    client.refreshMetadata(topics: asked) { [weak self] result in
      guard let self else { return }
      isRefreshing = false
      refreshed(asked, result)
    }
  }

  private func refreshed(_ topics: [String], _ result: Result<ClusterMetadata, ClientError>) {
    guard fatalError == nil else { return }
    let now = client.loop.now
    var isComplete = true
    for topic in topics {
      let known = client.metadata.topics[topic]
      let code = known?.error ?? .unknownTopicOrPartition
      if known != nil, !code.isError, known?.partitions.isEmpty == false {
        unknownSince[topic] = nil
        // A partition beyond the topic's number will not come.
        for partition in order where partition.topic == topic && client.metadata.partition(partition) == nil {
          failQueue(partition, ClientError(.unknownPartition(partition)))
        }
        if order.contains(where: { $0.topic == topic && client.metadata.leader(of: $0) == nil }) { isComplete = false }
        continue
      }
      isComplete = false
      let waited = now - (unknownSince[topic] ?? now)
      var error: ClientError?
      if case .failure(let failure) = result {
        error = waited >= configuration.deliveryTimeout || !failure.isRetriable ? failure : nil
      } else if code == .unknownTopicOrPartition {
        error = waited >= client.configuration.unknownTopicTimeout ? ClientError(.unknownTopic(topic)) : nil
      } else if !code.isRetriable {
        error = ClientError(.broker(code, "topic \(topic)"))
      }
      guard let error else { continue }
      unknownSince[topic] = nil
      failUnplaced([topic], error)
      for partition in order where partition.topic == topic { failQueue(partition, error) }
    }
    refreshFailures = isComplete ? 0 : refreshFailures + 1
    let backoff = Backoff(base: client.configuration.retryBackoff, max: client.configuration.retryBackoffMax)
    refreshAt =
      isComplete ? nil : now + backoff.pause(failures: refreshFailures, unit: client.world.randomness.unit())
    schedulePump()
  }

  /// Fails what waits for a partition that has nothing in flight.
  private func failQueue(_ partition: TopicPartition, _ error: ClientError) {
    guard let queue = queues[partition], queue.inFlightCount == 0 else { return }
    let ids = queue.ids
    queues[partition] = nil
    order.removeAll { $0 == partition }
    for id in ids { finish(id, .failure(error)) }
  }

  // MARK: Ends

  private func finish(_ id: PartitionQueue.BatchID, _ outcome: Result<Offset?, ClientError>) {
    guard let batch = batches.removeValue(forKey: id) else { return }
    bufferedBytes -= batch.bytes.count
    var delivery = Delivery(partition: batch.partition, baseOffset: nil, recordCount: batch.recordCount, error: nil)
    switch outcome {
    case .success(let offset): delivery.baseOffset = offset
    case .failure(let error): delivery.error = error
    }
    report(delivery, batch.then)
  }

  private func report(_ delivery: Delivery, _ then: (@Sendable (Delivery) -> Void)?) {
    if let error = delivery.error, errorSinceFlush == nil { errorSinceFlush = error }
    then?(delivery)
    onDelivery(delivery)
  }

  /// The producer cannot go on: everything it holds fails with the same error.
  private func fail(_ error: ClientError) {
    guard fatalError == nil else { return }
    fatalError = error
    if let timer { client.loop.cancel(timer.id) }
    timer = nil
    queues = [:]
    order = []
    for id in batches.keys.sorted() { finish(id, .failure(error)) }
    failUnplaced(Array(unplaced.keys), error)
    for partition in accumulators.keys.sorted() {
      guard let accumulator = accumulators[partition], !accumulator.isEmpty else { continue }
      report(
        Delivery(partition: partition, baseOffset: nil, recordCount: accumulator.recordCount, error: error), nil)
    }
    accumulators = [:]
    bufferedBytes = 0
    schedulePump()
  }
}
