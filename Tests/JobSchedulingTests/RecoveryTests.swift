import Datasets
import Groundwork
import JobScheduling
import Synchronization
import SystemInterfaces
import Testing

/// What the scheduler does when a task fails, when input or shuffle output is gone, and when a job is given up.
@Suite struct RecoveryTests {
  @Test func aTaskMayFailThreeTimes() throws {
    let workshop = Workshop()
    let tries = Tally()
    let numbers = workshop.context.parallelize(0..<3, partitionCount: 3).mapPartitions { elements, task in
      task.count("seen", Int64(elements.count))
      let attempt = tries.add(task.partition) - 1
      #expect(attempt == task.attempt)
      if task.partition == 1, attempt < 3 { throw Trouble(description: "bad luck") }
      return elements
    }
    let end = try workshop.run(numbers)
    #expect(end.elements(Int.self) == [0, 1, 2])
    #expect((0..<3).map { tries[$0] } == [1, 4, 1], "only the failed partition runs again")
    #expect(end.metrics.attemptsFailed == 3)
    #expect(end.metrics.tasks == 3)
    #expect(end.metrics.counters == ["seen": 3], "failed attempts do not count")
    #expect(end.metrics.recordsRead == 3)
    #expect(workshop.runner.waves == [3, 1, 1, 1])
  }

