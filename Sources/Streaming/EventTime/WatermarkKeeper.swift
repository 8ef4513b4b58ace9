import Datasets
import Groundwork
import JobScheduling

/// Keeps a stream's watermark from batch to batch and over restarts: batch N goes by what the batches before N have seen,
/// and its plan says what that was, so that it is the same when the batch is run again.
///
/// Sendable: defined by one thread before the context starts; afterwards only the driver's loop touches it. Tasks hear the
/// names under which they report by value.
@usableFromInline package final class WatermarkKeeper: BatchParticipant, @unchecked Sendable {
  private let context: StreamingContext
  private let tracker0: WatermarkTracker
  private var tracker: WatermarkTracker
  /// With the batch that was computed, until it is decided: what the one behind it goes by.
  private var next: (batch: BatchNumber, tracker: WatermarkTracker)?
  private var stream: AnyDStream?
  /// Of the batch planned last and of the one before it, which may be on its way still.
  private var planned: [(batch: BatchNumber, watermark: Int64?)] = []
  private var inputs: [WatermarkTracker.Input] = []
  private var saidWhole = false

  @usableFromInline package init(_ context: StreamingContext, delay: Duration, idleTimeout: Duration?) {
    self.context = context
    tracker0 = WatermarkTracker(
      delay: max(0, delay.inMilliseconds), idleTimeout: idleTimeout.map { max(0, $0.inMilliseconds) })
    tracker = tracker0
  }

  @usableFromInline package func bind(to stream: AnyDStream) {
    self.stream = stream
    context.add(participant: self)
  }

  package var key: String { "watermark \(streamName)" }

  /// The name of the stream whose event time it keeps.
  var streamName: String { stream?.name ?? "" }

  /// The watermark that a batch goes by; nil before the first record.
  package func watermark(_ frame: BatchFrame) -> Timestamp? {
    planned.last { $0.batch == frame.number }.flatMap(\.watermark).map { Timestamp(milliseconds: $0) }
  }

  /// As of the last committed batch, in milliseconds: what the next batch goes by.
  package var latestWatermark: Int64? { tracker.watermark }

  /// The names under which the tasks of a batch report the latest event time of their partition.
  @usableFromInline package func reportNames(_ dataset: AnyRDD, _ frame: BatchFrame) -> [String] {
    let prefix = key
    let ranges = source.map { frame.plans.indices.contains($0) ? frame.plans[$0].ranges : [] } ?? []
    guard isDirect(dataset), ranges.count == dataset.partitionCount, !ranges.isEmpty else {
      if !saidWhole, !ranges.isEmpty {
        saidWhole = true
        context.environment.log(
          "\(prefix): what comes before withEventTime mixes the topic's partitions, so event time is kept for them as a "
            + "whole; call withEventTime right behind the source to keep it for each")
      }
      inputs = [.init(name: "all", isCaughtUp: ranges.isEmpty || isCaughtUp(frame, ranges))]
      return Array(repeating: "\(prefix)/all", count: dataset.partitionCount)
    }
    inputs = ranges.map { range in
      .init(name: "\(range.topicPartition)", isCaughtUp: range.isEmpty && isCaughtUp(frame, [range]))
    }
    return ranges.map { "\(prefix)/\($0.topicPartition)" }
  }

  private func isCaughtUp(_ frame: BatchFrame, _ ranges: [OffsetRange]) -> Bool {
    guard let source else { return true }
    return ranges.allSatisfy { range in
      if let left = context.sources[source].lag(of: range.topicPartition) { return left <= 0 }
      return frame.plans[source].limitReason == nil
    }
  }

  /// The one source of the stream; nil where it has several.
  private var source: Int? {
    var found: Set<Int> = []
    var pending: [AnyDStream] = stream.map { [$0] } ?? []
    while let next = pending.popLast() {
      if let source = context.sourceOfStream[next.operatorIndex] { found.insert(source) }
      pending += next.parents
    }
    return found.count == 1 ? found.first : nil
  }

  /// Whether each partition is computed from the source's partition of the same number.
  private func isDirect(_ dataset: AnyRDD) -> Bool {
    var current = dataset
    while let first = current.dependencies.first {
      guard current.dependencies.count == 1, case .narrow(let parent) = first,
        parent.partitionCount == dataset.partitionCount
      else { return false }
      current = parent
    }
    return true
  }

  // MARK: BatchParticipant

  package func restore(_ last: RestorePoint?) throws(StreamingError) {
    tracker = tracker0
    guard let note = last?.note else { return }
    guard tracker.take(note) else {
      throw .checkpoint(
        "the commit log's note of '\(key)' is not understood: run the release that wrote it, or start anew with another "
          + "checkpoint folder")
    }
  }

  package func plan(_ batch: BatchIdentity, _ plans: [SourcePlan]) -> String? {
    let watermark = (next?.tracker ?? tracker).watermark
    take(batch, watermark)
    return watermark.map(String.init) ?? "-"
  }

  package func replan(_ batch: BatchIdentity, _ plans: [SourcePlan], note: String?) {
    let known = (next?.tracker ?? tracker).watermark
    var watermark = note.map { Int64($0) } ?? known
    // A power loss may have taken the decision of a batch that the plan went by, and when it ran again it was passed over:
    // what it had seen is not there any more, and the watermark of the batches to come must not be less than this one's.
    if let noted = watermark { watermark = known.map { min(noted, $0) } }
    take(batch, watermark)
  }

  private func take(_ batch: BatchIdentity, _ watermark: Int64?) {
    planned.removeAll { $0.batch >= batch.number }
    planned.append((batch.number, watermark))
    planned.removeFirst(max(0, planned.count - 2))
    inputs = []
  }

  package func computed(_ batch: BatchIdentity, _ metrics: JobMetrics) { next = after(batch, metrics) }

  package func note(for batch: BatchIdentity, _ metrics: JobMetrics) -> String? {
    let next = next.flatMap { $0.batch == batch.number ? $0 : nil } ?? after(batch, metrics)
    self.next = next
    return next.tracker.text
  }

  private func after(
    _ batch: BatchIdentity, _ metrics: JobMetrics
  ) -> (batch: BatchNumber, tracker: WatermarkTracker) {
    var after = tracker
    let prefix = "\(key)/"
    var latest: [String: Int64] = [:]
    for (name, value) in metrics.maxima where name.hasPrefix(prefix) {
      latest[String(name.dropFirst(prefix.count))] = value
    }
    after.batchRan(at: batch.time.milliseconds, inputs, latest: latest)
    return (batch.number, after)
  }

  package func committed(_ info: BatchInfo) {
    guard let next, next.batch == info.number else { return }
    tracker = next.tracker
    self.next = nil
  }

  package func aborted(_ batch: BatchIdentity) { if next?.batch == batch.number { next = nil } }
}
