import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming
import SystemInterfaces

/// A job's transactions: what its sinks send to topics and how far its sources have come, batch by batch, in it or not at
/// all (KIP-98, KIP-447, KIP-890).
///
/// The batch number stands in the metadata of the committed offsets, so that a start can ask the cluster what was decided
/// last. A job that reads no topic commits it as the offset of a group of its own.
///
/// Sendable: everything but `producer` is touched on the driver's loop alone; the producer on the client's.
final class TransactionDecider: Decider, @unchecked Sendable {
  let transactionalID: String
  private let client: KafkaClient
  private let producer: Producer
  private let driver: any Loop
  private var sources: [KafkaSource] = []
  /// A partition that the job writes, for the group that stands in for a source.
  private var carrier: TopicPartition?

  init(_ client: KafkaClient, transactionalID: String, timeout: Duration, driver: any Loop) {
    self.transactionalID = transactionalID
    self.client = client
    self.driver = driver
    var configuration = ProducerConfiguration()
    // A batch's output is in memory already when it is sent: the producer's own bound would only get in its way.
    configuration.bufferMemory = .max
    configuration.transactionalID = transactionalID
    configuration.transactionTimeout = timeout
    producer = Producer(client, configuration: configuration)
  }

  var name: String { "the transactions of \(transactionalID)" }
  var rank: DeciderRank { .transaction }
  var keepsRecord: Bool { false }

  /// Has a source's offsets committed with the batches.
  func add(_ source: KafkaSource) { sources.append(source) }
  /// A topic that takes part.
  func add(topic: String) { if carrier == nil { carrier = TopicPartition(topic, 0) } }

  func commits(_ source: KafkaSource) -> Bool { sources.contains { $0 === source } }

  private var carrierGroup: String { "\(transactionalID)-batches" }

  /// Each group once, with the sources that read in its name.
  private var groups: [(name: String, sources: [KafkaSource])] {
    var groups: [(name: String, sources: [KafkaSource])] = []
    for source in sources {
      if let index = groups.firstIndex(where: { $0.name == source.group }) {
        groups[index].sources.append(source)
      } else {
        groups.append((source.group, [source]))
      }
    }
    return groups
  }

  // MARK: Start

  func takeOver(then: @escaping @Sendable (Result<Decision?, any Error>) -> Void) {
    let names = groups.map(\.name) + [carrierGroup]
    client.loop.post { [self] in
      producer.initTransactions { [self] error in
        if let error { return driver.post { then(.failure(error)) } }
        read(names, last: nil, then: then)
      }
    }
  }

  /// Reads the groups one after the other, on the client's loop.
  private func read(
    _ groups: [String], last: DecidedBatch?, then: @escaping @Sendable (Result<Decision?, any Error>) -> Void
  ) {
    guard let group = groups.first else {
      return driver.post { [self] in
        for source in sources { source.decidedBatch = last }
        then(.success(last.map { Decision(batch: $0.number, record: Bytes(), time: $0.time) }))
      }
    }
    producer.readCommittedOffsets(group) { [self] result in
      switch result {
      case .failure(let error): driver.post { then(.failure(error)) }
      case .success(let offsets):
        let found = offsets.values.compactMap { OffsetNote($0.metadata).batch }
        let newest = (found + [last].compactMap { $0 }).max { $0.number < $1.number }
        read(Array(groups.dropFirst()), last: newest, then: then)
      }
    }
  }

  // MARK: A batch

  func decide(
    _ decision: Decision, _ prepared: [any PreparedOutput], then: @escaping @Sendable (DecisionOutcome) -> Void
  ) {
    // A commit of the group that is still under way must not come behind the transaction's.
    let waiting = Countdown(sources.count + 1)
    let go: @Sendable () -> Void = { [self] in if waiting.countDown() { send(decision, prepared, then: then) } }
    for source in sources { source.whenCommitsAreDone(go) }
    go()
  }

