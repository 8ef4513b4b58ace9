import Datasets
import Groundwork
import JobScheduling
import Synchronization
import SystemInterfaces
import Testing

/// The output of a batch on its way: computed, prepared, committed, or dropped without a trace.
@Suite struct OutputCoordinatorTests {
  let workshop = Workshop()
  let log = SinkLog()
  var coordinator: OutputCoordinator { OutputCoordinator(workshop.scheduler, commitAttemptsMax: 3) }

  /// An operation whose tasks hand over the partition's elements as text.
  func operation(
    _ name: String, to sink: HandSink, place: CommitPlace = .beforeDecision, elements: Range<Int> = 0..<4,
    failing: @escaping @Sendable (TaskContext) -> Bool = { _ in false }
  ) -> OutputOperation {
    let dataset = workshop.context.parallelize(elements, partitionCount: 2)
    return OutputOperation(
      name: name,
      kind: .sink(sink, dataset: dataset) { partition, task in
        var elements: [Int] = []
        try dataset.compute(partition, task) { elements.append(contentsOf: $0) }
        if failing(task) { throw Trouble(description: "cannot encode") }
        return TaskOutput(
          records: elements.count, bytes: 10 * elements.count, payload: "\(name)/\(partition).\(task.attempt)")
      }, place: place)
  }

  /// Runs all steps and gives what came of them.
  func run(
    _ operations: [OutputOperation], decision: DecisionOutcome = .decided
  ) -> (reports: [OutputReport], result: Result<CommitOutcome, OutputFailure>?) {
    let answer = Mutex<(reports: [OutputReport], result: Result<CommitOutcome, OutputFailure>?)>(([], nil))
    let output = coordinator.begin(workshop.batch, operations)
    output.run { [log] prepared, then in
      let payloads = prepared.flatMap { ($0 as? HandSink.Prepared)?.payloads ?? [] }
      log.note("decide \(payloads.joined(separator: " "))")
      then(decision)
    } then: { reports, result in
      answer.withLock { $0 = (reports, result) }
    }
    workshop.loop.run()
    workshop.expectIdle()
    #expect(output.isEnded)
    return answer.withLock { $0 }
  }

