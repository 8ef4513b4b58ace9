import Datasets
import Groundwork
import SystemInterfaces

/// Brings the output operations of batches to their sinks: computes them one at a time in the order of their definition,
/// has every sink prepare, then commits in the order that `CommitPlace` says. Of each partition the first successful attempt is handed over;
/// what others left is discarded.
///
/// Sendable: constant, and works on the scheduler's loop only.
public final class OutputCoordinator: Sendable {
  let scheduler: DAGScheduler
  let commitAttemptsMax: Int
  let backoff: Duration
  let backoffMax: Duration

  /// - Parameters:
  ///   - commitAttemptsMax: how often a sink is asked to commit, where its error may pass.
  ///   - backoff: the wait before the second attempt; it doubles from one to the next, up to `backoffMax`.
  public init(
    _ scheduler: DAGScheduler, commitAttemptsMax: Int = 5, backoff: Duration = .milliseconds(100),
    backoffMax: Duration = .seconds(5)
  ) {
    self.scheduler = scheduler
    self.commitAttemptsMax = max(1, commitAttemptsMax)
    self.backoff = backoff
    self.backoffMax = backoffMax
  }

  /// The output of one batch, nothing of which has happened yet.
  public func begin(_ batch: BatchIdentity, _ operations: [OutputOperation]) -> BatchOutput {
    BatchOutput(self, batch, operations)
  }
}

/// The output of one batch on its way: `compute`, then `prepare`, then `commit`; or `abort` before the commit. What else
/// belongs to the batch (its state, its records in the logs) happens between the steps.
///
/// Each `then` is called once on the scheduler's loop, possibly inside the call; a call out of order is answered by an
/// `OutputFailure`. Only on the scheduler's loop.
///
/// Sendable: all its state is touched on that loop only.
public final class BatchOutput: @unchecked Sendable {
  /// The batch whose output it is.
  public let batch: BatchIdentity
  /// Called when an operation begins to be computed, with its number in the order of definition.
  public var operationStarted: (@Sendable (_ index: Int) -> Void)?
  /// Called when an operation was computed or has failed.
  public var operationCompleted: (@Sendable (_ index: Int, _ report: OutputReport, _ error: (any Error)?) -> Void)?
  /// Calls on when an action, which has effects of its own, may run; nil: at once.
  package var whenActionsMayRun: (@Sendable (_ then: @escaping @Sendable () -> Void) -> Void)?
  /// Where what tasks add to accumulators goes; nil: it counts at once.
  package var accumulations: HeldAccumulations?
  private let coordinator: OutputCoordinator
  private let operations: [OutputOperation]
  private var machine: OutputMachine
  private var reports: [OutputReport]
  private var whenComputed: [@Sendable (Result<[OutputReport], OutputFailure>) -> Void] = []
  private var whenPrepared: [@Sendable (OutputFailure?) -> Void] = []
  private var whenCommitted: [@Sendable (CommitOutcome) -> Void] = []
  private var decide: Decide?
  private var job: JobID?
  /// Events that came while actions were being performed: a sink may answer inside the call.
  private var events: [(inout OutputMachine) -> [OutputMachine.Action]] = []
  private var isPerforming = false

  init(_ coordinator: OutputCoordinator, _ batch: BatchIdentity, _ operations: [OutputOperation]) {
    self.coordinator = coordinator
    self.batch = batch
    self.operations = operations
    reports = operations.map { OutputReport(name: $0.name) }
    machine = OutputMachine(
      batch: batch,
      operations.map { operation in
        switch operation.kind {
        case .sink(let sink, _, _):
          OutputMachine.Facts(name: operation.name, sink: sink.name, place: operation.place)
        case .action: OutputMachine.Facts(name: operation.name, sink: nil, place: operation.place)
        }
      }, commitAttemptsMax: coordinator.commitAttemptsMax, backoff: coordinator.backoff,
      backoffMax: coordinator.backoffMax)
  }

  /// Whether everything is committed, dropped or given up.
  public var isEnded: Bool { machine.isEnded }

  /// Runs the operations, one after the other; the first that fails ends the batch, and what the others made is dropped.
  public func compute(then: @escaping @Sendable (Result<[OutputReport], OutputFailure>) -> Void) {
    whenComputed.append(then)
    handle { $0.computeRequested() }
  }

  /// Has every sink prepare, all at once; where one cannot, all are aborted.
  public func prepare(then: @escaping @Sendable (OutputFailure?) -> Void) {
    whenPrepared.append(then)
    handle { $0.prepareRequested() }
  }

  /// How a batch is decided, given what the decider's sinks have prepared; nothing where they have no record, and the
  /// decision is made without the decider. The answer comes once, on the loop.
  public typealias Decide =
    @Sendable (
      _ prepared: [any PreparedOutput], _ then: @escaping @Sendable (DecisionOutcome) -> Void
    ) -> Void

  /// Commits, one sink after the other, with the decision in its place.
  /// - Parameter decide: called once, when the sinks before the decision have committed.
  public func commit(decide: @escaping Decide, then: @escaping @Sendable (CommitOutcome) -> Void) {
    whenCommitted.append(then)
    if self.decide == nil { self.decide = decide }
    handle { $0.commitRequested() }
  }

  /// Drops the batch's output: cancels what runs, discards what was made, aborts what was prepared. Nothing happens once
  /// `commit` was called. A `compute` or `prepare` that is under way answers no more.
  public func abort() {
    handle { $0.abortRequested() }
    guard machine.isEnded else { return }
    if let job { coordinator.scheduler.cancel(job, reason: "the batch's output was aborted") }
    whenComputed = []
    whenPrepared = []
  }

