import CPrimitives
import Dispatch
import Groundwork
import Synchronization
import SystemInterfaces

/// Executors: the submitting loop's own thread, and threads over Dispatch that are woken where there is work worth it.
///
/// Waking a parked thread costs 30-60 µs, handing work to a spinning one 0.13 µs. So a submission below `wakeWeight`
/// runs entirely on the loop's thread; executors that were busy a moment ago spin up to 100 µs for the next tasks and
/// then park.
public final class ExecutorPool: Runner, Sendable {
  /// Total expected work, in nanoseconds, above which parked executors are woken.
  static let wakeWeight: Int64 = 300_000
  /// Total expected work, in nanoseconds, below which not even a spinning executor is offered any.
  static let shareWeight: Int64 = 50_000
  /// How long an executor without work looks for some before it parks, in nanoseconds.
  static let spinTime: Int64 = 100_000

  /// At least 1; executor 0 is whichever loop's thread submits, the others are threads of the pool.
  public let executorCount: Int
  private let shared: SharedWork

  /// - Parameter executors: how many tasks run at the same time; 1 is the loops' own threads alone.
  public init(executors: Int) {
    executorCount = max(1, executors)
    shared = SharedWork(executors: executorCount)
    for number in 1..<max(2, executorCount) where number < executorCount {
      ExecutorPool.makeThread(number, shared)
    }
  }

  private static func makeThread(_ number: Int, _ shared: SharedWork) {
    DispatchQueue(label: "sluice.executor.\(number)").async { shared.run(ExecutorID(number)) }
  }

  deinit { shared.stop() }

  /// Ends the executors' threads after the tasks that have begun.
  public func stop() { shared.stop() }

  /// An `EpollLoop`: it starts its thread at once.
  public func makeLoop(named name: String) -> any Loop { EpollLoop(named: name) }

  /// Blocks the calling thread, which must be the loop's, until every task has been claimed by somebody; tasks that
  /// others have claimed may still run when it returns. A submission whose weights add up to 50 µs or less runs
  /// entirely here; above 300 µs parked executors are woken.
  public func submit(_ tasks: [ExecutorTask], from loop: any Loop, then done: @escaping @Sendable () -> Void) {
    guard !tasks.isEmpty else { return loop.post(done) }
    let submission = Submission(tasks, loop, done)
    let weight = tasks.reduce(into: Int64(0)) {
      $0 = $0.addingReportingOverflow(max(0, $1.weight)).overflow ? .max : $0 + max(0, $1.weight)
    }
    let isShared = executorCount > 1 && tasks.count > 1 && weight > Self.shareWeight
    if isShared {
      shared.offer(submission, waking: weight > Self.wakeWeight ? tasks.count - 1 : 0)
    }
    submission.runAll(as: ExecutorID(0))
    // What others have begun goes on; nothing of it is left to claim.
    if isShared { shared.withdraw(submission) }
  }

  /// Runs one task on a thread of its own choice, never on the loop, and reports it alone.
  public func start(_ task: ExecutorTask, from loop: any Loop, then done: @escaping @Sendable () -> Void) {
    // The thread that stands in for the loop's own is made when the first task is started.
    if shared.start(StartedTask(task: task, loop: loop, done: done)) { ExecutorPool.makeThread(executorCount, shared) }
  }
}

/// A task that was started alone.
struct StartedTask: Sendable {
  let task: ExecutorTask
  let loop: any Loop
  let done: @Sendable () -> Void

  func run(as executor: ExecutorID) {
    task.run(executor)
    loop.post(done)
  }
}

/// Tasks submitted together; each is claimed by one executor.
///
/// Memory order: the last to finish sees what all tasks wrote (acquiring-and-releasing count), and the loop sees it
/// through the lock of its post.
final class Submission: Sendable {
  private let tasks: [ExecutorTask]
  private let claimed = Atomic<Int>(0)
  private let left: Atomic<Int>
  private let loop: any Loop
  private let done: @Sendable () -> Void

  init(_ tasks: [ExecutorTask], _ loop: any Loop, _ done: @escaping @Sendable () -> Void) {
    self.tasks = tasks
    self.loop = loop
    self.done = done
    left = Atomic(tasks.count)
  }

  var hasUnclaimed: Bool { claimed.load(ordering: .relaxed) < tasks.count }

  /// Claims and runs tasks until none is left to claim.
  func runAll(as executor: ExecutorID) {
    while true {
      let index = claimed.wrappingAdd(1, ordering: .relaxed).oldValue
      guard index < tasks.count else { return }
      tasks[index].run(executor)
      if left.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { loop.post(done) }
    }
  }
}

