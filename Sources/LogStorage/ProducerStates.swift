import Groundwork
import KafkaProtocol

/// What a log remembers of idempotent producers: per producer id the epoch and the last five batches, so that a batch
/// sent again is answered with the offset it already has, and a gap is noticed (KIP-98; five, because that is how many
/// requests a producer may have in flight); and where its open transaction begins.
struct ProducerStates: Equatable {
  static let rememberedBatches = 5

  struct Batch: Equatable {
    var firstSequence: Int32
    var lastSequence: Int32
    var baseOffset: Int64
    var timestamp: Int64
  }

  struct Producer: Equatable {
    var epoch: Int16
    /// When its last batch or marker came, in milliseconds: an idle producer is forgotten.
    var lastTimestamp: Int64
    /// Oldest first.
    var batches: [Batch]
    /// Of the coordinator that wrote its last marker; -1: none has.
    var coordinatorEpoch: Int32 = -1
    /// The first offset of its open transaction; nil: none is open.
    var transactionStart: Int64?
  }

  enum Verdict: Equatable {
    case next
    /// It was appended before.
    case duplicate(Batch)
    case outOfOrder(expected: Int32)
    case staleEpoch(current: Int16)
    /// A batch outside of the transaction that the producer has open.
    case notTransactional
  }

  private(set) var producers: [Int64: Producer] = [:]
  /// The transactions that have no marker yet, by their first offsets, which ascend.
  private(set) var open: [OpenTransaction] = []

  struct OpenTransaction: Equatable {
    var firstOffset: Int64
    var producerID: Int64
  }

  /// What to do with a batch. An unknown producer may begin with any sequence, as in Kafka: its earlier batches may
  /// have been deleted by retention.
  func judge(_ header: RecordBatchHeader) -> Verdict {
    guard let producer = producers[header.producerID] else { return .next }
    if header.producerEpoch < producer.epoch { return .staleEpoch(current: producer.epoch) }
    if producer.transactionStart != nil, !header.isTransactional { return .notTransactional }
    if header.producerEpoch > producer.epoch {
      return header.baseSequence == 0 ? .next : .outOfOrder(expected: 0)
    }
    let last = header.lastSequence
    if let known = producer.batches.last(where: { $0.firstSequence == header.baseSequence && $0.lastSequence == last })
    {
      return .duplicate(known)
    }
    // Without a batch the epoch is known from a marker alone: it raised the epoch, and the producer counts from 0.
    let expected = producer.batches.last.map { ProducerStates.sequence($0.lastSequence, advancedBy: 1) } ?? 0
    return header.baseSequence == expected ? .next : .outOfOrder(expected: expected)
  }

  /// Takes note of an appended batch of records.
  ///
  /// - Parameter now: when it was appended or, in a recovery, found; in milliseconds.
  mutating func record(_ header: RecordBatchHeader, now: Int64) {
    guard header.isIdempotent, !header.isControl else { return }
    var producer =
      producers[header.producerID] ?? Producer(epoch: header.producerEpoch, lastTimestamp: now, batches: [])
    if producer.epoch != header.producerEpoch {
      producer.epoch = header.producerEpoch
      producer.batches.removeAll()
    }
    producer.lastTimestamp = max(producer.lastTimestamp, now)
    if producer.batches.count == ProducerStates.rememberedBatches { producer.batches.removeFirst() }
    producer.batches.append(
      Batch(
        firstSequence: header.baseSequence, lastSequence: header.lastSequence, baseOffset: header.baseOffset.rawValue,
        timestamp: header.maxTimestamp.milliseconds))
    if header.isTransactional, producer.transactionStart == nil {
      producer.transactionStart = header.baseOffset.rawValue
      open.append(OpenTransaction(firstOffset: header.baseOffset.rawValue, producerID: header.producerID))
    }
    producers[header.producerID] = producer
  }

  /// Takes note of an appended marker.
  ///
  /// - Returns: the transaction it ended; nil where the producer had none open here.
  mutating func end(_ marker: TransactionMarker, at offset: Int64, now: Int64) -> EndedTransaction? {
    var producer =
      producers[marker.producerID] ?? Producer(epoch: marker.producerEpoch, lastTimestamp: now, batches: [])
    if producer.epoch != marker.producerEpoch {
      producer.epoch = marker.producerEpoch
      producer.batches.removeAll()
    }
    producer.coordinatorEpoch = marker.coordinatorEpoch
    producer.lastTimestamp = max(producer.lastTimestamp, now)
    let start = producer.transactionStart
    producer.transactionStart = nil
    producers[marker.producerID] = producer
    guard let start else { return nil }
    open.removeAll { $0.firstOffset == start }
    return EndedTransaction(
      producerID: marker.producerID, firstOffset: start, lastOffset: offset, isCommitted: marker.isCommitted,
      lastStableOffset: open.first?.firstOffset ?? offset + 1)
  }

  /// Forgets producers that have been idle since before `limit` (milliseconds) and have no transaction open.
  mutating func removeIdle(before limit: Int64) {
    producers = producers.filter { $0.value.lastTimestamp >= limit || $0.value.transactionStart != nil }
  }

  /// Sequences run from 0 to 2^31 - 1 and begin again at 0.
  static func sequence(_ sequence: Int32, advancedBy count: Int32) -> Int32 {
    Int32(truncatingIfNeeded: (Int64(sequence) + Int64(count)) & 0x7FFF_FFFF)
  }

  init() {}

  init(_ producers: [Int64: Producer]) {
    self.producers = producers
    open = producers.compactMap { id, producer in
      producer.transactionStart.map { OpenTransaction(firstOffset: $0, producerID: id) }
    }.sorted { $0.firstOffset < $1.firstOffset }
  }
}

/// How a transaction ended, as a partition's log is told.
public struct TransactionMarker: Sendable, Equatable {
  /// Whose transaction.
  public var producerID: Int64
  /// That of the producer or, where the end raises it, the one after: what the partition takes from now on.
  public var producerEpoch: Int16
  /// Of the coordinator that says so; a partition refuses one older than it has seen.
  public var coordinatorEpoch: Int32
  /// Committed, else aborted.
  public var isCommitted: Bool

  /// - Parameter isCommitted: false: aborted.
  public init(producerID: Int64, producerEpoch: Int16, coordinatorEpoch: Int32, isCommitted: Bool) {
    self.producerID = producerID
    self.producerEpoch = producerEpoch
    self.coordinatorEpoch = coordinatorEpoch
    self.isCommitted = isCommitted
  }
}

/// A transaction that a marker ended.
struct EndedTransaction: Equatable {
  var producerID: Int64
  var firstOffset: Int64
  /// Of the marker.
  var lastOffset: Int64
  var isCommitted: Bool
  /// Below it no transaction was open once this one had ended: whatever ends later begins at or above it.
  var lastStableOffset: Int64
}
