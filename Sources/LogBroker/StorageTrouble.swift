import Groundwork
import KafkaProtocol
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
  /// - Parameter what: could not be done, with a colon and a space behind it.
  func storageFailed(_ error: LogError, _ what: String = "") {
    report(.warning, "\(what)\(error)")
    guard KafkaErrorCode(error) == .kafkaStorageError else { return }
    if storageTrouble.failed(at: loop.now) { configuration.storageFailed(error) }
  }
}
