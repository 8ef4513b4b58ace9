import Codecs
import Groundwork
import KafkaProtocol

/// The batch that collects records of one partition.
///
/// Confined to the producer's loop.
final class RecordAccumulator {
  private var builder: RecordBatchBuilder
  /// When the first record came.
  private(set) var openedAt = Instant(nanoseconds: 0)

  init(batchSize: Int) { builder = RecordBatchBuilder(capacity: min(batchSize, 1 << 20)) }

  var isEmpty: Bool { builder.isEmpty }
  var size: Int { builder.uncompressedSize }
  var recordCount: Int32 { builder.recordCount }

  func append(
    key: Bytes?, value: Bytes?, headers: [RecordHeader], timestamp: Timestamp, now: Instant
  ) throws(RecordBatchError) {
    if builder.isEmpty { openedAt = now }
    try builder.append(key: key, value: value, headers: headers, timestamp: timestamp)
  }

  /// The batch of what was collected; the accumulator is empty afterwards, also where this throws.
  func finish(_ settings: RecordBatchSettings, _ workspace: CodecWorkspace) throws(RecordBatchError) -> Bytes {
    defer { builder.reset() }
    return try builder.finish(settings, using: workspace)
  }
}