  @Test func theFourthFailureIsTheJobs() throws {
    let workshop = Workshop()
    let tries = Tally()
    let numbers = workshop.context.parallelize(0..<3, partitionCount: 3).map { value in
      tries.add(value)
      if value == 2 { throw Trouble(description: "no such airport: 'QQQ'") }
      return value
    }
    let end = try workshop.run(numbers, label: "save delays")
    #expect(
      end.failure?.description
        == "job 'save delays' of batch 7 failed: partition 2 of stage 1 (map) failed 4 times; "
        + "the last error: no such airport: 'QQQ'")
    #expect((0..<3).map { tries[$0] } == [1, 1, 4])
  }

  @Test func aFailureBeforeAShuffleEndsTheJob() throws {
    let workshop = Workshop()
    let sums = workshop.context.parallelize(0..<3, partitionCount: 3).map { value -> (Int, Int) in
      throw Trouble(description: "always")
    }.reduceByKey(+)
    let end = try workshop.run(sums)
    #expect(end.failure?.description.contains("stage 2 (map) failed 4 times") == true)
    #expect(end.metrics.stages == 1)
  }

  @Test func missingInputIsFetchedOnceAndIsNoFailure() throws {
    let workshop = Workshop()
    let input = HandInput(answersAtOnce: false)
    let numbers = workshop.context.parallelize(0..<4, partitionCount: 2).mapPartitions { elements, task in
      if task.partition == 1 { try input.demand() }
      return elements
    }
    let log = JobLog()
    workshop.submit(numbers, into: log)
    workshop.loop.run()
    #expect(input.fetches == 1)
    #expect(log.labels.isEmpty)
    #expect(!workshop.scheduler.isIdle)
    input.answer()
    workshop.loop.run()
    let end = try #require(log.last)
    #expect(end.elements(Int.self) == [0, 1, 2, 3])
    #expect(end.metrics.inputsFetched == 1)
    #expect(end.metrics.attemptsFailed == 0)
    #expect(workshop.runner.waves == [2, 1])
    workshop.expectIdle()
  }

  @Test func aFetchThatFailsIsAFailure() throws {
    let workshop = Workshop()
    let input = HandInput(answers: Array(repeating: Trouble(description: "no broker"), count: 4))
    let numbers = workshop.context.parallelize(0..<4, partitionCount: 1).mapPartitions { elements, _ in
      try input.demand()
      return elements
    }
    let end = try workshop.run(numbers)
    #expect(end.failure?.description.contains("the last error: no broker") == true)
    #expect(input.fetches == 4)
  }

  @Test func inputThatNeverComesEndsTheJob() throws {
    let workshop = Workshop()
    let input = HandInput(isLost: true)
    let numbers = workshop.context.parallelize(0..<4, partitionCount: 1).mapPartitions { elements, _ in
      try input.demand()
      return elements
    }
    let end = try workshop.run(numbers)
    #expect(end.failure?.description.contains("missing again after it was fetched: flights-0[10,20)") == true)
    #expect(input.fetches == 10)
  }

  @Test func anAnswerAfterTheJobsEndChangesNothing() throws {
    let workshop = Workshop()
    let input = HandInput(answersAtOnce: false)
    let numbers = workshop.context.parallelize(0..<4, partitionCount: 1).mapPartitions { elements, _ in
      try input.demand()
      return elements
    }
    let log = JobLog()
    let job = workshop.submit(numbers, into: log)
    workshop.loop.run()
    workshop.scheduler.cancel(job, reason: "the batch was given up")
    workshop.loop.run()
    #expect(log.last?.failure?.description == "job 'test' of batch 7 was cancelled: the batch was given up")
    input.answer()
    workshop.loop.run()
    #expect(log.labels.count == 1)
    #expect(workshop.runner.waves == [1])
    workshop.expectIdle()
  }

  @Test func lostShuffleOutputIsRemadeWhereItIsMissing() throws {
    let workshop = Workshop()
    let computed = Tally()
    let source = workshop.context.parallelize(0..<12, partitionCount: 4).mapPartitions { elements, task in
      computed.add(task.partition)
      return elements.map { ($0 % 3, $0) }
    }
    let sums = source.reduceByKey(partitions: 2, +)
    guard case .shuffle(let shuffle) = sums.dependencies[0] else { throw Trouble(description: "no shuffle") }
    let losses = Tally()
    let reading = sums.mapPartitions { pairs, task in
      if task.partition == 1, losses.add(0) == 1 {
        shuffle.output.drop(ofMap: 2)
        throw ShuffleOutputMissing()
      }
      return pairs
    }
    let end = try workshop.run(reading)
    #expect(end.elements((Int, Int).self)?.map(\.1).reduce(0, +) == 66)
    #expect((0..<4).map { computed[$0] } == [1, 1, 2, 1])
    #expect(end.metrics.shufflesLost == 1)
    #expect(end.metrics.attemptsFailed == 0)
    #expect(workshop.runner.waves == [4, 2, 1, 1])
  }

  @Test func severalTasksThatFindTheSameLossRemakeItOnce() throws {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let computed = Tally()
    let sums = workshop.context.parallelize(0..<12, partitionCount: 3).mapPartitions { elements, task in
      computed.add(task.partition)
      return elements.map { ($0, $0) }
    }.reduceByKey(partitions: 4, +)
    guard case .shuffle(let shuffle) = sums.dependencies[0] else { throw Trouble(description: "no shuffle") }
    let log = JobLog()
    workshop.submit(sums, into: log)
    workshop.runner.release()
    workshop.loop.run()
    shuffle.output.drop(ofMap: 0)  // between the stages: all four reducers are submitted already
    while workshop.runner.heldWaves > 0 {
      workshop.runner.release()
      workshop.loop.run()
    }
    #expect(workshop.runner.waves == [3, 4, 1, 4])
    #expect((0..<3).map { computed[$0] } == [2, 1, 1])
    #expect(log.last?.elements((Int, Int).self)?.count == 12)
    workshop.expectIdle()
  }

  @Test func outputThatIsLostEveryTimeEndsTheJob() throws {
    let workshop = Workshop()
    let sums = workshop.context.parallelize(0..<12, partitionCount: 1).map { ($0, $0) }.reduceByKey(partitions: 1, +)
    let reading = sums.mapPartitions { pairs, _ -> [(Int, Int)] in throw ShuffleOutputMissing() }
    let end = try workshop.run(reading)
    #expect(end.failure?.description.contains("was lost again after it was remade (10 times)") == true)
  }

  @Test func aCancelledJobsTasksDoNotStartAndLateResultsAreDiscarded() throws {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let computed = Tally()
    let numbers = workshop.context.parallelize(0..<4, partitionCount: 2).map { value in
      computed.add(value)
      return value
    }
    let discarded = Tally()
    let log = JobLog()
    let job = workshop.submit(numbers, into: log, onDiscard: { _ in discarded.add(0) })
    workshop.scheduler.cancel(job, reason: "enough")
    #expect(log.labels.isEmpty, "never inside the call")
    workshop.loop.run()
    #expect(log.labels.count == 1)
    workshop.runner.release()
    workshop.loop.run()
    #expect(computed.total == 0)
    #expect(discarded.total == 0)
    workshop.expectIdle()
  }

  @Test func resultsOfAFailedJobAreDiscarded() throws {
    let workshop = Workshop()
    let numbers = workshop.context.parallelize(0..<3, partitionCount: 3).map { value in
      if value == 1 { throw Trouble(description: "always") }
      return value
    }
    let log = JobLog()
    let discarded = Mutex<[Int]>([])
    workshop.submit(numbers, into: log) { result in
      discarded.withLock { $0 += (result as? [Int]) ?? [] }
    }
    workshop.loop.run()
    #expect(log.last?.failure != nil)
    #expect(discarded.withLock { $0 } == [0, 2])
    workshop.expectIdle()
  }

  @Test func cancellingTheJobThatStartedASharedStageLeavesItToTheOther() throws {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let sums = workshop.context.parallelize(0..<10, partitionCount: 2).map { ($0 % 2, $0) }.reduceByKey(+)
    let log = JobLog()
    let first = workshop.submit(sums, label: "first", into: log)
    workshop.submit(sums, label: "second", into: log)
    workshop.scheduler.cancel(first, reason: "not wanted")
    while workshop.runner.heldWaves > 0 {
      workshop.runner.release()
      workshop.loop.run()
    }
    #expect(log.labels == ["first", "second"])
    #expect(log.last?.elements((Int, Int).self)?.map(\.1).sorted() == [20, 25])
    workshop.expectIdle()
  }

  @Test func stoppingEndsEveryJob() throws {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let log = JobLog()
    workshop.submit(workshop.context.parallelize(0..<10), label: "first", into: log)
    workshop.submit(workshop.context.parallelize(0..<10).map { ($0, $0) }.reduceByKey(+), label: "second", into: log)
    workshop.scheduler.stop()
    workshop.submit(workshop.context.parallelize(0..<10), label: "third", into: log)
    while workshop.runner.heldWaves > 0 { workshop.runner.release() }
    workshop.loop.run()
    #expect(log.labels == ["first", "second", "third"])
    #expect(log.ends.withLock { $0.allSatisfy { $0.failure?.leavesUsable == false } })
    workshop.expectIdle()
  }

  @Test func listenersHearWhatHappensInOrder() throws {
    final class Listener: SchedulerListener {
      let heard = Mutex<[String]>([])
      func note(_ text: String) { heard.withLock { $0.append(text) } }
      func onJobStart(_ event: JobStartEvent) { note("job \(event.label)") }
      func onStageSubmitted(_ event: StageEvent) { note("stage \(event.label) of \(event.tasks)") }
      func onTaskEnd(_ event: TaskEndEvent) {
        switch event.outcome {
        case .succeeded: note("task \(event.partition).\(event.attempt) done")
        case .failed(let error): note("task \(event.partition).\(event.attempt) failed: \(error)")
        default: note("other")
        }
      }
      func onStageCompleted(_ event: StageEvent) { note("stage \(event.label) done") }
      func onJobEnd(_ event: JobEndEvent) { note("job \(event.label) done") }
    }
    let workshop = Workshop()
    let listener = Listener()
    workshop.scheduler.addListener(listener)
    let tries = Tally()
    let sums = workshop.context.parallelize(0..<4, partitionCount: 2).map { value in
      if value == 2, tries.add(0) == 1 { throw Trouble(description: "once") }
      return (0, value)
    }.reduceByKey(partitions: 1, +)
    _ = try workshop.run(sums, label: "sum")
    #expect(
      listener.heard.withLock { $0 } == [
        "job sum", "stage map of 2", "task 0.0 done", "task 1.0 failed: once", "task 1.1 done", "stage map done",
        "stage reduceByKey of 1", "task 0.0 done", "stage reduceByKey done", "job sum done",
      ])
    workshop.scheduler.removeListener(listener)
    _ = try workshop.run(sums, label: "again")
    #expect(listener.heard.withLock { $0.count } == 10)
  }
}
