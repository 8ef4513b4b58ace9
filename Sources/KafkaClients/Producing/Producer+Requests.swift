import Groundwork
import KafkaProtocol
import SystemInterfaces

// Produce requests, their answers, and how batches and the producer end.
extension Producer {
  func sendReady(_ now: Instant) {
    var byLeader: [Int32: [TopicPartition]] = [:]
    for partition in order {
      guard queues[partition]?.hasSendable(at: now) == true, let leader = client.metadata.leader(of: partition),
        transactions?.maySend(partition) ?? true
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
  func sendRequest(_ partitions: [TopicPartition], to leader: Int32, _ now: Instant) -> Bool {
    var request = ProduceRequest()
    request.transactionalID = configuration.transactionalID
    request.acks = acks.rawValue
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
      let sequence = queues[partition]!.sent()
      wire.records = stamped(batch.bytes, sequence: sequence, queues[partition]!.identity)
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
    client.sendOnce(
      request, to: .broker(leader), versions: produceVersions, timeout: client.configuration.requestTimeout,
      hasAnswer: acks != .none
    ) { [weak self] result in
      self?.answered(result, ids, leader)
    }
    return true
  }

  /// Format 2 came with version 3, zstd with 7. From 12 on a transactional request adds its partitions to the transaction
  /// by itself, which a coordinator without `transaction.version` 2 does not expect (KIP-890).
  private var produceVersions: ClosedRange<Int16> {
    let first: Int16 = configuration.codec == .zstd ? 7 : 3
    let last = ProduceRequest.versions.upperBound
    guard let transactions else { return first...last }
    return transactions.addsImplicitly ? 12...last : first...11
  }

  /// A copy that carries the producer's identity; the batch as it came where there is none.
  func stamped(_ bytes: Bytes, sequence: Int32, _ identity: ProducerIdentity?) -> Bytes {
    guard let identity else { return bytes }
    let arena = Arena(capacity: bytes.count)
    let copy = UnsafeMutableRawBufferPointer(start: arena.base, count: bytes.count)
    bytes.withUnsafeBytes { copy.copyMemory(from: $0) }
    do {
      try RecordBatchHeader.assign(
        producerID: identity.id, producerEpoch: identity.epoch, baseSequence: sequence,
        isTransactional: isTransactional, in: copy)
    } catch {
      // Every batch was parsed or built here before, so it is long enough; the broker would refuse it unstamped.
      return bytes
    }
    return Bytes(arena, offset: 0, count: bytes.count)
  }

  func answered(
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
    case .success where acks == .none:
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

  func judge(
    _ partition: TopicPartition, _ id: PartitionQueue.BatchID, _ code: KafkaErrorCode, _ offset: Offset?,
    _ error: ClientError?
  ) {
    if let error { batches[id]?.lastError = error.description }
    if code == .messageTooLarge || code == .recordListTooLarge, split(id) { return }
    let verdict = queues[partition]?.answered(
      id, code, now: client.loop.now, unit: client.world.randomness.unit())
    switch verdict {
    case .delivered: finish(id, .success(offset))
    case .sequenceLost where !isTransactional: fail(ClientError(.sequenceLost(partition, code)))
    case .refused, .sequenceLost:
      let error = error ?? ClientError(.broker(code, "writing to \(partition)"))
      finish(id, .failure(error))
      handle { $0.batchFailed(code, error.description, now: client.loop.now) }
    case .retried, nil: break
    }
  }

  func finish(_ id: PartitionQueue.BatchID, _ outcome: Result<Offset?, ClientError>) {
    guard let batch = batches.removeValue(forKey: id) else { return }
    bufferedBytes -= batch.bytes.count
    var delivery = Delivery(partition: batch.partition, baseOffset: nil, recordCount: batch.recordCount, error: nil)
    switch outcome {
    case .success(let offset): delivery.baseOffset = offset
    case .failure(let error): delivery.error = error
    }
    report(delivery, batch.then)
  }

  func report(_ delivery: Delivery, _ then: (@Sendable (Delivery) -> Void)?) {
    if let error = delivery.error, errorSinceFlush == nil { errorSinceFlush = error }
    then?(delivery)
    onDelivery(delivery)
  }

  /// The producer cannot go on: everything it holds fails with the same error.
  func fail(_ error: ClientError) {
    guard fatalError == nil else { return }
    fatalError = error
    timer.cancel()
    handle { $0.ended(error) }
    queues = [:]
    order = []
    for id in batches.keys.sorted() { finish(id, .failure(error)) }
    failUnplaced(Array(unplaced.keys), error)
    failCollected(error)
    bufferedBytes = 0
    schedulePump()
  }

  /// Records that no batch was made of yet fail.
  func failCollected(_ error: ClientError) {
    let open = accumulators
    accumulators = [:]
    for (partition, accumulator) in open.sorted(by: { $0.key < $1.key }) where !accumulator.isEmpty {
      partitioner.batchClosed(partition)
      bufferedBytes -= accumulator.size
      report(
        Delivery(partition: partition, baseOffset: nil, recordCount: accumulator.recordCount, error: error), nil)
    }
  }
}
