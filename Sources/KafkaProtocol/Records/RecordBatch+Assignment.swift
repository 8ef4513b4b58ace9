import Groundwork

// What a broker writes into a batch that a producer sent, in place and without touching a record.
extension RecordBatchHeader {
  /// Assigns a base offset and a leader epoch; both stand outside the checksum.
  ///
  /// - Parameter batch: one whole batch, whose memory the caller owns alone.
  /// - Throws: `malformed` where it is shorter than a header.
  public static func assign(
    baseOffset: Offset, partitionLeaderEpoch: Int32, in batch: UnsafeMutableRawBufferPointer
  ) throws(RecordBatchError) {
    try checkRoom(UnsafeRawBufferPointer(batch))
    batch.storeBytes(
      of: baseOffset.rawValue.bigEndian, toByteOffset: RecordBatchLayout.baseOffset, as: Int64.self)
    batch.storeBytes(
      of: partitionLeaderEpoch.bigEndian, toByteOffset: RecordBatchLayout.partitionLeaderEpoch, as: Int32.self)
  }

  /// Marks a batch as appended at `time`, for topics whose timestamps are the broker's (KIP-32), and computes its
  /// checksum anew. O(bytes), at the speed of the checksum.
  ///
  /// - Parameter batch: one whole batch, whose memory the caller owns alone.
  /// - Throws: `malformed` where it is shorter than a header.
  public static func assign(
    logAppendTime time: Timestamp, in batch: UnsafeMutableRawBufferPointer
  ) throws(RecordBatchError) {
    try checkRoom(UnsafeRawBufferPointer(batch))
    let place = RecordBatchLayout.attributes
    let attributes = UInt16(bigEndian: batch.loadUnaligned(fromByteOffset: place, as: UInt16.self))
    batch.storeBytes(
      of: (attributes | RecordBatchLayout.logAppendTimeBit).bigEndian, toByteOffset: place, as: UInt16.self)
    batch.storeBytes(
      of: time.milliseconds.bigEndian, toByteOffset: RecordBatchLayout.maxTimestamp, as: Int64.self)
    batch.storeBytes(
      of: checksum(of: UnsafeRawBufferPointer(batch)).bigEndian, toByteOffset: RecordBatchLayout.crc, as: UInt32.self)
  }
}

extension RecordBatch {
  /// Appends the batch as a broker stores it: with its base offset and leader epoch, and where the topic asks for it the
  /// time of the append.
  ///
  /// One copy of the bytes; the checksum is computed anew only for an append time.
  public func append(
    to writer: inout ByteWriter, baseOffset: Offset, partitionLeaderEpoch: Int32, logAppendTime: Timestamp? = nil
  ) throws(RecordBatchError) {
    let size = bytes.count
    writer.reserve(size)
    let copy = UnsafeMutableRawBufferPointer(start: writer.end, count: size)
    bytes.withUnsafeBytes { copy.copyMemory(from: $0) }
    try RecordBatchHeader.assign(
      baseOffset: baseOffset, partitionLeaderEpoch: partitionLeaderEpoch, in: copy)
    if let logAppendTime { try RecordBatchHeader.assign(logAppendTime: logAppendTime, in: copy) }
    writer.advance(size)
  }
}
