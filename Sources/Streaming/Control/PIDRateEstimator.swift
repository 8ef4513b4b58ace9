import Groundwork

/// Estimates how many records a second a job can take in: Spark's proportional-integral-derivative controller, with the
/// rate that the last batches were processed at as its set point (Spark, `PIDRateEstimator.scala`). Pure.
package struct PIDRateEstimator: Sendable, Equatable {
  /// The weights of the controller's parts; Spark's names and defaults.
  package struct Parameters: Sendable, Equatable {
    /// Of the present error.
    package var proportional = 1.0
    /// Of what has piled up in scheduling delay.
    package var integral = 0.2
    /// Of the error's change.
    package var derivative = 0.0
    /// Records a second below which no estimate goes.
    package var minRate = 100.0

    /// Spark's defaults.
    package init() {}

    /// From the settings `sluice.streaming.backpressure.pid.*`.
    /// - Throws: `StreamingError.invalidDefinition` for a value that is no number in range.
    package init(setting: (String) -> String?) throws(StreamingError) {
      proportional = try Parameters.read("proportional", proportional, setting)
      integral = try Parameters.read("integral", integral, setting)
      derivative = try Parameters.read("derived", derivative, setting)
      minRate = try Parameters.read("minRate", minRate, setting)
      guard minRate > 0 else {
        throw .invalidDefinition("sluice.streaming.backpressure.pid.minRate: choose a rate above 0")
      }
    }

    private static func read(
      _ name: String, _ fallback: Double, _ setting: (String) -> String?
    ) throws(StreamingError) -> Double {
      let key = "sluice.streaming.backpressure.pid.\(name)"
      guard let text = setting(key) else { return fallback }
      guard let value = Double(text), value >= 0, value.isFinite else {
        throw .invalidDefinition("\(key): `\(text)` is not a number of 0 or more")
      }
      return value
    }
  }

  /// The parameters it was made with.
  package let parameters: Parameters
  /// Records a second; nil before there is an estimate.
  package private(set) var rate: Double?
  private let interval: Duration
  private var lastTime: Instant?
  private var lastError = 0.0

  /// - Parameters:
  ///   - interval: the batch interval.
  ///   - rate: a rate to begin with, as remembered from an earlier run.
  package init(_ parameters: Parameters, interval: Duration, rate: Double? = nil) {
    self.parameters = parameters
    self.interval = interval
    self.rate = rate
  }

  /// Takes in what was measured.
  /// - Parameters:
  ///   - time: when the processing ended.
  ///   - records: how many were processed; 0 changes nothing.
  ///   - processingDelay: in how long.
  ///   - schedulingDelay: how long the last batch had to wait.
  package mutating func update(
    time: Instant, records: Int, processingDelay: Duration, schedulingDelay: Duration
  ) {
    guard records > 0, processingDelay > .zero else { return }
    let processingRate = Double(records) / processingDelay.inSeconds
    guard let lastTime, let lastRate = rate else {
      self.lastTime = time
      rate = rate ?? max(processingRate, parameters.minRate)
      return
    }
    let elapsed = (time - lastTime).inSeconds
    guard elapsed > 0 else { return }
    let error = lastRate - processingRate
    let historicalError = schedulingDelay.inSeconds * processingRate / interval.inSeconds
    let errorChange = (error - lastError) / elapsed
    rate = max(
      lastRate - parameters.proportional * error - parameters.integral * historicalError
        - parameters.derivative * errorChange, parameters.minRate)
    lastError = error
    self.lastTime = time
  }
}
