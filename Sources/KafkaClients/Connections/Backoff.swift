import Groundwork
import KafkaProtocol

/// Growing pauses between attempts: doubled each time up to a limit, spread by 20% to either side, so that many clients
/// do not come back at once (as KIP-580 has it).
struct Backoff: Sendable {
  var base: Duration
  var max: Duration

  /// The pause after `failures` failures in a row, the first of which is 1.
  /// - Parameter unit: uniform in 0 ..< 1.
  func pause(failures: Int, unit: Double) -> Duration {
    let factor = Double(UInt64(1) << UInt64(Swift.min(Swift.max(failures - 1, 0), 20)))
    let seconds = Swift.min(base.inSeconds * factor, max.inSeconds)
    return .nanoseconds(Int64(seconds * (0.8 + 0.4 * unit) * 1e9))
  }
}

extension KafkaErrorCode {
  /// Whether what stands in the way is a transaction that is just ending.
  var passesQuickly: Bool { self == .concurrentTransactions || self == .unstableOffsetCommit }
}
