import Datasets
import Groundwork
import Synchronization
import SystemInterfaces

/// Runs jobs over datasets: cuts them into stages at their shuffles, runs the stages' tasks on the executors, repeats what
/// failed, and makes again what was lost.
///
/// Jobs start in the order of their submission and may overlap; which of them gets an executor next is for the pools to
/// say (`SchedulerSettings`). A stage starts when the stages it reads from are done. A shuffle whose output is still there
/// is not run again, and a shuffle that two jobs need is run once. How tasks reach the executors: see
/// DAGScheduler+Launches.
///
/// Sendable: public calls may come from anywhere and only post to `loop` (or act at once where they are made on it); all
/// state below is touched on the loop only. Executors see nothing but `TaskRun`.
public final class DAGScheduler: @unchecked Sendable {
  /// The loop that owns the scheduler: the driver's.
  public let loop: any Loop
  /// How often a task may fail before its job does.
  public let attemptsMax: Int
  /// How often a task may find input or parents' output missing before its job fails.
  public let lossesMax: Int
  /// How it chooses among jobs, and when it runs a task twice.
  public let settings: SchedulerSettings

  let runner: any Runner
  let executors: Executors
  private let lastJob = Atomic<Int>(0)
  private let properties = Mutex(LocalProperties())

  // On the loop only.
  var jobs: [JobID: Job] = [:]
  /// Stages that run or wait.
  var stages: [StageID: Stage] = [:]
  /// Those that write a shuffle, by the identity of the shuffle, which they retain.
  var shuffleStages: [ObjectIdentifier: Stage] = [:]
  /// Who competes for the executors.
  var pools: PoolTable
  /// Jobs that ended and whose caller does not know yet.
  var ended: [(spec: JobSpec, end: JobEnd)] = []
  /// Attempts that the runner has.
  var inFlight = 0
  /// Those that were started one by one.
  var startedInFlight = 0
  var fetchesRunning = 0
  var lastStage = 0
  /// Steps that planning took so far: datasets, and shuffles between stages, that were looked at.
  package var planningSteps = 0
  /// Inside `Runner.submit` or `start`: what calls the scheduler now is a task.
  var isSubmitting = false
  var isStopped = false
  var stragglerTimer: TimerID?
  var counts: SchedulerCounts
  /// Called at once, on the loop.
  var listeners: [any SchedulerListener] = []
  /// Brings events to all other listeners.
  let bus: ListenerBus<SchedulerEvent>
  /// The batch that actions belong to while an output operation runs on the loop; nil outside of a stream. On the loop
  /// only.
  public var batchOfActions: BatchIdentity?
  /// What local properties were before the outermost output operation that runs.
  var propertiesOutsideOfActions = LocalProperties()
  /// What the jobs of actions did since this was last set; those of an output operation are added to its report.
  var metricsOfActions = JobMetrics()

  /// - Parameters:
  ///   - loop: the driver's: it owns the scheduler.
  ///   - runner: runs the tasks.
  ///   - attemptsMax: how often a task may fail before its job does; Spark's `spark.task.maxFailures`.
  ///   - lossesMax: how often a task may find its input or its parents' output missing before its job fails.
  ///   - settings: how it chooses among jobs, and when it runs a task twice.
  public init(
    loop: any Loop, runner: any Runner, attemptsMax: Int = 4, lossesMax: Int = 10,
    settings: SchedulerSettings = SchedulerSettings()
  ) {
    self.loop = loop
    self.runner = runner
    self.attemptsMax = max(1, attemptsMax)
    self.lossesMax = max(0, lossesMax)
    self.settings = settings
    executors = Executors(runner, clock: loop)
    pools = PoolTable(settings)
    counts = SchedulerCounts(executors: executors.count)
    bus = ListenerBus(capacity: settings.listenerQueueCapacity) { runner.makeLoop(named: $0) }
  }

  deinit { bus.stop() }

  /// Properties that jobs take along which are submitted from now on.
  public var localProperties: LocalProperties {
    get { properties.withLock { $0 } }
    set { properties.withLock { $0 = newValue } }
  }

  /// Runs a job; `spec.onComplete` hears of its end.
  @discardableResult public func submit(_ spec: JobSpec) -> JobID {
    let id = JobID(lastJob.add(1, ordering: .relaxed).newValue)
    onLoop { $0.start(id, spec) }
    return id
  }

  /// Ends a job without results; its tasks that have not started will not, those that run find out at their next chunk.
  /// Nothing happens where it has ended.
  public func cancel(_ job: JobID, reason: String) {
    onLoop { scheduler in
      guard let job = scheduler.jobs[job] else { return }
      scheduler.end(job, .cancelled(reason))
      scheduler.submitReady()
    }
  }

  /// Ends every job of a group; see `LocalProperties.jobGroup`. Jobs that are submitted later are not concerned.
  public func cancelJobGroup(_ group: String, reason: String) {
    cancelAll(reason) { $0.spec.properties.jobGroup == group }
  }

  /// Ends every job that needs the stage. Nothing happens where the stage is over.
  public func cancelStage(_ stage: StageID, reason: String) {
    onLoop { scheduler in
      guard let stage = scheduler.stages[stage] else { return }
      for job in stage.jobs { scheduler.end(job, .cancelled(reason)) }
      scheduler.submitReady()
    }
  }

  /// Ends every job that runs. Jobs that are submitted later are not concerned.
  public func cancelAllJobs(reason: String) { cancelAll(reason) { _ in true } }

