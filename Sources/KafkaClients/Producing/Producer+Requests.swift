import Groundwork
import KafkaProtocol
import SystemInterfaces

// Produce requests, their answers, and how batches and the producer end.
extension Producer {
  func sendReady(_ now: Instant) {
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
  func sendRequest(_ partitions: [TopicPartition], to leader: Int32, _ now: Instant) -> Bool {
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
  func stamped(_ bytes: Bytes, sequence: Int32) -> Bytes {
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

  func judge(
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
