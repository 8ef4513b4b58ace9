import Groundwork
import KafkaProtocol
import LogStorage
import Testing

/// How producers of a time speak.
enum Generation: String, CaseIterable, Sendable {
  /// AddPartitionsToTxn, AddOffsetsToTxn, and an epoch that stays.
  case announcing
  /// KIP-890: partitions and groups are added by themselves, and each end raises the epoch.
  case raising
}

/// A transactional producer, one request at a time, of either generation.
final class TransactionalPeer {
  let id: String
  let generation: Generation
  var client: TestClient
  var producerID: Int64 = -1
  var epoch: Int16 = -1
  /// The next sequence of each partition.
  var sequences: [TopicPartition: Int32] = [:]
  private var announced: Set<TopicPartition> = []
  private var announcedGroups: Set<String> = []

  init(_ id: String, _ generation: Generation, _ client: TestClient) {
    self.id = id
    self.generation = generation
    self.client = client
  }

  @discardableResult
  func begin(timeout: Int32 = 60_000, goingOn: Bool = false) throws -> KafkaErrorCode {
    var request = InitProducerIDRequest()
    request.transactionalID = id
    request.transactionTimeoutMilliseconds = timeout
    if goingOn { (request.producerID, request.producerEpoch) = (producerID, epoch) }
    let response = try client.call(request)
    if !response.errorCode.isError { adopt(response.producerID, response.producerEpoch) }
    return response.errorCode
  }

  private func adopt(_ id: Int64, _ epoch: Int16) {
    if id != producerID || epoch != self.epoch { sequences = [:] }
    (producerID, self.epoch) = (id, epoch)
    (announced, announcedGroups) = ([], [])
  }

  func announce(_ partitions: [TopicPartition], version: Int16 = 3) throws -> KafkaErrorCode {
    var request = AddPartitionsToTxnRequest()
    request.transactionalID = id
    (request.producerID, request.producerEpoch) = (producerID, epoch)
    for partition in partitions {
      var topic = AddPartitionsToTxnRequest.AddPartitionsToTxnTopic()
      topic.name = partition.topic
      topic.partitions = [partition.partition.rawValue]
      request.topics.append(topic)
    }
    let answer = try client.call(request, version: version)
    return answer.resultsByTopic.flatMap { $0.resultsByPartition.map(\.partitionErrorCode) }.first { $0.isError }
      ?? .none
  }

  func records(_ values: [String], sequence: Int32, isTransactional: Bool = true) throws -> Bytes {
    var builder = RecordBatchBuilder()
    for value in values { try builder.append(key: nil, value: Bytes(value), timestamp: 1000) }
    var settings = RecordBatchSettings()
    settings.producerID = producerID
    settings.producerEpoch = epoch
    settings.baseSequence = sequence
    settings.isTransactional = isTransactional
    return try builder.finish(settings, using: .init())
  }

  func produceRequest(_ partition: TopicPartition, _ values: [String]) throws -> ProduceRequest {
    var request = client.produceRequest(
      partition.topic, partition: partition.partition.rawValue,
      try records(values, sequence: sequences[partition] ?? 0))
    request.transactionalID = id
    return request
  }

  var produceVersion: Int16 { generation == .raising ? 12 : 11 }

  @discardableResult
  func write(_ partition: TopicPartition, _ values: String...) throws -> KafkaErrorCode {
    if generation == .announcing, !announced.contains(partition) {
      let code = try announce([partition])
      if code.isError { return code }
      announced.insert(partition)
    }
    let response = try client.call(try produceRequest(partition, values), version: produceVersion)
    let answer = try #require(response.responses.first?.partitionResponses.first)
    if !answer.errorCode.isError { sequences[partition, default: 0] += Int32(values.count) }
    return answer.errorCode
  }