  private func cancelAll(_ reason: String, where isMeant: @escaping @Sendable (Job) -> Bool) {
    onLoop { scheduler in
      for job in scheduler.jobs.values.sorted(by: { $0.id < $1.id }) where isMeant(job) {
        scheduler.end(job, .cancelled(reason))
      }
      scheduler.submitReady()
    }
  }

  /// Ends every job; later ones end at once. Listeners' queues end once they have delivered what waits.
  public func stop() { onLoop { $0.stopOnLoop {} } }

  /// Ends every job, and waits for the listeners: they hear of everything up to the end of the application.
  /// - Parameters:
  ///   - limit: how long listeners are waited for.
  ///   - then: called once, on the loop, with the events that listeners were not told of within the limit.
  public func stop(within limit: Duration, then: @escaping @Sendable (_ undelivered: Int) -> Void) {
    onLoop { scheduler in
      let loop = scheduler.loop
      let end = StopEnd(then)
      let queues = scheduler.stopOnLoop { loop.post { end.reached(undelivered: 0, loop) } }
      end.timer = loop.after(limit) {
        end.reached(undelivered: queues.reduce(0) { $0 + $1.metrics.waiting }, loop)
      }
    }
  }

  /// Calls on once, when the listeners have heard everything or time is up.
  ///
  /// Sendable: made and called on the scheduler's loop alone.
  private final class StopEnd: @unchecked Sendable {
    var timer: TimerID?
    private var then: (@Sendable (Int) -> Void)?
    init(_ then: @escaping @Sendable (Int) -> Void) { self.then = then }
    func reached(undelivered: Int, _ loop: any Loop) {
      guard let then else { return }
      self.then = nil
      if let timer { loop.cancel(timer) }
      then(undelivered)
    }
  }

  @discardableResult
  private func stopOnLoop(_ heard: @escaping @Sendable () -> Void) -> [ListenerQueue<SchedulerEvent>] {
    let isFirst = !isStopped
    isStopped = true
    for job in jobs.values.sorted(by: { $0.id < $1.id }) { end(job, .stopped) }
    if isFirst, isHeard { emit(.applicationEnd(ApplicationEndEvent(time: loop.now))) }
    return bus.stop(then: heard)
  }

  /// Lets go of every job, and of who would hear of its end: for a process that has died in simulation, where jobs and
  /// their callers hold each other for ever.
  package func release() {
    for job in jobs.values.sorted(by: { $0.id < $1.id }) { end(job, .stopped) }
    ended = []
    listeners = []
    _ = bus.stop {}
  }

  /// The listener hears of what happens from now on, at once and on the loop, so it must return quickly: for parts of the
  /// engine. Others are added with the name of a queue.
  public func addListener(_ listener: any SchedulerListener) { onLoop { $0.listeners.append(listener) } }

  /// The listener hears of what happens from now on, from a queue: see `ListenerBus`.
  /// - Parameter queue: the queue's name; listeners of one queue wait for each other, those of different queues do not.
  public func addListener(_ listener: any SchedulerListener, queue: String) {
    onLoop { scheduler in scheduler.bus.add(listener, to: queue) { $0.tell(listener) } }
  }

  /// The listener, however it was added, hears of nothing that happens from now on.
  public func removeListener(_ listener: any SchedulerListener) {
    onLoop { scheduler in
      scheduler.listeners.removeAll { $0 === listener }
      scheduler.bus.remove(listener)
    }
  }

  /// Whether anybody listens: events are made only then.
  var isHeard: Bool { !listeners.isEmpty || !bus.isEmpty }

  /// Tells every listener. On the loop only.
  func emit(_ event: SchedulerEvent) {
    for listener in listeners { event.tell(listener) }
    bus.post(event)
  }

  /// Whether nothing runs and nothing is kept: no job, stage, pool, attempt, timer or fetch. On the loop only.
  public var isIdle: Bool {
    jobs.isEmpty && stages.isEmpty && shuffleStages.isEmpty && pools.isEmpty && ended.isEmpty && inFlight == 0
      && startedInFlight == 0 && fetchesRunning == 0 && stragglerTimer == nil
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
    counts.jobsSubmitted += 1
    pools.enter(job, pool: spec.properties.pool, at: job.start)
    if isHeard {
      emit(
        .jobStart(
          JobStartEvent(
            job: id, label: spec.label, batch: spec.batch, pool: job.pool?.name ?? SchedulerSettings.defaultPool,
            properties: spec.properties, time: job.start)))
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
    pools.leave(job)
    let error = failure.map { JobFailure($0, label: job.spec.label, batch: job.spec.batch) }
    if error != nil { counts.jobsFailed += 1 }
    for stage in job.stages where !stage.isFinished {
      stage.jobs.removeAll { $0 === job }
      if let heir = stage.jobs.first {
        guard stage.owner === job else { continue }
        stage.owner = heir
        stage.isQueued = false
        heir.enqueue(stage)
      } else {
        abandon(stage, error ?? JobFailure(.stopped, label: job.spec.label, batch: job.spec.batch))
      }
    }
    job.dropStages()
    if jobs.isEmpty { stopWatchingForStragglers() }
    let now = loop.now
    job.metrics.duration = now - job.start
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
    if isHeard {
      emit(
        .jobEnd(
          JobEndEvent(
            job: job.id, label: job.spec.label, batch: job.spec.batch, failure: error, metrics: job.metrics,
            time: now)))
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
