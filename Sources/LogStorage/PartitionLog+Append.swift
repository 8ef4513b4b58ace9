import Groundwork
import Journals
import KafkaProtocol
import SystemInterfaces

/// What became of a batch.
public struct AppendResult: Sendable, Equatable {
  /// The offset of the batch's first record; for a duplicate the one it was given then.
  public var firstOffset: Offset
  /// The offset of the batch's last record.
  public var lastOffset: Offset
  /// The time the log gave the records; `.none` where they keep their own.
  public var logAppendTime: Timestamp
  /// It was appended before; nothing was written now.
  public var isDuplicate: Bool
}

extension PartitionLog {
  /// Appends one record batch, exactly as it came but for its offset and epoch.
  ///
  /// A transactional batch opens the producer's transaction here, or goes on with it; that the coordinator knows of it
  /// is for the caller to see to.
  ///
  /// - Parameters:
  ///   - batch: one whole batch of format 2.
  ///   - sharedMemory: the size of the memory that `batch` keeps alive, in bytes (the request it came in); a batch that
  ///     is a small part of it is copied before it is kept in the hot tail.
  ///   - beginsAtZero: whether a producer that the log does not know must begin with sequence 0, as one must that has
  ///     another epoch for each transaction (KIP-890): what came before it was lost on the way.
  ///   - now: the wall clock.
  /// - Returns: the offsets. Under `.sync` they are neither durable nor visible before `flush`.
  /// - Throws: `.corruptBatch`, `.invalidRecord`, `.unsupportedFormat`, `.messageTooLarge`, `.outOfOrderSequence`,
  ///   `.staleProducerEpoch`, `.outsideTransaction`: nothing was written. `.file`, `.offline`: nothing was written, or the log is offline.
  /// - Complexity: O(bytes), for the checksum and the write.
  public func append(
    _ batch: Bytes, sharedMemory: Int = 0, beginsAtZero: Bool = false, now: Timestamp
  ) throws(LogError) -> AppendResult {
    try requireOnline()
    var header = try validated(batch)
    let logAppendTime = configuration.timestampType == .logAppendTime ? now : Timestamp.none
    if header.isIdempotent {
      switch producers.judge(header) {
      case .next:
        if beginsAtZero, header.baseSequence != 0, producers.producers[header.producerID] == nil {
          throw LogError(
            .outOfOrderSequence(producerID: header.producerID, expected: 0, received: header.baseSequence),
            path: directory)
        }
      case .duplicate(let known):
        let last = known.baseOffset + Int64(header.lastOffsetDelta)
        return AppendResult(
          firstOffset: Offset(known.baseOffset), lastOffset: Offset(last),
          logAppendTime: logAppendTime == .none ? .none : Timestamp(milliseconds: known.timestamp), isDuplicate: true)
      case .outOfOrder(let expected):
        throw LogError(
          .outOfOrderSequence(producerID: header.producerID, expected: expected, received: header.baseSequence),
          path: directory)
      case .staleEpoch(let current):
        throw LogError(
          .staleProducerEpoch(producerID: header.producerID, current: current, received: header.producerEpoch),
          path: directory)
      case .notTransactional:
        throw LogError(.outsideTransaction(producerID: header.producerID), path: directory)
      }
    }
    let parts = stamp(batch, &header, logAppendTime)
    try write(parts, header, now: now)
    if header.isIdempotent { producers.record(header, now: now.milliseconds) }
    keepInMemory(parts, header, sharedMemory: sharedMemory)
    if environment.flushPolicy == .os { highWatermark = endOffset }
    return AppendResult(
      firstOffset: header.baseOffset, lastOffset: header.lastOffset, logAppendTime: logAppendTime,
      isDuplicate: false)
  }

  /// Writes a batch that has its place, after a roll where one is due.
  func write(_ parts: [Bytes], _ header: RecordBatchHeader, now: Timestamp) throws(LogError) {
    if mustRoll(before: header, now: now) { try roll(now: now) }
    do throws(LogError) {
      try active.append(parts, header, indexInterval: configuration.indexIntervalBytes)
    } catch {
      if error.code == .offline { isOffline = true }
      throw error
    }
    isDirty = true
  }

