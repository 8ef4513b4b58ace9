import Datasets
import Groundwork
import Synchronization
import SystemInterfaces

/// Runs jobs over datasets: cuts them into stages at their shuffles, runs the stages' tasks on the executors, repeats what
/// failed, and makes again what was lost.
///
/// Jobs start in the order of their submission and may overlap. A stage starts when the stages it reads from are done;
/// the tasks that become ready together go to the runner in one wave. A shuffle whose output is still there is not run
/// again, and a shuffle that two jobs need is run once.
///
/// Sendable: public calls may come from anywhere and only post to `loop` (or act at once where they are made on it); all
/// state below is touched on the loop only. Executors see nothing but `Wave`.
public final class DAGScheduler: @unchecked Sendable {
  /// The loop that owns the scheduler: the driver's.
  public let loop: any Loop
  /// How often a task may fail before its job does.
  public let attemptsMax: Int
  /// How often a task may find input or parents' output missing before its job fails.
  public let lossesMax: Int

  let runner: any Runner
  let locals: [ExecutorLocals]
  private let lastJob = Atomic<Int>(0)

  // On the loop only.
  var jobs: [JobID: Job] = [:]
  /// Running stages that write a shuffle, by the identity of the shuffle, which they retain.
  var shuffleStages: [ObjectIdentifier: Stage] = [:]
  /// Stages with tasks to submit.
  var ready: [Stage] = []
  /// Jobs that ended and whose caller does not know yet.
  var ended: [(spec: JobSpec, end: JobEnd)] = []
  var wavesRunning = 0
  var fetchesRunning = 0
  var lastStage = 0
  /// Inside `Runner.submit`: what calls the scheduler now is a task.
  var isSubmitting = false
  var isStopped = false
  var listeners: [any SchedulerListener] = []
  /// The batch that actions belong to while an output operation runs on the loop; nil outside of a stream. On the loop
  /// only.
  public var batchOfActions: BatchIdentity?
  /// What the jobs of actions did since this was last set; those of an output operation are added to its report.
  var metricsOfActions = JobMetrics()

  /// - Parameters:
  ///   - attemptsMax: how often a task may fail before its job does; Spark's `spark.task.maxFailures`.
  ///   - lossesMax: how often a task may find its input or its parents' output missing before its job fails.
  public init(loop: any Loop, runner: any Runner, attemptsMax: Int = 4, lossesMax: Int = 10) {
    self.loop = loop
    self.runner = runner
    self.attemptsMax = max(1, attemptsMax)
    self.lossesMax = max(0, lossesMax)
    locals = (0..<max(1, runner.executorCount)).map { _ in ExecutorLocals() }
  }

  /// Runs a job; `spec.onComplete` hears of its end.
  @discardableResult public func submit(_ spec: JobSpec) -> JobID {
    let id = JobID(lastJob.add(1, ordering: .relaxed).newValue)
    onLoop { $0.start(id, spec) }
    return id
  }

  /// Ends a job without results; its tasks that have not started will not. Nothing happens where it has ended.
  public func cancel(_ job: JobID, reason: String) {
    onLoop { scheduler in
      guard let job = scheduler.jobs[job] else { return }
      scheduler.end(job, .cancelled(reason))
    }
  }

  /// Ends every job; later ones end at once.
  public func stop() {
    onLoop { scheduler in
      scheduler.isStopped = true
      for job in scheduler.jobs.values.sorted(by: { $0.id < $1.id }) { scheduler.end(job, .stopped) }
    }
  }

  /// The listener hears of what happens from now on.
  public func addListener(_ listener: any SchedulerListener) { onLoop { $0.listeners.append(listener) } }

  /// The listener hears no more; nothing happens where it was never added. Callable from any thread. O(listeners).
  public func removeListener(_ listener: any SchedulerListener) {
    onLoop { $0.listeners.removeAll { $0 === listener } }
  }

  /// Whether nothing runs and nothing is kept: no job, stage, wave or fetch. On the loop only.
  public var isIdle: Bool {
    jobs.isEmpty && shuffleStages.isEmpty && ready.isEmpty && ended.isEmpty && wavesRunning == 0 && fetchesRunning == 0
  }

  /// Acts at once where the caller is on the loop; callers hear of jobs' ends later in any case.
  private func onLoop(_ act: @escaping @Sendable (DAGScheduler) -> Void) {
    if loop.isCurrent {
      act(self)
      if !ended.isEmpty { loop.post { self.reportEnds() } }
    } else {
      loop.post {
        act(self)
        self.reportEnds()
      }
    }
  }

  private func start(_ id: JobID, _ spec: JobSpec) {
    let job = Job(id, spec, start: loop.now)
    jobs[id] = job
    if !listeners.isEmpty {
      let event = JobStartEvent(job: id, label: spec.label, batch: spec.batch, time: job.start)
      for listener in listeners { listener.onJobStart(event) }
    }
    let count = spec.dataset.partitionCount
    if isStopped {
      end(job, .stopped)
    } else if let wrong = spec.partitions.first(where: { $0 < 0 || $0 >= count }) {
      end(job, .noSuchPartition(wrong, count: count))
    } else if spec.partitions.isEmpty {
      end(job, nil)
    } else {
      plan(job)
      submitReady()
    }
  }

  /// Ends a job, with its results where `failure` is nil; stages that nobody else needs are abandoned.
  func end(_ job: Job, _ failure: JobFailure.Reason?) {
    guard !job.isEnded else { return }
    job.isEnded = true
    jobs[job.id] = nil
    for stage in job.stages where !stage.isFinished {
      stage.jobs.removeAll { $0 === job }
      if stage.jobs.isEmpty {
        stage.isAbandoned.store(true, ordering: .relaxed)
        finish(stage)
      }
    }
    job.stages = []  // stages refer to their jobs: this breaks the cycle
    let now = loop.now
    job.metrics.duration = now - job.start
    let error = failure.map { JobFailure($0, label: job.spec.label, batch: job.spec.batch) }
    let outcome: Result<[any Sendable], JobFailure>
    if let error {
      if let discard = job.spec.onDiscard {
        for case let result? in job.results { discard(result) }
      }
      outcome = .failure(error)
    } else {
      outcome = .success(job.results.compactMap { $0 })
    }
    job.results = []
    ended.append(
      (
        job.spec,
        JobEnd(job: job.id, label: job.spec.label, batch: job.spec.batch, outcome: outcome, metrics: job.metrics)
      ))
    if !listeners.isEmpty {
      let event = JobEndEvent(
        job: job.id, label: job.spec.label, batch: job.spec.batch, failure: error, metrics: job.metrics, time: now)
      for listener in listeners { listener.onJobEnd(event) }
    }
  }

  /// Tells callers of their jobs' ends. They may submit, cancel and wait in turn, so nothing here may depend on what was
  /// so before the call.
  func reportEnds() {
    while !ended.isEmpty {
      let (spec, end) = ended.removeFirst()
      spec.onComplete(end)
    }
  }
}
