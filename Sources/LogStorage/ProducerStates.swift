import Groundwork
import Journals
import KafkaProtocol

/// What a log remembers of idempotent producers: per producer id the epoch and the last five batches, so that a batch
/// sent again is answered with the offset it already has, and a gap is noticed (KIP-98; five, because that is how many
/// requests a producer may have in flight).
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
    /// When its last batch came, in milliseconds: an idle producer is forgotten.
    var lastTimestamp: Int64
    /// Oldest first.
    var batches: [Batch]
  }

  enum Verdict: Equatable {
    case next
    /// It was appended before.
    case duplicate(Batch)
    case outOfOrder(expected: Int32)
    case staleEpoch(current: Int16)
  }

  private(set) var producers: [Int64: Producer] = [:]

  /// What to do with a batch. An unknown producer may begin with any sequence, as in Kafka: its earlier batches may
  /// have been deleted by retention.
  func judge(_ header: RecordBatchHeader) -> Verdict {
    guard let producer = producers[header.producerID] else { return .next }
    if header.producerEpoch < producer.epoch { return .staleEpoch(current: producer.epoch) }
    if header.producerEpoch > producer.epoch {
      return header.baseSequence == 0 ? .next : .outOfOrder(expected: 0)
    }
    let last = header.lastSequence
    if let known = producer.batches.last(where: { $0.firstSequence == header.baseSequence && $0.lastSequence == last })
    {
      return .duplicate(known)
    }
    guard let newest = producer.batches.last else { return .next }
    let expected = ProducerStates.sequence(newest.lastSequence, advancedBy: 1)
    return header.baseSequence == expected ? .next : .outOfOrder(expected: expected)
  }

  /// Takes note of an appended batch.
  ///
  /// - Parameter now: when it was appended or, in a recovery, its newest record was made; in milliseconds.
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
    producers[header.producerID] = producer
  }

  /// Forgets producers that have been idle since before `limit` (milliseconds).
  mutating func removeIdle(before limit: Int64) {
    producers = producers.filter { $0.value.lastTimestamp >= limit }
  }

  /// Sequences run from 0 to 2^31 - 1 and begin again at 0.
  static func sequence(_ sequence: Int32, advancedBy count: Int32) -> Int32 {
    Int32(truncatingIfNeeded: (Int64(sequence) + Int64(count)) & 0x7FFF_FFFF)
  }
}

extension ProducerStates {
  /// Version of the snapshot's payload.
  static let snapshotVersion: UInt16 = 1

  /// Appends a count and the producers, by id.
  func encode(to writer: inout ByteWriter) {
    writer.append(bigEndian: UInt32(producers.count))
    for (id, producer) in producers.sorted(by: { $0.key < $1.key }) {
      writer.append(bigEndian: id)
      writer.append(bigEndian: producer.epoch)
      writer.append(bigEndian: producer.lastTimestamp)
      writer.append(bigEndian: UInt32(producer.batches.count))
      for batch in producer.batches {
        writer.append(bigEndian: batch.firstSequence)
        writer.append(bigEndian: batch.lastSequence)
        writer.append(bigEndian: batch.baseOffset)
        writer.append(bigEndian: batch.timestamp)
      }
    }
  }

  init(from reader: inout PayloadReader) throws(PayloadMalformed) {
    for _ in 0..<(try reader.count(ofElementsOfAtLeast: 22)) {
      let id: Int64 = try reader.integer()
      var producer = Producer(epoch: try reader.integer(), lastTimestamp: try reader.integer(), batches: [])
      for _ in 0..<(try reader.count(ofElementsOfAtLeast: 24)) {
        producer.batches.append(
          Batch(
            firstSequence: try reader.integer(), lastSequence: try reader.integer(), baseOffset: try reader.integer(),
            timestamp: try reader.integer()))
      }
      producers[id] = producer
    }
  }
}
