import Groundwork
import KafkaProtocol
import Synchronization

/// A transaction that a fetch answer names as aborted: records of this producer from the offset on, up to the marker.
public struct AbortedTransaction: Hashable, Comparable, Sendable {
  /// Whose records.
  public var producerID: Int64
  /// The transaction's first record in this partition.
  public var firstOffset: Offset
  /// As the fetch answer names it.
  public init(producerID: Int64, firstOffset: Offset) {
    self.producerID = producerID
    self.firstOffset = firstOffset
  }
  public static func < (a: AbortedTransaction, b: AbortedTransaction) -> Bool {
    a.firstOffset != b.firstOffset ? a.firstOffset < b.firstOffset : a.producerID < b.producerID
  }
}

/// A record batch as it came off the socket, with what its header says.
public struct BufferedBatch: Sendable {
  /// Read and checked once, when the answer came.
  public let header: RecordBatchHeader
  /// The whole batch, header and all, still compressed: a slice of the answer's frame.
  public let bytes: Bytes
  /// The aborted transactions that the answer named; empty unless `readCommitted` was asked for.
  public let aborted: [AbortedTransaction]
}

/// What is known of one partition at one moment.
public struct PartitionSnapshot: Sendable {
  /// Whose state this is.
  public let partition: TopicPartition
  /// Everything that exists in `[startOffset, nextOffset)` is in `batches`.
  public let startOffset: Offset
  /// Where the next fetch goes on.
  public let nextOffset: Offset
  /// In offset order.
  public let batches: [BufferedBatch]
  /// Bytes of the batches.
  public let bufferedBytes: Int
  /// nil before the first answer.
  public let highWatermark: Offset?
  /// nil before the first answer, and from brokers before 0.11.
  public let lastStableOffset: Offset?
  /// The first offset that is still there; nil before the first answer, and from brokers before 0.11.
  public let logStartOffset: Offset?
}

/// A piece of a partition, taken out of the buffer or fetched for itself.
public struct FetchedRange: Sendable {
  /// Whole batches; the first may begin before the range, the last end behind it.
  public var batches: [Bytes]
  /// How far the batches go; at least the range's end, unless a limit in bytes came first.
  public var nextOffset: Offset
  /// In order, each once.
  public var aborted: [AbortedTransaction]
}

/// The raw record batches that fetches have brought and nobody has released yet.
///
/// The fetcher fills it on its loop; the driver looks, takes and releases from its own thread: a lock guards it, held for
/// a few moves and no I/O.
public final class FetchBuffer: Sendable {
  private struct Partition {
    var startOffset: Offset
    var nextOffset: Offset
    var batches: [BufferedBatch] = []
    var bytes = 0
    var highWatermark: Offset?
    var lastStableOffset: Offset?
    var logStartOffset: Offset?
  }

  private let partitions = Mutex<[TopicPartition: Partition]>([:])

  /// Without partitions: the fetcher adds them.
  public init() {}

  // MARK: For the driver

  /// All partitions, in order. O(partitions); the batches are shared, not copied.
  public func snapshot() -> [PartitionSnapshot] {
    partitions.withLock { all in
      all.sorted { $0.key < $1.key }.map { FetchBuffer.snapshot($0.key, $0.value) }
    }
  }

  /// One partition; nil where it is not fetched.
  public func snapshot(of partition: TopicPartition) -> PartitionSnapshot? {
    partitions.withLock { all in all[partition].map { FetchBuffer.snapshot(partition, $0) } }
  }

  /// The batches of a range; they stay in the buffer until `release`.
  /// - Returns: nil where the buffer does not hold all of the range: it was evicted, or has not arrived.
  public func take(_ range: OffsetRange) -> FetchedRange? {
    partitions.withLock { all in
      guard let found = all[range.topicPartition], found.startOffset <= range.from, range.until <= found.nextOffset
      else { return nil }
      var taken = FetchedRange(batches: [], nextOffset: range.until, aborted: [])
      var aborted: Set<AbortedTransaction> = []
      for batch in found.batches where batch.header.lastOffset >= range.from {
        if batch.header.baseOffset >= range.until { break }
        taken.batches.append(batch.bytes)
        taken.nextOffset = max(taken.nextOffset, batch.header.nextOffset)
        aborted.formUnion(batch.aborted)
      }
      taken.aborted = aborted.sorted()
      return taken
    }
  }

  // MARK: For the fetcher

  /// Drops the batches that lie wholly before `offset`.
  /// - Returns: bytes buffered before and after.
  func release(_ partition: TopicPartition, upTo offset: Offset) -> (before: Int, after: Int) {
    partitions.withLock { all in
      guard var found = all[partition] else { return (0, 0) }
      let before = found.bytes
      let gone = found.batches.firstIndex { $0.header.nextOffset > offset } ?? found.batches.count
      for batch in found.batches[..<gone] { found.bytes -= batch.bytes.count }
      found.batches.removeFirst(gone)
      found.startOffset = max(found.startOffset, min(offset, found.nextOffset))
      all[partition] = found
      return (before, found.bytes)
    }
  }

  func reset(_ partition: TopicPartition, to offset: Offset) {
    partitions.withLock { all in
      var fresh = Partition(startOffset: offset, nextOffset: offset)
      if let known = all[partition] {
        fresh.highWatermark = known.highWatermark
        fresh.lastStableOffset = known.lastStableOffset
        fresh.logStartOffset = known.logStartOffset
      }
      all[partition] = fresh
    }
  }

  func remove(_ partition: TopicPartition) { partitions.withLock { $0[partition] = nil } }

  func append(_ partition: TopicPartition, _ batches: [BufferedBatch], nextOffset: Offset) {
    partitions.withLock { all in
      guard all[partition] != nil else { return }
      all[partition]!.batches += batches
      all[partition]!.bytes += batches.reduce(0) { $0 + $1.bytes.count }
      all[partition]!.nextOffset = max(all[partition]!.nextOffset, nextOffset)
    }
  }

  /// Notes what a broker said; nil leaves a value as it is.
  func note(_ partition: TopicPartition, highWatermark: Offset?, lastStableOffset: Offset?, logStartOffset: Offset?) {
    partitions.withLock { all in
      guard all[partition] != nil else { return }
      if let highWatermark { all[partition]!.highWatermark = highWatermark }
      if let lastStableOffset { all[partition]!.lastStableOffset = lastStableOffset }
      if let logStartOffset { all[partition]!.logStartOffset = logStartOffset }
    }
  }

  func bufferedBytes(_ partition: TopicPartition) -> Int { partitions.withLock { $0[partition]?.bytes ?? 0 } }

  private static func snapshot(_ name: TopicPartition, _ partition: Partition) -> PartitionSnapshot {
    PartitionSnapshot(
      partition: name, startOffset: partition.startOffset, nextOffset: partition.nextOffset,
      batches: partition.batches, bufferedBytes: partition.bytes, highWatermark: partition.highWatermark,
      lastStableOffset: partition.lastStableOffset, logStartOffset: partition.logStartOffset)
  }
}
