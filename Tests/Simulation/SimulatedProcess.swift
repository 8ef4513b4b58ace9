import Groundwork
import SystemInterfaces

/// A process of a simulated world: it groups loops, connections, open files and locks, so that they die together.
///
/// Sendable: confined to the thread of its world.
public final class SimulatedProcess: @unchecked Sendable {
  /// For traces and reports. Partitions go by it: two processes of one name are cut off together.
  public let name: String
  /// The world it lives in.
  public let simulation: SimulatedWorld
  /// Its machine's disk: it and what was written outlive the process.
  public let disk: SimulatedDisk
  /// False from `kill` on, for good: a restart is another process on the same disk.
  public private(set) var isAlive = true
  /// Whether it stands still, as a process that was stopped, or whose machine was suspended: it keeps locks, files and
  /// connections, and what comes for it waits.
  public private(set) var isPaused = false
  private let seed: UInt64
  private let executors: Int
  private var endings: [() -> Void] = []

  init(_ name: String, in simulation: SimulatedWorld, disk: SimulatedDisk, executors: Int, seed: UInt64) {
    self.name = name
    self.simulation = simulation
    self.disk = disk
    self.executors = executors
    self.seed = seed
  }

  /// The executors of this process: held or run at once, as the test sets.
  public private(set) lazy var runner = SimulatedRunner(for: self, executorCount: executors, seed: seed)

  /// The seams as this process has them.
  public private(set) lazy var world = World(
    clock: SimulatedClock(simulation), randomness: SimulatedRandomness(seed: seed ^ 0x5EED),
    files: SimulatedFileStore(disk, for: self), transport: SimulatedTransport(simulation.network, for: self),
    runner: runner)

  /// A loop of this process.
  public func makeLoop(named name: String) -> SimulatedLoop {
    SimulatedLoop("\(self.name)/\(name)", of: self, in: simulation)
  }

  /// Calls `body` when the world ends: for what the process holds and nobody frees, because its parts hold each other. A
  /// real process that dies frees everything.
  public func atEnd(_ body: @escaping () -> Void) { endings.append(body) }

  func end() {
    kill()
    let endings = endings
    self.endings = []
    for body in endings { body() }
  }

  /// The process stands still from the next event on.
  public func pause() {
    guard isAlive, !isPaused else { return }
    isPaused = true
    simulation.note("pause \(name)")
  }

  /// The process goes on; timers that were due meanwhile are due now.
  public func resume() {
    guard isPaused else { return }
    isPaused = false
    simulation.note("resume \(name)")
    simulation.resumed(self)
  }

  /// The process dies, as by `kill -9`: no timer and no posted block of it runs any more, its peers see its connections
  /// closed or reset, its locks are free, what it has written stays. A `pump` of it that is on the stack returns at
  /// once; what that caller still does has no effect: its files throw and its bytes go nowhere.
  public func kill() {
    guard isAlive else { return }
    isAlive = false
    simulation.note("kill \(name)")
    disk.releaseLocks(of: self)
    simulation.network.processDied(self)
  }
}

/// Virtual time without a loop.
///
/// Sendable: confined to the thread of its world.
final class SimulatedClock: Clock, @unchecked Sendable {
  private let world: SimulatedWorld
  init(_ world: SimulatedWorld) { self.world = world }
  var now: Instant { world.now }
  var wallTime: Timestamp { world.wallTime }
}

/// Numbers from the seed.
///
/// Sendable: confined to the thread of its world.
final class SimulatedRandomness: Randomness, @unchecked Sendable {
  private var random: SeededRandom
  init(seed: UInt64) { random = SeededRandom(seed: seed) }
  func next() -> UInt64 { random.next() }
}
