import Groundwork
import KafkaProtocol
import SystemInterfaces

/// What a log remembers of a producer, for whoever asks who writes to it (KIP-664).
public struct ProducerDescription: Sendable, Equatable {
  /// The producer's id.
  public var producerID: Int64
  /// Its epoch as last seen.
  public var epoch: Int16
  /// Of its last record; -1: none is remembered.
  public var lastSequence: Int32
  /// When its last batch or marker came, by the broker's wall clock.
  public var lastTime: Timestamp
  /// Of the coordinator that wrote its last marker; -1: none has.
  public var coordinatorEpoch: Int32
  /// Where its open transaction begins; nil: none is open.
  public var transactionStart: Offset?
}

extension PartitionLog {
  /// Below it no transaction is open: how far a reader of committed records gets. At most the high watermark.
  public var lastStableOffset: Offset {
    var limit = highWatermark.rawValue
    if let first = producers.open.first { limit = min(limit, first.firstOffset) }
    if let first = undecided.first { limit = min(limit, first) }
    return max(Offset(limit), startOffset)
  }

  /// The producers that the log remembers, by id. O(n log n).
  public var producerDescriptions: [ProducerDescription] {
    producers.producers.sorted { $0.key < $1.key }.map { id, producer in
      ProducerDescription(
        producerID: id, epoch: producer.epoch, lastSequence: producer.batches.last?.lastSequence ?? -1,
        lastTime: Timestamp(milliseconds: producer.lastTimestamp), coordinatorEpoch: producer.coordinatorEpoch,
        transactionStart: producer.transactionStart.map { Offset($0) })
    }
  }

  /// The producers that have a transaction open here, by its first offset.
  public var openTransactions: [ProducerDescription] {
    let open = Set(producers.open.map(\.producerID))
    return open.isEmpty ? [] : producerDescriptions.filter { open.contains($0.producerID) }
  }

  /// Whether a marker would say nothing new: the log has seen one with this epoch, and no transaction is open since.
  public func hasEnded(_ marker: TransactionMarker) -> Bool {
    guard let producer = producers.producers[marker.producerID] else { return false }
    return producer.transactionStart == nil && producer.epoch >= marker.producerEpoch
  }

  /// The aborted transactions that have records at offsets `from` up to, not including, `until`.
  ///
  /// O(log n) per segment to the first, then one step each.
  public func abortedTransactions(from: Offset, until: Offset) -> [AbortedTransaction] {
    var found: [AbortedTransaction] = []
    guard from < until else { return found }
    for segment in segments[segmentIndex(of: from.rawValue)...] {
      if !segment.transactions.collect(from: from.rawValue, until: until.rawValue, into: &found) { break }
    }
    return found
  }

  /// Appends the marker that ends a producer's transaction.
  ///
  /// - Parameter now: the wall clock; the marker's time.
  /// - Returns: the marker's offset, and its size in bytes. Under `.sync` it is neither durable nor effective for
  ///   readers before `flush`.
  /// - Throws: `.staleProducerEpoch`, `.staleCoordinatorEpoch`: nothing was written. `.file`, `.offline`: nothing was
  ///   written, or the log is offline.
  public func append(_ marker: TransactionMarker, now: Timestamp) throws(LogError) -> (offset: Offset, size: Int) {
    try requireOnline()
    if let producer = producers.producers[marker.producerID] {
      if marker.producerEpoch < producer.epoch {
        throw LogError(
          .staleProducerEpoch(
            producerID: marker.producerID, current: producer.epoch, received: marker.producerEpoch),
          path: directory)
      }
      if marker.coordinatorEpoch < producer.coordinatorEpoch {
        throw LogError(
          .staleCoordinatorEpoch(
            producerID: marker.producerID, current: producer.coordinatorEpoch, received: marker.coordinatorEpoch),
          path: directory)
      }
    }
    let batch: Bytes
    var header: RecordBatchHeader
    do throws(RecordBatchError) {
      batch = try ControlRecord(marker.isCommitted ? .commit : .abort, coordinatorEpoch: marker.coordinatorEpoch)
        .batch(producerID: marker.producerID, producerEpoch: marker.producerEpoch, timestamp: now)
      header = try batch.withUnsafeBytes { raw throws(RecordBatchError) in try RecordBatchHeader.parse(raw) }
    } catch {
      throw LogError(.corruptBatch(error.description), path: directory)
    }
    let parts = stamp(batch, &header, .none)
    try write(parts, header, now: now)
    if let ended = producers.end(marker, at: header.baseOffset.rawValue, now: now.milliseconds) {
      active.transactions.append(ended)
      if environment.flushPolicy == .sync { undecided.append(ended.firstOffset) }
    }
    keepInMemory(parts, header, sharedMemory: 0)
    if environment.flushPolicy == .os { highWatermark = endOffset }
    return (header.baseOffset, header.totalSize)
  }

  // MARK: Recovery

  /// Takes note of a batch that a recovery finds at `position` of `segment`.
  func replay(
    _ header: RecordBatchHeader, at position: Int64, of segment: Segment, into states: inout ProducerStates,
    now: Timestamp
  ) throws(FileError) {
    guard header.isControl, header.isIdempotent else {
      states.record(header, now: now.milliseconds)
      return
    }
    let bytes = try segment.file().read(at: position, count: header.totalSize)
    // A control record that is no end of a transaction, or none at all, concerns no producer.
    guard let record = try? RecordBatch(bytes).controlRecord(using: .init()),
      record.kind == .commit || record.kind == .abort
    else { return }
    let marker = TransactionMarker(
      producerID: header.producerID, producerEpoch: header.producerEpoch,
      coordinatorEpoch: record.coordinatorEpoch ?? -1, isCommitted: record.kind == .commit)
    if let ended = states.end(marker, at: header.baseOffset.rawValue, now: now.milliseconds) {
      segment.transactions.append(ended)
    }
  }

  /// Makes the indexes of aborted transactions of the segments before `end` again, from their headers.
  ///
  /// - Returns: the producers' state at the end of the last of them.
  func rebuildTransactions(before end: Int, now: Timestamp) throws(FileError) -> ProducerStates {
    var states = ProducerStates()
    for segment in segments[..<end] {
      segment.resetTransactions()
      var walker = BatchWalker(try segment.file(), from: 0, limit: segment.size)
      while let found = try walker.next() {
        try replay(found.header, at: found.position, of: segment, into: &states, now: now)
      }
      try segment.transactions.seal(in: environment.files)
    }
    return states
  }
}
