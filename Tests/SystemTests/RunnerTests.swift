import Groundwork
import SystemInterfaces
import Testing

/// What every runner does with tasks that are started one by one, live or simulated.
struct RunnerTests {
  @Test(arguments: Kind.allCases) func aStartedTaskRunsElsewhereAndIsReportedOnTheLoop(kind: Kind) throws {
    let stage = try Stage(kind)
    let log = Log()
    let (loop, runner) = (stage.loop, stage.world.runner)
    _ = try stage.perform {
      let task = ExecutorTask(weight: 0) { executor in
        log.add("task, on the loop: \(loop.isCurrent), number in range: \((1...2).contains(executor.rawValue))")
      }
      runner.start(task, from: loop) { log.add("done, on the loop: \(loop.isCurrent)") }
      return 0
    }
    try stage.wait("the task") { log.lines.count == 2 }
    #expect(log.lines == ["task, on the loop: false, number in range: true", "done, on the loop: true"])
  }

  /// Many tasks, the next ones started as earlier ones end, beside submissions of the other kind: each runs once and is
  /// reported once, after it has run, and no two tasks run under one number at the same time.
  @Test(arguments: Kind.allCases, [1, 3]) func everyStartedTaskRunsOnce(kind: Kind, executors: Int) throws {
    let stage = try Stage(kind, executors: executors)
    let (loop, runner) = (stage.loop, stage.world.runner)
    let tasks = 3000
    let ran = Holder([Int](repeating: 0, count: tasks))
    let busy = Holder<Set<Int>>([])
    let wrong = Counter()
    let reported = Counter()
    let submitted = Counter()
    @Sendable func occupied(_ executor: ExecutorID, _ body: () -> Void) {
      busy.change { if !$0.insert(executor.rawValue).inserted { wrong.increment() } }
      body()
      busy.change { $0.remove(executor.rawValue) }
    }
    @Sendable func start(_ number: Int) {
      guard number < tasks else { return }
      let task = ExecutorTask(weight: Int64(number % 3) * 200_000) { executor in
        occupied(executor) { ran.change { $0[number] += 1 } }
      }
      runner.start(task, from: loop) {
        if ran.value[number] != 1 { wrong.increment() }
        reported.increment()
        start(number + 4)
      }
      guard number % 50 == 0 else { return }
      let beside = (0..<3).map { _ in ExecutorTask(weight: 200_000) { executor in occupied(executor) {} } }
      runner.submit(beside, from: loop) { submitted.increment() }
    }
    loop.post { for number in 0..<4 { start(number) } }
    try stage.wait("all tasks") { reported.value == tasks && submitted.value == tasks / 50 }
    #expect(wrong.value == 0)
    #expect(ran.value.allSatisfy { $0 == 1 })
  }
}
