import Codecs
import Datasets
import Groundwork
import KafkaProtocol

/// Datasets of exact offset ranges: one partition a range.
enum KafkaDataset {
  /// Expected work, in nanoseconds, per compressed byte: decompression, walk, and a light operator.
  private static let weightPerByte: Int64 = 3

  /// - Parameters:
  ///   - ranges: with the bytes expected of each.
  ///   - offsetsLost: counted under `offsetsLost` by whoever computes the dataset.
  ///   - fetch: how a range that is not in memory is fetched again.
  static func records(
    _ context: SluiceContext, _ ranges: [(range: OffsetRange, bytes: Int)], from fetched: FetchedBatches,
    offsetsLost: Int64 = 0, fetch: @escaping @Sendable (OffsetRange) -> any FetchableInput
  ) -> RDD<ConsumerRecord> {
    let dataset = RDD<ConsumerRecord>(
      context, label: "topics", partitionCount: max(1, ranges.count), dependencies: [],
      weight: { $0 < ranges.count ? 2_000 + Int64(ranges[$0].bytes) * weightPerByte : 0 }
    ) { partition, task, emit in
      if partition == 0, offsetsLost > 0 { task.count("offsetsLost", offsetsLost) }
      guard partition < ranges.count else { return }
      let range = ranges[partition].range
      if range.isEmpty { return }
      guard let batches = fetched.batches(range) else { throw InputMissing(fetch(range)) }
      try read(range, batches, task, emit)
    }
    dataset.offsetRanges = ranges.map(\.range)
    return dataset
  }

  /// Walks the records of a range. A fetch may begin inside a batch and end inside one: what lies outside the range is
  /// skipped. Markers and aborted transactions are not among the batches any more: `RangeChoice`, `RangeFetch.readable`.
  private static func read(
    _ range: OffsetRange, _ batches: [Bytes], _ task: TaskContext,
    _ emit: (UnsafeBufferPointer<ConsumerRecord>) throws -> Void
  ) throws {
    let workspace = task.locals.object(CodecWorkspace.self) { CodecWorkspace() }
    let shared = task.locals.object(ConsumerRecordBuffer.self) { ConsumerRecordBuffer() }
    let buffer = shared.isInUse ? ConsumerRecordBuffer() : shared
    buffer.isInUse = true
    defer {
      buffer.removeAll()
      buffer.isInUse = false
    }
    let topic = range.topic
    let partition = range.partition
    // A task may read several ranges, and fail when it is through with them.
    let before = task.inputPosition.map { read in { read() + " or " } } ?? { "" }
    task.inputPosition = { before() + position(range.topicPartition, range.from, range.until) }
    /// Lends a chunk; where what is done with it throws, says at which record.
    func lend(_ records: UnsafeBufferPointer<ConsumerRecord>) throws {
      do { try emit(records) } catch {
        let failed = failedIndex(records, error, task, emit).map { $0...$0 } ?? 0...records.count - 1
        let (first, last) = (records[failed.lowerBound].offset, records[failed.upperBound].offset)
        task.inputPosition = { position(range.topicPartition, first, last + 1) }
        throw error
      }
    }
    for bytes in batches {
      let section: RecordSection
      do {
        let batch = try RecordBatch(bytes)
        section = try batch.records(using: workspace)
      } catch {
        // The error names the range itself.
        task.inputPosition = nil
        throw UnreadableRange(range: range, reason: error)
      }
      // The buffer's records point into the section's memory: it is emptied before the section goes.
      try withExtendedLifetime(section) {
        try section.forEachRecord(from: range.from, until: range.until) { record in
          buffer.append(record, topic: topic, partition: partition)
          if buffer.isFull {
            task.recordsRead += buffer.count
            try buffer.flush(lend)
          }
        }
        task.recordsRead += buffer.count
        try buffer.flush(lend)
      }
    }
  }

  /// Which record of a chunk an operator threw at: the attempt has failed, so its records can be lent once more, one by
  /// one, and the one that gives the same error is it. That costs nothing as long as nothing fails.
  /// - Returns: nil where the operator does not look at records one by one, or the error does not come again.
  private static func failedIndex(
    _ records: UnsafeBufferPointer<ConsumerRecord>, _ error: any Error, _ task: TaskContext,
    _ emit: (UnsafeBufferPointer<ConsumerRecord>) throws -> Void
  ) -> Int? {
    guard task.hasFailedAtElement, !(error is TaskCancelled || error is InputMissing || error is ShuffleOutputMissing)
    else { return nil }
    for index in records.indices {
      do { try emit(UnsafeBufferPointer(rebasing: records[index...index])) } catch let again {
        return "\(again)" == "\(error)" ? index : nil
      }
    }
    return nil
  }
}

/// Where records stand, for people: `flights-0, offset 1234`, or `flights-0, offsets 1200 to 1299`.
private func position(_ partition: TopicPartition, _ from: Offset, _ until: Offset) -> String {
  until - from == 1 ? "\(partition), offset \(from)" : "\(partition), offsets \(from) to \(until.rawValue - 1)"
}

/// A range holds bytes that are no record batches.
struct UnreadableRange: DiagnosableError {
  var range: OffsetRange
  var reason: RecordBatchError
  var fault: Fault { .peer }
  var isRetriable: Bool { true }
  var leavesUsable: Bool { true }
  var description: String { "\(range.topicPartition), offsets \(range.from) to \(range.until): \(reason)" }
}
