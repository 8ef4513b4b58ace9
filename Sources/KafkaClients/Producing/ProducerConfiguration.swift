import Codecs
import Groundwork

/// How a producer writes. The names in the comments are Kafka's.
public struct ProducerConfiguration: Sendable {
  /// Who must have a batch before it counts as delivered.
  public enum Acknowledgement: Int16, Sendable {
    /// All in-sync replicas.
    case all = -1
    /// Nobody: the broker does not answer, and losses go unnoticed.
    case none = 0
    /// The leader.
    case leader = 1
  }

  /// `acks`
  public var acks: Acknowledgement = .all
  /// `enable.idempotence`: retries neither double nor reorder. Needs `acks` all; with others it is off.
  public var isIdempotent = true
  /// `linger.ms`: how long a batch waits for more records.
  public var linger: Duration = .zero
  /// `batch.size`, in bytes before compression.
  public var batchSize = 16_384
  /// `compression.type`
  public var codec: CompressionCodec = .none
  /// `compression.LEVEL`; nil: the codec's default.
  public var level: Int?
  /// `buffer.memory`: bytes held at most, those under way included.
  public var bufferMemory = 32 << 20
  /// `max.request.size`
  public var requestSizeMax = 1 << 20
  /// `delivery.timeout.ms`: from the moment a batch is complete.
  public var deliveryTimeout: Duration = .seconds(120)
  /// `max.in.flight.requests.per.connection`; an idempotent producer has at most 5 batches of a partition in flight, any
  /// other one, so that order is kept.
  public var inFlightMax = 5

  /// `transactional.id`: the name under which transactions outlive the process, and by which a successor keeps its
  /// predecessor out; nil: no transactions. With one the producer is idempotent and waits for all in-sync replicas.
  public var transactionalID: String?
  /// `transaction.timeout.ms`: how long a transaction may be open before the coordinator aborts it and shuts this producer
  /// out. Brokers refuse more than their `transaction.max.timeout.ms` (15 minutes).
  public var transactionTimeout: Duration = .seconds(60)

  /// Idempotent, acknowledged by all in-sync replicas, without compression.
  public init() {}
}

/// A record batch that was encoded before: whole, of format 2, the producer's fields still open.
public struct EncodedBatch: Sendable {
  /// The batch, from its base offset to its last record.
  public var bytes: Bytes
  /// Takes the bytes as they are; the producer checks them when the batch is given to it.
  public init(_ bytes: Bytes) { self.bytes = bytes }
}

/// How a batch fared.
public struct Delivery: Sendable {
  /// Where the batch went, or was to go.
  public var partition: TopicPartition
  /// The offset of its first record; nil where the broker did not say (acks 0, or a duplicate of long ago) or `error`.
  public var baseOffset: Offset?
  /// Records of the batch.
  public var recordCount: Int32
  /// nil: delivered.
  public var error: ClientError?
}
