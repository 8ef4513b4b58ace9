import Groundwork
import SystemInterfaces

/// A serial context in virtual time; all loops of a world share its one thread.
///
/// Sendable: confined to the thread of its world.
public final class SimulatedLoop: Loop, @unchecked Sendable {
  /// `process/loop`: for traces and reports.
  public let name: String
  let process: SimulatedProcess
  private let world: SimulatedWorld
  private var isStopped = false
  /// When the last posted block runs, so that the next cannot overtake it.
  private var lastPost: Int64 = 0

  init(_ name: String, of process: SimulatedProcess, in world: SimulatedWorld) {
    self.name = name
    self.process = process
    self.world = world
  }

  /// Whether what is scheduled here will run.
  var isRunning: Bool { !isStopped && process.isAlive }

  /// The world's virtual time, the same for all its loops.
  public var now: Instant { world.now }
  /// The world's wall clock, with its jumps.
  public var wallTime: Timestamp { world.wallTime }
  /// Whether an event of this loop is running, or a task of its executor 0.
  public var isCurrent: Bool { world.current === self }

  /// Runs `work` as an event of its own, up to the world's `postDelayMax` later, in the order of the posts. Dropped
  /// where the loop was stopped or its process is dead, then or by the time it is due.
  public func post(_ work: @escaping @Sendable () -> Void) {
    guard isRunning else { return }
    var time = world.nanoseconds
    let delayMax = world.postDelayMax.inNanoseconds
    if delayMax > 0 { time += Int64.random(in: 0...delayMax, using: &world.random) }
    lastPost = max(lastPost, time)
    world.schedule(at: lastPost, .post, owner: self, work)
  }

  /// Runs `work` when virtual time comes to `instant`.
  /// - Returns: the timer's name; one that names no timer where the loop is stopped or its process dead.
  @discardableResult
  public func at(_ instant: Instant, _ work: @escaping @Sendable () -> Void) -> TimerID {
    guard isRunning else { return TimerID(.max) }
    return TimerID(world.schedule(at: instant.nanoseconds, .timer, owner: self, work))
  }

  public func cancel(_ timer: TimerID) { world.cancel(timer.rawValue) }

  /// Runs the events of the whole world, not only this loop's, until `done`; returns early where the loop was stopped
  /// or its process killed. A world that runs dry, out of time or out of steps stops the test with its report.
  public func pump(until done: () -> Bool) { world.pump(for: self, until: done) }

  /// Takes effect as an event behind the posts made so far: those still run, timers to come do not.
  public func stop() {
    guard isRunning else { return }
    world.schedule(at: max(lastPost, world.nanoseconds), .post, owner: self) { self.isStopped = true }
  }
}
