import Groundwork
import LogStorage

/// Whether writing has failed for so long that nobody should wait for it any more. A value without a clock.
struct StorageTrouble: Sendable {
  /// How long writes must have failed.
  static let patience = Duration.seconds(3)
  /// Failures further apart than this are different troubles: producers try again sooner.
  static let pause = Duration.seconds(10)
  private var first: Instant?
  private var last: Instant?

  /// A write has failed.
  /// - Returns: whether that has been going on for too long.
  mutating func failed(at now: Instant) -> Bool {
    if let last, now - last > StorageTrouble.pause { first = nil }
    last = now
    guard let first else {
      self.first = now
      return false
    }
    return now - first >= StorageTrouble.patience
  }
}

extension BrokerState {
  /// Tells whoever runs the broker of a write that has failed.
  func storageFailed(_ error: LogError) {
    report(.warning, "\(error)")
    if storageTrouble.failed(at: loop.now) { configuration.storageFailed(error) }
  }
}
