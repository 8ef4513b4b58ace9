import Groundwork
import LinuxSystem
import Synchronization
import SystemInterfaces
import Testing

@testable import Sluice

/// The process of a job: its listeners hear of everything before it ends.
@Suite struct JobLifeTests {
  private final class Heard: SchedulerListener {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }

    private func note(_ line: String) {
      // Slower than the job: what it hears piles up until the job has long ended.
      let end = LinuxClock().now + .milliseconds(2)
      while LinuxClock().now < end {}
      lines.withLock { $0.append(line) }
    }
    func onTaskEnd(_ event: TaskEndEvent) { note("task") }
    func onJobEnd(_ event: JobEndEvent) { note("job end") }
    func onApplicationEnd(_ event: ApplicationEndEvent) { note("application end") }
  }

  private final class Batches: StreamingListener {
    let completed = Mutex(0)
    func onBatchCompleted(_ batch: BatchInfo) { completed.withLock { $0 += 1 } }
  }

  /// A job of some batches of 20 tasks each.
  private func run(
    _ life: JobLife, _ live: LiveWorld, _ settings: [String: String] = [:],
    _ add: @escaping @Sendable (StreamingContext) -> Void
  ) throws -> Int32 {
    try life.run {
      let scheduler = DAGScheduler(loop: life.loop, runner: live.world.runner)
      let context = try StreamingContext(
        sluice: SluiceContext(runner: scheduler, defaultParallelism: 20), batchInterval: .milliseconds(1),
        environment: StreamingEnvironment(
          world: live.world, loop: life.loop, scheduler: scheduler, jobName: "job", availableNow: true,
          settings: settings))
      let queue = QueueSource<Int>()
      for batch in 0..<5 { queue.append(Array(batch..<batch + 100)) }
      context.queueStream(queue).foreachRDD { _ = try $0.count() }
      add(context)
      return context
    }
  }

  @Test func slowListenersHearTheEnd() throws {
    let live = LiveWorld.make(executors: 2)
    let life = JobLife(live, name: "test")
    let heard = Heard()
    let batches = Batches()
    let code = try run(life, live) { context in
      context.sluice.addSchedulerListener(heard)
      context.addStreamingListener(batches)
    }
    #expect(code == 0)
    let completed = batches.completed.withLock { $0 }
    #expect(completed >= 5)
    #expect(heard.all.last == "application end")
    #expect(heard.all.count { $0 == "job end" } == completed)
    #expect(heard.all.count { $0 == "task" } >= completed)
  }

  @Test func aListenerThatNeverReturnsHoldsNobodyUp() throws {
    final class Stuck: SchedulerListener {
      let mayGo = Atomic(false)
      func onJobStart(_ event: JobStartEvent) { while !mayGo.load(ordering: .relaxed) {} }
    }
    let live = LiveWorld.make(executors: 2)
    let life = JobLife(live, name: "test")
    let stuck = Stuck()
    let start = LinuxClock().now
    let code = try run(life, live, ["sluice.scheduler.listenerbus.exitTimeout": "50ms"]) {
      $0.sluice.addSchedulerListener(stuck)
    }
    stuck.mayGo.store(true, ordering: .relaxed)
    #expect(code == 0)
    #expect(LinuxClock().now - start < .seconds(20))
  }
}
