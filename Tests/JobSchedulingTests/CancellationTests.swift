import Datasets
import Groundwork
import JobScheduling
import SystemInterfaces
import Testing

/// Jobs that are given up, alone and together, and what their tasks notice of it.
@Suite struct CancellationTests {
  @Test func aRunningTaskNoticesBetweenChunks() throws {
    let workshop = Workshop()
    let seen = Tally()
    let log = JobLog()
    let job = JobID(1)
    let numbers = workshop.context.parallelize(0..<100_000, partitionCount: 1).map { value in
      seen.add(0)
      if value == 1500 { workshop.scheduler.cancel(job, reason: "enough") }
      return value
    }
    workshop.submit(numbers, into: log)
    workshop.loop.run()
    #expect(log.last?.failure?.description == "job 'test' of batch 7 was cancelled: enough")
    #expect(seen[0] == 2048, "the chunk that had begun, and no other")
    #expect(workshop.scheduler.metrics.tasksSkipped == 1)
    workshop.expectIdle()
  }

  @Test func cancellingFreesThePlaces() {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let (log, notes) = (JobLog(), Notes())
    let first = workshop.submit(workshop.noting("a", tasks: 20, weight: 10_000_000, in: notes), label: "a", into: log)
    workshop.submit(workshop.noting("b", tasks: 3, in: notes), label: "b", into: log)
    #expect(workshop.runner.heldWaves == 4)
    workshop.scheduler.cancel(first, reason: "not wanted")
    workshop.releaseAll()
    #expect(notes.all == ["b", "b", "b"])
    #expect(workshop.scheduler.metrics.tasksSkipped == 4, "16 were never launched")
    #expect(log.labels == ["a", "b"])
    workshop.expectIdle()
  }

  @Test func aGroupIsCancelledTogether() {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let (log, notes) = (JobLog(), Notes())
    for (name, group) in [("a", "x"), ("b", "y"), ("c", "x"), ("d", nil)] {
      workshop.submit(workshop.noting(name, tasks: 2, in: notes), label: name, group: group, into: log)
    }
    workshop.context.cancelJobGroup("x", reason: "the page was closed")
    workshop.submit(workshop.noting("e", tasks: 1, in: notes), label: "e", group: "x", into: log)
    workshop.releaseAll()
    #expect(log.labels == ["a", "c", "b", "d", "e"])
    let failures = log.ends.withLock { $0.map { $0.failure?.description } }
    #expect(failures[0] == "job 'a' of batch 7 was cancelled: the page was closed")
    #expect(failures[1] != nil && failures[2...].allSatisfy { $0 == nil })
    workshop.expectIdle()
  }

  @Test func aStageIsCancelledWithEveryJobThatNeedsIt() {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let log = JobLog()
    let sums = workshop.context.parallelize(0..<10).map { ($0 % 2, $0) }.reduceByKey(+)
    workshop.submit(sums, label: "first", into: log)
    workshop.submit(sums.mapValues { -$0 }, label: "second", into: log)
    workshop.submit(workshop.context.parallelize(0..<4), label: "third", into: log)
    workshop.context.cancelStage(StageID(2), reason: "it reads too much")
    workshop.context.cancelStage(StageID(99))
    workshop.releaseAll()
    #expect(log.labels == ["first", "second", "third"])
    #expect(log.ends.withLock { $0.map { $0.failure == nil } } == [false, false, true])
    workshop.expectIdle()
  }

  @Test func allJobsAreCancelledButThoseToCome() {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let (log, notes) = (JobLog(), Notes())
    for name in ["a", "b", "c"] { workshop.submit(workshop.noting(name, tasks: 2, in: notes), label: name, into: log) }
    workshop.context.cancelAllJobs()
    workshop.submit(workshop.noting("d", tasks: 2, in: notes), label: "d", into: log)
    workshop.releaseAll()
    #expect(notes.all == ["d", "d"])
    #expect(log.labels == ["a", "b", "c", "d"])
    workshop.expectIdle()
  }

  @Test func theHeirOfASharedStageGoesOnWithIt() {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let (log, notes) = (JobLog(), Notes())
    let sums = workshop.noting("map", tasks: 12, weight: 10_000_000, in: notes).map { (0, $0) }.reduceByKey(
      partitions: 1, +)
    let first = workshop.submit(sums, label: "first", into: log)
    workshop.submit(sums, label: "second", into: log)
    workshop.runner.release()
    workshop.loop.run()
    workshop.scheduler.cancel(first, reason: "not wanted")
    workshop.releaseAll()
    #expect(log.last?.elements((Int, Int).self)?.map(\.1) == [66])
    #expect(notes.count("map") == 12, "no task ran twice")
    workshop.expectIdle()
  }

  @Test func theMessageNamesOperatorAndPosition() throws {
    let workshop = Workshop()
    let asked = Tally()
    let source = RDD<Int>(workshop.context, label: "flights", partitionCount: 2, dependencies: []) {
      partition, task, emit in
      task.inputPosition = {
        asked.add(partition)
        return "flights-\(partition) at offset 1234"
      }
      try [partition].withUnsafeBufferPointer { try emit($0) }
    }
    let failing = source.filter { value in
      if value == 1 { throw Trouble(description: "no such airport: 'QQQ'") }
      return true
    }.map { $0 + 1 }
    let end = try workshop.run(failing, label: "save delays")
    #expect(
      end.failure?.description
        == "job 'save delays' of batch 7 failed: partition 1 of stage 1 (filter) failed 4 times; "
        + "the last error, at flights-1 at offset 1234: no such airport: 'QQQ'")
    #expect(asked[0] == 0 && asked[1] == 4, "asked only where a task fails")
  }
}
