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
/// last. A job that reads no topic commits it as the offset of a group of its own. A commit from outside of a transaction
/// would have no epoch by which a late one of a dead process is known, and could take the number back: so where this
/// decides, nothing else writes the groups' offsets.
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
  /// Whether it decides the job's batches, so that all offsets are committed by it.
  private(set) var isDeciding = false
  /// The last batch that it decided.
  private(set) var last: DecidedBatch?
  /// The producer has one transaction at a time: who waits for his turn, first come first served.
  private var turns: [@Sendable () -> Void] = []
  private var isBusy = false
  /// What the transaction that was begun last still has to hear, where nobody knows what became of it.
  private(set) var unsettled: Ending?

  enum Ending { case commit, abort }

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
    isDeciding = true
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
        self.last = last
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
    inTurn({ [self] settled in send(decision, prepared, then: settled) }, then: then)
  }

  private func send(
    _ decision: Decision, _ prepared: [any PreparedOutput], then: @escaping @Sendable (DecisionOutcome) -> Void
  ) {
    let batch = DecidedBatch(number: decision.batch, time: decision.time)
    var offsets: [GroupOffsets] = []
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
    transact(prepared.compactMap { ($0 as? TopicSink.Prepared)?.outbox }, offsets) { [self] outcome in
      if case .decided = outcome {
        last = batch
        for source in sources { source.decided(batch) }
      }
      then(outcome)
    }
  }

  // MARK: Offsets beside the batches

  /// Commits offsets of a group, in a transaction of their own between those of batches.
  /// - Parameter offsets: asked for when nothing else is under way any more; empty: nothing is begun.
  func commit(
    _ group: String, _ offsets: @escaping @Sendable () -> [TopicPartition: OffsetAndMetadata],
    then: @escaping @Sendable ((any Error)?) -> Void
  ) {
    inTurn({ [self] settled in
      let offsets = offsets()
      if offsets.isEmpty { return settled(.decided) }
      transact([], [(group, offsets)], then: settled)
    }) { outcome in
      switch outcome {
      case .decided: then(nil)
      case .aborted(let error), .unknown(let error): then(error)
      }
    }
  }

  // MARK: One transaction at a time

  private typealias GroupOffsets = (group: String, offsets: [TopicPartition: OffsetAndMetadata])
  private typealias Ended = @Sendable (DecisionOutcome) -> Void

  /// Does something with the producer when those before have ended, and the last transaction is known to have.
  private func inTurn(_ work: @escaping @Sendable (_ settled: @escaping Ended) -> Void, then: @escaping Ended) {
    let turn: @Sendable () -> Void = { [self] in
      settle { [self] problem in
        let end: Ended = { [self] outcome in
          if turns.isEmpty { isBusy = false } else { turns.removeFirst()() }
          then(outcome)
        }
        if let problem { end(.unknown(problem)) } else { work(end) }
      }
    }
    guard !isBusy else { return turns.append(turn) }
    isBusy = true
    turn()
  }

  /// Asks again what became of a transaction that nobody could tell of.
  private func settle(then: @escaping @Sendable ((any Error)?) -> Void) {
    guard let unsettled else { return then(nil) }
    end(unsettled) { outcome in
      if case .unknown(let error) = outcome { then(error) } else { then(nil) }
    }
  }

  private func transact(_ outboxes: [TopicSink.Outbox], _ offsets: [GroupOffsets], then: @escaping Ended) {
    client.loop.post { [self] in
      do throws(ClientError) {
        try producer.beginTransaction()
        for outbox in outboxes {
          for case let (partition, batch)? in outbox.batches {
            // What fails here fails the commit as well.
            try producer.sendBatches(TopicPartition(outbox.topic, partition), [batch]) { _ in }
          }
        }
      } catch {
        return end(.abort, because: error, then: then)
      }
      for (group, offsets) in offsets { producer.sendOffsets(offsets, group: GroupMetadata(group)) { _ in } }
      end(.commit, then: then)
    }
  }

  /// Ends the transaction, from any loop; `then` is called on the driver's. Where an abort cannot be had, the coordinator
  /// ends the transaction when its time is over.
  private func end(_ ending: Ending, because cause: ClientError? = nil, then: @escaping Ended) {
    client.loop.post { [self] in
      switch ending {
      case .commit:
        producer.commitTransaction { [self] error in
          guard let error else { return ended(.decided, nil, then) }
          if error.requiresAbort { return end(.abort, because: error, then: then) }
          ended(.unknown(error), .commit, then)
        }
      case .abort:
        producer.abortTransaction { [self] error in
          if let error { return ended(.unknown(error), .abort, then) }
          ended(.aborted(cause ?? ClientError(.transactionAborted(transactionalID))), nil, then)
        }
      }
    }
  }

  private func ended(_ outcome: DecisionOutcome, _ unsettled: Ending?, _ then: @escaping Ended) {
    driver.post { [self] in
      self.unsettled = unsettled
      then(outcome)
    }
  }

  /// The job has ended: its sources hold the decider in turn.
  func release() { (sources, turns) = ([], []) }

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
