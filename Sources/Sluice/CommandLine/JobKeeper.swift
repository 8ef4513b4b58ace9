import Groundwork

/// Keeps a job's process: starts it, passes signals on, and decides with the supervisor what its end means.
///
/// A machine: an event in, actions out; whoever owns it starts processes, sends signals and waits.
package struct JobKeeper: Sendable {
  package enum Action: Sendable, Equatable {
    case start
    /// Send the signal to the job's process.
    case forward(signal: Int32)
    /// Call `pauseOver` after so long.
    case wait(Duration)
    /// A line for standard error.
    case report(String)
    case finish(exitCode: Int32)
  }

  private enum State: Sendable, Equatable {
    /// The process lives, or is about to.
    case running
    /// Between two runs; a signal ends it here at once.
    case pausing
    /// Nothing more happens.
    case finished
  }

  private let name: String
  private var state = State.running
  /// nil: the job runs once, and its end is the end.
  private var supervisor: Supervisor?

  /// - Parameter policy: how failures are treated; nil runs the job once.
  package init(_ name: String, policy: Supervisor.Policy?, now: Instant) {
    self.name = name
    supervisor = policy.map { Supervisor(policy: $0, now: now) }
  }

  /// The first event.
  package mutating func begin(now: Instant) -> [Action] {
    supervisor?.started(now: now)
    return [.start]
  }

  /// SIGINT, SIGTERM or another that asks for the end arrived.
  package mutating func signalled(_ signal: Int32) -> [Action] {
    supervisor?.stopRequested()
    switch state {
    case .running: return [.forward(signal: signal)]
    case .pausing:
      state = .finished
      return [.finish(exitCode: ExitCode.signal(signal))]
    case .finished: return []
    }
  }

  /// The process ended.
  ///
  /// - Parameter unit: a random number in 0 ..< 1.
  package mutating func ended(_ end: JobEnd, now: Instant, unit: Double) -> [Action] {
    guard state == .running else { return [] }
    guard let decision = supervisor?.ended(end, now: now, unit: unit) else {
      state = .finished
      return [.finish(exitCode: end.exitCode)]
    }
    switch decision {
    case .finish(let code):
      state = .finished
      return [.finish(exitCode: code)]
    case .restart(let pause):
      state = .pausing
      return [
        .report("\(name) ended with \(end.description); it starts again in \(HumanText.duration(pause))"), .wait(pause),
      ]
    case .giveUp(let failures, let time, let code):
      state = .finished
      let times = failures == 1 ? "once" : "\(failures) times within \(HumanText.duration(time))"
      return [
        .report(
          "\(name) failed \(times), the last time with \(end.description); it is not started again. Mend it, or "
            + "allow more with --crash-limit and --crash-window"),
        .finish(exitCode: code),
      ]
    }
  }

  /// The pause asked for has passed.
  package mutating func pauseOver(now: Instant) -> [Action] {
    guard state == .pausing else { return [] }
    state = .running
    supervisor?.started(now: now)
    return [.start]
  }
}
