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
  public static let baseOffset = 0
  public static let batchLength = baseOffset + 8
  public static let partitionLeaderEpoch = batchLength + 4
  public static let magic = partitionLeaderEpoch + 4
  public static let crc = magic + 1
  public static let attributes = crc + 4
  public static let lastOffsetDelta = attributes + 2
  public static let baseTimestamp = lastOffsetDelta + 4
  public static let maxTimestamp = baseTimestamp + 8
  public static let producerID = maxTimestamp + 8
  public static let producerEpoch = producerID + 8
  public static let baseSequence = producerEpoch + 2
  public static let recordCount = baseSequence + 4
  public static let records = recordCount + 4

  /// Bytes of a batch that its length field does not count.
  public static let lengthOverhead = partitionLeaderEpoch
  /// The first byte under the checksum.
  public static let checksummed = attributes

  public static let codecMask: UInt16 = 0b111
  public static let logAppendTimeBit: UInt16 = 1 << 3
  public static let transactionalBit: UInt16 = 1 << 4
  public static let controlBit: UInt16 = 1 << 5
  public static let deleteHorizonBit: UInt16 = 1 << 6

  /// The message format this file describes.
  public static let magicValue: Int8 = 2
}
