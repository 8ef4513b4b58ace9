import Datasets
import Groundwork
import JobScheduling
import Synchronization
import SystemInterfaces
import Testing

/// Tasks that take long are run a second time, in virtual time.
@Suite struct SpeculationTests {
  private static func settings(quantile: Double = 0.75) -> SchedulerSettings {
    var settings = SchedulerSettings()
    settings.speculation = SpeculationSettings(quantile: quantile)
    return settings
  }

  /// Four tasks on two places: 1, 2 and 3 take 50 ms each, 0 stays held. Time then stands at 150 ms.
  private static func straggling(
    _ workshop: Workshop, _ dataset: RDD<Int>, into log: JobLog, onDiscard: (@Sendable (any Sendable) -> Void)? = nil
  ) {
    workshop.runner.isHolding = true
    workshop.submit(dataset, into: log, onDiscard: onDiscard)
    for _ in 1...3 {
      workshop.loop.run(for: .milliseconds(50))
      workshop.runner.release(1)
      workshop.loop.run(for: .zero)
    }
  }

  @Test func aStragglerRunsTwiceAndTheFirstSuccessCounts() throws {
    let workshop = Workshop(settings: Self.settings())
    let computed = Tally()
    let dataset = workshop.context.parallelize(0..<4, partitionCount: 4).mapPartitions { elements, task in
      computed.add(task.partition)
      task.count("seen")
      return elements.map { $0 * 10 + task.attempt }
    }
    final class Listener: SchedulerListener {
      let notes = Notes()
      func onSpeculativeTask(_ event: SpeculativeTaskEvent) {
        notes.add("\(event.partition) takes long at \((event.time - Instant(nanoseconds: 0)).inMilliseconds)")
      }
      func onTaskStart(_ event: TaskStartEvent) {
        if event.isSpeculative { notes.add("\(event.partition).\(event.attempt) starts") }
      }
      func onTaskEnd(_ event: TaskEndEvent) {
        if event.partition == 0 { notes.add("0.\(event.attempt): \(event.outcome)".prefix { $0 != "(" }.description) }
      }
    }
    let listener = Listener()
    workshop.scheduler.addListener(listener)
    let log = JobLog()
    Self.straggling(workshop, dataset, into: log)
    #expect(workshop.runner.heldWaves == 1)
    workshop.loop.run(for: .milliseconds(40))
    #expect(workshop.runner.heldWaves == 1, "nobody looks before 200 ms")
    workshop.loop.run(for: .milliseconds(20))
    #expect(workshop.runner.heldWaves == 2)
    workshop.loop.run(for: .seconds(5))
    #expect(workshop.runner.heldWaves == 2, "never more than twice")
    workshop.runner.release(1)
    workshop.loop.run()
    let end = try #require(log.last)
    #expect(end.elements(Int.self) == [1, 10, 20, 30])
    #expect(end.metrics.tasks == 4)
    #expect(end.metrics.counters == ["seen": 4])
    workshop.runner.release()
    workshop.loop.run()
    #expect(computed[0] == 1, "the first attempt had not begun, so it does not")
    #expect(
      listener.notes.all == ["0 takes long at 200", "0.1 starts", "0.1: succeeded", "0.0: unneeded"])
    #expect(workshop.scheduler.metrics.tasksSpeculated == 1)
    workshop.expectIdle()
  }

  @Test func theSlowersResultIsDiscarded() throws {
    let workshop = Workshop(settings: Self.settings())
    let dataset = workshop.context.parallelize(0..<4, partitionCount: 4).mapPartitions { elements, task in
      // The first attempt has begun when the second one overtakes it.
      if task.partition == 0, task.attempt == 0 { workshop.runner.release(0) }
      return elements.map { $0 * 10 + task.attempt }
    }
    let discarded = Mutex<[Int]>([])
    let log = JobLog()
    Self.straggling(workshop, dataset, into: log) { result in discarded.withLock { $0 += result as? [Int] ?? [] } }
    workshop.loop.run(for: .milliseconds(100))
    workshop.runner.release(0)
    workshop.loop.run()
    #expect(log.last?.elements(Int.self) == [1, 10, 20, 30])
    #expect(discarded.withLock { $0 } == [0])
    #expect(log.labels.count == 1)
    workshop.expectIdle()
  }

  @Test func aCopyThatFailsLeavesTheFirstAttemptAlone() throws {
    let workshop = Workshop(settings: Self.settings())
    let dataset = workshop.context.parallelize(0..<4, partitionCount: 4).mapPartitions { elements, task in
      if task.partition == 0, task.attempt > 0 { throw Trouble(description: "no luck") }
      return elements
    }
    let log = JobLog()
    Self.straggling(workshop, dataset, into: log)
    workshop.loop.run(for: .milliseconds(60))
    workshop.runner.release(1)
    workshop.loop.run(for: .zero)
    #expect(workshop.runner.heldWaves == 1, "no third attempt while the first runs")
    workshop.runner.release(0)
    workshop.loop.run()
    #expect(log.last?.elements(Int.self) == [0, 1, 2, 3])
    #expect(log.last?.metrics.attemptsFailed == 1)
    workshop.expectIdle()
  }

  @Test func bothAttemptsThatFailAreRepeated() throws {
    let workshop = Workshop(settings: Self.settings())
    let dataset = workshop.context.parallelize(0..<4, partitionCount: 4).mapPartitions { elements, task in
      if task.partition == 0, task.attempt < 3 { throw Trouble(description: "no luck") }
      return elements
    }
    let log = JobLog()
    Self.straggling(workshop, dataset, into: log)
    workshop.loop.run(for: .milliseconds(60))
    while workshop.runner.heldWaves > 0 {
      workshop.runner.release()
      workshop.loop.run(for: .zero)
    }
    #expect(log.last?.elements(Int.self) == [0, 1, 2, 3])
    #expect(log.last?.metrics.attemptsFailed == 3)
    workshop.loop.run()
    workshop.expectIdle()
  }

  @Test func tooFewDoneOrTooShortIsNoStraggler() throws {
    let workshop = Workshop(settings: Self.settings(quantile: 1))
    let log = JobLog()
    Self.straggling(workshop, workshop.context.parallelize(0..<4, partitionCount: 4), into: log)
    workshop.loop.run(for: .seconds(10))
    #expect(workshop.runner.heldWaves == 1, "three of four are not all")
    workshop.runner.release()
    workshop.loop.run()
    workshop.expectIdle()

    let short = Workshop(settings: Self.settings(quantile: 0.25))
    short.runner.isHolding = true
    short.submit(short.context.parallelize(0..<2, partitionCount: 2), into: log)
    short.loop.run(for: .milliseconds(1))
    short.runner.release()
    short.loop.run(for: .milliseconds(99))
    #expect(short.runner.heldWaves == 1, "100 ms is not yet more than the least of 100 ms")
    short.loop.run(for: .milliseconds(100))
    #expect(short.runner.heldWaves == 2)
    while short.runner.heldWaves > 0 { short.runner.release() }
    short.loop.run()
    short.expectIdle()
  }

  @Test func aCopyWritesAShuffleOnce() throws {
    let workshop = Workshop(settings: Self.settings())
    let sums = workshop.context.parallelize(0..<4, partitionCount: 4).map { (0, $0) }.reduceByKey(partitions: 1, +)
    let log = JobLog()
    workshop.runner.isHolding = true
    workshop.submit(sums, into: log)
    for _ in 1...3 {
      workshop.loop.run(for: .milliseconds(50))
      workshop.runner.release(1)
      workshop.loop.run(for: .zero)
    }
    workshop.loop.run(for: .milliseconds(60))
    while workshop.runner.heldWaves > 0 {
      workshop.runner.release()
      workshop.loop.run(for: .zero)
    }
    #expect(log.last?.elements((Int, Int).self)?.map(\.1) == [6])
    #expect(workshop.scheduler.metrics.tasksSpeculated == 1)
    workshop.loop.run()
    workshop.expectIdle()
  }
}