  /// The header, once it and the checksum have been found right.
  private func validated(_ batch: Bytes) throws(LogError) -> RecordBatchHeader {
    func refuse(_ reason: String) -> LogError { LogError(.invalidRecord(reason), path: directory) }
    let header: RecordBatchHeader
    do throws(RecordBatchError) {
      header = try batch.withUnsafeBytes { raw throws(RecordBatchError) in try RecordBatchHeader.parse(raw) }
    } catch {
      if case .unsupportedMagic(let magic) = error.code {
        throw LogError(.unsupportedFormat(magic: magic), path: directory)
      }
      throw LogError(.corruptBatch(error.description), path: directory)
    }
    guard header.totalSize <= batch.count else {
      throw LogError(
        .corruptBatch("it claims \(header.batchLength) bytes after its length, \(batch.count) are here"),
        path: directory)
    }
    guard header.totalSize == batch.count else { throw refuse("more than one batch for a partition in one request") }
    guard batch.count <= configuration.messageBytesMax else {
      throw LogError(.messageTooLarge(size: batch.count, limit: configuration.messageBytesMax), path: directory)
    }
    let computed = batch.withUnsafeBytes {
      CRC32C.of(UnsafeRawBufferPointer(rebasing: $0[RecordBatchLayout.attributes...]))
    }
    guard computed == header.crc else {
      throw LogError(
        .corruptBatch("checksum \(String(header.crc, radix: 16)) stored, \(String(computed, radix: 16)) computed"),
        path: directory)
    }
    guard header.recordCount > 0, header.lastOffsetDelta == header.recordCount - 1 else {
      throw refuse("\(header.recordCount) records with a last offset delta of \(header.lastOffsetDelta)")
    }
    guard header.attributes & RecordBatchLayout.codecMask <= 4 else { throw refuse("an unknown codec") }
    guard !header.isControl else { throw refuse("control batches are written by brokers only") }
    guard !header.isTransactional || header.isIdempotent else { throw refuse("a transaction without a producer id") }
    guard !header.isIdempotent || (header.baseSequence >= 0 && header.producerEpoch >= 0) else {
      throw refuse("a producer id without sequence or epoch")
    }
    return header
  }

  /// The batch with its offset, epoch and, where the log sets it, time; the rest shares the memory it came in.
  func stamp(_ batch: Bytes, _ header: inout RecordBatchHeader, _ logAppendTime: Timestamp) -> [Bytes] {
    header.baseOffset = endOffset
    header.partitionLeaderEpoch = PartitionLog.leaderEpoch
    var writer = ByteWriter(capacity: RecordBatchLayout.records)
    writer.append(batch[0..<RecordBatchLayout.records])
    writer.patch(bigEndian: header.baseOffset.rawValue, at: RecordBatchLayout.baseOffset)
    writer.patch(bigEndian: header.partitionLeaderEpoch, at: RecordBatchLayout.partitionLeaderEpoch)
    let rest = batch[RecordBatchLayout.records...]
    let sent = (header.attributes, header.maxTimestamp)
    if logAppendTime != .none {
      header.attributes |= RecordBatchLayout.logAppendTimeBit
      header.maxTimestamp = logAppendTime
    } else {
      header.attributes &= ~RecordBatchLayout.logAppendTimeBit
    }
    if (header.attributes, header.maxTimestamp) != sent {
      writer.patch(bigEndian: header.attributes, at: RecordBatchLayout.attributes)
      writer.patch(bigEndian: header.maxTimestamp.milliseconds, at: RecordBatchLayout.maxTimestamp)
      var crc = CRC32C()
      writer.withUnsafeBytes { crc.add(UnsafeRawBufferPointer(rebasing: $0[RecordBatchLayout.attributes...])) }
      crc.add(rest)
      header.crc = crc.value
      writer.patch(bigEndian: header.crc, at: RecordBatchLayout.crc)
    }
    return [writer.finish(), rest]
  }

  private func mustRoll(before header: RecordBatchHeader, now: Timestamp) -> Bool {
    let segment = active
    guard segment.size > 0 else { return false }
    return segment.size + Int64(header.totalSize) > Int64(configuration.segmentBytes)
      || header.lastOffset.rawValue - segment.baseOffset > Int64(Int32.max)
      || isAged(segment, timestamp: header.maxTimestamp.milliseconds, now: now)
  }

  /// Small batches are copied into one piece of their own: a consumer is sent many of them at once. So are batches that
  /// would keep a much larger request in memory.
  func keepInMemory(_ parts: [Bytes], _ header: RecordBatchHeader, sharedMemory: Int) {
    var parts = parts
    if header.totalSize < PartitionLog.smallBatch || sharedMemory > 2 * header.totalSize {
      var writer = ByteWriter(capacity: header.totalSize)
      for part in parts { writer.append(part) }
      parts = [writer.finish()]
    }
    environment.hotTail.add(
      TailBatch(
        baseOffset: header.baseOffset.rawValue, lastOffset: header.lastOffset.rawValue, parts: parts,
        byteCount: header.totalSize),
      to: tail)
  }

  static var smallBatch: Int { 4096 }
}
