import Groundwork
import SystemInterfaces

/// A serial context in virtual time; all loops of a world share its one thread.
///
/// Sendable: confined to the thread of its world.
public final class SimulatedLoop: Loop, @unchecked Sendable {
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

  public var now: Instant { world.now }
  public var wallTime: Timestamp { world.wallTime }
  public var isCurrent: Bool { world.current === self }

  public func post(_ work: @escaping @Sendable () -> Void) {
    guard isRunning else { return }
    var time = world.nanoseconds
    let delayMax = world.postDelayMax.inNanoseconds
    if delayMax > 0 { time += Int64.random(in: 0...delayMax, using: &world.random) }
    lastPost = max(lastPost, time)
    world.schedule(at: lastPost, .post, owner: self, work)
  }

  @discardableResult
  public func at(_ instant: Instant, _ work: @escaping @Sendable () -> Void) -> TimerID {
    guard isRunning else { return TimerID(.max) }
    return TimerID(world.schedule(at: instant.nanoseconds, .timer, owner: self, work))
  }

  public func cancel(_ timer: TimerID) { world.cancel(timer.rawValue) }

  public func pump(until done: () -> Bool) { world.pump(for: self, until: done) }

  public func stop() {
    guard isRunning else { return }
    world.schedule(at: max(lastPost, world.nanoseconds), .post, owner: self) { self.isStopped = true }
  }
}
