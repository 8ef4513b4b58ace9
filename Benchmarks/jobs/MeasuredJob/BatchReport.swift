import Sluice
import Synchronization

/// Hears how batches go, and says so at the end.
final class BatchReport: StreamingListener {
  /// One batch that is committed.
  private struct Batch {
    var processing: Double
    var scheduling: Double
    var total: Double
    var lag: Int64
  }
  private struct State {
    var records = 0
    var batches = 0
    var measured: [Batch] = []
    var skipped = 0
    var failed = 0
    /// The commits of the first and of the last batch with records.
    var first: Instant?
    var ended: Instant?
  }
  private let state = Mutex(State())
  private let began: Instant
  private let warmUp: Duration

  /// - Parameters:
  ///   - began: when the job was defined: before it connects to anything.
  ///   - warmUp: from then on; batches that end before are counted, but not measured.
  init(began: Instant, warmUp: Duration) {
    self.began = began
    self.warmUp = warmUp
  }

  func onBatchCompleted(_ batch: BatchInfo) {
    state.withLock { state in
      guard batch.failureReason == nil, let ended = batch.processingEndTime else { return state.failed += 1 }
      if batch.numRecords > 0 {
        state.records += batch.numRecords
        state.batches += 1
        state.first = state.first ?? ended
        state.ended = ended
      }
      guard ended - began >= warmUp else { return }
      state.skipped += batch.skippedTicks
      state.measured.append(
        Batch(
          processing: milliseconds(batch.processingDelay), scheduling: milliseconds(batch.schedulingDelay),
          total: milliseconds(batch.totalDelay), lag: batch.lag))
    }
  }

  private func milliseconds(_ time: Duration?) -> Double { time.map { $0.inSeconds * 1e3 } ?? 0 }

  /// `records=… batches=… seconds=…`, times of batches in milliseconds; of scheduling delay and lag the mean of the first
  /// and of the last quarter of the batches, so that growth shows.
  var text: String {
    state.withLock { state in
      let seconds = state.ended.map { ($0 - began).inSeconds } ?? 0
      var text = "records=\(state.records) batches=\(state.batches) seconds=\(seconds) failed=\(state.failed)"
      if let first = state.first { text += " first_commit_ns=\(first.nanoseconds)" }
      text += " measured=\(state.measured.count) skipped=\(state.skipped)"
      text += percentiles("processing", state.measured.map(\.processing))
      text += percentiles("total", state.measured.map(\.total))
      let quarter = max(1, state.measured.count / 4)
      for (name, part) in [("first", state.measured.prefix(quarter)), ("last", state.measured.suffix(quarter))] {
        let count = Double(max(1, part.count))
        text += " scheduling_ms_\(name)=\(part.reduce(0) { $0 + $1.scheduling } / count)"
        text += " lag_\(name)=\(part.reduce(0) { $0 + Double($1.lag) } / count)"
      }
      return text
    }
  }

  private func percentiles(_ name: String, _ values: [Double]) -> String {
    let sorted = values.sorted()
    func at(_ part: Double) -> Double {
      sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
    }
    return " \(name)_ms_p50=\(at(0.5)) \(name)_ms_p99=\(at(0.99)) \(name)_ms_p999=\(at(0.999)) \(name)_ms_max=\(at(1))"
  }
}