  @Test func operationsRunInOrder() throws {
    let files = HandSink("files", log)
    let topic = HandSink("topic", log)
    let seen = Mutex<[String]>([])
    let (reports, result) = run([
      operation("save", to: files),
      OutputOperation(name: "look", kind: .action { batch in seen.withLock { $0.append("batch \(batch.number)") } }),
      operation("send", to: topic),
    ])
    guard case .success(.committed) = result else { throw Trouble(description: "\(String(describing: result))") }
    #expect(
      log.all == [
        "files: prepare save/0.0 save/1.0", "topic: prepare send/0.0 send/1.0", "files: commit", "topic: commit",
        "decide ",
      ])
    #expect(seen.withLock { $0 } == ["batch 7"])
    #expect(reports.map(\.name) == ["save", "look", "send"])
    #expect(reports.map(\.records) == [4, 0, 4])
    #expect(reports.map(\.bytes) == [40, 0, 40])
    #expect(reports[0].metrics.recordsRead == 4)
    #expect(reports[0].metrics.recordsWritten == 4)
    #expect(workshop.runner.waves == [2, 2], "one operation at a time")
  }

  @Test func onlyTheFirstSuccessfulAttemptOfAPartitionIsHandedOver() throws {
    let files = HandSink("files", log)
    let (reports, _) = run([
      operation("save", to: files) { task in task.partition == 1 && task.attempt < 2 }
    ])
    #expect(files.visible == ["save/0.0", "save/1.2"])
    #expect(reports[0].records == 4)
    #expect(reports[0].metrics.attemptsFailed == 2)
  }

  @Test func whatAFailedOperationAndThoseBeforeItMadeIsDiscarded() throws {
    let files = HandSink("files", log)
    let topic = HandSink("topic", log)
    let (_, result) = run([
      operation("save", to: files), operation("send", to: topic) { $0.partition == 1 }, operation("more", to: files),
    ])
    #expect(
      log.all == ["topic: discard send/0.0", "files: discard save/0.0", "files: discard save/1.0"])
    guard case .failure(let failure) = result else { throw Trouble(description: "no failure") }
    #expect(failure.description.contains("job 'send' of batch 7 failed: partition 1 of stage"))
  }

  @Test func aSinkThatCannotPrepareAbortsAll() throws {
    let first = HandSink("first", log)
    let second = HandSink("second", log, prepareErrors: [SinkError(isRetriable: false)])
    let third = HandSink("third", log)
    let (reports, result) = run([
      operation("a", to: first), operation("b", to: second), operation("c", to: third, place: .withDecision),
    ])
    #expect(reports.count == 3)
    #expect(
      log.all == [
        "first: prepare a/0.0 a/1.0", "second: prepare b/0.0 b/1.0", "third: prepare c/0.0 c/1.0",
        "second: discard b/0.0", "second: discard b/1.0", "first: abort", "third: abort",
      ])
    guard case .failure(let failure) = result else { throw Trouble(description: "no failure") }
    #expect(
      failure.description
        == "batch 7: second could not take the output of 'b': the disk is full; nothing of the batch was committed")
  }

  @Test func aCommitIsTriedAgainAfterAGrowingWait() throws {
    let topic = HandSink("topic", log, commitErrors: [SinkError(), SinkError()])
    let (_, result) = run([operation("send", to: topic)])
    guard case .success(.committed) = result else { throw Trouble(description: "\(String(describing: result))") }
    #expect(
      log.all == [
        "topic: prepare send/0.0 send/1.0", "topic: commit", "topic: commit", "topic: commit", "decide ",
      ])
    #expect(workshop.loop.now == Instant(nanoseconds: 300_000_000), "100 ms, then 200 ms")
    #expect(topic.visible.count == 2)
  }

  /// One sink for each place, and two that decide.
  func places(late: [any Error & Sendable] = []) -> [OutputOperation] {
    [
      operation("late", to: HandSink("late", log, commitErrors: late), place: .afterDecision),
      operation("one", to: HandSink("one", log), place: .withDecision),
      operation("later", to: HandSink("later", log), place: .afterDecision),
      operation("early", to: HandSink("early", log), place: .beforeDecision),
      operation("two", to: HandSink("two", log), place: .withDecision, elements: 0..<0),
    ]
  }

  @Test func sinksCommitBeforeWithAndAfterTheDecision() throws {
    let (_, result) = run(places())
    guard case .success(.committed) = result else { throw Trouble(description: "\(String(describing: result))") }
    #expect(
      log.all.dropFirst(5) == [
        "early: commit", "decide one/0.0 one/1.0 two/0.0 two/1.0", "late: commit", "later: commit",
      ])
  }

  @Test func withoutRecordsForItTheDeciderIsNotAskedAndItsSinksCommitAfterTheDecision() throws {
    let (_, result) = run([
      operation("one", to: HandSink("one", log), place: .withDecision, elements: 0..<0),
      operation("early", to: HandSink("early", log)),
    ])
    guard case .success(.committed) = result else { throw Trouble(description: "\(String(describing: result))") }
    #expect(log.all.dropFirst(2) == ["early: commit", "decide ", "one: commit"])
  }

  @Test func whereTheBatchIsNotDecidedTheOthersAreAborted() throws {
    let (_, result) = run(places(), decision: .aborted(SinkError(isRetriable: false)))
    guard case .success(.undecided(let failure)) = result else { throw Trouble(description: "not undecided") }
    #expect(failure.description == "batch 7: the output for one could not be committed: the disk is full")
    #expect(
      log.all.dropFirst(5) == [
        "early: commit", "decide one/0.0 one/1.0 two/0.0 two/1.0", "late: abort", "later: abort",
      ])
  }

  @Test func whereNobodyKnowsNothingIsAborted() throws {
    let (_, result) = run(places(), decision: .unknown(SinkError()))
    guard case .success(.unknown(let failure)) = result else { throw Trouble(description: "not unknown") }
    #expect(failure.step == .decide)
    #expect(log.all.dropFirst(5) == ["early: commit", "decide one/0.0 one/1.0 two/0.0 two/1.0"])
  }

  @Test func aSinkThatCannotCommitBeforeTheDecisionEndsTheBatch() throws {
    let files = HandSink("files", log, commitErrors: [SinkError(), SinkError(), SinkError()])
    let topic = HandSink("topic", log)
    let (_, result) = run([
      operation("send", to: topic, place: .withDecision), operation("save", to: files),
    ])
    guard case .success(.undecided(let failure)) = result else { throw Trouble(description: "not undecided") }
    #expect(failure.step == .commit(attempts: 3))
    #expect(log.all.suffix(4) == ["files: commit", "files: commit", "files: commit", "topic: abort"])
    #expect(!log.all.contains("files: abort"), "it may have committed")
  }

  @Test func onceDecidedTheOthersRollForwardEvenPastOneThatCannot() throws {
    let (_, result) = run(places(late: [SinkError(isRetriable: false)]))
    guard case .success(.decided(let late)) = result else { throw Trouble(description: "not decided") }
    #expect(late.map(\.operation) == ["late"])
    #expect(late.first?.step == .commit(attempts: 1), "an error that does not pass is not tried again")
    #expect(log.all.suffix(2) == ["late: commit", "later: commit"])
    #expect(!log.all.contains { $0.hasSuffix("abort") })
  }

  @Test func actionsRunJobsOfTheBatch() throws {
    let counted = Mutex<Int>(0)
    let numbers = workshop.context.parallelize(0..<10, partitionCount: 2).mapPartitions { elements, task in
      elements.map { _ in task.batch.number.rawValue }
    }
    let (_, result) = run([
      OutputOperation(
        name: "foreachRDD",
        kind: .action { _ in
          let sum = try numbers.sum()
          counted.withLock { $0 = Int(sum) }
        })
    ])
    guard case .success(.committed) = result else { throw Trouble(description: "\(String(describing: result))") }
    #expect(counted.withLock { $0 } == 70, "each task saw batch 7")
    #expect(workshop.scheduler.batchOfActions == nil)
  }

  @Test func anActionThatThrowsFailsTheBatch() throws {
    let files = HandSink("files", log)
    let (_, result) = run([
      operation("save", to: files),
      OutputOperation(name: "alert", kind: .action { _ in throw Trouble(description: "no mail server") }),
    ])
    guard case .failure(let failure) = result else { throw Trouble(description: "no failure") }
    #expect(failure.description == "'alert' of batch 7 failed: no mail server")
    #expect(log.all == ["files: discard save/0.0", "files: discard save/1.0"])
  }

  @Test func abortingWhileTasksRunDropsWhatTheyMake() throws {
    workshop.runner.isHolding = true
    let files = HandSink("files", log)
    let output = coordinator.begin(workshop.batch, [operation("save", to: files)])
    let answers = Tally()
    output.compute { _ in answers.add(0) }
    output.abort()
    workshop.runner.release()
    workshop.loop.run()
    #expect(output.isEnded)
    #expect(answers.total == 0)
    #expect(log.all.isEmpty, "the tasks had not started")
    workshop.expectIdle()
  }

  @Test func abortingWhileASinkPreparesAbortsItWhenItAnswers() throws {
    let slow = HandSink("slow", log, answersLater: true)
    let failing = HandSink("failing", log, prepareErrors: [SinkError()], answersLater: true)
    let output = coordinator.begin(workshop.batch, [operation("a", to: slow), operation("b", to: failing)])
    output.compute { _ in }
    workshop.loop.run()
    output.prepare { _ in }
    output.abort()
    slow.answer()
    failing.answer()
    #expect(
      log.all.suffix(3) == ["slow: abort", "failing: discard b/0.0", "failing: discard b/1.0"])
  }

  @Test func stepsOutOfOrderAreAnsweredByAnError() throws {
    let files = HandSink("files", log)
    let output = coordinator.begin(workshop.batch, [operation("save", to: files)])
    let failures = Mutex<[OutputFailure.Step]>([])
    output.prepare { failure in failures.withLock { $0.append(failure?.step ?? .compute) } }
    output.commit { _, then in
      then(.decided)
    } then: { outcome in
      if case .undecided(let failure) = outcome { failures.withLock { $0.append(failure.step) } }
    }
    output.compute { result in if case .failure = result { failures.withLock { $0.append(.compute) } } }
    output.compute { result in
      if case .failure(let failure) = result { failures.withLock { $0.append(failure.step) } }
    }
    workshop.loop.run()
    #expect(failures.withLock { $0 } == [.order("prepare"), .order("commit"), .order("compute")])
    output.abort()
    #expect(log.all == ["files: discard save/0.0", "files: discard save/1.0"])
    output.abort()
    #expect(log.all.count == 2)
    workshop.expectIdle()
  }

  @Test func aBatchWithoutOperationsCommitsNothing() throws {
    let (_, result) = run([])
    guard case .success(.committed) = result else { throw Trouble(description: "\(String(describing: result))") }
  }
}