  /// `compute`, `prepare` and `commit` in one.
  public func run(
    decide: @escaping Decide = { _, then in then(.decided) },
    then: @escaping @Sendable (_ reports: [OutputReport], Result<CommitOutcome, OutputFailure>) -> Void
  ) {
    compute { [self] computed in
      switch computed {
      case .failure(let failure): then([], .failure(failure))
      case .success(let reports):
        prepare { [self] failure in
          if let failure { return then(reports, .failure(failure)) }
          commit(decide: decide) { then(reports, .success($0)) }
        }
      }
    }
  }

  private func handle(_ event: @escaping (inout OutputMachine) -> [OutputMachine.Action]) {
    events.append(event)
    guard !isPerforming else { return }
    isPerforming = true
    while !events.isEmpty {
      let next = events.removeFirst()
      for action in next(&machine) { perform(action) }
    }
    isPerforming = false
  }

  private func perform(_ action: OutputMachine.Action) {
    switch action {
    case .compute(let index): start(index)
    case .prepare(let index, let outputs):
      sink(index)?.prepare(batch, outputs) { [self] result in handle { $0.prepared(index, result) } }
    case .commit(let index, let prepared):
      sink(index)?.commit(prepared) { [self] error in handle { $0.committed(index, error) } }
    case .retryCommit(let index, let delay):
      coordinator.scheduler.loop.after(delay) { [self] in handle { $0.retryDue(index) } }
    case .decide(let prepared): decide?(prepared) { [self] outcome in handle { $0.decided(outcome) } }
    case .abort(let index, let prepared): sink(index)?.abort(prepared)
    case .discard(let index, let outputs):
      if let sink = sink(index) { for output in outputs { sink.discard(output) } }
    case .reportComputed(let failure):
      take(&whenComputed, failure)?(failure.map { .failure($0) } ?? .success(reports))
    case .reportPrepared(let failure): take(&whenPrepared, failure)?(failure)
    case .reportCommitted(let outcome):
      if machine.isEnded { decide = nil }
      if case .undecided(let failure) = outcome {
        take(&whenCommitted, failure)?(outcome)
      } else {
        take(&whenCommitted, nil)?(outcome)
      }
    }
  }

  /// Who asked: the first caller, but the latest where the call itself was wrong.
  private func take<Caller>(_ callers: inout [Caller], _ failure: OutputFailure?) -> Caller? {
    guard !callers.isEmpty else { return nil }
    if case .order? = failure?.step { return callers.removeLast() }
    return callers.removeFirst()
  }

  private func sink(_ index: Int) -> (any Sink)? {
    if case .sink(let sink, _, _) = operations[index].kind { return sink }
    return nil
  }

  private func start(_ index: Int) {
    let operation = operations[index]
    switch operation.kind {
    case .action(let body):
      guard let whenActionsMayRun else { return act(index, body) }
      whenActionsMayRun { [self] in
        // It may have been aborted meanwhile.
        if case .computing = machine.states[index] { act(index, body) }
      }
    case .sink(let sink, let dataset, let work):
      operationStarted?(index)
      var spec = JobSpec(
        dataset: dataset, batch: batch, operation: index, label: operation.name,
        properties: propertiesOutside
      ) { result in
        if let output = result as? TaskOutput { sink.discard(output) }
      } work: { partition, task in
        let output = try work(partition, task)
        task.recordsWritten += output.records
        return output
      } onComplete: { [self] end in
        jobEnded(index, end)
      }
      spec.accumulations = accumulations
      job = coordinator.scheduler.submit(spec)
    }
  }

  /// Where another batch's action waits for its jobs, what it has set for them is not this one's.
  private var propertiesOutside: LocalProperties {
    let scheduler = coordinator.scheduler
    return scheduler.batchOfActions == nil ? scheduler.localProperties : scheduler.propertiesOutsideOfActions
  }

  private func act(_ index: Int, _ body: @Sendable (_ batch: BatchIdentity) throws -> Void) {
    operationStarted?(index)
    let scheduler = coordinator.scheduler
    let properties = scheduler.localProperties
    let outside = propertiesOutside
    let outer = scheduler.batchOfActions
    let outerMetrics = scheduler.metricsOfActions
    scheduler.propertiesOutsideOfActions = outside
    scheduler.localProperties = outside
    scheduler.batchOfActions = batch
    scheduler.metricsOfActions = JobMetrics()
    let result = Result<[TaskOutput], any Error> {
      try body(batch)
      return []
    }
    reports[index].metrics = scheduler.metricsOfActions
    scheduler.metricsOfActions = outerMetrics
    // What the operation set for its own jobs is not the next one's.
    (scheduler.batchOfActions, scheduler.localProperties) = (outer, properties)
    computed(index, result)
  }

  private func jobEnded(_ index: Int, _ end: JobEnd) {
    job = nil
    reports[index].metrics = end.metrics
    switch end.outcome {
    case .failure(let failure): computed(index, .failure(failure))
    case .success(let results):
      let outputs = results.compactMap { $0 as? TaskOutput }
      reports[index].records = outputs.reduce(0) { $0 + $1.records }
      reports[index].bytes = outputs.reduce(0) { $0 + $1.bytes }
      computed(index, .success(outputs))
    }
  }

  private func computed(_ index: Int, _ result: Result<[TaskOutput], any Error>) {
    var error: (any Error)?
    if case .failure(let failure) = result { error = failure }
    operationCompleted?(index, reports[index], error)
    handle { $0.computed(index, result) }
  }
}
