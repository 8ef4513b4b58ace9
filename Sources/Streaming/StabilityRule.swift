import Groundwork

/// Whether a job keeps up with its input: batches must be processed within the interval (Spark's guide, "Setting the Right
/// Batch Interval"). Decided over the last ten batches, so that one slow batch says nothing.
public struct StabilityRule: Sendable {
  /// How many batches are looked at.
  public static let batches = 10
  private let interval: Duration
  /// Whether each of the last batches took longer than the interval, oldest first.
  private var overruns: [Bool] = []
  /// Whether the job keeps up, as far as can be told: true until ten batches have run.
  public private(set) var isStable = true

  /// - Parameter interval: the batch interval.
  public init(interval: Duration) { self.interval = interval }

  /// Takes in a batch that was committed. Unstable is a job of whose last ten batches more than half took longer than the
  /// interval, and it is stable again when at most two did.
  /// - Parameter cadence: the batch's `BatchInfo.cadence`.
  /// - Returns: the new state where it has changed.
  public mutating func batchCompleted(cadence: Duration) -> Bool? {
    overruns.append(cadence > interval)
    if overruns.count > StabilityRule.batches { overruns.removeFirst() }
    guard overruns.count == StabilityRule.batches else { return nil }
    let count = overruns.count { $0 }
    let changed = isStable ? count > StabilityRule.batches / 2 : count <= StabilityRule.batches / 5
    guard changed else { return nil }
    isStable.toggle()
    return isStable
  }
}

/// Tells the operator of a job when it stops keeping up, and when it does again.
///
/// Sendable: listeners are called on the driver's loop only.
final class StabilityWatch: StreamingListener, @unchecked Sendable {
  private let interval: Duration
  private let log: @Sendable (String) -> Void
  private var rule: StabilityRule

  init(interval: Duration, log: @escaping @Sendable (String) -> Void) {
    self.interval = interval
    self.log = log
    rule = StabilityRule(interval: interval)
  }

  func onBatchCompleted(_ batch: BatchInfo) {
    guard batch.failureReason == nil, let delay = batch.cadence else { return }
    switch rule.batchCompleted(cadence: delay) {
    case nil: break
    case false:
      log(
        "the job does not keep up: most of its last \(StabilityRule.batches) batches took longer than the interval of "
          + "\(interval.text), the last one \(Duration.milliseconds(delay.inMilliseconds).text); give it a longer "
          + "interval or more executors")
    case true:
      log("the job keeps up again: its batches take less than the interval of \(interval.text)")
    }
  }
}
