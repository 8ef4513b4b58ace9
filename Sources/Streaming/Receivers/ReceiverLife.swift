import Groundwork

/// When a receiver runs, waits to be started anew, or is done: event in, actions out.
struct ReceiverLife: Sendable, Equatable {
  enum State: Sendable, Equatable {
    /// Not begun: goes to `running`.
    case idle
    /// Receives: goes to `waiting` on trouble, to `ended` when nobody wants it any more.
    case running
    /// Stopped after trouble, to be started when the delay is over: goes to `running` or `ended`.
    case waiting
    /// For good.
    case ended
  }
  enum Action: Sendable, Equatable {
    case reportStarted, start, stop
    case reportError(String)
    case wait(Duration)
    case reportStopped(String)
  }

  private(set) var state = State.idle
  /// Starts after the first.
  private(set) var restarts = 0
  private let delayFirst: Duration
  private let delayMax: Duration
  private var delayNext: Duration

  /// - Parameters:
  ///   - delayFirst: the wait before the first restart; it doubles until something was received.
  ///   - delayMax: the longest wait.
  init(delayFirst: Duration, delayMax: Duration) {
    self.delayFirst = delayFirst
    self.delayMax = max(delayFirst, delayMax)
    delayNext = delayFirst
  }

  mutating func startRequested() -> [Action] {
    guard state == .idle else { return [] }
    state = .running
    return [.reportStarted, .start]
  }

  /// - Parameter delay: how long to wait; nil for the delay that grows.
  mutating func restartRequested(_ reason: String, after delay: Duration?) -> [Action] {
    guard state == .running else { return [] }
    state = .waiting
    let wait = delay ?? delayNext
    if delay == nil { delayNext = min(delayNext * 2, delayMax) }
    return [.stop, .reportError(reason), .wait(wait)]
  }

  mutating func delayPassed() -> [Action] {
    guard state == .waiting else { return [] }
    state = .running
    restarts += 1
    return [.reportStarted, .start]
  }

  /// Something was received: trouble that comes now is new trouble.
  mutating func received() { delayNext = delayFirst }

  mutating func stopRequested(_ reason: String) -> [Action] {
    switch state {
    case .running:
      state = .ended
      return [.stop, .reportStopped(reason)]
    case .waiting, .idle:
      let wasIdle = state == .idle
      state = .ended
      return wasIdle ? [] : [.reportStopped(reason)]
    case .ended: return []
    }
  }
}
