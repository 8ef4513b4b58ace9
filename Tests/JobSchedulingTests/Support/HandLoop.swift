import Groundwork
import Synchronization
import SystemInterfaces

/// A loop that the test turns by hand, in virtual time. For one thread.
///
/// Sendable: used by the thread of one test only.
final class HandLoop: Loop, @unchecked Sendable {
  private var queue: [@Sendable () -> Void] = []
  private var timers: [(at: Instant, id: UInt64, work: @Sendable () -> Void)] = []
  private var lastTimer: UInt64 = 0
  private(set) var now = Instant(nanoseconds: 0)
  var isCurrent = true
  var isStopped = false

  var wallTime: Timestamp { Timestamp(milliseconds: 1_700_000_000_000 + now.nanoseconds / 1_000_000) }

  func post(_ work: @escaping @Sendable () -> Void) {
    if !isStopped { queue.append(work) }
  }

  @discardableResult func at(_ instant: Instant, _ work: @escaping @Sendable () -> Void) -> TimerID {
    lastTimer += 1
    timers.append((max(instant, now), lastTimer, work))
    return TimerID(lastTimer)
  }

  func cancel(_ timer: TimerID) { timers.removeAll { $0.id == timer.rawValue } }

  /// Turns the loop until `done`, moving time on where nothing is queued; returns where nothing is left at all.
  func pump(until done: () -> Bool) {
    while !done(), step() {}
  }

  /// What was posted before still runs.
  func stop() {
    isStopped = true
    timers = []
  }

  /// Runs all that is queued and every timer.
  func run() { while step() {} }

  /// Runs what happens in the next `duration`; time then stands at its end.
  func run(for duration: Duration) {
    let end = now + duration
    while !queue.isEmpty || timers.contains(where: { $0.at <= end }) { _ = step() }
    now = end
  }

  /// Runs what is queued, without moving time.
  func runQueued() {
    while !queue.isEmpty { queue.removeFirst()() }
  }

  private func step() -> Bool {
    if !queue.isEmpty {
      queue.removeFirst()()
      return true
    }
    guard let next = timers.indices.min(by: { (timers[$0].at, timers[$0].id) < (timers[$1].at, timers[$1].id) }) else {
      return false
    }
    let timer = timers.remove(at: next)
    now = timer.at
    timer.work()
    return true
  }
}

/// A runner that runs tasks inside `submit`, as the live one does with small submissions, or holds them for the test.
///
/// Sendable: used by the thread of one test only.
final class HandRunner: Runner, @unchecked Sendable {
  let executorCount = 2
  var isHolding = false
  /// Submissions so far: the number of tasks in each; tasks that were started alone are not in here.
  private(set) var waves: [Int] = []
  /// Tasks that were started alone so far.
  private(set) var started = 0
  /// Loops made so far, by name.
  private(set) var loops: [String: HandLoop] = [:]
  private var held: [(tasks: [ExecutorTask], first: Int, loop: any Loop, done: @Sendable () -> Void)] = []

  /// Waves, and tasks that were started alone, that wait for the test.
  var heldWaves: Int { held.count }
  /// The weight of the first task of each of them.
  var heldWeights: [Int64] { held.map { $0.tasks.first?.weight ?? 0 } }

  func submit(_ tasks: [ExecutorTask], from loop: any Loop, then done: @escaping @Sendable () -> Void) {
    waves.append(tasks.count)
    held.append((tasks, 0, loop, done))
    if !isHolding { release() }
  }

  func start(_ task: ExecutorTask, from loop: any Loop, then done: @escaping @Sendable () -> Void) {
    started += 1
    held.append(([task], 1 + started % executorCount, loop, done))
    if !isHolding { release() }
  }

  /// Runs a held wave or task, the oldest one first.
  func release(_ index: Int = 0) {
    guard held.indices.contains(index) else { return }
    let (tasks, first, loop, done) = held.remove(at: index)
    for (index, task) in tasks.enumerated() { task.run(ExecutorID(first + index % executorCount)) }
    loop.post(done)
  }

  func makeLoop(named name: String) -> any Loop {
    let loop = HandLoop()
    loops[name] = loop
    return loop
  }
}
