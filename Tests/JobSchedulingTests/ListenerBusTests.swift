import Datasets
import Groundwork
import JobScheduling
import SystemInterfaces
import Testing

/// Events reach listeners from queues of their own, and what a queue cannot take is dropped and counted.
@Suite struct ListenerBusTests {
  private final class Listener: SchedulerListener {
    let notes = Notes()
    func onJobStart(_ event: JobStartEvent) { notes.add("start \(event.label)") }
    func onTaskEnd(_ event: TaskEndEvent) { notes.add("task") }
    func onJobEnd(_ event: JobEndEvent) { notes.add("end \(event.label)") }
    func onApplicationEnd(_ event: ApplicationEndEvent) { notes.add("application end") }
  }

  @Test func listenersHearLaterAndInOrder() throws {
    let workshop = Workshop()
    let (queued, direct) = (Listener(), Listener())
    workshop.context.addSchedulerListener(queued)
    workshop.scheduler.addListener(direct)
    _ = try workshop.run(workshop.context.parallelize(0..<3, partitionCount: 3), label: "a")
    let story = ["start a", "task", "task", "task", "end a"]
    #expect(direct.notes.all == story)
    #expect(queued.notes.all.isEmpty, "its loop has not turned")
    let loop = try #require(workshop.runner.loops["listen shared"])
    loop.run()
    #expect(queued.notes.all == story)
    workshop.context.removeSchedulerListener(queued)
    workshop.context.removeSchedulerListener(direct)
    _ = try workshop.run(workshop.context.parallelize(0..<3), label: "b")
    loop.run()
    #expect(queued.notes.all == story && direct.notes.all == story)
    #expect(loop.isStopped, "a queue without listeners has no thread")
    #expect(workshop.scheduler.metrics.listenerQueues.isEmpty)
  }

  @Test func aQueueThatStandsStillDropsAndDelaysNobody() throws {
    var settings = SchedulerSettings()
    settings.listenerQueueCapacity = 100
    let workshop = Workshop(settings: settings)
    let (slow, quick) = (Listener(), Listener())
    workshop.context.addSchedulerListener(slow, queue: "slow")
    workshop.context.addSchedulerListener(quick, queue: "quick")
    let (slowLoop, quickLoop) = (workshop.runner.loops["listen slow"], workshop.runner.loops["listen quick"])
    // Job start, stage, 10 task starts, 10 task ends, stage, job end: 24 events a job.
    for number in 0..<10 {
      let end = try workshop.run(workshop.context.parallelize(0..<10, partitionCount: 10), label: "\(number)")
      #expect(end.failure == nil)
      quickLoop?.run()
    }
    #expect(quick.notes.count("task") == 100)
    var metrics = workshop.scheduler.metrics
    #expect(metrics.eventsPosted == 240)
    #expect(metrics.listenerQueues.map(\.name) == ["quick", "slow"])
    #expect(metrics.listenerQueues.map(\.dropped) == [0, 140])
    #expect(metrics.listenerQueues.map(\.waiting) == [0, 100])
    slowLoop?.run()
    metrics = workshop.scheduler.metrics
    #expect(metrics.listenerQueues.map(\.delivered) == [240, 100])
    #expect(slow.notes.all.first == "start 0", "the oldest are kept")
    _ = try workshop.run(workshop.context.parallelize(0..<1), label: "last")
    slowLoop?.run()
    #expect(slow.notes.all.last == "end last", "it takes part again")
  }

  @Test func aStoppedSchedulerDeliversWhatWaits() throws {
    let workshop = Workshop()
    let listener = Listener()
    workshop.context.addSchedulerListener(listener)
    workshop.runner.isHolding = true
    workshop.submit(workshop.context.parallelize(0..<2), label: "a", into: JobLog())
    let loop = try #require(workshop.runner.loops["listen shared"])
    workshop.scheduler.stop()
    loop.run()
    #expect(listener.notes.all == ["start a", "end a", "application end"])
    workshop.releaseAll()
    workshop.loop.run()
  }

