/// Where the fields of a record batch stand (message format 2, KIP-98; `DefaultRecordBatch` of Kafka).
///
///     baseOffset           int64   assigned by the broker
///     batchLength          int32   bytes after this field
///     partitionLeaderEpoch int32   assigned by the broker
///     magic                int8    2
///     crc                  uint32  CRC-32C of all that follows
///     attributes           int16   below
///     lastOffsetDelta      int32   stays when compaction removes the last record
///     baseTimestamp        int64   record timestamps are deltas to it
///     maxTimestamp         int64   the append time where the log-append bit is set
///     producerID           int64   -1: not idempotent
///     producerEpoch        int16
///     baseSequence         int32
///     recordCount          int32
///     records                      compressed together where a codec is set
///
/// The leader epoch stands before the checksum so that every broker can assign it without computing that anew.
///
/// Attributes:
///
///     bit  15 … 7     6                5         4               3                2 1 0
///          unused     delete horizon   control   transactional   timestamp type   codec
///                     (KIP-534)                                  0 create
///                                                                1 log append
public enum RecordBatchLayout {
  /// Position in bytes, as of all fields here: 0.
  public static let baseOffset = 0
  /// Position: 8.
  public static let batchLength = baseOffset + 8
  /// Position: 12.
  public static let partitionLeaderEpoch = batchLength + 4
  /// Position: 16, in every message format since 0.
  public static let magic = partitionLeaderEpoch + 4
  /// Position: 17.
  public static let crc = magic + 1
  /// Position: 21.
  public static let attributes = crc + 4
  /// Position: 23.
  public static let lastOffsetDelta = attributes + 2
  /// Position: 27.
  public static let baseTimestamp = lastOffsetDelta + 4
  /// Position: 35.
  public static let maxTimestamp = baseTimestamp + 8
  /// Position: 43.
  public static let producerID = maxTimestamp + 8
  /// Position: 51.
  public static let producerEpoch = producerID + 8
  /// Position: 53.
  public static let baseSequence = producerEpoch + 2
  /// Position: 57.
  public static let recordCount = baseSequence + 4
  /// Where the records begin: the header has 61 bytes.
  public static let records = recordCount + 4

  /// Bytes of a batch that its length field does not count.
  public static let lengthOverhead = partitionLeaderEpoch
  /// The first byte under the checksum.
  public static let checksummed = attributes

  /// Attribute bits 0 to 2: the codec's number.
  public static let codecMask: UInt16 = 0b111
  /// Attribute bit 3: the broker's append time is every record's timestamp.
  public static let logAppendTimeBit: UInt16 = 1 << 3
  /// Attribute bit 4: the records belong to a transaction.
  public static let transactionalBit: UInt16 = 1 << 4
  /// Attribute bit 5: control records.
  public static let controlBit: UInt16 = 1 << 5
  /// Attribute bit 6: the base timestamp is a delete horizon (KIP-534).
  public static let deleteHorizonBit: UInt16 = 1 << 6

  /// The message format this file describes.
  public static let magicValue: Int8 = 2
}
