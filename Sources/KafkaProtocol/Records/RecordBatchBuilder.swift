import Codecs
import Groundwork

/// Encodes records, one at a time, into a batch of message format 2.
///
/// Its buffers are kept from batch to batch. Confined to whoever owns it; a producer boxes one per partition.
public struct RecordBatchBuilder: ~Copyable {
  /// Room for the header, then the records.
  private var writer: ByteWriter
  /// Header and compressed records.
  private var output = ByteWriter(capacity: 64)
  /// Records appended since the last reset.
  public private(set) var recordCount: Int32 = 0
  /// The timestamp that the records' are deltas to: the first one's, unless `reset` was given another.
  public private(set) var baseTimestamp: Timestamp = .none
  /// The highest timestamp of a record.
  public private(set) var maxTimestamp: Timestamp = .none
  private var lastOffsetDelta: Int32 = -1
  private var hasBaseTimestamp = false

  /// The most bytes a batch may have: what its length field can say.
  public static var sizeMax: Int { Int(Int32.max) }
  private static var recordOverheadMax: Int { 5 + 1 + 10 + 5 + 5 + 5 + 5 }

  /// - Parameter capacity: bytes to reserve at first.
  public init(capacity: Int = 16_384) {
    writer = ByteWriter(capacity: max(capacity, 128))
    writer.reserve(RecordBatchLayout.records)
    writer.advance(RecordBatchLayout.records)
  }

  /// Whether no record was added since the start or the last `reset`.
  public var isEmpty: Bool { recordCount == 0 }

  /// Bytes of the batch so far, uncompressed.
  public var uncompressedSize: Int { writer.count }

  /// An upper bound, in bytes, on what a record adds, uncompressed.
  public static func sizeBound(key: Int, value: Int, headers: [RecordHeader] = []) -> Int {
    var size = recordOverheadMax + max(key, 0) + max(value, 0)
    for header in headers { size += 10 + header.key.count + (header.value?.count ?? 0) }
    return size
  }

  /// Forgets the records; the memory is kept.
  ///
  /// - Parameter baseTimestamp: the timestamp the records' are deltas to; nil for the first record's.
  public mutating func reset(baseTimestamp: Timestamp? = nil) {
    writer.truncate(to: RecordBatchLayout.records)
    recordCount = 0
    lastOffsetDelta = -1
    maxTimestamp = .none
    hasBaseTimestamp = baseTimestamp != nil
    self.baseTimestamp = baseTimestamp ?? .none
  }

  /// Appends a record.
  ///
  /// - Parameters:
  ///   - offsetDelta: its offset less the batch's; nil for the one after the last record's. Gaps are what compaction
  ///     leaves.
  /// - Throws: `invalidOffset` where the delta does not come after the last one, `tooLarge` beyond 2 GiB; the batch is
  ///   then as before.
  public mutating func append(
    key: Bytes?, value: Bytes?, headers: [RecordHeader] = [], timestamp: Timestamp, offsetDelta: Int32? = nil
  ) throws(RecordBatchError) {
    try appendRecord(key, value, headers, timestamp, offsetDelta)
  }

  /// As `append(key:value:headers:timestamp:offsetDelta:)`, from raw memory; a null buffer is a null key or value.
  public mutating func append(
    keyBuffer: UnsafeRawBufferPointer?, valueBuffer: UnsafeRawBufferPointer?, headers: [RecordHeader] = [],
    timestamp: Timestamp, offsetDelta: Int32? = nil
  ) throws(RecordBatchError) {
    try appendRecord(keyBuffer, valueBuffer, headers, timestamp, offsetDelta)
  }

