import Groundwork

/// How a job ended.
package enum JobEnd: Sendable, Equatable {
  case exited(Int32)
  case signalled(Int32)

  /// The code a shell gives it: 128 + the number of the signal.
  package var exitCode: Int32 {
    switch self {
    case .exited(let code): code
    case .signalled(let signal): 128 + signal
    }
  }

  package var description: String {
    switch self {
    case .exited(let code): "exit code \(code)"
    case .signalled(let signal): "signal \(signal)"
    }
  }
}

/// Decides whether a job that ended is started again, and when.
///
/// A job that ends by itself with 0 is done; code 2 is wrong use, which a restart does not mend; a job that was asked
/// to stop has stopped. Any other end is a failure: the job starts again after a pause that doubles with each failure
/// in a row. A run as long as the crash window counts as healthy, and the pause begins anew. As many failures as the
/// limit within the window are a crash loop: the supervisor gives up, because a job that cannot live needs a person.
package struct Supervisor: Sendable {
  package struct Policy: Sendable, Equatable {
    /// Failures within `crashWindow` that end it.
    package var crashLimit: Int
    package var crashWindow: Duration
    package var firstPause: Duration
    package var longestPause: Duration
    package init(
      crashLimit: Int = 5, crashWindow: Duration = .seconds(60), firstPause: Duration = .seconds(1),
      longestPause: Duration = .seconds(30)
    ) {
      self.crashLimit = max(1, crashLimit)
      self.crashWindow = crashWindow
      self.firstPause = firstPause
      self.longestPause = longestPause
    }
  }

  package enum Decision: Sendable, Equatable {
    /// Nothing more to do; the exit code of the job is the command's.
    case finish(exitCode: Int32)
    case restart(after: Duration)
    case giveUp(failures: Int, within: Duration, exitCode: Int32)
  }

  package let policy: Policy
  private var startedAt: Instant
  /// Times of the failures within the window, oldest first; never more than the limit.
  private var failures: [Instant] = []
  private var failuresInARow = 0
  private var isStopping = false

  package init(policy: Policy, now: Instant) {
    self.policy = policy
    startedAt = now
  }

  /// The job was started.
  package mutating func started(now: Instant) { startedAt = now }

  /// Somebody asked for the end (a signal that was passed on).
  package mutating func stopRequested() { isStopping = true }

  /// The job ended.
  ///
  /// - Parameter unit: a random number in 0 ..< 1 that spreads the pause by a fifth, so that many jobs that failed
  ///   together do not come back together.
  package mutating func ended(_ end: JobEnd, now: Instant, unit: Double) -> Decision {
    if isStopping || end == .exited(0) || end == .exited(2) { return .finish(exitCode: end.exitCode) }
    if now - startedAt >= policy.crashWindow { failuresInARow = 0 }
    failuresInARow += 1
    failures.append(now)
    failures.removeAll { now - $0 > policy.crashWindow }
    if failures.count >= policy.crashLimit {
      return .giveUp(failures: failures.count, within: now - failures[0], exitCode: end.exitCode)
    }
    var pause = policy.firstPause
    for _ in 1..<failuresInARow where pause < policy.longestPause { pause = pause * 2 }
    let spread = Double(min(pause, policy.longestPause).inMilliseconds) * (0.8 + 0.4 * unit)
    return .restart(after: .milliseconds(Int64(spread + 0.5)))
  }
}
