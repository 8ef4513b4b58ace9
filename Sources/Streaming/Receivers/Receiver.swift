import Groundwork

/// Brings data from outside into a stream: what Spark calls a custom receiver.
///
/// The engine calls it on the receivers' loop, beside the driver's, and it must return soon: what waits for data does so
/// by callbacks, or on a thread of its own. What arrives goes to the supervisor, from any thread.
///
/// An **unreliable** receiver stores and forgets. A **reliable** one confirms to its sender what `store(_:stored:)` says
/// is stored: with the write-ahead log (`sluice.streaming.receiver.writeAheadLog.enable`) that outlives the process, so
/// that nothing confirmed is lost.
public protocol Receiver<Element>: AnyObject, Sendable {
  /// What it gives.
  associatedtype Element: Sendable

  /// Begins to receive; again after each restart.
  /// - Parameter supervisor: takes what arrives, and hears of trouble.
  func onStart(_ supervisor: ReceiverSupervisor<Element>)

  /// Ends what `onStart` has begun. What is stored after that is refused until the next start.
  func onStop()

  /// After `store` has asked for a pause by `false`: data is welcome again.
  func onResume()
}

extension Receiver {
  /// Does nothing: for receivers that cannot hold their sender back.
  public func onResume() {}
}

/// A receiver, as listeners hear of it.
public struct ReceiverInfo: Sendable, Equatable {
  /// The number of the stream among the receivers' of its job, counted from 0.
  public var streamID: Int
  /// The source's name: `socketText(localhost:9999)`.
  public var name: String
  /// Whether it receives.
  public var isActive: Bool
  /// How often it was started anew.
  public var restarts: Int
  /// What went wrong last; nil where nothing did.
  public var lastError: String?

  /// - Parameters:
  ///   - streamID: counted from 0.
  ///   - name: the source's name.
  ///   - isActive: whether it receives.
  ///   - restarts: how often it was started anew.
  ///   - lastError: what went wrong last.
  public init(streamID: Int, name: String, isActive: Bool, restarts: Int = 0, lastError: String? = nil) {
    self.streamID = streamID
    self.name = name
    self.isActive = isActive
    self.restarts = restarts
    self.lastError = lastError
  }
}
