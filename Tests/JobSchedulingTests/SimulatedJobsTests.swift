import Datasets
import Groundwork
import JobScheduling
import Simulation
import Synchronization
import SystemInterfaces
import Testing

/// Several jobs at once in a simulated world, with pools, speculation, failures and cancellations drawn from a seed.
///
/// Whatever the order: a job gives the results that a plain loop computes, or fails where a task of it fails four times, or
/// was cancelled; it is reported once; each result that was made is handed over or discarded; every start of a task has
/// its end, also for listeners; and nothing is left in the tables.
@Suite struct SimulatedJobsTests {
  /// What one job is and what became of it.
  private final class Subject: Sendable {
    let label: String
    /// Attempts of each source partition that fail before one succeeds.
    let failures: [Int]
    let tries = Tally()
    let made = Tally()
    let discarded = Tally()
    let ends = Mutex<[JobEnd]>([])
    init(_ label: String, failures: [Int]) {
      self.label = label
      self.failures = failures
    }
  }

  private final class Listener: SchedulerListener {
    let seen = Mutex<[String: Int]>([:])
    private func add(_ what: String) { seen.withLock { $0[what, default: 0] += 1 } }
    func onJobStart(_ event: JobStartEvent) { add("job start") }
    func onStageSubmitted(_ event: StageEvent) { add("stage start") }
    func onTaskStart(_ event: TaskStartEvent) { add("task start") }
    func onTaskEnd(_ event: TaskEndEvent) { add("task end") }
    func onStageCompleted(_ event: StageEvent) { add("stage end") }
    func onJobEnd(_ event: JobEndEvent) { add("job end") }
  }

  /// What all seeds together have shown, so that none of it is tested in name only.
  private struct Coverage {
    var succeeded = 0
    var failed = 0
    var cancelled = 0
    var discarded = 0
    var speculated = 0
    var skipped = 0
  }

  @Test func everyJobEndsRight() throws {
    var coverage = Coverage()
    for seed in 0..<80 { try Self.play(UInt64(seed), &coverage) }
    #expect(coverage.succeeded > 80 && coverage.failed > 10 && coverage.cancelled > 4, "\(coverage)")
    #expect(coverage.discarded > 4 && coverage.speculated > 20 && coverage.skipped > 20, "\(coverage)")
  }

  private static func play(_ seed: UInt64, _ coverage: inout Coverage) throws {
    let simulation = SimulatedWorld(seed: seed)
    var random = SeededRandom(seed: seed ^ 0xA5A5)
    let process = simulation.makeProcess(named: "driver", executors: Int.random(in: 1...4, using: &random))
    process.runner.mode = .spread
    let loop = process.makeLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: process.runner, settings: Self.settings(&random))
    let context = SluiceContext(runner: scheduler, defaultParallelism: 3)
    let listener = Listener()
    loop.post { scheduler.addListener(listener, queue: "test") }

    var subjects: [Subject] = []
    for number in 0..<Int.random(in: 1...7, using: &random) {
      let partitions = Int.random(in: 1...9, using: &random)
      let isDoomed = Int.random(in: 0..<6, using: &random) == 0
      let failures = (0..<partitions).map { partition in
        isDoomed && partition == 0 ? 4 : max(0, Int.random(in: -6...3, using: &random))
      }
      let subject = Subject("\(number)", failures: failures)
      subjects.append(subject)
      let spec = Self.spec(subject, in: context, batch: loop.wallTime, &random)
      let cancelAfter: Duration? =
        Int.random(in: 0..<5, using: &random) == 0 ? .microseconds(Int.random(in: 0...60_000, using: &random)) : nil
      loop.after(.microseconds(Int.random(in: 0...40_000, using: &random))) {
        let job = scheduler.submit(spec)
        if let cancelAfter { loop.after(cancelAfter) { scheduler.cancel(job, reason: "by the test") } }
      }
    }
    try simulation.runUntilIdle()

