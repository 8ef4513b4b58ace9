import Groundwork
import LinuxSystem
import Streaming
import Synchronization

extension StreamingContext {
  /// Shows on standard error how far the job has come: a line that redraws itself on a terminal, elsewhere a plain line
  /// every ten seconds, and at the end how much it was.
  /// - Parameter label: what is being done: `etl`.
  public func showProgress(_ label: String) {
    let progress = TransferProgress(
      label, now: environment.world.clock.now, clock: { [environment] in environment.world.clock.now })
    addStreamingListener(progress)
    atEnd { progress.finish() }
  }
}

/// Counts the records and bytes of completed batches and shows them.
private final class TransferProgress: StreamingListener {
  private struct State {
    var meter: ProgressMeter
    var records: Int64 = 0
    var bytes: Int64 = 0
  }
  private let state: Mutex<State>
  private let clock: @Sendable () -> Instant

  init(_ label: String, now: Instant, clock: @escaping @Sendable () -> Instant) {
    let style: ProgressMeter.Style =
      TextOutput.error.isTerminal ? .bar(columns: TextOutput.error.width ?? 80) : .lines(every: .seconds(10))
    state = Mutex(State(meter: ProgressMeter(label, style: style, start: now)))
    self.clock = clock
  }

  func onBatchCompleted(_ batch: BatchInfo) {
    guard batch.failureReason == nil else { return }
    let text = state.withLock { state in
      state.records += Int64(batch.numRecords)
      state.bytes += Int64(batch.inputs.reduce(0) { $0 + $1.plan.bytes })
      return state.meter.update(records: state.records, bytes: state.bytes, now: clock())
    }
    if let text { TextOutput.error.write(text) }
  }

  func finish() {
    let text = state.withLock { $0.meter.finish(records: $0.records, bytes: $0.bytes, now: clock()) }
    TextOutput.error.write(text)
  }
}
