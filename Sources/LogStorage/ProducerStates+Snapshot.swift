import Groundwork
import Journals

// The producers' state as it is kept in snapshots and in the mark of a clean close: a recovery begins with it.

extension ProducerStates {
  /// Version of the snapshot's payload. Version 1 knew no transactions; a log that has one is scanned instead.
  static let snapshotVersion: UInt16 = 2

  /// Appends a count and the producers, by id.
  func encode(to writer: inout ByteWriter) {
    writer.append(bigEndian: UInt32(producers.count))
    for (id, producer) in producers.sorted(by: { $0.key < $1.key }) {
      writer.append(bigEndian: id)
      writer.append(bigEndian: producer.epoch)
      writer.append(bigEndian: producer.lastTimestamp)
      writer.append(bigEndian: producer.coordinatorEpoch)
      writer.append(bigEndian: producer.transactionStart ?? -1)
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
    var producers: [Int64: Producer] = [:]
    for _ in 0..<(try reader.count(ofElementsOfAtLeast: 34)) {
      let id: Int64 = try reader.integer()
      var producer = Producer(epoch: try reader.integer(), lastTimestamp: try reader.integer(), batches: [])
      producer.coordinatorEpoch = try reader.integer()
      let start: Int64 = try reader.integer()
      producer.transactionStart = start < 0 ? nil : start
      for _ in 0..<(try reader.count(ofElementsOfAtLeast: 24)) {
        producer.batches.append(
          Batch(
            firstSequence: try reader.integer(), lastSequence: try reader.integer(), baseOffset: try reader.integer(),
            timestamp: try reader.integer()))
      }
      producers[id] = producer
    }
    self.init(producers)
  }
}