  @Test func whoStopsTheSchedulerHearsWhenAllHaveHeard() throws {
    let workshop = Workshop()
    let (first, second, direct) = (Listener(), Listener(), Listener())
    workshop.context.addSchedulerListener(first, queue: "a")
    workshop.context.addSchedulerListener(second, queue: "b")
    workshop.scheduler.addListener(direct)
    _ = try workshop.run(workshop.context.parallelize(0..<1), label: "job")
    let undelivered = Notes()
    workshop.scheduler.stop(within: .seconds(5)) { undelivered.add("\($0)") }
    workshop.runner.loops["listen a"]?.run()
    workshop.loop.runQueued()
    #expect(undelivered.all == [], "the other queue has not turned")
    workshop.runner.loops["listen b"]?.run()
    workshop.loop.run()
    #expect(undelivered.all == ["0"])
    for listener in [first, second, direct] { #expect(listener.notes.all.last == "application end") }
    // Again: there is nobody to wait for, and nothing is told twice.
    workshop.scheduler.stop(within: .seconds(5)) { undelivered.add("\($0)") }
    workshop.loop.run()
    #expect(undelivered.all == ["0", "0"])
    #expect(direct.notes.count("application end") == 1)
    workshop.expectIdle()
  }

  @Test func aListenerThatStandsStillIsNotWaitedForLongerThanAllowed() throws {
    let workshop = Workshop()
    workshop.context.addSchedulerListener(Listener())
    _ = try workshop.run(workshop.context.parallelize(0..<1), label: "job")
    let undelivered = Notes()
    let start = workshop.loop.now
    workshop.scheduler.stop(within: .seconds(5)) { undelivered.add("\($0)") }
    workshop.loop.runQueued()
    #expect(undelivered.all == [])
    workshop.loop.run()
    #expect(workshop.loop.now - start == .seconds(5))
    #expect(undelivered.all.count == 1 && undelivered.all != ["0"], "\(undelivered.all)")
  }

  @Test func metricsSayWhereTheSchedulerStands() throws {
    var settings = SchedulerSettings()
    settings.mode = .fair
    settings.pools = ["p": PoolSettings(weight: 3, minShare: 1)]
    let workshop = Workshop(settings: settings)
    workshop.runner.isHolding = true
    let (log, notes) = (JobLog(), Notes())
    workshop.submit(workshop.noting("a", tasks: 9, weight: 10_000_000, in: notes), pool: "p", into: log)
    workshop.submit(workshop.noting("b", tasks: 2, in: notes).map { ($0, $0) }.reduceByKey(+), into: log)
    var metrics = workshop.scheduler.metrics
    #expect(metrics.jobsActive == 2 && metrics.jobsSubmitted == 2)
    #expect(metrics.stagesRunning == 1 && metrics.stagesWaiting == 2)
    #expect(metrics.tasksRunning == 4 && metrics.tasksWaiting == 5 + 2 + 2)
    #expect(
      metrics.pools.map { "\($0.name) \($0.weight) \($0.minShare) \($0.mode) \($0.jobs) \($0.tasksRunning)" }
        == ["default 1 0 fifo 1 0", "p 3 1 fifo 1 4"])
    workshop.releaseAll()
    workshop.runner.isHolding = false
    _ = try workshop.run(
      workshop.context.parallelize(0..<1, partitionCount: 1).map { _ -> Int in throw Trouble(description: "no") })
    metrics = workshop.scheduler.metrics
    #expect(metrics.jobsFailed == 1 && metrics.stagesFailed == 1)
    #expect(metrics.tasksLaunched == 9 + 4 + 4 && metrics.tasksSucceeded == 13 && metrics.tasksFailed == 4)
    #expect(metrics.executors.map(\.tasks).reduce(0, +) == 17)
    #expect(metrics.pools.isEmpty)
  }
}
