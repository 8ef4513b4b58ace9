import Datasets
import Groundwork
import JobScheduling
import SystemInterfaces

/// One batch on its way: its output operations run one after the other, in the order of definition; then what the
/// participants (state, …) still need is computed, sinks and participants prepare, and the batch is decided and committed.
///
/// Sendable: confined to the environment's loop.
final class BatchRun: @unchecked Sendable {
  /// What the batch needs to be decided.
  struct CommitPlan: Sendable {
    /// Whose decision decides; nil: the commit log's.
    var decider: (any Decider)?
    /// Makes the decision, with what the decider's sinks have prepared; empty where none of them has a record.
    var decide:
      @Sendable (
        _ run: BatchRun, _ prepared: [any PreparedOutput], _ then: @escaping @Sendable (DecisionOutcome) -> Void
      ) -> Void

    /// Whether the batch is computed twice, to see whether both come to the same.
    var isChecked = false
    /// Takes the batch back, as after a failure: it is computed anew.
    var rewind: @Sendable () -> Void = {}

    /// Calls on when all batches before this one have ended, wherever it stands.
    var whenFirst: @Sendable (_ then: @escaping @Sendable () -> Void) -> Void = { $0() }

    /// The batch is computed; calls on when all batches before it have ended.
    var whenItsTurn: @Sendable (_ then: @escaping @Sendable () -> Void) -> Void = { $0() }

    /// A batch that was given up while its datasets were being made is not made any more.
    var left: @Sendable () -> Void = {}

    /// When a sink commits.
    func place(of sink: any Sink) -> CommitPlace {
      if let decider, sink.decider === decider { return .withDecision }
      return sink.keepsPrepared ? .afterDecision : .beforeDecision
    }
  }

  /// How a batch ended.
  enum End: Sendable {
    /// Its output and its state are there.
    case committed(BatchInfo)
    /// It is decided, but a sink could not follow: the next start completes it.
    case incomplete(BatchInfo, StreamingError)
    /// It did not happen, and may run again.
    case failed(StreamingError)
    /// Whether it happened is for the next start to find out.
    case unknown(StreamingError)
  }

  let frame: BatchFrame
  /// What the batch's tasks did.
  private(set) var metrics = JobMetrics()
  private var info: BatchInfo
  private let context: StreamingContext
  private let environment: StreamingEnvironment
  private let listeners: [any StreamingListener]
  private let plan: CommitPlan
  private let ended: @Sendable (End) -> Void
  private var output: BatchOutput?
  /// The job of a participant that runs.
  private var completion: JobID?
  private var isCancelled = false
  /// Holds what its tasks add to accumulators until its turn, where it may be given up before.
  private let accumulations: HeldAccumulations?
  /// Whether some of the output may be visible although the batch has failed: of sinks that commit before the decision.
  private(set) var mayBeVisible = false
  private var hasEarlySinks = false
  /// Whether its datasets are being made: what runs jobs for that lets events in, but no other batch.
  private(set) var isDefining = false
  /// What the batch gave when it was computed for the first time, where it is computed twice.
  private var rehearsal: BatchRehearsal?
  private var expected: BatchDigest?
  private var probes: [(name: String, probe: OutputProbe)] = []

  init(
    _ frame: BatchFrame, _ info: BatchInfo, _ context: StreamingContext, _ listeners: [any StreamingListener],
    plan: CommitPlan, ended: @escaping @Sendable (End) -> Void
  ) {
    self.frame = frame
    self.info = info
    self.context = context
    environment = context.environment
    self.listeners = listeners
    self.plan = plan
    self.ended = ended
    accumulations = info.overlaps ? HeldAccumulations() : nil
  }

  func start(_ coordinator: OutputCoordinator) {
    for listener in listeners { listener.onBatchSubmitted(info) }
    guard plan.isChecked else { return run(coordinator) }
    let rehearsal = BatchRehearsal(frame, context) { [self] digest in
      self.rehearsal = nil
      expected = digest
      plan.rewind()
      run(coordinator)
    }
    self.rehearsal = rehearsal
    isDefining = true
    rehearsal.start()
    isDefining = false
    if isCancelled { plan.left() }
  }

  private func run(_ coordinator: OutputCoordinator) {
    info.processingStartTime = environment.world.clock.now
    for listener in listeners { listener.onBatchStarted(info) }
    let frame = frame
    isDefining = true
    let operations = context.outputs.compactMap { output -> OutputOperation? in
      switch output.kind {
      case .action(let action): OutputOperation(name: output.name, kind: .action { _ in try action(frame) })
      case .sink(let sink, let makeJob):
        makeJob(frame.probed(by: probe(output.name))).map { job in
          OutputOperation(
            name: output.name, kind: .sink(sink, dataset: job.dataset, work: job.task), place: plan.place(of: sink))
        }
      }
    }
    isDefining = false
    if isCancelled { return plan.left() }
    hasEarlySinks = operations.contains { operation in
      if case .sink = operation.kind { operation.place == .beforeDecision } else { false }
    }
    let output = coordinator.begin(frame.identity, operations)
    self.output = output
    output.accumulations = accumulations
    if info.overlaps {
      output.whenActionsMayRun = { [self] then in
        plan.whenFirst { [accumulations] in
          accumulations?.count()
          then()
        }
      }
    }
    output.operationStarted = { [self] index in operationStarted(index, operations[index].name) }
    output.operationCompleted = { [self] index, report, error in operationCompleted(index, report, error) }
    output.compute { [self] result in
      switch result {
      case .failure(let failure): fail("\(failure)")
      case .success: complete(context.participants.flatMap { $0.completions(frame) })
      }
    }
  }

