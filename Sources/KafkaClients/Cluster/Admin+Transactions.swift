import Groundwork
import KafkaProtocol
import SystemInterfaces

// Transactions as an operator sees them (KIP-664): which are there, what hangs, and how to end it.
extension Admin {
  /// A transactional id that a coordinator knows.
  public struct TransactionListing: Sendable, Equatable {
    /// The id.
    public var transactionalID: String
    /// Whose records it writes.
    public var producerID: Int64
    /// `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit`, `CompleteAbort` or `PrepareEpochFence`.
    public var state: String
    /// The broker that coordinates it.
    public var coordinator: Int32
  }

  /// What a coordinator says of one transactional id.
  public struct TransactionDescription: Sendable, Equatable {
    /// The id.
    public var transactionalID: String
    /// As in `TransactionListing`.
    public var state: String
    /// Whose records it writes.
    public var producer: ProducerIdentity
    /// The broker that coordinates it.
    public var coordinator: Int32
    /// After how long the coordinator aborts an open transaction.
    public var timeout: Duration
    /// When the open transaction began; nil where none is open.
    public var startedAt: Timestamp?
    /// What is open: the partitions written to; while it ends, those that have no marker yet.
    public var partitions: [TopicPartition]
  }

  /// A producer that a partition remembers.
  public struct ProducerDescription: Sendable, Equatable {
    /// Who wrote.
    public var producer: ProducerIdentity
    /// Of its last record; -1: none.
    public var lastSequence: Int32
    /// When it wrote last; nil: not known.
    public var lastWrittenAt: Timestamp?
    /// Of the coordinator that wrote the last marker; -1: none did.
    public var coordinatorEpoch: Int32
    /// Where its open transaction begins in the partition; nil: none is open.
    public var transactionStart: Offset?
  }

  /// The transactional ids of all coordinators, by name.
  /// - Parameters:
  ///   - states: only those in one of these; empty: all.
  ///   - producerIDs: only of these; empty: all.
  ///   - olderThan: only transactions open for longer (Kafka 3.8 and later).
  public func listTransactions(
    states: [String] = [], producerIDs: [Int64] = [], olderThan: Duration? = nil,
    then: @escaping Completion<[TransactionListing]>
  ) {
    var request = ListTransactionsRequest()
    request.stateFilters = states
    request.producerIDFilters = producerIDs
    request.durationFilter = olderThan?.inMilliseconds ?? -1
    let sent = request
    let first: Int16 = olderThan == nil ? 0 : 1
    let client = client
    client.retrying(
      { done in
        client.refreshMetadata { result in
          if case .failure(let error) = result { return done(.failure(error)) }
          let brokers = client.metadata.brokers.keys.sorted()
          if brokers.isEmpty { return done(.failure(ClientError(.unknownBroker(-1)))) }
          let collector = Collector<String, TransactionListing>()
          let gate = Gate(brokers.count) { result in
            done(result.map { collector.found.values.sorted { $0.transactionalID < $1.transactionalID } })
          }
          for broker in brokers {
            client.sendOnce(sent, to: .broker(broker), versions: first...ListTransactionsRequest.versions.upperBound) {
              gate.pass($0.flatMap { Admin.collect($0, of: broker, into: collector) })
            }
          }
        }
      }, then: then)
  }

  private static func collect(
    _ answer: ListTransactionsResponse, of broker: Int32, into collector: Collector<String, TransactionListing>
  ) -> Result<Void, ClientError> {
    if answer.errorCode.isError {
      return .failure(ClientError(.broker(answer.errorCode, "listing the transactions of broker \(broker)")))
    }
    if let unknown = answer.unknownStateFilters.first {
      return .failure(ClientError(.broker(.invalidRequest, "there is no transaction state \(unknown)")))
    }
    for found in answer.transactionStates {
      collector.found[found.transactionalID] = TransactionListing(
        transactionalID: found.transactionalID, producerID: found.producerID, state: found.transactionState,
        coordinator: broker)
    }
    return .success(())
  }

  /// What its coordinator knows of a transactional id; fails with `TRANSACTIONAL_ID_NOT_FOUND` where that is nothing.
  public func describeTransaction(_ transactionalID: String, then: @escaping Completion<TransactionDescription>) {
    var request = DescribeTransactionsRequest()
    request.transactionalIDs = [transactionalID]
    let client = client
    ask(
      request, .transactionCoordinator(transactionalID), "describing transactional id \(transactionalID)", then: then
    ) { answer in
      let found = answer.transactionStates.first
      // Known, since it has just answered.
      let coordinator = client.coordinators[.transactionalID(transactionalID)] ?? -1
      return (
        found?.errorCode ?? .transactionalIDNotFound, found.map { Admin.description($0, coordinator: coordinator) }
      )
    }
  }

