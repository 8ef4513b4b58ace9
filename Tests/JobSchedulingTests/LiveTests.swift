import Datasets
import Groundwork
import JobScheduling
import LinuxSystem
import Synchronization
import SystemInterfaces
import Testing

/// The scheduler over real threads. Nothing here uses `Mutex`, which the thread sanitizer does not know.
@Suite struct LiveTests {
  /// Two jobs compete; a task of each waits, spinning, until the other has begun: only overlap in time lets both see it.
  @Test func twoJobsOverlapInTime() throws {
    let live = LiveWorld.make(executors: 2)
    let loop = EpollLoop(named: "driver")
    defer {
      loop.stop()
      loop.waitUntilEnded()
      live.stop()
    }
    var settings = SchedulerSettings()
    settings.mode = .fair
    let scheduler = DAGScheduler(loop: loop, runner: live.world.runner, settings: settings)
    let context = SluiceContext(runner: scheduler, defaultParallelism: 2)
    let begun = Atomic<Int>(0)
    let met = Atomic<Int>(0)
    let ended = Lock<[String]>([])
    loop.post {
      for name in ["a", "b"] {
        let dataset = RDD<Int>(
          context, label: name, partitionCount: 1, dependencies: [], weight: { _ in 1_000_000_000 }
        ) {
          partition, task, emit in
          begun.add(1, ordering: .relaxed)
          let limit = ContinuousClock.now + .seconds(20)
          while begun.load(ordering: .relaxed) < 2, ContinuousClock.now < limit {}
          if begun.load(ordering: .relaxed) == 2 { met.add(1, ordering: .relaxed) }
        }
        scheduler.submit(
          JobSpec(
            dataset: dataset, batch: BatchIdentity(number: 1, time: loop.wallTime), label: name
          ) { partition, task in
            try dataset.compute(partition, task) { _ in }
            return partition
          } onComplete: { end in
            ended.withLock { $0.append("\(end.label) \((try? end.outcome.get())?.count ?? -1)") }
          })
      }
    }
    let limit = ContinuousClock.now + .seconds(30)
    while ended.withLock({ $0.count }) < 2, ContinuousClock.now < limit {}
    #expect(ended.withLock { $0.sorted() } == ["a 1", "b 1"])
    #expect(met.load(ordering: .relaxed) == 2)
  }

  /// Many jobs of many small tasks, with a listener on a thread of its own: every task runs once, every event arrives.
  @Test func everyTaskOfManyJobsRunsOnce() throws {
    final class Listener: SchedulerListener {
      let tasks = Atomic<Int>(0)
      let jobs = Atomic<Int>(0)
      func onTaskEnd(_ event: TaskEndEvent) { tasks.add(1, ordering: .relaxed) }
      func onJobEnd(_ event: JobEndEvent) { jobs.add(1, ordering: .relaxed) }
    }
    let live = LiveWorld.make(executors: 3)
    let loop = EpollLoop(named: "driver")
    defer {
      loop.stop()
      loop.waitUntilEnded()
      live.stop()
    }
    var settings = SchedulerSettings()
    settings.mode = .fair
    settings.listenerQueueCapacity = 1_000_000
    let scheduler = DAGScheduler(loop: loop, runner: live.world.runner, settings: settings)
    let context = SluiceContext(runner: scheduler, defaultParallelism: 2)
    let listener = Listener()
    let sum = Atomic<Int>(0)
    let jobsDone = Atomic<Int>(0)
    loop.post {
      scheduler.addListener(listener, queue: "test")
      for number in 0..<40 {
        let dataset = context.parallelize(0..<100, partitionCount: 25).map { $0 + number }
        scheduler.submit(
          JobSpec(dataset: dataset, batch: BatchIdentity(number: 1, time: loop.wallTime), label: "\(number)") {
            partition, task in
            var count = 0
            try dataset.compute(partition, task) { count += $0.count }
            sum.add(count, ordering: .relaxed)
            return count
          } onComplete: { end in
            if (try? end.outcome.get())?.count == 25 { jobsDone.add(1, ordering: .relaxed) }
          })
      }
    }
    let limit = ContinuousClock.now + .seconds(60)
    // The listener's thread and the loop tell of a job's end each in its own time.
    while listener.jobs.load(ordering: .relaxed) < 40 || jobsDone.load(ordering: .relaxed) < 40,
      ContinuousClock.now < limit
    {}
    #expect(jobsDone.load(ordering: .relaxed) == 40)
    #expect(sum.load(ordering: .relaxed) == 4000)
    #expect(listener.tasks.load(ordering: .relaxed) == 1000)
    let stopped = Lock(false)
    loop.post {
      scheduler.stop()
      stopped.withLock { $0 = true }
    }
    while !stopped.withLock({ $0 }), ContinuousClock.now < limit {}
  }
}
