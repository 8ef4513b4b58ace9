import Codecs
import Groundwork
import KafkaProtocol
import Simulation
import SystemInterfaces

/// What the fake brokers share: topics with their logs, groups, and the faults a test asks for.
///
/// Sendable: confined to the thread of its simulated world.
final class FakeCluster: @unchecked Sendable {
  struct ProducerState {
    var epoch: Int16
    var nextSequence: Int32
    /// The last five batches: first sequence and base offset.
    var recent: [(sequence: Int32, base: Int64)] = []
  }

  /// Sendable: confined to the thread of its simulated world.
  final class Partition: @unchecked Sendable {
    var leader: Int32
    var leaderEpoch: Int32 = 0
    var batches: [(base: Int64, next: Int64, bytes: Bytes)] = []
    var startOffset: Int64 = 0
    var nextOffset: Int64 = 0
    var producers: [Int64: ProducerState] = [:]
    /// Batches of transactions that have not ended, by producer id.
    var open: [Int64: [Int]] = [:]
    /// Whether the batches of a transaction count; those that are missing are open, or of none.
    var fates: [Int: Bool] = [:]
    init(leader: Int32) { self.leader = leader }
  }

  enum Disposition { case answer, closeConnection, ignore, doThenClose }

  let simulation: SimulatedWorld
  var topics: [String: [Partition]] = [:]
  var topicIDs: [String: UUID128] = [:]
  var brokers: [Int32: FakeBroker] = [:]
  var committed: [String: [TopicPartition: (offset: Int64, metadata: String?)]] = [:]
  var coordinator: Int32 = 0
  var nextProducerID: Int64 = 1000
  var autoCreatedPartitions: Int32 = 1
  /// The largest batch taken, in bytes.
  var batchSizeMax = Int.max
  /// What produce answers ask clients to wait, in turn.
  var throttles: [Int32] = []
  private(set) lazy var transactions = FakeTransactions(self)
  /// Ranges announced; calls left out are not there.
  var ranges: [APIKey: ClosedRange<Int16>]
  /// The highest ApiVersions version these brokers know.
  var apiVersionsMax: Int16 = 4
  /// Decides what becomes of a request.
  var disposition: (_ node: Int32, _ header: RequestHeader) -> Disposition = { _, _ in .answer }
  /// Error codes that the next produce, fetch, commit … answers carry, one per partition answered.
  var errors: [APIKey: [KafkaErrorCode]] = [:]
  /// Requests seen: node, call, version.
  var log: [(node: Int32, call: APIKey, version: Int16)] = []

  init(_ simulation: SimulatedWorld) {
    self.simulation = simulation
    ranges = Dictionary(uniqueKeysWithValues: MessageRanges.all)
  }

  /// Brokers 0 ..< count, listening on host "kafka", ports 9092 and up.
  func start(_ count: Int32) throws {
    for id in 0..<count { brokers[id] = try FakeBroker(id, self) }
  }

  static func address(_ id: Int32) -> Address { Address(host: "kafka", port: 9092 + Int(id)) }

  func makeTopic(_ name: String, leaders: [Int32]) {
    topics[name] = leaders.map { Partition(leader: $0) }
    topicIDs[name] = UUID128(high: UInt64(topicIDs.count + 1), low: 7)
  }

  func moveLeader(_ topic: String, _ index: Int, to leader: Int32) {
    topics[topic]![index].leader = leader
    topics[topic]![index].leaderEpoch += 1
    wakeFetches()
  }

  func count(_ call: APIKey) -> Int { log.count { $0.call == call } }

  func nextError(_ call: APIKey) -> KafkaErrorCode {
    guard var queue = errors[call], !queue.isEmpty else { return .none }
    defer { errors[call] = queue }
    return queue.removeFirst()
  }

  func partition(_ topic: String, _ index: Int32) -> Partition? {
    guard let partitions = topics[topic], partitions.indices.contains(Int(index)) else { return nil }
    return partitions[Int(index)]
  }