  private static func description(
    _ found: DescribeTransactionsResponse.TransactionState, coordinator: Int32
  ) -> TransactionDescription {
    let partitions = found.topics.flatMap { topic in
      topic.partitions.map { TopicPartition(topic.topic, PartitionIndex($0)) }
    }
    let start = found.transactionStartTimeMilliseconds
    return TransactionDescription(
      transactionalID: found.transactionalID, state: found.transactionState,
      producer: ProducerIdentity(id: found.producerID, epoch: found.producerEpoch), coordinator: coordinator,
      timeout: .milliseconds(Int64(found.transactionTimeoutMilliseconds)),
      startedAt: start >= 0 ? Timestamp(milliseconds: start) : nil, partitions: partitions.sorted())
  }

  /// The producers that a partition's leader remembers, by id: a transaction that hangs shows by its start, below which
  /// readers of committed records stand still.
  public func describeProducers(_ partition: TopicPartition, then: @escaping Completion<[ProducerDescription]>) {
    var request = DescribeProducersRequest()
    var topic = DescribeProducersRequest.TopicRequest()
    topic.name = partition.topic
    topic.partitionIndexes = [partition.partition.rawValue]
    request.topics = [topic]
    ask(request, .leader(partition), "describing the producers of \(partition)", then: then) { answer in
      let found = answer.topics.first?.partitions.first
      let producers = found?.activeProducers.sorted { $0.producerID < $1.producerID } ?? []
      return (found?.errorCode ?? .unknownTopicOrPartition, producers.map(Admin.description))
    }
  }

  private static func description(
    _ found: DescribeProducersResponse.TopicResponse.PartitionResponse.ProducerState
  ) -> ProducerDescription {
    ProducerDescription(
      producer: ProducerIdentity(id: found.producerID, epoch: Int16(clamping: found.producerEpoch)),
      lastSequence: found.lastSequence,
      lastWrittenAt: found.lastTimestamp >= 0 ? Timestamp(milliseconds: found.lastTimestamp) : nil,
      coordinatorEpoch: found.coordinatorEpoch,
      transactionStart: found.currentTxnStartOffset >= 0 ? Offset(found.currentTxnStartOffset) : nil)
  }

  /// Ends a transaction that hangs in a partition, one that no coordinator knows of any more: its records are aborted and
  /// readers go on. Where a coordinator does know it, fence its producer instead.
  /// - Parameters:
  ///   - producer: as `describeProducers` shows it.
  ///   - coordinatorEpoch: as `describeProducers` shows it; -1 becomes 0.
  public func abortTransaction(
    _ partition: TopicPartition, producer: ProducerIdentity, coordinatorEpoch: Int32, then: @escaping Completion<Void>
  ) {
    typealias Marker = WriteTxnMarkersRequest.WritableTxnMarker
    var request = WriteTxnMarkersRequest()
    var marker = Marker()
    (marker.producerID, marker.producerEpoch) = (producer.id, producer.epoch)
    marker.transactionResult = false
    marker.coordinatorEpoch = max(coordinatorEpoch, 0)
    var topic = Marker.WritableTxnMarkerTopic()
    topic.name = partition.topic
    topic.partitionIndexes = [partition.partition.rawValue]
    marker.topics = [topic]
    request.markers = [marker]
    ask(request, .leader(partition), "aborting the transaction of producer \(producer.id) in \(partition)", then: then)
    {
      answer in
      (answer.markers.first?.topics.first?.partitions.first?.errorCode ?? .unknownTopicOrPartition, ())
    }
  }

  /// Shuts the producer of a transactional id out for good and aborts what it left open, as a new instance of it would.
  /// - Parameter then: the identity that came after its last one.
  public func fenceProducer(_ transactionalID: String, then: @escaping Completion<ProducerIdentity>) {
    var request = InitProducerIDRequest()
    request.transactionalID = transactionalID
    // Nobody will write with this identity: the least there is.
    request.transactionTimeoutMilliseconds = 1
    ask(
      request, .transactionCoordinator(transactionalID), "fencing the producer of transactional id \(transactionalID)",
      then: then
    ) { answer in
      (answer.errorCode, ProducerIdentity(id: answer.producerID, epoch: answer.producerEpoch))
    }
  }

  /// Asks the broker that knows, again where another one does by now.
  /// - Parameter read: the answer's error, and what is wanted of it where there is none.
  private func ask<Request: KafkaRequest, Value: Sendable>(
    _ request: Request, _ destination: KafkaClient.Destination, _ what: String, then: @escaping Completion<Value>,
    read: @escaping @Sendable (Request.Response) -> (KafkaErrorCode, Value?)
  ) {
    let client = client
    client.retrying(
      { done in
        client.sendOnce(request, to: destination) { result in
          done(
            result.flatMap { answer in
              let (code, value) = read(answer)
              client.forgetWhatIsStale(code, at: destination)
              guard let value, !code.isError else { return .failure(ClientError(.broker(code, what))) }
              return .success(value)
            })
        }
      }, then: then)
  }
}
