import Groundwork
import KafkaProtocol
import SystemInterfaces

// What the producer does whenever something has changed: place, close, expire, send, set the timer.
extension Producer {
  func schedulePump() {
    guard !isPumpPosted else { return }
    isPumpPosted = true
    client.loop.post { [self] in
      isPumpPosted = false
      pump()
    }
  }

  func pump() {
    guard fatalError == nil else { return notifyWaiters() }
    client.refreshIfOld()
    let now = client.loop.now
    var reminder: Instant?
    func remind(at instant: Instant) { if reminder.map({ instant < $0 }) ?? true { reminder = instant } }
    handle { $0.timePassed(now: now) }
    guard fatalError == nil else { return notifyWaiters() }
    placeUnplaced()
    for partition in accumulators.keys.sorted() {
      guard let accumulator = accumulators[partition], !accumulator.isEmpty else { continue }
      let due = accumulator.openedAt + configuration.linger
      guard due <= now || !flushes.isEmpty || transactions?.isCommitting == true else {
        remind(at: due)
        continue
      }
      // While a batch waits for its turn, one more small one would only wait behind it: records go on collecting. An
      // answer or a timer of that batch brings the pump back here.
      if queues[partition]?.hasUnsent != true { close(partition) }
    }
    expire(now)
    guard fatalError == nil else { return notifyWaiters() }
    renewIdentity()
    if isTransactional { announcePartitions(now) }
    if case .known(let known) = identity {
      for partition in order { queues[partition]!.adopt(known) }
      sendReady(now)
    } else if !isIdempotent {
      sendReady(now)
    }
    handle { $0.batchesCounted(hasOpen: hasOpenBatches, now: now) }
    guard fatalError == nil else { return notifyWaiters() }
    for partition in order {
      guard let queue = queues[partition], !queue.isEmpty else { continue }
      if let deadline = queue.firstDeadline, deadline > now { remind(at: deadline) }
      if let retryAt = queue.retryAt, retryAt > now { remind(at: retryAt) }
    }
    refreshUnknown(now)
    if let refreshAt, refreshAt > now { remind(at: refreshAt) }
    if let deadline = transactions?.nextDeadline(after: now) { remind(at: deadline) }
    timer.set(reminder) { [weak self] in self?.pump() }
    notifyWaiters()
  }

  func notifyWaiters() {
    if !waiters.isEmpty, fatalError != nil || bufferedBytes <= configuration.bufferMemory / 2 {
      let ready = waiters
      waiters = []
      for waiter in ready { waiter() }
    }
    guard !flushes.isEmpty, !hasOpenBatches else { return }
    let done = flushes
    let error = errorSinceFlush ?? fatalError
    flushes = []
    errorSinceFlush = nil
    for flush in done { flush(error) }
  }

  func placeUnplaced() {
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
          transactionLost(error)
        }
      }
    }
  }

  func expire(_ now: Instant) {
    for partition in order {
      guard let deadline = queues[partition]?.firstDeadline, deadline <= now else { continue }
      for id in queues[partition]!.expired(now: now) {
        let last = batches[id]?.lastError ?? "the partition's leader could not be reached"
        let error = ClientError(.deliveryTimedOut(partition, after: configuration.deliveryTimeout, last: last))
        finish(id, .failure(error))
        transactionLost(error)
        if fatalError != nil { return }
      }
    }
  }

  /// Whether anything that was taken is neither delivered nor given up.
  var hasOpenBatches: Bool {
    !batches.isEmpty || !unplaced.isEmpty || !accumulators.values.allSatisfy(\.isEmpty)
  }

  /// Sees to an identity where one is needed: the first, or the next epoch for partitions whose numbers are lost. The
  /// producer raises the epoch itself (KIP-360): nobody else has its id. A transactional one has it from its coordinator.
  func renewIdentity() {
    guard isIdempotent, !isTransactional else { return }
    if case .known(let known) = identity,
      order.contains(where: { queues[$0]!.needsIdentity && queues[$0]!.identity == known })
    {
      identity =
        known.epoch < .max ? .known(ProducerIdentity(id: known.id, epoch: known.epoch + 1)) : .unknown
    }
    if identity == .unknown, !batches.isEmpty || !unplaced.isEmpty { requestIdentity() }
  }

  func requestIdentity() {
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
        case .success(let answer):
          identity = .known(ProducerIdentity(id: answer.producerID, epoch: answer.producerEpoch))
        case .failure(let error):
          // Nothing has been sent: what waits fails, and the next record asks again.
          identity = .unknown
          failWaiting(error)
        }
        schedulePump()
      })
  }

  func failWaiting(_ error: ClientError) {
    for partition in order {
      let ids = queues[partition]?.ids ?? []
      queues[partition] = nil
      for id in ids { finish(id, .failure(error)) }
    }
    order = []
    failUnplaced(Array(unplaced.keys), error)
  }

  func failUnplaced(_ topics: [String], _ error: ClientError) {
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
}
