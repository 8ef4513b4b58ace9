import Groundwork
import Streaming

/// Shows each batch as it completes, one line: number, records, processing time, scheduling delay, lag.
public final class BatchTable: StreamingListener {
  private let context: StreamingContext
  private static let columns = [
    ("batch", 7), ("records", 9), ("processing", 12), ("delay", 10), ("lag", 9),
  ]

  /// Writes to where the context's `print` goes.
  public init(_ context: StreamingContext) { self.context = context }

  /// Writes the line of titles.
  public func onStreamingStarted(_ time: Timestamp) {
    let titles = BatchTable.columns.map { BatchTable.right($0.0, $0.1) }.joined()
    context.environment.print(titles + "\n")
  }

  /// Writes the batch's line, with what was skipped, counted by name, or failed at its end.
  public func onBatchCompleted(_ batch: BatchInfo) {
    let cells = [
      "\(batch.number)", "\(batch.numRecords)", BatchTable.milliseconds(batch.processingDelay),
      BatchTable.milliseconds(batch.schedulingDelay), "\(batch.lag)",
    ]
    var line = zip(cells, BatchTable.columns).map { BatchTable.right($0, $1.1) }.joined()
    if batch.skippedTicks > 0 { line += "  \(batch.skippedTicks) ticks skipped" }
    for (name, count) in batch.counters.sorted(by: { $0.key < $1.key }) { line += "  \(name): \(count)" }
    if let failure = batch.failureReason { line += "  \(batch.isDiscarded ? "given up" : "failed"): \(failure)" }
    context.environment.print(line + "\n")
  }

  private static func milliseconds(_ duration: Duration?) -> String {
    guard let duration else { return "-" }
    let tenths = duration.inNanoseconds / 100_000
    return "\(tenths / 10).\(tenths % 10) ms"
  }

  private static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(1, width - text.count)) + text
  }
}