  @inline(__always)
  private mutating func appendRecord<Part: RecordPart>(
    _ key: Part?, _ value: Part?, _ headers: [RecordHeader], _ timestamp: Timestamp, _ offsetDelta: Int32?
  ) throws(RecordBatchError) {
    let (following, overflow) = lastOffsetDelta.addingReportingOverflow(1)
    let delta = offsetDelta ?? following
    guard delta > lastOffsetDelta, !overflow else {
      throw RecordBatchError(.invalidOffset(delta: Int64(delta)), baseOffset: nil)
    }
    if !hasBaseTimestamp {
      baseTimestamp = timestamp
      hasBaseTimestamp = true
    }
    let timestampDelta = timestamp.milliseconds &- baseTimestamp.milliseconds
    let keyCount = key?.count ?? -1
    let valueCount = value?.count ?? -1
    var size = 1 + varintSize(timestampDelta) + varintSize(Int64(delta))
    size += varintSize(Int64(keyCount)) + max(keyCount, 0) + varintSize(Int64(valueCount)) + max(valueCount, 0)
    size += headers.isEmpty ? 1 : headersSize(headers)
    guard size <= RecordBatchBuilder.sizeMax - 10 - writer.count else {
      throw RecordBatchError(.tooLarge(limit: RecordBatchBuilder.sizeMax), baseOffset: nil)
    }
    // 10 for the record's own length, 16 since short parts are stored as two words.
    writer.reserve(size + 26)
    // The room is there: what follows writes behind one pointer, and the writer learns of it once.
    var end = writer.end
    put(varint: Int64(size), &end)
    end.storeBytes(of: 0, as: UInt8.self)
    end += 1
    put(varint: timestampDelta, &end)
    put(varint: Int64(delta), &end)
    put(key, keyCount, &end)
    put(value, valueCount, &end)
    if headers.isEmpty {
      end.storeBytes(of: 0, as: UInt8.self)
      end += 1
    } else {
      putHeaders(headers, &end)
    }
    writer.advance(end - writer.end)
    recordCount &+= 1
    lastOffsetDelta = delta
    if timestamp > maxTimestamp || recordCount == 1 { maxTimestamp = timestamp }
  }

  /// The batch of all records appended since the last reset, in memory of its own. The records stay until `reset`.
  ///
  /// - Parameter workspace: compresses; its contexts are used again.
  /// - Throws: `empty` without records, `codec` for a level the codec does not have, `tooLarge`.
  public mutating func finish(
    _ settings: RecordBatchSettings = RecordBatchSettings(), using workspace: CodecWorkspace
  ) throws(RecordBatchError) -> Bytes {
    guard recordCount > 0 else { throw RecordBatchError(.empty, baseOffset: nil) }
    var header = RecordBatchHeader(
      baseOffset: settings.baseOffset, batchLength: 0, partitionLeaderEpoch: settings.partitionLeaderEpoch, crc: 0,
      attributes: settings.attributes, lastOffsetDelta: max(settings.lastOffsetDelta ?? 0, lastOffsetDelta),
      baseTimestamp: baseTimestamp, maxTimestamp: settings.logAppendTime ?? maxTimestamp,
      producerID: settings.producerID, producerEpoch: settings.producerEpoch, baseSequence: settings.baseSequence,
      recordCount: recordCount)
    if settings.codec == .none {
      try RecordBatchBuilder.seal(&header, &writer)
      return writer.copyBytes()
    }
    output.removeAll()
    output.reserve(RecordBatchLayout.records)
    output.advance(RecordBatchLayout.records)
    do throws(CodecError) {
      try writer.withUnsafeBytes { raw throws(CodecError) in
        try workspace.compress(
          UnsafeRawBufferPointer(rebasing: raw[RecordBatchLayout.records...]), with: settings.codec,
          level: settings.level, into: &output)
      }
    } catch {
      throw RecordBatchError(.codec(error), baseOffset: nil)
    }
    try RecordBatchBuilder.seal(&header, &output)
    return output.copyBytes()
  }

  /// Writes the header over the first bytes, length and checksum computed.
  private static func seal(_ header: inout RecordBatchHeader, _ writer: inout ByteWriter) throws(RecordBatchError) {
    guard writer.count <= sizeMax else { throw RecordBatchError(.tooLarge(limit: sizeMax), baseOffset: nil) }
    header.batchLength = Int32(writer.count - RecordBatchLayout.lengthOverhead)
    // `end` is where the next byte goes; the batch starts `count` bytes before it.
    let batch = UnsafeMutableRawBufferPointer(start: writer.end - writer.count, count: writer.count)
    try header.write(to: batch)
    header.crc = RecordBatchHeader.checksum(of: UnsafeRawBufferPointer(batch))
    try header.write(to: batch)
  }
}

