import Codecs
import Groundwork
import KafkaProtocol

// A batch that is too large for its topic, made again as two.
extension Producer {
  /// Puts two batches in the place of one that the broker refused for its size, each with half of its records.
  ///
  /// A topic's `max.message.bytes` is known to the broker alone, and the size of compressed records to nobody before they
  /// are compressed, so `batch.size` may be more than a topic takes.
  /// - Returns: false where the batch was not made here, or cannot be made smaller.
  func split(_ id: PartitionQueue.BatchID) -> Bool {
    guard let batch = batches[id], batch.isOwn, batch.recordCount > 1, queues[batch.partition] != nil else {
      return false
    }
    guard let halves = try? halves(of: batch.bytes) else { return false }
    var pieces: [(id: PartitionQueue.BatchID, span: Int32)] = []
    for (bytes, count) in halves {
      pieces.append((nextBatchID, count))
      batches[nextBatchID] = Batch(
        partition: batch.partition, bytes: bytes, recordCount: count, isOwn: true, lastError: batch.lastError)
      bufferedBytes += bytes.count
      nextBatchID += 1
    }
    batches[id] = nil
    bufferedBytes -= batch.bytes.count
    queues[batch.partition]!.replaced(id, by: pieces)
    return true
  }

  private func halves(of bytes: Bytes) throws -> [(Bytes, Int32)] {
    let whole = try RecordBatch(bytes)
    let settings = RecordBatchSettings(codec: configuration.codec, level: configuration.level)
    let half = RecordAccumulator(batchSize: bytes.count)
    let now = client.loop.now
    var made: [(Bytes, Int32)] = []
    func close() throws {
      let count = half.recordCount
      made.append((try half.finish(settings, workspace), count))
    }
    // The records lie in memory that the workspace lends: they are read with one of their own.
    try whole.forEachRecord(using: CodecWorkspace(), checkingChecksum: false) { record in
      if half.recordCount == whole.header.recordCount / 2, made.isEmpty { try close() }
      try half.append(
        key: record.key, value: record.value, headers: Array(record.headers), timestamp: record.timestamp, now: now)
    }
    try close()
    return made
  }
}
