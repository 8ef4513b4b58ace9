import CPrimitives
import Codecs
import Groundwork
import WireFormat

/// What a record's timestamp means.
public enum TimestampType: UInt8, Sendable, Hashable {
  /// The producer's time of the record.
  case createTime = 0
  /// The broker's time of the append, the same for a whole batch.
  case logAppendTime = 1
}

/// The 61 bytes before the records of a batch; `RecordBatchLayout` draws them.
public struct RecordBatchHeader: Hashable, Sendable {
  /// The offset of the first record; records count from it.
  public var baseOffset: Offset
  /// Bytes after the length field itself.
  public var batchLength: Int32
  /// The epoch of the leader that appended the batch; -1 before one has.
  public var partitionLeaderEpoch: Int32
  /// CRC-32C of everything behind this field.
  public var crc: UInt32
  /// The bits that `RecordBatchLayout` draws.
  public var attributes: UInt16
  /// The last record's offset less the base offset. Compaction may remove that record; the number stays.
  public var lastOffsetDelta: Int32
  /// What the records' timestamps are deltas to; a delete horizon where the attributes say so (KIP-534).
  public var baseTimestamp: Timestamp
  /// The latest of the records' timestamps, or the append time of them all where the log sets it.
  public var maxTimestamp: Timestamp
  /// -1: the producer is not idempotent.
  public var producerID: Int64
  /// Tells the producer from its earlier incarnations; -1: not idempotent.
  public var producerEpoch: Int16
  /// The producer's number for the first record in this partition; -1: not idempotent.
  public var baseSequence: Int32
  /// Records in the batch as its writer counted them; reading them checks it.
  public var recordCount: Int32

  /// Reads a header and checks what can be checked without the records: message format, length, offsets and counts.
  ///
  /// - Parameter position: where the batch starts in `bytes`.
  /// - Throws: `malformed` (`truncated` where fewer than 61 bytes are there), or `unsupportedMagic`.
  public static func parse(
    _ bytes: UnsafeRawBufferPointer, at position: Int = 0
  ) throws(RecordBatchError) -> RecordBatchHeader {
    typealias Layout = RecordBatchLayout
    let remaining = bytes.count - position
    guard position >= 0, remaining > Layout.magic else {
      let wanted = DecodeError(.truncated(wanted: Layout.records, remaining: max(remaining, 0)), at: max(position, 0))
      throw RecordBatchError(.malformed(wanted), baseOffset: nil)
    }
    func field<I: FixedWidthInteger & BitwiseCopyable>(_ place: Int) -> I {
      I(bigEndian: bytes.loadUnaligned(fromByteOffset: position + place, as: I.self))
    }
    let baseOffset = Offset(field(Layout.baseOffset))
    func malformed(_ code: DecodeError.Code, _ place: Int) -> RecordBatchError {
      RecordBatchError(.malformed(DecodeError(code, at: position + place)), baseOffset: baseOffset)
    }
    let magic: Int8 = field(Layout.magic)
    guard magic == Layout.magicValue else { throw RecordBatchError(.unsupportedMagic(magic), baseOffset: baseOffset) }
    guard remaining >= Layout.records else {
      throw malformed(.truncated(wanted: Layout.records, remaining: remaining), 0)
    }
    let header = RecordBatchHeader(
      baseOffset: baseOffset, batchLength: field(Layout.batchLength),
      partitionLeaderEpoch: field(Layout.partitionLeaderEpoch), crc: field(Layout.crc),
      attributes: field(Layout.attributes), lastOffsetDelta: field(Layout.lastOffsetDelta),
      baseTimestamp: Timestamp(milliseconds: field(Layout.baseTimestamp)),
      maxTimestamp: Timestamp(milliseconds: field(Layout.maxTimestamp)), producerID: field(Layout.producerID),
      producerEpoch: field(Layout.producerEpoch), baseSequence: field(Layout.baseSequence),
      recordCount: field(Layout.recordCount))
    guard Int(header.batchLength) >= Layout.records - Layout.lengthOverhead else {
      throw malformed(.impossibleLength(Int64(header.batchLength)), Layout.batchLength)
    }
    // One below the largest number, so that the offset after the last one can be told as well.
    guard baseOffset.rawValue >= 0, baseOffset.rawValue < Int64.max - Int64(Int32.max) else {
      throw malformed(.invalid("a base offset outside 0 to 2^63"), Layout.baseOffset)
    }
    guard header.lastOffsetDelta >= 0 else {
      throw malformed(.invalid("a negative last offset delta"), Layout.lastOffsetDelta)
    }
    // Compaction removes records and keeps the last offset; nothing makes more records than offsets.
    guard header.recordCount >= 0, Int64(header.recordCount) <= Int64(header.lastOffsetDelta) + 1 else {
      throw malformed(.impossibleLength(Int64(header.recordCount)), Layout.recordCount)
    }
    return header
  }

