import Groundwork

/// The first seam: time.
public protocol Clock: Sendable {
  /// Monotonic; what durations and deadlines are measured by.
  var now: Instant { get }
  /// The wall clock; it may step, also backwards.
  var wallTime: Timestamp { get }
}

/// Names a timer of a `Loop`.
public struct TimerID: Hashable, Sendable {
  /// The number that the timer's loop knows it by.
  public let rawValue: UInt64
  /// For implementations of `Loop`.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// A serial context: what runs on one loop never overlaps, so an owner whose state is touched on its loop alone needs no
/// lock. Live it is a thread; in simulation all loops share one thread and one virtual clock.
public protocol Loop: Clock {
  /// Runs `work` on the loop, after what was posted before; callable from anywhere, never runs it inside the call.
  func post(_ work: @escaping @Sendable () -> Void)

  /// Runs `work` on the loop once `instant` has come (at once where it has passed); ties run in the order of the calls.
  @discardableResult
  func at(_ instant: Instant, _ work: @escaping @Sendable () -> Void) -> TimerID

  /// The timer will not run; nothing happens where it has run already. Only on the loop itself.
  func cancel(_ timer: TimerID)

  /// Handles the loop's work, on the loop's own thread, until `done` says so: for a public call that waits for its
  /// result on the loop (an action inside `foreachRDD`). `done` is asked first and after each piece of work. Returns
  /// with `done` unfulfilled only where the loop was stopped (in simulation: its process killed): the caller gives up.
  func pump(until done: () -> Bool)

  /// Ends the loop after the work that was posted before; timers still to come and later posts are dropped. Callable
  /// from anywhere; a second call does nothing.
  func stop()

  /// Whether the caller runs on this loop.
  var isCurrent: Bool { get }
}

extension Loop {
  /// Runs `work` after `delay`.
  @discardableResult
  public func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void) -> TimerID { at(now + delay, work) }
}