  @discardableResult
  func commitOffset(
    _ partition: TopicPartition, _ offset: Int64, group: String = "g", member: String = "", generationID: Int32 = -1
  ) throws -> KafkaErrorCode {
    if generation == .announcing, !announcedGroups.contains(group) {
      var request = AddOffsetsToTxnRequest()
      request.transactionalID = id
      (request.producerID, request.producerEpoch) = (producerID, epoch)
      request.groupID = group
      let code = try client.call(request, version: 3).errorCode
      if code.isError { return code }
      announcedGroups.insert(group)
    }
    var request = TxnOffsetCommitRequest()
    request.transactionalID = id
    request.groupID = group
    (request.producerID, request.producerEpoch) = (producerID, epoch)
    request.memberID = member
    request.generationID = generationID
    request.topics = [.init()]
    request.topics[0].name = partition.topic
    request.topics[0].partitions = [.init()]
    request.topics[0].partitions[0].partitionIndex = partition.partition.rawValue
    request.topics[0].partitions[0].committedOffset = offset
    let answer = try client.call(request, version: generation == .raising ? 5 : 4)
    return try #require(answer.topics.first?.partitions.first).errorCode
  }

  var endRequest: EndTxnRequest {
    var request = EndTxnRequest()
    request.transactionalID = id
    (request.producerID, request.producerEpoch) = (producerID, epoch)
    return request
  }

  var endVersion: Int16 { generation == .raising ? 5 : 3 }

  @discardableResult
  func end(commit: Bool) throws -> KafkaErrorCode {
    var request = endRequest
    request.committed = commit
    let answer = try client.call(request, version: endVersion)
    if !answer.errorCode.isError {
      (announced, announcedGroups) = ([], [])
      if generation == .raising { adopt(answer.producerID, answer.producerEpoch) }
    }
    return answer.errorCode
  }
}

extension TestClient {
  /// What a reader of committed records sees from `offset` on: everything the broker gives, less markers and what the
  /// aborted lists name.
  func readCommitted(_ partition: TopicPartition, from offset: Int64 = 0, bytes: Int32 = 1 << 20) throws -> [String] {
    var next = offset
    var seen: [String] = []
    while true {
      var request = fetchRequest(
        partition.topic, partition: partition.partition.rawValue, from: next, partitionBytes: bytes)
      request.isolationLevel = 1
      let data = try #require(call(request, version: 12).responses.first?.partitions.first)
      try #require(data.errorCode == .none)
      var aborted = (data.abortedTransactions ?? []).sorted { $0.firstOffset < $1.firstOffset }[...]
      var open: Set<Int64> = []
      var sequence = RecordBatchSequence(data.records ?? Bytes())
      let before = next
      while let batch = try sequence.next() {
        while let first = aborted.first, first.firstOffset <= batch.header.lastOffset.rawValue {
          open.insert(first.producerID)
          aborted.removeFirst()
        }
        next = batch.header.nextOffset.rawValue
        if batch.header.isControl {
          if try batch.controlRecord(using: .init()).kind == .abort { open.remove(batch.header.producerID) }
        } else if !batch.header.isTransactional || !open.contains(batch.header.producerID) {
          try batch.forEachRecord(using: .init()) { record in
            if record.offset.rawValue >= offset { seen.append(String(record.value ?? Bytes())) }
          }
        }
      }
      if next == before { return seen }
    }
  }

  /// The offset a group has committed, or the name of the error.
  func committedOffset(
    _ partition: TopicPartition, group: String = "g", isStable: Bool = true, version: Int16 = 9
  ) throws -> String {
    var request = OffsetFetchRequest()
    request.requireStable = isStable
    request.groupID = group
    request.topics = [.init()]
    request.topics![0].name = partition.topic
    request.topics![0].partitionIndexes = [partition.partition.rawValue]
    request.groups = [.init()]
    request.groups[0].groupID = group
    request.groups[0].topics = [.init()]
    request.groups[0].topics![0].name = partition.topic
    request.groups[0].topics![0].partitionIndexes = [partition.partition.rawValue]
    let answer = try call(request, version: version)
    if version >= 8 {
      let found = try #require(answer.groups.first?.topics.first?.partitions.first)
      return found.errorCode.isError ? found.errorCode.name : "\(found.committedOffset)"
    }
    let found = try #require(answer.topics.first?.partitions.first)
    return found.errorCode.isError ? found.errorCode.name : "\(found.committedOffset)"
  }
}
