import Groundwork
import KafkaProtocol
import SystemInterfaces

// Topics and partitions whose leaders are not known: asking for them, and giving up.
extension Producer {
  func refreshUnknown(_ now: Instant) {
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

  func refreshed(_ topics: [String], _ result: Result<ClusterMetadata, ClientError>) {
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
      if unplaced[topic] != nil { transactionLost(error) }
      failUnplaced([topic], error)
      for partition in order where partition.topic == topic { failQueue(partition, error) }
    }
    refreshFailures = isComplete ? 0 : refreshFailures + 1
    let pause = client.configuration.backoff.pause(failures: refreshFailures, unit: client.world.randomness.unit())
    refreshAt = isComplete ? nil : now + pause
    schedulePump()
  }

  /// Fails what waits for a partition that has nothing in flight.
  func failQueue(_ partition: TopicPartition, _ error: ClientError) {
    guard let queue = queues[partition], queue.inFlightCount == 0 else { return }
    let ids = queue.ids
    queues[partition] = nil
    order.removeAll { $0 == partition }
    for id in ids { finish(id, .failure(error)) }
    if !ids.isEmpty { transactionLost(error) }
  }
}