  /// Runs the participants' jobs, one after the other.
  private func complete(_ jobs: [CompletionJob]) {
    if isCancelled { return }
    guard let job = jobs.first else {
      info.computedTime = environment.world.clock.now
      return plan.whenItsTurn { [self] in
        if isCancelled { return }
        info.commitStartTime = environment.world.clock.now
        accumulations?.count()
        compare()
        prepare()
      }
    }
    var spec = JobSpec(
      dataset: job.dataset, batch: frame.identity, operation: context.outputs.count, label: job.label
    ) { partition, task in
      try job.work(partition, task)
      return true
    } onComplete: { [self] end in
      completion = nil
      if isCancelled { return }
      metrics.add(end.metrics)
      info.counters.merge(end.metrics.counters) { $0 + $1 }
      switch end.outcome {
      case .failure(let failure): fail("\(failure)")
      case .success: complete(Array(jobs.dropFirst()))
      }
    }
    spec.accumulations = accumulations
    completion = environment.scheduler.submit(spec)
  }

  private func probe(_ name: String) -> OutputProbe? {
    guard expected != nil else { return nil }
    let probe = OutputProbe()
    probes.append((name, probe))
    return probe
  }

  /// Says where the batch has given something else than before.
  private func compare() {
    guard let expected else { return }
    info.differences = expected.differences(to: BatchDigest(probes, context, frame.number))
    self.expected = nil
    guard !info.differences.isEmpty else { return }
    info.counters["nondeterministic", default: 0] += Int64(info.differences.count)
    environment.log(DeterminismCheck.advice(frame.number, info.differences))
  }

  private func prepare() {
    output?.prepare { [self] failure in
      if let failure { return fail(failure) }
      prepare(participant: 0)
    }
  }

  private func prepare(participant index: Int) {
    if isCancelled { return }
    guard index < context.participants.count else { return commit() }
    let participant = context.participants[index]
    participant.prepare(frame.identity) { [self] error in
      if isCancelled { return }
      if let error {
        let isKnown = !((error as? any DiagnosableError)?.needsRestart ?? false)
        return fail("batch \(frame.number): \(participant.key) could not be stored: \(error)", isKnown: isKnown)
      }
      prepare(participant: index + 1)
    }
  }

  private func commit() {
    mayBeVisible = hasEarlySinks
    output?.commit { [self] prepared, then in
      plan.decide(self, prepared, then)
    } then: { [self] outcome in
      info.processingEndTime = environment.world.clock.now
      switch outcome {
      case .committed: finish(.committed(info))
      case .decided(let late):
        finish(late.first.map { .incomplete(info, failure("\($0)")) } ?? .committed(info))
      case .undecided(let failure): fail(failure)
      case .unknown(let failure): fail("\(failure)", isKnown: false)
      }
    }
  }

  /// Stops the batch; what was prepared is dropped. Once its commit has begun it goes on to its end.
  func cancel() {
    if let rehearsal {
      rehearsal.cancel()
      self.rehearsal = nil
      isCancelled = true
      return finish(.failed(failure("the job was stopped")))
    }
    guard let output, !output.isEnded else { return }
    output.abort()
    guard output.isEnded else { return }
    isCancelled = true
    if let completion { environment.scheduler.cancel(completion, reason: "the batch was stopped") }
    finish(.failed(failure("the job was stopped")))
  }

  /// Gives the batch up because the one before it does not happen: it has not begun to commit. Listeners hear of it, the
  /// driver does not.
  func discard(_ reason: String) {
    isCancelled = true
    rehearsal?.cancel()
    rehearsal = nil
    output?.abort()
    if let completion { environment.scheduler.cancel(completion, reason: reason) }
    info.failureReason = reason
    info.isDiscarded = true
    info.processingEndTime = environment.world.clock.now
    for listener in listeners { listener.onBatchCompleted(info) }
    release()
  }

  private func operationStarted(_ index: Int, _ name: String) {
    info.outputOperations.append(OutputOperationInfo(id: index, name: name, startTime: environment.world.clock.now))
    for listener in listeners { listener.onOutputOperationStarted(info.outputOperations[index], of: frame.number) }
  }

  private func operationCompleted(_ index: Int, _ report: OutputReport, _ error: (any Error)?) {
    metrics.add(report.metrics)
    info.counters.merge(report.metrics.counters) { $0 + $1 }
    info.outputOperations[index].endTime = environment.world.clock.now
    info.outputOperations[index].recordsWritten = report.records
    info.outputOperations[index].failureReason = error.map { "\($0)" }
    for listener in listeners { listener.onOutputOperationCompleted(info.outputOperations[index], of: frame.number) }
  }

  /// Whoever has been taken over from must not go on, whatever its failure policy says: the next start does.
  private func fail(_ failure: OutputFailure) { fail("\(failure)", isKnown: !failure.needsRestart) }

  /// - Parameter isKnown: false where only a start finds out what became of the batch.
  private func fail(_ reason: String, isKnown: Bool = true) {
    guard let output else { return }
    if !output.isEnded { output.abort() }
    info.failureReason = reason
    info.processingEndTime = environment.world.clock.now
    for listener in listeners { listener.onBatchCompleted(info) }
    finish(isKnown ? .failed(failure(reason)) : .unknown(failure(reason)))
  }

  private func failure(_ reason: String) -> StreamingError { .batchFailed(batch: frame.number, reason: reason) }

  private func finish(_ end: End) {
    release()
    ended(end)
  }

  /// Lets go of the output, whose callbacks hold this object: the two would keep each other. A commit that has begun goes
  /// on to its end.
  func release() {
    output?.operationStarted = nil
    output?.operationCompleted = nil
    output?.whenActionsMayRun = nil
    output = nil
  }
}