  private func send(
    _ decision: Decision, _ prepared: [any PreparedOutput], then: @escaping @Sendable (DecisionOutcome) -> Void
  ) {
    let batch = DecidedBatch(number: decision.batch, time: decision.time)
    var offsets: [(group: String, offsets: [TopicPartition: OffsetAndMetadata])] = []
    for group in groups {
      let moved = group.sources.reduce(into: [:]) { all, source in
        all.merge(source.offsets(of: batch)) { newer, _ in newer }
      }
      if !moved.isEmpty { offsets.append((group.name, moved)) }
    }
    if offsets.isEmpty, let carrier {
      let number = OffsetAndMetadata(
        Offset(decision.batch.rawValue), leaderEpoch: -1, metadata: OffsetNote(batch: batch).text)
      offsets = [(carrierGroup, [carrier: number])]
    }
    let sent = offsets
    let outboxes = prepared.compactMap { ($0 as? TopicSink.Prepared)?.outbox }
    client.loop.post { [self] in
      transact(outboxes, sent) { [self] outcome in
        driver.post { [self] in
          if case .decided = outcome { for source in sources { source.decided(batch) } }
          then(outcome)
        }
      }
    }
  }

  private func transact(
    _ outboxes: [TopicSink.Outbox], _ offsets: [(group: String, offsets: [TopicPartition: OffsetAndMetadata])],
    then: @escaping @Sendable (DecisionOutcome) -> Void
  ) {
    do throws(ClientError) {
      try producer.beginTransaction()
      for outbox in outboxes {
        for case let (partition, batch)? in outbox.batches {
          // What fails here fails the commit as well.
          try producer.sendBatches(TopicPartition(outbox.topic, partition), [batch]) { _ in }
        }
      }
    } catch {
      return abort(error, then: then)
    }
    for (group, offsets) in offsets { producer.sendOffsets(offsets, group: GroupMetadata(group)) { _ in } }
    commit(then: then)
  }

  private func commit(then: @escaping @Sendable (DecisionOutcome) -> Void) {
    producer.commitTransaction { [self] error in
      guard let error else { return then(.decided) }
      if error.requiresAbort { return abort(error, then: then) }
      then(.unknown(error))
    }
  }

  /// The batch does not happen. Where even that cannot be had, the coordinator ends the transaction when its time is over.
  private func abort(_ cause: ClientError, then: @escaping @Sendable (DecisionOutcome) -> Void) {
    producer.abortTransaction { error in
      if let error { then(.unknown(error)) } else { then(.aborted(cause)) }
    }
  }

  /// The job has ended: its sources hold the decider in turn.
  func release() { sources = [] }

  /// Ends the producer, on the client's loop.
  func close() { producer.close() }
}

/// A batch that a transaction decided.
struct DecidedBatch: Equatable {
  var number: BatchNumber
  /// nil in what older versions wrote.
  var time: Timestamp?
}

/// What is written beside a committed offset: which topic of that name it was, and the last batch that a transaction
/// decided.
struct OffsetNote: Equatable {
  var topicID: String?
  var batch: DecidedBatch?

  init(topicID: String? = nil, batch: DecidedBatch? = nil) {
    self.topicID = topicID
    self.batch = batch
  }

  /// Reads metadata, of which only the words that are known count.
  init(_ metadata: String?) {
    var time: Timestamp?
    for word in (metadata ?? "").split(separator: " ") {
      if word.hasPrefix("topic=") { topicID = String(word.dropFirst(6)) }
      if word.hasPrefix("batch=") { batch = Int64(word.dropFirst(6)).map { DecidedBatch(number: BatchNumber($0)) } }
      if word.hasPrefix("time=") { time = Int64(word.dropFirst(5)).map { Timestamp(milliseconds: $0) } }
    }
    batch?.time = time
  }

  var text: String {
    let words = [
      topicID.map { "topic=\($0)" }, batch.map { "batch=\($0.number)" },
      batch?.time.map { "time=\($0.milliseconds)" },
    ]
    return words.compactMap { $0 }.joined(separator: " ")
  }
}
