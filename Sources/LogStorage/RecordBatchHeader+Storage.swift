import Groundwork
import KafkaProtocol

extension RecordBatchHeader {
  /// The header at the start of `raw`; nil where there is none that may be believed.
  static func read(_ raw: UnsafeRawBufferPointer) -> RecordBatchHeader? {
    try? RecordBatchHeader.parse(raw)
  }

  /// The sequence of the last record of an idempotent producer's batch.
  var lastSequence: Int32 { ProducerStates.sequence(baseSequence, advancedBy: lastOffsetDelta) }
}
