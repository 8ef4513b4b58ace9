import Datasets
import Groundwork
import JobScheduling
import SystemInterfaces
import Testing

/// Which of several jobs gets an executor next. Two executors, two places each; tasks run when the test says so.
@Suite struct PoolTests {
  private static func fair(_ pools: [String: PoolSettings]) -> SchedulerSettings {
    var settings = SchedulerSettings()
    settings.mode = .fair
    settings.pools = pools
    return settings
  }

  /// A workshop in which one task runs, so that jobs which follow start their tasks one by one.
  private static func busy(_ settings: SchedulerSettings) -> (Workshop, JobLog, Notes) {
    let workshop = Workshop(settings: settings)
    workshop.runner.isHolding = true
    let (log, notes) = (JobLog(), Notes())
    workshop.submit(workshop.noting("first", tasks: 1, in: notes), label: "first", pool: "z", into: log)
    return (workshop, log, notes)
  }

  @Test func aSmallJobThatIsAloneGoesAsOneWave() throws {
    let workshop = Workshop()
    let end = try workshop.run(workshop.context.parallelize(0..<100, partitionCount: 50))
    #expect(end.metrics.tasks == 50)
    #expect(workshop.runner.waves == [50])
    #expect(workshop.runner.started == 0)
  }

  @Test func aJobWithMuchToDoStartsAFewTasksAtATime() {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let (log, notes) = (JobLog(), Notes())
    workshop.submit(workshop.noting("big", tasks: 20, weight: 10_000_000, in: notes), into: log)
    #expect(workshop.runner.waves.isEmpty)
    #expect(workshop.runner.heldWaves == 4, "two for each executor")
    workshop.runner.release()
    workshop.loop.run()
    #expect(workshop.runner.heldWaves == 4, "each end makes place for one")
    workshop.releaseAll()
    #expect(log.last?.elements(Int.self) == Array(0..<20))
    workshop.expectIdle()
  }

  @Test(arguments: [1, 10_000_000]) func nothingIsKeptOfAJobThatHasEnded(weight: Int64) throws {
    let workshop = Workshop()
    let notes = Notes()
    weak var kept: AnyRDD?
    do {
      let dataset = workshop.noting("a", tasks: 20, weight: weight, in: notes).map { ($0, $0) }.reduceByKey(+)
      kept = dataset
      #expect(try workshop.run(dataset).failure == nil)
    }
    #expect(notes.count("a") == 20)
    #expect(kept == nil)
  }

  @Test func fifoServesJobsInTheOrderOfSubmission() {
    let (workshop, log, notes) = Self.busy(SchedulerSettings())
    for name in ["a", "b", "c"] {
      workshop.submit(workshop.noting(name, tasks: 10, in: notes), label: name, pool: name, into: log)
    }
    workshop.releaseAll()
    let expected = ["first"] + ["a", "b", "c"].flatMap { Array(repeating: $0, count: 10) }
    #expect(notes.all == expected)
    #expect(log.labels == ["first", "a", "b", "c"])
    workshop.expectIdle()
  }

  @Test func weightTwoGetsTwiceTheTasks() {
    let (workshop, log, notes) = Self.busy(
      Self.fair(["heavy": PoolSettings(weight: 2), "light": PoolSettings(weight: 1)]))
    workshop.submit(workshop.noting("light", tasks: 90, in: notes), label: "light", pool: "light", into: log)
    workshop.submit(workshop.noting("heavy", tasks: 60, in: notes), label: "heavy", pool: "heavy", into: log)
    workshop.releaseAll()
    let untilDone = notes.all.prefix(80)
    let heavy = untilDone.filter { $0 == "heavy" }.count
    let light = untilDone.filter { $0 == "light" }.count
    #expect(abs(heavy - 2 * light) <= 6, "heavy \(heavy), light \(light)")
    #expect(notes.count("light") == 90)
    #expect(log.labels == ["first", "heavy", "light"])
    workshop.expectIdle()
  }

  /// Any weights, any number of pools: while all have tasks, each has had its part, give or take a few. What is given or
  /// taken does not grow: a pool that fell behind, because its part of the places was taken when a task of it ended, comes
  /// first at the next one.
  @Test(arguments: 0..<40) func sharesFollowWeights(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let names = (0..<Int.random(in: 2...5, using: &random)).map { "p\($0)" }
    let weights = names.map { _ in Int.random(in: 1...6, using: &random) }
    let pools = Dictionary(uniqueKeysWithValues: zip(names, weights).map { ($0, PoolSettings(weight: $1)) })
    let (workshop, log, notes) = Self.busy(Self.fair(pools))
    for name in names { workshop.submit(workshop.noting(name, tasks: 400, in: notes), pool: name, into: log) }
    workshop.loop.run()
    for _ in 0..<300 {
      workshop.runner.release(Int.random(in: 0..<workshop.runner.heldWaves, using: &random))
      workshop.loop.run()
    }
    let total = Double(weights.reduce(0, +))
    for (name, weight) in zip(names, weights) {
      let part = 300 * Double(weight) / total
      #expect(abs(Double(notes.count(name)) - part) <= 16, "seed \(seed): \(name) of \(weights), \(notes.count(name))")
    }
    workshop.releaseAll()
    workshop.expectIdle()
  }

  @Test func minShareComesBeforeWeight() {
    let (workshop, log, notes) = Self.busy(
      Self.fair(["batch": PoolSettings(weight: 1000), "urgent": PoolSettings(weight: 1, minShare: 2)]))
    workshop.submit(workshop.noting("batch", tasks: 40, in: notes), label: "batch", pool: "batch", into: log)
    workshop.submit(workshop.noting("urgent", tasks: 10, in: notes), label: "urgent", pool: "urgent", into: log)
    workshop.releaseAll()
    // Two of four places, whatever the weights say, once those are free that were given out before it came.
    #expect(log.labels == ["first", "urgent", "batch"])
    #expect(notes.all.prefix(26).filter { $0 == "urgent" }.count == 10)
    workshop.expectIdle()
  }

