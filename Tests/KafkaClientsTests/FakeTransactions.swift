import Groundwork
import KafkaProtocol
import Simulation
import SystemInterfaces

/// The fake brokers' transaction coordinator, in both generations of the protocol: what Kafka's decides, with markers
/// that take no time.
///
/// Sendable: confined to the thread of its simulated world.
final class FakeTransactions: @unchecked Sendable {
  enum State: Equatable { case empty, ongoing, ended(commit: Bool) }

  struct Entry {
    var id: Int64
    var epoch: Int16
    var previous: (id: Int64, epoch: Int16)?
    var state = State.empty
    var partitions: Set<TopicPartition> = []
    var groups: Set<String> = []
    var offsets: [String: [TopicPartition: (offset: Int64, metadata: String?)]] = [:]
    /// InitProducerId answers CONCURRENT_TRANSACTIONS this often after it ended a transaction.
    var settling = 0
  }

  unowned let cluster: FakeCluster
  var entries: [String: Entry] = [:]
  /// `transaction.version` of the cluster.
  var version: Int16 = 2
  /// What a new transactional id begins with.
  var firstEpoch: Int16 = 0
  /// How often a predecessor's end is waited for.
  var settlingAnswers = 2
  /// AddPartitionsToTxn requests: how many partitions each.
  var additions: [Int] = []

  init(_ cluster: FakeCluster) { self.cluster = cluster }

  private var isImplicit: Bool { version >= 2 }

  func answer(_ call: APIKey, _ frame: Bytes, _ header: RequestHeader, _ node: Int32) -> (any KafkaResponse)? {
    let isHere = node == cluster.coordinator
    func code(_ decide: () -> KafkaErrorCode) -> KafkaErrorCode {
      guard isHere else { return .notCoordinator }
      let asked = cluster.nextError(call)
      return asked.isError ? asked : decide()
    }
    switch call {
    case .initProducerID:
      let request = try! decodeRequest(InitProducerIDRequest.self, frame, header)
      var answer = InitProducerIDResponse()
      answer.errorCode = code { initialize(request, &answer) }
      return answer
    case .addPartitionsToTxn:
      let request = try! decodeRequest(AddPartitionsToTxnRequest.self, frame, header)
      let partitions = request.topics.flatMap { topic in
        topic.partitions.map { TopicPartition(topic.name, PartitionIndex($0)) }
      }
      let outcome = code { add(request.transactionalID, request.producerID, request.producerEpoch, partitions) }
      if !outcome.isError { additions.append(partitions.count) }
      var answer = AddPartitionsToTxnResponse()
      answer.resultsByTopic = request.topics.map { topic in
        var result = AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult()
        result.name = topic.name
        result.resultsByPartition = topic.partitions.map {
          var wire = AddPartitionsToTxnResponse.AddPartitionsToTxnPartitionResult()
          (wire.partitionIndex, wire.partitionErrorCode) = ($0, outcome)
          return wire
        }
        return result
      }
      return answer
    case .addOffsetsToTxn:
      let request = try! decodeRequest(AddOffsetsToTxnRequest.self, frame, header)
      var answer = AddOffsetsToTxnResponse()
      answer.errorCode = code {
        let refusal = begin(request.transactionalID, request.producerID, request.producerEpoch)
        if !refusal.isError { entries[request.transactionalID]!.groups.insert(request.groupID) }
        return refusal
      }
      return answer
    case .txnOffsetCommit:
      let request = try! decodeRequest(TxnOffsetCommitRequest.self, frame, header)
      let outcome = code { commitOffsets(request, header.version) }
      var answer = TxnOffsetCommitResponse()
      answer.topics = request.topics.map { topic in
        var result = TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic()
        result.name = topic.name
        result.partitions = topic.partitions.map {
          var wire = TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic.TxnOffsetCommitResponsePartition()
          (wire.partitionIndex, wire.errorCode) = ($0.partitionIndex, outcome)
          return wire
        }
        return result
      }
      return answer
    case .endTxn:
      let request = try! decodeRequest(EndTxnRequest.self, frame, header)
      var answer = EndTxnResponse()
      answer.errorCode = code { end(request, header.version) }
      if !answer.errorCode.isError, let entry = entries[request.transactionalID] {
        (answer.producerID, answer.producerEpoch) = (entry.id, entry.epoch)
      }
      return answer
    default: return nil
    }
  }

  /// Whether a leader takes transactional batches for a partition.
  func mayAppend(_ name: String, _ header: RecordBatchHeader, _ partition: TopicPartition, _ version: Int16)
    -> KafkaErrorCode
  {
    guard header.isTransactional, let entry = entries[name] else { return .invalidTxnState }
    if entry.id != header.producerID { return .invalidProducerIDMapping }
    if entry.epoch != header.producerEpoch { return .invalidProducerEpoch }
    if version >= 12 { return add(name, header.producerID, header.producerEpoch, [partition]) }
    return entry.state == .ongoing && entry.partitions.contains(partition) ? .none : .invalidTxnState
  }

  /// The coordinator ends a transaction that has been open for too long.
  func timeOut(_ name: String) { finish(name, commit: false, bumps: true) }

