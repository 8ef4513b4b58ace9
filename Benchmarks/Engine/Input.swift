import BenchmarkWorkload
import KafkaProtocol
import Sluice

/// The input: record batches in memory, one list a partition. What two executors read at the same time shares nothing, as
/// topic partitions do not.
struct Input: Sendable {
  private let batches: [[Bytes]]
  let records: Int
  let recordsPerBatch: Int
  /// The values of one record batch.
  let lines: [Bytes]
  /// Record batches of a partition.
  let depth: Int

  init(records wanted: Int, partitions: Int) throws {
    let workload = Workload(batchSize: 1 << 20, seed: 1)
    var builder = RecordBatchBuilder(capacity: 1 << 20)
    let batch = try workload.encode(&builder, .none, CodecWorkspace())
    recordsPerBatch = workload.records.count
    depth = max(1, (wanted + recordsPerBatch * partitions - 1) / (recordsPerBatch * partitions))
    let depth = depth
    batches = (0..<partitions).map { _ in Array(repeating: batch.copied, count: depth) }
    records = depth * partitions * recordsPerBatch
    lines = workload.records
  }

  /// The values of all records as a dataset, or those of a part of each partition's record batches.
  func dataset(_ context: SluiceContext, _ part: Range<Int>? = nil) -> RDD<Bytes> {
    let batches = batches
    let part = part ?? 0..<depth
    // A light operator's work, in nanoseconds a record.
    let weight = Int64(part.count * recordsPerBatch) * 40
    return RDD(
      context, label: "records", partitionCount: batches.count, dependencies: [], weight: { _ in weight }
    ) { partition, task, emit in
      let workspace = task.locals.object(CodecWorkspace.self) { CodecWorkspace() }
      var chunk = Chunk<Bytes>()
      for batch in batches[partition][part] {
        try RecordBatch(batch).forEachRecord(using: workspace) { record in
          chunk.append(record.value!)
          if chunk.count == Chunk<Bytes>.usualCapacity {
            try emit(chunk.view)
            chunk.clear()
          }
        }
      }
      if chunk.count > 0 { try emit(chunk.view) }
    }
  }

  /// Every value, or those of a part, in order, on this thread.
  func visit(_ part: Range<Int>? = nil, _ body: (Bytes) throws -> Void) throws {
    let workspace = CodecWorkspace()
    for list in batches {
      for batch in list[part ?? 0..<depth] {
        try RecordBatch(batch).forEachRecord(using: workspace) { try body($0.value!) }
      }
    }
  }
}