    #expect(scheduler.isIdle, "\(simulation.report())")
    for subject in subjects {
      let ends = subject.ends.withLock { $0 }
      try #require(ends.count == 1, "seed \(seed), job \(subject.label)")
      var used = 0
      switch ends[0].outcome {
      case .success(let results):
        used = results.count
        coverage.succeeded += 1
        let sum = results.reduce(0) { $0 + (($1 as? Int) ?? 0) }
        #expect(sum == (0..<subject.failures.count).reduce(0) { $0 + $1 + 1 }, "seed \(seed), job \(subject.label)")
        #expect(!subject.failures.contains(4), "seed \(seed), job \(subject.label)")
      case .failure(let failure):
        let isRight: Bool
        switch failure.reason {
        case .cancelled:
          isRight = true
          coverage.cancelled += 1
        case .taskFailed(_, _, let partition, _, _, _):
          isRight = partition == 0 && subject.failures[0] == 4
          coverage.failed += 1
        default: isRight = false
        }
        #expect(isRight, "seed \(seed): \(failure)")
      }
      coverage.discarded += subject.discarded.total
      #expect(subject.made.total == used + subject.discarded.total, "seed \(seed), job \(subject.label)")
    }
    let seen = listener.seen.withLock { $0 }
    for what in ["job", "stage", "task"] {
      #expect(seen["\(what) start"] == seen["\(what) end"], "seed \(seed): \(seen)")
    }
    let metrics = scheduler.metrics
    #expect(metrics.tasksLaunched == seen["task start"] ?? 0, "seed \(seed)")
    #expect(metrics.jobsSubmitted == subjects.count)
    coverage.speculated += metrics.tasksSpeculated
    coverage.skipped += metrics.tasksSkipped
  }

  private static func settings(_ random: inout SeededRandom) -> SchedulerSettings {
    var settings = SchedulerSettings()
    if Bool.random(using: &random) {
      settings.mode = .fair
      settings.pools = [
        "a": PoolSettings(
          weight: Int.random(in: 1...4, using: &random), minShare: Int.random(in: 0...2, using: &random),
          mode: Bool.random(using: &random) ? .fair : .fifo)
      ]
    }
    if Bool.random(using: &random) {
      settings.speculation = SpeculationSettings(
        interval: .milliseconds(2), multiplier: 1.2, quantile: 0.3, minTaskRuntime: .milliseconds(1))
    }
    return settings
  }

  /// A job that adds up partition + 1 over its source's partitions, with a shuffle in between or without.
  private static func spec(
    _ subject: Subject, in context: SluiceContext, batch: Timestamp, _ random: inout SeededRandom
  ) -> JobSpec {
    let weights = subject.failures.map { _ in Int64.random(in: 0...20_000_000, using: &random) }
    let source = RDD<(Int, Int)>(
      context, label: "source", partitionCount: weights.count, dependencies: [], weight: { weights[$0] }
    ) { partition, _, emit in
      if subject.tries.add(partition) <= subject.failures[partition] { throw Trouble(description: "as drawn") }
      try [(partition % 3, partition + 1)].withUnsafeBufferPointer { try emit($0) }
    }
    let dataset = Bool.random(using: &random) ? source.reduceByKey(partitions: 3) { $0 + $1 } : source
    var properties = LocalProperties()
    properties[LocalProperties.poolKey] = ["a", "b", nil].randomElement(using: &random) ?? nil
    return JobSpec(
      dataset: dataset, batch: BatchIdentity(number: 1, time: batch), label: subject.label, properties: properties,
      onDiscard: { _ in subject.discarded.add(0) }
    ) { partition, task in
      var sum = 0
      try dataset.compute(partition, task) { for (_, value) in $0 { sum += value } }
      subject.made.add(0)
      return sum
    } onComplete: { end in
      subject.ends.withLock { $0.append(end) }
    }
  }
}