  // MARK: Decisions

  private func initialize(_ request: InitProducerIDRequest, _ answer: inout InitProducerIDResponse) -> KafkaErrorCode {
    let name = request.transactionalID!
    guard var entry = entries[name] else {
      entries[name] = Entry(id: cluster.nextProducerID, epoch: firstEpoch)
      cluster.nextProducerID += 1
      (answer.producerID, answer.producerEpoch) = (entries[name]!.id, firstEpoch)
      return .none
    }
    if request.producerID >= 0 {
      let asked = (id: request.producerID, epoch: request.producerEpoch)
      if let previous = entry.previous, previous == asked {
        (answer.producerID, answer.producerEpoch) = (entry.id, entry.epoch)
        return .none
      }
      guard asked == (entry.id, entry.epoch) else { return .producerFenced }
    }
    if entry.state == .ongoing {
      finish(name, commit: false, bumps: true)
      entries[name]!.settling = settlingAnswers
      return .concurrentTransactions
    }
    if entry.settling > 0 {
      entries[name]!.settling -= 1
      return .concurrentTransactions
    }
    bump(&entry)
    entry.state = .empty
    entries[name] = entry
    (answer.producerID, answer.producerEpoch) = (entry.id, entry.epoch)
    return .none
  }

  private func bump(_ entry: inout Entry) {
    entry.previous = (entry.id, entry.epoch)
    if entry.epoch < Int16.max - 1 {
      entry.epoch += 1
    } else {
      entry.id = cluster.nextProducerID
      entry.epoch = 0
      cluster.nextProducerID += 1
    }
  }

  private func check(_ name: String, _ id: Int64, _ epoch: Int16) -> KafkaErrorCode {
    guard let entry = entries[name], entry.id == id else { return .invalidProducerIDMapping }
    return entry.epoch == epoch ? .none : .producerFenced
  }

  private func begin(_ name: String, _ id: Int64, _ epoch: Int16) -> KafkaErrorCode {
    let refusal = check(name, id, epoch)
    if refusal.isError { return refusal }
    if entries[name]!.state != .ongoing {
      entries[name]!.state = .ongoing
      entries[name]!.partitions = []
      entries[name]!.groups = []
      entries[name]!.offsets = [:]
    }
    return .none
  }

  private func add(_ name: String, _ id: Int64, _ epoch: Int16, _ partitions: [TopicPartition]) -> KafkaErrorCode {
    let refusal = begin(name, id, epoch)
    if !refusal.isError { entries[name]!.partitions.formUnion(partitions) }
    return refusal
  }

  private func commitOffsets(_ request: TxnOffsetCommitRequest, _ version: Int16) -> KafkaErrorCode {
    let name = request.transactionalID
    if version >= 5 {
      let refusal = begin(name, request.producerID, request.producerEpoch)
      if refusal.isError { return refusal }
      entries[name]!.groups.insert(request.groupID)
    }
    let refusal = check(name, request.producerID, request.producerEpoch)
    if refusal.isError { return refusal }
    guard entries[name]!.groups.contains(request.groupID) else { return .invalidTxnState }
    for topic in request.topics {
      for wire in topic.partitions {
        let partition = TopicPartition(topic.name, PartitionIndex(wire.partitionIndex))
        entries[name]!.offsets[request.groupID, default: [:]][partition] = (
          wire.committedOffset, wire.committedMetadata
        )
      }
    }
    return .none
  }

  private func end(_ request: EndTxnRequest, _ version: Int16) -> KafkaErrorCode {
    let name = request.transactionalID
    guard let entry = entries[name] else { return .invalidProducerIDMapping }
    let asked = (id: request.producerID, epoch: request.producerEpoch)
    if version >= 5, let previous = entry.previous, previous == asked {
      return entry.state == .ended(commit: request.committed) ? .none : .producerFenced
    }
    guard asked == (entry.id, entry.epoch) else { return .producerFenced }
    switch entry.state {
    case .ongoing:
      finish(name, commit: request.committed, bumps: version >= 5)
      return .none
    case .empty, .ended:
      if version >= 5, !request.committed {
        finish(name, commit: false, bumps: true)
        return .none
      }
      return entry.state == .ended(commit: request.committed) ? .none : .invalidTxnState
    }
  }

  private func finish(_ name: String, commit: Bool, bumps: Bool) {
    var entry = entries[name]!
    let id = entry.id
    if bumps { bump(&entry) }
    for partition in entry.partitions {
      let log = cluster.partition(partition.topic, partition.partition.rawValue)!
      for index in log.open[id] ?? [] { log.fates[index] = commit }
      log.open[id] = nil
      log.nextOffset += 1
      if entry.id == id, log.producers[id] != nil, log.producers[id]!.epoch < entry.epoch {
        log.producers[id] = FakeCluster.ProducerState(epoch: entry.epoch, nextSequence: 0)
      }
    }
    if commit {
      for (group, offsets) in entry.offsets { cluster.committed[group, default: [:]].merge(offsets) { _, new in new } }
    }
    entry.partitions = []
    entry.groups = []
    entry.offsets = [:]
    entry.state = .ended(commit: commit)
    entries[name] = entry
  }
}
