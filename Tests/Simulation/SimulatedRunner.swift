import Groundwork
import SystemInterfaces

/// Executors on the world's one thread.
///
/// Sendable: confined to the thread of its world.
public final class SimulatedRunner: Runner, @unchecked Sendable {
  /// When a submitted task runs.
  public enum Mode: Sendable {
    /// Inside `submit`, one after the other, in an order the seed chooses.
    case atOnce
    /// Some inside `submit`, as executor 0 would, the others as events of their own, each up to its weight later.
    case spread
    /// When the test says so: `runHeld`.
    case held
  }
  /// Applies to what is submitted from now on; tasks held before stay held.
  public var mode = Mode.atOnce
  /// How many executors the process says it has; tasks get a number below it, drawn from the seed.
  public let executorCount: Int
  /// Tasks run so far.
  public private(set) var tasksRun = 0

  private final class Submission {
    var left: Int
    let loop: any Loop
    let done: @Sendable () -> Void
    /// By `start`: never on the loop's own thread.
    let isStarted: Bool
    init(left: Int, loop: any Loop, isStarted: Bool = false, done: @escaping @Sendable () -> Void) {
      self.left = left
      self.loop = loop
      self.isStarted = isStarted
      self.done = done
    }
  }

  private unowned let process: SimulatedProcess
  private var random: SeededRandom
  private var held: [(task: ExecutorTask, submission: Submission)] = []

  init(for process: SimulatedProcess, executorCount: Int, seed: UInt64) {
    precondition(executorCount > 0)
    self.process = process
    self.executorCount = executorCount
    random = SeededRandom(seed: seed)
  }

  /// A loop of the runner's process.
  public func makeLoop(named name: String) -> any Loop { process.makeLoop(named: name) }

  /// Runs, schedules or holds the tasks as `mode` says; `done` is posted to `loop` when the last has run. Dropped where
  /// the process is dead, then or before a task's turn.
  public func submit(_ tasks: [ExecutorTask], from loop: any Loop, then done: @escaping @Sendable () -> Void) {
    guard process.isAlive else { return }
    guard !tasks.isEmpty else { return loop.post(done) }
    let submission = Submission(left: tasks.count, loop: loop, done: done)
    switch mode {
    case .held:
      held += tasks.map { ($0, submission) }
    case .atOnce:
      for task in tasks.shuffled(using: &random) { run(task, of: submission, on: anyExecutor(for: submission)) }
    case .spread:
      for task in tasks.shuffled(using: &random) {
        let executor = anyExecutor(for: submission)
        if executor.rawValue == 0 {
          run(task, of: submission, on: executor)
        } else {
          let world = process.simulation
          let delay = Int64.random(in: 0...max(task.weight, 1000), using: &random)
          world.schedule(at: world.nanoseconds + delay, .task, owner: nil) {
            self.run(task, of: submission, on: executor)
          }
        }
      }
    }
  }

  public func start(_ task: ExecutorTask, from loop: any Loop, then done: @escaping @Sendable () -> Void) {
    guard process.isAlive else { return }
    let submission = Submission(left: 1, loop: loop, isStarted: true, done: done)
    if mode == .held {
      held.append((task, submission))
      return
    }
    let world = process.simulation
    let delay = mode == .spread ? Int64.random(in: 0...max(task.weight, 1000), using: &random) : 0
    world.schedule(at: world.nanoseconds + delay, .task, owner: nil) {
      self.run(task, of: submission, on: self.anyExecutor(for: submission))
    }
  }

  /// Tasks that wait for the test.
  public var heldCount: Int { held.count }

  /// Runs one held task.
  /// - Parameter index: its place among those held, the oldest first.
  public func runHeld(at index: Int = 0) {
    guard held.indices.contains(index) else { return }
    let (task, submission) = held.remove(at: index)
    run(task, of: submission, on: anyExecutor(for: submission))
  }

  /// Runs all held tasks, and those they lead to being held, in the order in which they came.
  public func runAllHeld() {
    while !held.isEmpty { runHeld() }
  }

  private func anyExecutor(for submission: Submission) -> ExecutorID {
    ExecutorID(Int.random(in: 0..<executorCount, using: &random) + (submission.isStarted ? 1 : 0))
  }

  private func run(_ task: ExecutorTask, of submission: Submission, on executor: ExecutorID) {
    guard process.isAlive else { return }
    if process.isPaused {
      // Looked at again until the process goes on.
      let world = process.simulation
      world.schedule(at: world.nanoseconds + 1_000_000, .task, owner: nil) {
        self.run(task, of: submission, on: executor)
      }
      return
    }
    tasksRun += 1
    // Executor 0 is the submitting loop's own thread; on the others no loop is current.
    let world = process.simulation
    world.running(on: executor.rawValue == 0 ? submission.loop as? SimulatedLoop : nil) { task.run(executor) }
    submission.left -= 1
    if submission.left == 0 { submission.loop.post(submission.done) }
  }
}
