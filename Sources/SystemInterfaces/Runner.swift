import Groundwork

/// The fifth seam: threads. Live over Dispatch; in simulation everything runs on the one thread, in an order the seed
/// chooses.
public protocol Runner: Sendable {
  /// How many tasks can run at the same time. Those of `submit` run as executors 0 ..< executorCount, of which 0 is the
  /// submitting loop's own thread; those of `start` as 1 ... executorCount.
  var executorCount: Int { get }

  /// Runs tasks. The loop's own thread takes part: a small submission runs entirely there, inside this call; other
  /// executors are woken where `weight` says that it pays. `done` runs on the loop, never inside this call, when all
  /// have run.
  func submit(_ tasks: [ExecutorTask], from loop: any Loop, then done: @escaping @Sendable () -> Void)

  /// Runs one task as soon as an executor is free, in the order of the calls, never inside this call and never on the
  /// loop's own thread, which stays free to decide what comes next; `done` runs on the loop when it has run. A hand-off
  /// costs tens of microseconds: for tasks that are worth it, or that compete.
  func start(_ task: ExecutorTask, from loop: any Loop, then done: @escaping @Sendable () -> Void)

  /// A new serial context, which lives until its `stop`.
  func makeLoop(named name: String) -> any Loop
}

/// A piece of work that a runner gives to one of the executors.
public struct ExecutorTask: Sendable {
  /// The work expected, in nanoseconds; a guess decides only who runs it.
  public var weight: Int64
  /// The work; hears which executor runs it. Called once.
  public var run: @Sendable (ExecutorID) -> Void
  /// Puts the work and its expected nanoseconds together.
  public init(weight: Int64, run: @escaping @Sendable (ExecutorID) -> Void) {
    self.weight = weight
    self.run = run
  }
}

/// The number of an executor, 0 ... executorCount; one task at a time runs under each. The last one takes the place of the
/// submitting loop's own thread, executor 0, where tasks are started one by one.
public struct ExecutorID: Hashable, Sendable {
  /// 0 for the submitting loop's own thread, then counted up.
  public let rawValue: Int
  /// For implementations of `Runner`.
  public init(_ rawValue: Int) { self.rawValue = rawValue }
}

/// The seams together: a whole world, live or simulated.
public struct World: Sendable {
  /// Time for those that have no loop; a `Loop` is a clock of its own.
  public var clock: any Clock
  /// Random numbers for jitter and identifiers.
  public var randomness: any Randomness
  /// The file system.
  public var files: any FileStore
  /// The network.
  public var transport: any Transport
  /// The threads: executors and loops.
  public var runner: any Runner
  /// Puts five seams together; all of one kind, live or simulated.
  public init(
    clock: any Clock, randomness: any Randomness, files: any FileStore, transport: any Transport, runner: any Runner
  ) {
    self.clock = clock
    self.randomness = randomness
    self.files = files
    self.transport = transport
    self.runner = runner
  }
}