/// What a batch says about all its records.
public struct RecordBatchSettings: Sendable, Hashable {
  /// How the records are compressed.
  public var codec: CompressionCodec
  /// As `CompressionCodec.levels`; nil for the codec's default.
  public var level: Int?
  /// -1: not idempotent.
  public var producerID: Int64 = -1
  /// Tells the producer from its earlier incarnations; -1: not idempotent.
  public var producerEpoch: Int16 = -1
  /// The producer's number for the batch's first record in this partition, by which brokers know duplicates; -1: not
  /// idempotent.
  public var baseSequence: Int32 = -1
  /// Whether the records belong to a transaction of the producer.
  public var isTransactional = false
  /// Whether the batch holds control records; a broker sets it, producers must not.
  public var isControl = false
  /// Producers leave it at 0; the broker assigns it.
  public var baseOffset: Offset = 0
  /// -1: none yet.
  public var partitionLeaderEpoch: Int32 = -1
  /// The broker's time of the append where that is the records' time; nil for their own.
  public var logAppendTime: Timestamp?
  /// Whether the base timestamp is a delete horizon (KIP-534).
  public var hasDeleteHorizon = false
  /// The last offset delta where compaction removed the last record; nil for the last record's.
  public var lastOffsetDelta: Int32?

  /// A batch of a producer that is neither idempotent nor transactional.
  public init(codec: CompressionCodec = .none, level: Int? = nil) {
    self.codec = codec
    self.level = level
  }

  /// The settings that a batch was written with, except for the level, which it does not tell.
  ///
  /// - Throws: `unknownCodec`.
  public init(of header: RecordBatchHeader) throws(RecordBatchError) {
    self.init(codec: try header.codec)
    producerID = header.producerID
    producerEpoch = header.producerEpoch
    baseSequence = header.baseSequence
    isTransactional = header.isTransactional
    isControl = header.isControl
    baseOffset = header.baseOffset
    partitionLeaderEpoch = header.partitionLeaderEpoch
    logAppendTime = header.timestampType == .logAppendTime ? header.maxTimestamp : nil
    hasDeleteHorizon = header.hasDeleteHorizon
    lastOffsetDelta = header.lastOffsetDelta
  }

  var attributes: UInt16 {
    UInt16(codec.rawValue)
      | (logAppendTime != nil ? RecordBatchLayout.logAppendTimeBit : 0)
      | (isTransactional ? RecordBatchLayout.transactionalBit : 0)
      | (isControl ? RecordBatchLayout.controlBit : 0)
      | (hasDeleteHorizon ? RecordBatchLayout.deleteHorizonBit : 0)
  }
}

// MARK: - Writing behind a pointer whose room was checked

private func varintSize(_ value: Int64) -> Int {
  let zigzag = UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
  // Seven bits a byte: 9/64 rounds the bit length to bytes exactly up to 64 bits.
  return (9 &* (64 &- zigzag.leadingZeroBitCount) &+ 64) &>> 6
}

private func headersSize(_ headers: [RecordHeader]) -> Int {
  var size = varintSize(Int64(headers.count))
  for header in headers {
    let valueCount = header.value?.count ?? -1
    size += varintSize(Int64(header.key.count)) + header.key.count + varintSize(Int64(valueCount)) + max(valueCount, 0)
  }
  return size
}

@inline(__always)
private func put(varint value: Int64, _ end: inout UnsafeMutableRawPointer) {
  var zigzag = UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
  while zigzag >= 0x80 {
    end.storeBytes(of: UInt8(truncatingIfNeeded: zigzag) | 0x80, as: UInt8.self)
    end += 1
    zigzag &>>= 7
  }
  end.storeBytes(of: UInt8(truncatingIfNeeded: zigzag), as: UInt8.self)
  end += 1
}

/// A key or value: what a record is made of.
private protocol RecordPart {
  var count: Int { get }
  /// Writes the bytes; `max(count, 16)` bytes of room are there.
  func copy(to target: UnsafeMutableRawPointer)
}

extension Bytes: RecordPart {}

extension UnsafeRawBufferPointer: RecordPart {
  @inline(__always)
  fileprivate func copy(to target: UnsafeMutableRawPointer) {
    if let baseAddress { target.copyMemory(from: baseAddress, byteCount: count) }
  }
}

/// A nullable part behind its count, which is -1 for null.
@inline(__always)
private func put<Part: RecordPart>(_ part: Part?, _ count: Int, _ end: inout UnsafeMutableRawPointer) {
  put(varint: Int64(count), &end)
  guard let part else { return }
  part.copy(to: end)
  end += count
}

@inline(never)
private func putHeaders(_ headers: [RecordHeader], _ end: inout UnsafeMutableRawPointer) {
  put(varint: Int64(headers.count), &end)
  for header in headers {
    put(header.key, header.key.count, &end)
    put(header.value, header.value?.count ?? -1, &end)
  }
}