  /// Appends as a leader does: with the sequence rules of KIP-98.
  func append(_ partition: Partition, _ bytes: Bytes) -> (KafkaErrorCode, Int64) {
    guard let batch = try? RecordBatch(bytes), (try? batch.verifyChecksum()) != nil else {
      return (.corruptMessage, -1)
    }
    let header = batch.header
    if bytes.count > batchSizeMax { return (.messageTooLarge, -1) }
    if header.producerID >= 0 {
      var state = partition.producers[header.producerID] ?? ProducerState(epoch: header.producerEpoch, nextSequence: 0)
      if header.producerEpoch < state.epoch { return (.invalidProducerEpoch, -1) }
      if header.producerEpoch > state.epoch { state = ProducerState(epoch: header.producerEpoch, nextSequence: 0) }
      if let known = state.recent.first(where: { $0.sequence == header.baseSequence }) { return (.none, known.base) }
      guard header.baseSequence == state.nextSequence else {
        return (header.baseSequence < state.nextSequence ? .duplicateSequenceNumber : .outOfOrderSequenceNumber, -1)
      }
      state.nextSequence = header.baseSequence + header.lastOffsetDelta + 1
      state.recent = Array((state.recent + [(header.baseSequence, partition.nextOffset)]).suffix(5))
      partition.producers[header.producerID] = state
    }
    var writer = ByteWriter()
    try! batch.append(
      to: &writer, baseOffset: Offset(partition.nextOffset), partitionLeaderEpoch: partition.leaderEpoch)
    let base = partition.nextOffset
    if header.isTransactional { partition.open[header.producerID, default: []].append(partition.batches.count) }
    partition.nextOffset += Int64(header.lastOffsetDelta) + 1
    partition.batches.append((base, partition.nextOffset, writer.finish()))
    wakeFetches()
    return (.none, base)
  }

  /// Appends records that some other producer wrote.
  func write(_ topic: String, _ index: Int32, _ values: [String]) {
    _ = append(partition(topic, index)!, recordBatch(values))
  }

  func wakeFetches() { for id in brokers.keys.sorted() { brokers[id]!.retryWaiting() } }

  /// What a reader of committed records is shown, once all transactions have ended.
  func committedValues(_ topic: String, _ index: Int32) -> [String] {
    let partition = partition(topic, index)!
    let open = Set(partition.open.values.joined())
    return partition.batches.enumerated().flatMap { place, batch in
      open.contains(place) || partition.fates[place] == false ? [] : recordValues(batch.bytes)
    }
  }

  /// The values in a partition's log, in order.
  func values(_ topic: String, _ index: Int32) -> [String] {
    partition(topic, index)!.batches.flatMap { recordValues($0.bytes) }
  }
}

/// One batch with these values and no keys.
func recordBatch(_ values: [String]) -> Bytes {
  var builder = RecordBatchBuilder()
  for value in values { try! builder.append(key: nil, value: Bytes(value), timestamp: 1_000) }
  return try! builder.finish(using: CodecWorkspace())
}

/// The values of one batch.
func recordValues(_ bytes: Bytes) -> [String] {
  var values: [String] = []
  let workspace = CodecWorkspace()
  try! RecordBatch(bytes).forEachRecord(using: workspace) { values.append($0.value.map { String($0) } ?? "null") }
  return values
}

enum MessageRanges {
  static let all: [(APIKey, ClosedRange<Int16>)] = [
    (.produce, ProduceRequest.versions), (.fetch, FetchRequest.versions), (.listOffsets, ListOffsetsRequest.versions),
    (.metadata, MetadataRequest.versions), (.offsetCommit, OffsetCommitRequest.versions),
    (.offsetFetch, OffsetFetchRequest.versions), (.findCoordinator, FindCoordinatorRequest.versions),
    (.apiVersions, ApiVersionsRequest.versions), (.createTopics, CreateTopicsRequest.versions),
    (.deleteTopics, DeleteTopicsRequest.versions), (.createPartitions, CreatePartitionsRequest.versions),
    (.describeConfigs, DescribeConfigsRequest.versions), (.initProducerID, InitProducerIDRequest.versions),
    (.addPartitionsToTxn, AddPartitionsToTxnRequest.versions), (.addOffsetsToTxn, AddOffsetsToTxnRequest.versions),
    (.txnOffsetCommit, TxnOffsetCommitRequest.versions), (.endTxn, EndTxnRequest.versions),
    (.listTransactions, ListTransactionsRequest.versions), (.writeTxnMarkers, WriteTxnMarkersRequest.versions),
    (.describeTransactions, DescribeTransactionsRequest.versions),
    (.describeProducers, DescribeProducersRequest.versions),
  ]
  /// What a broker of Kafka 2.1 announces.
  static let kafka21: [APIKey: ClosedRange<Int16>] = [
    .produce: 0...7, .fetch: 0...10, .listOffsets: 0...4, .metadata: 0...7, .offsetCommit: 0...6, .offsetFetch: 0...5,
    .findCoordinator: 0...2, .apiVersions: 0...2, .createTopics: 0...3, .deleteTopics: 0...3, .createPartitions: 0...1,
    .describeConfigs: 0...2, .initProducerID: 0...1, .addPartitionsToTxn: 0...1, .addOffsetsToTxn: 0...1,
    .endTxn: 0...1, .txnOffsetCommit: 0...2,
  ]
}
