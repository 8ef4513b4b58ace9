import Codecs
import Groundwork
import KafkaProtocol

/// The records of one record batch, for benchmarks that need no more: 10,000 words by Zipf's law, 100 bytes a line.
public struct Workload: Sendable {
  /// The values.
  public let records: [Bytes]
  private let lines: Lines

  /// - Parameter batchSize: bytes of records, with what the format adds, that come near to this.
  public init(batchSize: Int, seed: UInt64) {
    lines = Lines(EncodedPool.records(inBatchOf: batchSize), TextShape(seed: seed))
    records = (0..<lines.count).map { [lines] in lines[$0] }
  }

  /// A batch of all records.
  public func encode(
    _ builder: inout RecordBatchBuilder, _ codec: CompressionCodec, _ workspace: CodecWorkspace
  ) throws -> Bytes {
    try EncodedPool.encode(lines, 0..<lines.count, &builder, codec, workspace)
  }
}
