import Datasets
import Groundwork
import JobScheduling

/// Decides before every batch how much it may take of one source, so that processing keeps up: backpressure.
///
/// Without a remembered rate the first batch takes a probe of 1,000 records a partition, and from there on a batch may
/// take at most twice as much as the one before: a backlog never makes one giant batch. Measurements are gathered over at
/// least 100 ms, whatever the interval, and only count where the job had work to do: an idle job's few records say nothing
/// about its speed. The rate is kept with every batch, and a restart begins with it.
///
/// Sendable: confined to the driver's loop.
package final class RateController: BatchParticipant, @unchecked Sendable {
  /// Records a partition in the first batch of all.
  package static let probePerPartition = 1_000
  /// More than any batch has: where doubling ends.
  static let recordsMaxMax = 1 << 40
  /// The shortest time to measure over.
  package static let windowMin = Duration.milliseconds(100)

  package let key: String
  /// A restart without its note probes anew.
  package var isNoteEssential: Bool { false }
  private let source: any StreamSource
  private let interval: Duration
  private var estimator: PIDRateEstimator
  private let parameters: PIDRateEstimator.Parameters
  private let initialRate: Double?
  /// The decision for the batch that is planned or runs.
  package private(set) var decision: RateDecision
  /// The most that the last batch could take, and whether that was what bounded it.
  private var lastMax: Int?
  private var wasLimited = false
  /// What was measured since the last estimate.
  private var window = Window()

  private struct Window {
    var start: Instant?
    var records = 0
    var processing = Duration.zero
    var scheduling = Duration.zero
    var isBusy = false
  }

  /// - Parameters:
  ///   - source: one that takes limits.
  ///   - name: its unique name in the job.
  ///   - setting: settings by name.
  /// - Throws: `StreamingError.invalidDefinition` for a setting that is none.
  package init(
    _ source: any StreamSource, name: String, interval: Duration, setting: (String) -> String?
  ) throws(StreamingError) {
    key = "rate \(name)"
    self.source = source
    self.interval = interval
    parameters = try PIDRateEstimator.Parameters(setting: setting)
    initialRate = try RateController.initialRate(setting)
    estimator = PIDRateEstimator(parameters, interval: interval, rate: initialRate)
    decision = RateDecision(recordsMax: nil, reason: "")
  }

  private static func initialRate(_ setting: (String) -> String?) throws(StreamingError) -> Double? {
    let key = "sluice.streaming.backpressure.initialRate"
    guard let text = setting(key) else { return nil }
    guard let rate = Double(text), rate > 0, rate.isFinite else {
      throw .invalidDefinition("\(key): `\(text)` is not a number of records a second above 0")
    }
    return rate
  }

  package func restore(_ last: RestorePoint?) throws(StreamingError) {
    if let rate = last?.note.flatMap({ Double($0) }), rate > 0, rate.isFinite {
      estimator = PIDRateEstimator(parameters, interval: interval, rate: rate)
    }
    // A receiver begins to receive before there is a batch to plan.
    willPlan()
  }

  package func willPlan() {
    let partitions = max(1, source.limitedPartitions)
    let probe = RateController.probePerPartition * partitions
    let mayGrow = wasLimited || estimator.rate != nil
    let doubled = lastMax.map { mayGrow ? min($0 * 2, RateController.recordsMaxMax) : $0 }
    if let rate = estimator.rate {
      let wanted = max(partitions, Int(min(rate * interval.inSeconds, Double(RateController.recordsMaxMax))))
      if let doubled, doubled < wanted {
        decision = RateDecision(
          recordsMax: doubled, rate: rate,
          reason: "at most twice the batch before, on the way to \(Int(rate)) records/s")
      } else {
        decision = RateDecision(recordsMax: wanted, rate: rate, reason: "backpressure: \(Int(rate)) records/s")
      }
    } else if !source.isProbed {
      decision = RateDecision(recordsMax: nil, reason: "not known yet")
    } else {
      decision = RateDecision(
        recordsMax: max(probe, doubled ?? 0),
        reason: lastMax == nil ? "a probe of the first batch" : "at most twice the batch before")
    }
    source.limit(decision)
  }

  package func note(for batch: BatchIdentity, _ metrics: JobMetrics) -> String? {
    // Whole numbers, so that an idle job's note does not change from batch to batch.
    estimator.rate.map { "\(Int(min($0, 1e15)))" }
  }

  package func committed(_ info: BatchInfo) {
    guard let processing = info.cadence, let scheduling = info.schedulingDelay,
      let end = info.processingEndTime, let input = info.inputs.first(where: { "rate \($0.source)" == key })
    else { return }
    window.start = window.start ?? info.processingStartTime
    window.records += input.plan.records
    window.processing += processing
    window.scheduling = scheduling
    // Another batch may have been planned meanwhile.
    let decision = info.rates[input.source] ?? decision
    // A topic's ranges end between record batches, so they stay below the limit that keeps them from being larger.
    let isLimited =
      decision.recordsMax.map { input.plan.records >= $0 || input.plan.limitReason == RateDecision.limitReason }
      ?? false
    lastMax = decision.recordsMax
    wasLimited = isLimited
    window.isBusy = window.isBusy || isLimited || processing + scheduling > interval * 0.5
    guard let start = window.start, end - start >= RateController.windowMin || window.processing >= interval else {
      return
    }
    if window.isBusy {
      estimator.update(
        time: end, records: window.records, processingDelay: window.processing, schedulingDelay: window.scheduling)
    }
    window = Window()
  }
}