  /// Bytes of the whole batch, header and all.
  public var totalSize: Int { Int(batchLength) + RecordBatchLayout.lengthOverhead }
  /// The offset of the last record the batch was written with.
  public var lastOffset: Offset { Offset(baseOffset.rawValue + Int64(lastOffsetDelta)) }
  /// The offset after the batch: where the next one begins.
  public var nextOffset: Offset { Offset(lastOffset.rawValue + 1) }

  /// How the records are compressed.
  ///
  /// - Throws: `unknownCodec`.
  public var codec: CompressionCodec {
    get throws(RecordBatchError) {
      let bits = attributes & RecordBatchLayout.codecMask
      guard let codec = CompressionCodec(rawValue: UInt8(bits)) else {
        throw RecordBatchError(.unknownCodec(Int(bits)), baseOffset: baseOffset)
      }
      return codec
    }
  }

  /// Whose time the records carry.
  public var timestampType: TimestampType {
    attributes & RecordBatchLayout.logAppendTimeBit == 0 ? .createTime : .logAppendTime
  }
  /// Whether the records belong to a transaction.
  public var isTransactional: Bool { attributes & RecordBatchLayout.transactionalBit != 0 }
  /// Whether the batch holds a control record, which no consumer is shown.
  public var isControl: Bool { attributes & RecordBatchLayout.controlBit != 0 }
  /// Whether the base timestamp is the time from which compaction may drop the batch's tombstones (KIP-534).
  public var hasDeleteHorizon: Bool { attributes & RecordBatchLayout.deleteHorizonBit != 0 }
  /// Whether the broker checks the batch's sequence numbers.
  public var isIdempotent: Bool { producerID >= 0 }

  /// Writes the header's fields, checksum included, over the first 61 bytes of `batch`.
  ///
  /// - Throws: `malformed` where there are fewer.
  public func write(to batch: UnsafeMutableRawBufferPointer) throws(RecordBatchError) {
    typealias Layout = RecordBatchLayout
    try RecordBatchHeader.checkRoom(UnsafeRawBufferPointer(batch))
    func put<I: FixedWidthInteger & BitwiseCopyable>(_ value: I, _ place: Int) {
      batch.storeBytes(of: value.bigEndian, toByteOffset: place, as: I.self)
    }
    put(baseOffset.rawValue, Layout.baseOffset)
    put(batchLength, Layout.batchLength)
    put(partitionLeaderEpoch, Layout.partitionLeaderEpoch)
    put(Layout.magicValue, Layout.magic)
    put(crc, Layout.crc)
    put(attributes, Layout.attributes)
    put(lastOffsetDelta, Layout.lastOffsetDelta)
    put(baseTimestamp.milliseconds, Layout.baseTimestamp)
    put(maxTimestamp.milliseconds, Layout.maxTimestamp)
    put(producerID, Layout.producerID)
    put(producerEpoch, Layout.producerEpoch)
    put(baseSequence, Layout.baseSequence)
    put(recordCount, Layout.recordCount)
  }

  static func checkRoom(_ batch: UnsafeRawBufferPointer) throws(RecordBatchError) {
    guard batch.count >= RecordBatchLayout.records else {
      let error = DecodeError(.truncated(wanted: RecordBatchLayout.records, remaining: batch.count), at: 0)
      throw RecordBatchError(.malformed(error), baseOffset: nil)
    }
  }

  /// The CRC-32C of a whole batch of at least 61 bytes.
  static func checksum(of batch: UnsafeRawBufferPointer) -> UInt32 {
    sluice_crc32c(
      0, batch.baseAddress! + RecordBatchLayout.checksummed, batch.count - RecordBatchLayout.checksummed)
  }
}
