import Groundwork
import KafkaProtocol
import LogStorage

/// What a request wants to keep as a group's offsets: OffsetCommit and TxnOffsetCommit ask the same of them, partition by
/// partition.
struct OffsetIntake {
  private let state: BrokerState
  private let now: Timestamp
  /// What may be kept.
  private(set) var accepted: [(partition: TopicPartition, offset: CommittedOffset)] = []
  /// The answers, in the order of the request.
  private(set) var codes: [KafkaErrorCode] = []

  init(_ state: BrokerState) {
    self.state = state
    now = state.loop.wallTime
  }

  /// Takes the next offset of the request.
  mutating func offer(_ topic: String, _ partition: Int32, _ offset: Int64, leaderEpoch: Int32, metadata: String?) {
    let metadata = metadata ?? ""
    if state.topics[topic]?.log(partition) == nil {
      codes.append(.unknownTopicOrPartition)
    } else if metadata.utf8.count > state.configuration.offsetMetadataBytesMax {
      codes.append(.offsetMetadataTooLarge)
    } else {
      codes.append(.none)
      accepted.append(
        (
          TopicPartition(topic, PartitionIndex(partition)),
          CommittedOffset(offset: Offset(offset), leaderEpoch: leaderEpoch, metadata: metadata, committed: now)
        ))
    }
  }

  /// None of those that might have been kept can be.
  mutating func refuse(_ code: KafkaErrorCode) {
    accepted = []
    codes = codes.map { $0.isError ? $0 : code }
  }
}
