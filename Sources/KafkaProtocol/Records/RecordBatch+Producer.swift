import Groundwork

// What a producer writes into a batch once it is known who sends it, and as which of the partition's batches.
extension RecordBatchHeader {
  /// Assigns the producer's identity and the batch's place in its sequence (KIP-98), and computes the checksum anew.
  /// O(bytes), at the speed of the checksum.
  ///
  /// - Parameters:
  ///   - producerID: -1 for a producer that is not idempotent; epoch and sequence are then -1 as well.
  ///   - isTransactional: whether the batch belongs to a transaction.
  ///   - batch: one whole batch, whose memory the caller owns alone.
  /// - Throws: `malformed` where it is shorter than a header.
  public static func assign(
    producerID: Int64, producerEpoch: Int16, baseSequence: Int32, isTransactional: Bool = false,
    in batch: UnsafeMutableRawBufferPointer
  ) throws(RecordBatchError) {
    try checkRoom(UnsafeRawBufferPointer(batch))
    let place = RecordBatchLayout.attributes
    var attributes = UInt16(bigEndian: batch.loadUnaligned(fromByteOffset: place, as: UInt16.self))
    attributes &= ~RecordBatchLayout.transactionalBit
    if isTransactional { attributes |= RecordBatchLayout.transactionalBit }
    batch.storeBytes(of: attributes.bigEndian, toByteOffset: place, as: UInt16.self)
    batch.storeBytes(of: producerID.bigEndian, toByteOffset: RecordBatchLayout.producerID, as: Int64.self)
    batch.storeBytes(of: producerEpoch.bigEndian, toByteOffset: RecordBatchLayout.producerEpoch, as: Int16.self)
    batch.storeBytes(of: baseSequence.bigEndian, toByteOffset: RecordBatchLayout.baseSequence, as: Int32.self)
    batch.storeBytes(
      of: checksum(of: UnsafeRawBufferPointer(batch)).bigEndian, toByteOffset: RecordBatchLayout.crc, as: UInt32.self)
  }
}
