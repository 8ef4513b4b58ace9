import Groundwork
import KafkaProtocol

/// A record to write to a topic.
public struct ProducerRecord: Sendable {
  /// Decides the partition where none is given; nil for none.
  public var key: Bytes?
  /// nil for a tombstone.
  public var value: Bytes?
  /// In this order; keys may repeat.
  public var headers: [RecordHeader]
  /// nil: by the key's hash as the Java client has it (murmur2), without a key in turn.
  public var partition: PartitionIndex?
  /// nil: the batch's time.
  public var timestamp: Timestamp?

  /// Only the value must be given; nil for it makes a tombstone.
  public init(
    key: Bytes? = nil, value: Bytes?, headers: [RecordHeader] = [], partition: PartitionIndex? = nil,
    timestamp: Timestamp? = nil
  ) {
    self.key = key
    self.value = value
    self.headers = headers
    self.partition = partition
    self.timestamp = timestamp
  }
}
