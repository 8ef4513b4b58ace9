import Groundwork
import KafkaProtocol

/// What a fetch answer holds for one partition, its batches told apart.
struct FetchAnswer {
  var batches: [BufferedBatch] = []
  /// The offset after the last whole batch, or where the fetch began.
  var nextOffset: Offset
  /// How large the batch is that was cut off at the end, where that can be told.
  var cutBatchSize: Int?
  var highWatermark: Offset?
  var lastStableOffset: Offset?
  var logStartOffset: Offset?

  typealias PartitionData = FetchResponse.FetchableTopicResponse.PartitionData

  /// - Parameter from: the offset that was asked for; batches that end before it are left out.
  /// - Throws: where the bytes are not record batches of format 2.
  init(_ data: PartitionData, from: Offset) throws(RecordBatchError) {
    nextOffset = from
    highWatermark = FetchAnswer.known(data.highWatermark)
    lastStableOffset = FetchAnswer.known(data.lastStableOffset)
    logStartOffset = FetchAnswer.known(data.logStartOffset)
    guard let records = data.records, !records.isEmpty else { return }
    let aborted = (data.abortedTransactions ?? []).map {
      AbortedTransaction(producerID: $0.producerID, firstOffset: Offset($0.firstOffset))
    }
    var sequence = RecordBatchSequence(records)
    while let batch = try sequence.next() {
      // A fetch that starts inside a batch gets all of it; one that ends before the start is none of ours.
      guard batch.header.nextOffset > nextOffset else { continue }
      batches.append(BufferedBatch(header: batch.header, bytes: batch.bytes, aborted: aborted))
      nextOffset = batch.header.nextOffset
    }
    cutBatchSize = sequence.trailingBatchSize
  }

  private static func known(_ raw: Int64) -> Offset? { raw >= 0 ? Offset(raw) : nil }
}

/// A fetch of some partitions, put together for the wire: by name, or by id where all ids are known (KIP-516), so that
/// records of a topic that was deleted and made anew are never taken for the old one's.
struct FetchPlan {
  private(set) var request = FetchRequest()
  private var topicPlaces: [String: Int] = [:]
  private var names: [UUID128: String] = [:]
  private var hasAllIDs = true

  init(_ configuration: FetcherConfiguration) {
    request.replicaID = -1
    request.maxWaitMilliseconds = Int32(clamping: configuration.waitMax.inMilliseconds)
    request.minBytes = Int32(clamping: configuration.bytesMin)
    request.maxBytes = Int32(clamping: configuration.bytesMax)
    request.isolationLevel = configuration.isolation.rawValue
    // No fetch session: each request names its partitions (KIP-227's full fetch without a session).
    request.sessionEpoch = -1
  }

  mutating func add(_ partition: TopicPartition, from offset: Offset, bytesMax: Int, _ metadata: ClusterMetadata) {
    let place: Int
    if let known = topicPlaces[partition.topic] {
      place = known
    } else {
      place = request.topics.count
      topicPlaces[partition.topic] = place
      var topic = FetchRequest.FetchTopic()
      topic.topic = partition.topic
      topic.topicID = metadata.topics[partition.topic]?.id ?? .zero
      if topic.topicID == .zero { hasAllIDs = false }
      names[topic.topicID] = partition.topic
      request.topics.append(topic)
    }
    var wire = FetchRequest.FetchTopic.FetchPartition()
    wire.partition = partition.partition.rawValue
    wire.fetchOffset = offset.rawValue
    wire.currentLeaderEpoch = metadata.partition(partition)?.leaderEpoch ?? -1
    wire.partitionMaxBytes = Int32(clamping: bytesMax)
    request.topics[place].partitions.append(wire)
  }

  /// Version 4 is the first with record batches of format 2 as they are stored; 13 names topics by id alone.
  var versions: ClosedRange<Int16> { 4...(hasAllIDs ? 13 : 12) }

  /// The topic an answer speaks of, nil where it was not asked for.
  func name(of topic: FetchResponse.FetchableTopicResponse) -> String? {
    topic.topic.isEmpty ? names[topic.topicID] : topicPlaces[topic.topic] == nil ? nil : topic.topic
  }
}