  @Test func shortTasksDoNotWaitForAPoolOfLongOnes() {
    let (workshop, log, notes) = Self.busy(Self.fair([:]))
    workshop.submit(workshop.noting("long", tasks: 10, weight: 77, in: notes), label: "long", pool: "a", into: log)
    workshop.submit(workshop.noting("short", tasks: 30, weight: 11, in: notes), label: "short", pool: "b", into: log)
    workshop.runner.release()  // the first
    workshop.loop.run()
    // Long tasks that were begun never end; one that ends frees a place which short ones may then have.
    var freed = 0
    while log.labels != ["first", "short"], freed < 3 {
      if let short = workshop.runner.heldWeights.firstIndex(of: 11) {
        workshop.runner.release(short)
      } else if let long = workshop.runner.heldWeights.firstIndex(of: 77) {
        workshop.runner.release(long)
        freed += 1
      }
      workshop.loop.run(for: .milliseconds(10))
    }
    #expect(log.labels == ["first", "short"])
    #expect(freed <= 1)
    workshop.releaseAll()
    workshop.expectIdle()
  }

  @Test func aPoolServesItsOwnJobsByItsMode() {
    func order(_ mode: SchedulingMode) -> [String] {
      let (workshop, log, notes) = Self.busy(Self.fair(["p": PoolSettings(mode: mode)]))
      for name in ["a", "b"] { workshop.submit(workshop.noting(name, tasks: 8, in: notes), pool: "p", into: log) }
      workshop.releaseAll()
      workshop.expectIdle()
      return Array(notes.all.dropFirst())
    }
    #expect(order(.fifo) == Array(repeating: "a", count: 8) + Array(repeating: "b", count: 8))
    let fair = order(.fair)
    for end in [4, 8, 12, 16] {
      let a = fair.prefix(end).filter { $0 == "a" }.count
      #expect(abs(2 * a - end) <= 4, "\(fair)")
    }
  }

  @Test func theContextsPropertyChoosesThePool() throws {
    final class Listener: SchedulerListener {
      let notes = Notes()
      func onJobStart(_ event: JobStartEvent) {
        notes.add("\(event.pool) \(event.properties.jobGroup ?? "-") \(event.properties.jobDescription ?? "-")")
      }
    }
    let workshop = Workshop(settings: Self.fair(["reports": PoolSettings(weight: 3)]))
    let listener = Listener()
    workshop.scheduler.addListener(listener)
    let numbers = workshop.context.parallelize(0..<4)
    _ = try numbers.count()
    workshop.context.setLocalProperty(LocalProperties.poolKey, "reports")
    workshop.context.setJobGroup("nightly", description: "delays by airport")
    _ = try numbers.count()
    workshop.context.clearJobGroup()
    workshop.context.setJobDescription("again")
    _ = try numbers.count()
    workshop.context.setLocalProperty(LocalProperties.poolKey, nil)
    #expect(workshop.context.localProperty(LocalProperties.jobDescriptionKey) == "again")
    _ = try numbers.count()
    #expect(
      listener.notes.all == ["default - -", "reports nightly delays by airport", "reports - again", "default - again"])
    workshop.expectIdle()
  }

  @Test func settingsAreReadByTheirNames() throws {
    let settings = try SchedulerSettings([
      "sluice.scheduler.mode": "FAIR", "sluice.scheduler.pool.re.ports.weight": "3",
      "sluice.scheduler.pool.re.ports.minShare": "2", "sluice.scheduler.pool.b.mode": "fair",
      "sluice.scheduler.listenerbus.eventqueue.capacity": "7", "sluice.speculation": "true",
      "sluice.speculation.interval": "1s", "sluice.speculation.multiplier": "2.5",
      "sluice.speculation.quantile": "0.5", "sluice.speculation.minTaskRuntime": "20ms", "other": "x",
    ])
    #expect(settings.mode == .fair)
    #expect(settings.pools == ["re.ports": PoolSettings(weight: 3, minShare: 2), "b": PoolSettings(mode: .fair)])
    #expect(settings.listenerQueueCapacity == 7)
    #expect(
      settings.speculation
        == SpeculationSettings(
          interval: .seconds(1), multiplier: 2.5, quantile: 0.5, minTaskRuntime: .milliseconds(20)))
    #expect(try SchedulerSettings([:]) == SchedulerSettings())
  }

  @Test(arguments: [
    ("sluice.scheduler.mode", "fare", "sluice.scheduler.mode: `fare` is neither FIFO nor FAIR"),
    ("sluice.scheduler.pool.a.weight", "0", "sluice.scheduler.pool.a.weight: `0` is not a whole number of 1 or more"),
    (
      "sluice.scheduler.pool.a.minShare", "-1",
      "sluice.scheduler.pool.a.minShare: `-1` is not a whole number of 0 or more"
    ),
    ("sluice.speculation", "yes", "sluice.speculation: `yes` is neither true nor false"),
    ("sluice.speculation.quantile", "1.5", "sluice.speculation.quantile: `1.5` is not a number from 0 to 1"),
    ("sluice.speculation.interval", "soon", "sluice.speculation.interval: `soon` is not a duration; write 100ms or 1s"),
  ])
  func wrongSettingsAreSaid(key: String, value: String, message: String) {
    let error = #expect(throws: SchedulerSettingsError.self) { try SchedulerSettings([key: value]) }
    #expect(error?.description == message)
  }
}