/// What the executors' threads share.
final class SharedWork: Sendable {
  private struct State {
    var open: [Submission] = []
    /// Tasks started one by one, the oldest at `startedNext`.
    var started: [StartedTask?] = []
    var startedNext = 0
    var parked: [Int] = []
    /// Whether the executor that only takes started tasks has a thread.
    var hasStandIn = false
    var isStopped = false

    var hasStarted: Bool { startedNext < started.count }

    mutating func takeStarted() -> StartedTask? {
      guard hasStarted else { return nil }
      defer {
        started[startedNext] = nil
        startedNext += 1
        if startedNext == started.count {
          started.removeAll(keepingCapacity: true)
          startedNext = 0
        } else if startedNext >= 1024, startedNext * 2 >= started.count {
          started.removeFirst(startedNext)
          startedNext = 0
        }
      }
      return started[startedNext]
    }
  }
  private let state = Lock(State())
  /// Submissions that may have unclaimed tasks: what spinning executors watch without taking the lock.
  private let openCount = Atomic<Int>(0)
  /// Started tasks that nobody has taken.
  private let startedCount = Atomic<Int>(0)
  /// By the number of the executor; the last one is the stand-in for the submitting loop's thread.
  private let wakeups: [DispatchSemaphore]
  private var standIn: Int { wakeups.count - 1 }

  init(executors: Int) {
    wakeups = (0...executors).map { _ in DispatchSemaphore(value: 0) }
  }

  /// Queues a task and wakes an executor for it.
  /// - Returns: whether the stand-in needs a thread.
  func start(_ task: StartedTask) -> Bool {
    let (woken, needsThread) = state.withLock { state in
      state.started.append(task)
      let needsThread = !state.hasStandIn
      state.hasStandIn = true
      return (state.parked.popLast(), needsThread)
    }
    startedCount.wrappingAdd(1, ordering: .releasing)
    if let woken { wakeups[woken].signal() }
    return needsThread
  }

  func offer(_ submission: Submission, waking count: Int) {
    let woken = state.withLock { state in
      state.open.append(submission)
      // The stand-in does not take part in submissions: the loop's own thread does.
      let woken = Array(state.parked.filter { $0 != standIn }.suffix(count))
      state.parked.removeAll { woken.contains($0) }
      return woken
    }
    openCount.wrappingAdd(1, ordering: .releasing)
    for executor in woken { wakeups[executor].signal() }
  }

  func withdraw(_ submission: Submission) {
    let removed = state.withLock { state in
      guard let index = state.open.firstIndex(where: { $0 === submission }) else { return false }
      state.open.remove(at: index)
      return true
    }
    if removed { openCount.wrappingSubtract(1, ordering: .relaxed) }
  }

  func stop() {
    let woken = state.withLock { state in
      state.isStopped = true
      defer { state.parked = [] }
      return state.parked
    }
    for executor in woken { wakeups[executor].signal() }
  }

  /// An executor's whole life.
  func run(_ executor: ExecutorID) {
    sluice_name_thread("executor \(executor.rawValue)")
    while true {
      if executor.rawValue != standIn, let submission = find() {
        submission.runAll(as: executor)
        withdraw(submission)
      } else if let task = findStarted() {
        task.run(as: executor)
      } else if !spin(executor) {
        switch park(executor) {
        case .parked: wakeups[executor.rawValue].wait()
        case .foundWork: break
        case .stopped: return
        }
      }
    }
  }

  private enum Parking { case parked, foundWork, stopped }

  private func park(_ executor: ExecutorID) -> Parking {
    state.withLock { state in
      if state.isStopped { return .stopped }
      // Something may have come between the look and the lock.
      if state.hasStarted { return .foundWork }
      if executor.rawValue != standIn, state.open.contains(where: \.hasUnclaimed) { return .foundWork }
      state.parked.append(executor.rawValue)
      return .parked
    }
  }

  /// The oldest submission with something to claim. Those without leave the list: whoever spins must not see them.
  private func find() -> Submission? {
    let (found, exhausted) = state.withLock { state in
      let before = state.open.count
      state.open.removeAll { !$0.hasUnclaimed }
      return (state.open.first, before - state.open.count)
    }
    if exhausted > 0 { openCount.wrappingSubtract(exhausted, ordering: .relaxed) }
    return found
  }

  private func findStarted() -> StartedTask? {
    let task = state.withLock { $0.takeStarted() }
    if task != nil { startedCount.wrappingSubtract(1, ordering: .relaxed) }
    return task
  }

  /// Looks for work for a while.
  /// - Returns: whether there seems to be some.
  private func spin(_ executor: ExecutorID) -> Bool {
    let end = System.now() + ExecutorPool.spinTime
    repeat {
      for _ in 0..<64 {
        if startedCount.load(ordering: .acquiring) > 0 { return true }
        if executor.rawValue != standIn, openCount.load(ordering: .acquiring) > 0 { return true }
        sluice_pause()
      }
    } while System.now() < end
    return false
  }
}
