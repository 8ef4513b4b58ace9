import Datasets
import Groundwork
import JobScheduling
import Synchronization
import SystemInterfaces

/// Runs the batches of one job: tick, plan, compute, prepare, decide, commit, record; in order. While one batch is
/// committed the next one is computed (see Driver+Pipelining.swift). Where `sluice.streaming.concurrentJobs` allows it,
/// several are computed at once; what follows the computation is done for one at a time, in their order, in any case.
///
/// What a batch is planned from goes into the plan log before it runs, and what was decided into the commit log after it:
/// so a restart runs an undecided batch again over the same input, and goes on behind the last decided one.
///
/// Sendable: all state is confined to the environment's loop, but `isWaitingForData`, which is atomic.
final class Driver: @unchecked Sendable {
  enum Phase {
    /// Sources are finding out where to begin, and batches of an earlier run may run again.
    case starting
    /// Batches run at their ticks.
    case running
    /// No further batch begins; what runs is finished.
    case stopping
    case stopped
  }

  let context: StreamingContext
  let environment: StreamingEnvironment
  private(set) var listeners: [any StreamingListener]
  private(set) var terminated: (@Sendable ((any Error)?) -> Void)?

  var phase = Phase.starting
  var clock: BatchClock?
  var checkpoint: Checkpoint?
  var policy = FailurePolicy.stop
  /// Which batches are computed twice.
  var determinismCheck: DeterminismCheck?
  var lastNumber: BatchNumber = 0
  var lastTime: Timestamp?
  var tickTimer: TimerID?
  /// Bounds of the stop.
  var stopTimers: [TimerID] = []
  /// Batches follow each other without waiting for ticks, up to the ends the sources had when it was asked for.
  var isDraining: Bool
  /// The batches between their plan and their end, in order: none but the first is ever prepared, decided or given up.
  var running: [RunningBatch] = []
  /// How many are computed at once.
  var concurrency = 1
  /// Whether one is computed while the one before it is committed.
  var overlaps = false
  /// Planned, and given up because the batch before them failed: they come before any other.
  var waiting: [RunningBatch] = []
  /// Whether a batch was passed over by which plans that are still to be run may have gone. The first that is made anew
  /// takes the place of all behind it, so they are made anew as well.
  var arePlansVoid = false
  /// What decides batches, where a sink can; else the commit log does.
  var decider: (any Decider)?
  /// The decision about the batch that runs, once it has been asked for.
  private var decision: (record: BatchRecord, isRecorded: Bool)?
  /// Planned by an earlier run and not decided: to be run before anything else.
  var replays: [BatchRecord] = []
  /// By their sources' names.
  var rateControllers: [(source: String, controller: RateController)] = []
  private let coordinator: OutputCoordinator
  /// Batches whose data sources and streams may still hold, oldest first.
  var held: [BatchIdentity] = []
  var offsetCommitsInFlight = 0
  var failure: (any Error)?
  var outcome: (any Error)??
  var areSourcesStopping = false
  private let isWaitingForData = Atomic(false)

  init(
    _ context: StreamingContext, listeners: [any StreamingListener],
    terminated: @escaping @Sendable ((any Error)?) -> Void
  ) {
    self.context = context
    environment = context.environment
    self.listeners = listeners
    self.terminated = terminated
    isDraining = context.environment.availableNow
    coordinator = OutputCoordinator(context.environment.scheduler)
  }

  /// The job has ended: lets go of what may hold the driver in turn.
  func release() {
    for timer in stopTimers { environment.loop.cancel(timer) }
    for entry in running + waiting {
      entry.run?.release()
      (entry.run, entry.goOn, entry.left) = (nil, nil, nil)
    }
    (listeners, terminated, decider, checkpoint) = ([], nil, nil, nil)
    (rateControllers, replays, running, waiting, decision) = ([], [], [], [], nil)
  }

  // MARK: Ticks

  /// Whether there is room for another batch.
  var isReady: Bool {
    phase == .running && failure == nil && hasRoom && !isLeaving
      && running.allSatisfy { !$0.hasFailed && $0.run?.isDefining != true }
  }

  private var hasRoom: Bool { running.count < concurrency || overlaps && running.count == 1 && running[0].isComputed }

  func scheduleTick() {
    guard isReady, let clock else { return }
    if let tickTimer { environment.loop.cancel(tickTimer) }
    tickTimer = nil
    if !waiting.isEmpty {
      environment.loop.post { [self] in beginWaiting() }
      return
    }
    if isDraining {
      if context.sources.allSatisfy(\.isExhausted) { return stopWhenDone() }
      if context.sources.contains(where: \.hasData) {
        environment.loop.post { [self] in tick() }
        return
      }
      // Nothing has arrived yet: the source says when; the tick is the fallback.
      isWaitingForData.store(true, ordering: .sequentiallyConsistent)
      if context.sources.contains(where: \.hasData) { dataArrived() }
    }
    tickTimer = environment.loop.at(clock.nextDue(now: environment.world.clock.now)) { [self] in tick() }
  }

  /// Called from any thread.
  func dataArrived() {
    if isWaitingForData.exchange(false, ordering: .sequentiallyConsistent) {
      environment.loop.post { [self] in scheduleTick() }
    }
  }

  /// Everything is planned; what runs says when it has ended.
  private func stopWhenDone() { if running.isEmpty { stop(gracefully: true) } }

  private func tick() {
    guard isReady, clock != nil else { return }
    if !waiting.isEmpty { return beginWaiting() }
    tickTimer = nil
    isWaitingForData.store(false, ordering: .relaxed)
    if isDraining, context.sources.allSatisfy(\.isExhausted) { return stopWhenDone() }
    // What runs asks again when it has ended.
    if isDraining, !running.isEmpty, !context.sources.contains(where: \.hasData) { return }
    let world = environment.world
    let tick =
      isDraining
      ? clock!.immediateTick(now: world.clock.now, wallTime: world.clock.wallTime)
      : clock!.tick(now: world.clock.now, wallTime: world.clock.wallTime)
    guard let tick else { return scheduleTick() }
    if tick.isHeld {
      environment.log("the wall clock went back: batch times are held until it has caught up with \(tick.time)")
    }
    plan(tick)
  }

  // MARK: Plan

  private func plan(_ tick: BatchClock.Tick) {
    let identity = BatchIdentity(number: lastNumber.next, time: tick.time)
    lendComputed()
    for participant in context.participants { participant.willPlan() }
    let plans = context.sources.map { $0.plan(identity, interval: context.batchInterval) }
    let frame = BatchFrame(identity: identity, previousTime: lastTime, plans: plans)
    let record = BatchRecord(
      batch: identity, previousTime: lastTime, interval: context.batchInterval,
      records: plans.reduce(0) { $0 + $1.records }, sources: sourceRecords(plans), notes: notes(identity, plans))
    lastNumber = identity.number
    lastTime = identity.time
    held.append(identity)
    do throws(StreamingError) {
      try checkpoint?.planned(record)
    } catch {
      // What is being committed may come to its end.
      return fail(error)
    }
    var info = makeInfo(frame, due: tick.due, skipped: tick.skipped)
    for (name, controller) in rateControllers { info.rates[name] = controller.decision }
    run(RunningBatch(frame, record, info))
  }

  func sourceRecords(_ plans: [SourcePlan]) -> [SourceRecord] {
    zip(context.sourceNames, plans).map { SourceRecord(name: $0, plan: $1) }
  }

  func makeInfo(_ frame: BatchFrame, due: Instant, skipped: Int) -> BatchInfo {
    let names = context.sourceNames
    let lags = context.sources.map(\.lag)
    var info = BatchInfo(
      number: frame.number, batchTime: frame.time, inputs: zip(names, frame.plans).map { ($0, $1) },
      submissionTime: due, skippedTicks: skipped, lag: lags.reduce(0) { $0 + $1.records })
    for (name, lag) in zip(names, lags) { info.lags[name] = lag }
    info.overlaps = overlaps
    return info
  }

  // MARK: Run

  /// Begins a batch that has been planned.
  func run(_ entry: RunningBatch) {
    running.append(entry)
    start(entry)
  }

  private func start(_ entry: RunningBatch) {
    let (frame, info) = (entry.frame, entry.info)
    (entry.hasFailed, entry.isComputed, entry.isLent) = (false, false, false)
    // Where there is room for another batch: an action of this one keeps the call until it has ended.
    scheduleTick()
    var plan = BatchRun.CommitPlan(decider: decider) { [self] run, prepared, then in decide(run, prepared, then) }
    plan.isChecked = determinismCheck?.isDue(info) ?? false
    plan.rewind = { [self] in
      for stream in context.streams { stream.discard(frame.number) }
      for participant in context.participants { participant.aborted(frame.identity) }
      replan(entry)
    }
    plan.whenItsTurn = { [self] then in
      entry.isComputed = true
      if running.first === entry { then() } else { entry.goOn = then }
      // Its commit is on its way: the next one may be computed meanwhile.
      if overlaps { scheduleTick() }
    }
    plan.whenFirst = { [self] then in
      if running.first === entry { return then() }
      // Not inside of the end of the batch before: an action may wait for its jobs.
      entry.goOn = { [self] in environment.loop.post(then) }
    }
    plan.left = { [self] in scheduleTick() }
    let run = BatchRun(frame, info, context, listeners, plan: plan) { [self] end in batchEnded(entry, end) }
    entry.run = run
    run.start(coordinator)
  }

  private func batchEnded(_ entry: RunningBatch, _ end: BatchRun.End) {
    guard let run = entry.run else { return }
    (entry.run, entry.goOn) = (nil, nil)
    // It was given up, and the job has ended without it.
    guard phase != .stopped else { return }
    switch end {
    case .unknown(let error): finish(failure ?? error)
    case .failed(let error):
      entry.hasFailed = true
      entry.failure = (error, run.mayBeVisible)
      // Where others are before it, what becomes of it is said when they have ended.
      if running.first === entry { failed(entry) }
    case .committed(let info), .incomplete(let info, _):
      do throws(StreamingError) {
        try complete(entry, info, decision.take())
      } catch {
        return finish(error)
      }
      for listener in listeners { listener.onBatchCompleted(info) }
      if case .incomplete(_, let error) = end { return finish(failure ?? error) }
      goOn()
    }
  }

  /// The first of the batches has failed.
  private func failed(_ entry: RunningBatch) {
    guard let (error, mayBeVisible) = entry.failure.take() else { return }
    decision = nil
    entry.failures += 1
    discardFollowers("batch \(entry.frame.number) before it failed")
    for participant in context.participants { participant.aborted(entry.frame.identity) }
    guard phase != .stopping, failure == nil, recover(entry, error, mayBeVisible: mayBeVisible) else {
      return finish(failure ?? error)
    }
  }

  /// A batch has ended, and the next one is the first now.
  private func goOn() {
    if let next = running.first {
      if next.failure != nil { return failed(next) }
      next.goOn.take()?()
      return scheduleTick()
    }
    if let failure { return finish(failure) }
    if phase == .stopping { return finish(nil) }
    if phase == .starting { return replayNext() }
    scheduleTick()
  }

  // MARK: Decide

  /// Everything is prepared: the batch happens, or not, here.
  private func decide(
    _ run: BatchRun, _ prepared: [any PreparedOutput], _ then: @escaping @Sendable (DecisionOutcome) -> Void
  ) {
    let identity = run.frame.identity
    guard var record = running.first(where: { $0.run === run })?.record else {
      return then(.aborted(StreamingError.batchFailed(batch: identity.number, reason: "it was given up")))
    }
    record.outcome = .committed
    record.notes = context.participants.compactMap { participant in
      participant.note(for: identity, run.metrics).map { BatchNote(key: participant.key, text: $0) }
    }
    let unsynced = context.participants.compactMap(\.unsynced)
    do throws(StreamingError) {
      guard let decider, record.records > 0 || !prepared.isEmpty else {
        try checkpoint?.sync(unsynced)
        record.notes = DeciderNote.carried(from: checkpoint?.last, into: record.notes)
        decision = (record, true)
        try checkpoint?.decided(record, mustStay: mustDecisionStay)
        return then(.decided)
      }
      record.notes = DeciderNote(decider: decider.name, batch: identity.number).added(to: record.notes)
      decision = (record, false)
      if decider.keepsRecord {
        try checkpoint?.sync(unsynced)
      } else {
        try checkpoint?.prepared(record, isNeeded: isRecordNeeded(by: decider), with: unsynced)
      }
      let decision = Decision(batch: identity.number, record: Bytes(record.text), time: identity.time)
      decider.decide(decision, prepared, then: then)
    } catch {
      then(.unknown(error))
    }
  }

  private var mustDecisionStay: Bool { context.participants.contains(where: \.needsDurableDecision) }

  /// Whether a restart after a power loss could not do without the record: not all of it can be found out from the
  /// decider's offsets.
  func isRecordNeeded(by decider: any Decider) -> Bool {
    context.participants.contains(where: \.isNoteEssential) || context.pastNeeded > .zero
      || context.sources.contains { !$0.commitsOffsets(with: decider) }
  }

  /// The batch's output is there: its offsets and its state become the ones a restart goes on from.
  private func complete(
    _ entry: RunningBatch, _ info: BatchInfo, _ decision: (record: BatchRecord, isRecorded: Bool)?
  ) throws(StreamingError) {
    let frame = entry.frame
    if let decision, !decision.isRecorded { try checkpoint?.noted(decision.record, mustStay: mustDecisionStay) }
    running.removeFirst()
    for participant in context.participants { participant.committed(info) }
    commitOffsets(frame, exceptWith: decision?.isRecorded == false ? decider : nil)
    forget(through: frame.identity)
  }

  /// What the failure policy does with a failed batch.
  /// - Returns: whether the job goes on.
  private func recover(_ entry: RunningBatch, _ error: any Error, mayBeVisible: Bool) -> Bool {
    let frame = entry.frame
    for stream in context.streams { stream.discard(frame.number) }
    switch policy {
    case .stop: return false
    case .retry:
      // What only a restart puts right would fail every attempt.
      guard !context.participants.contains(where: \.hasRemains), let wait = policy.wait(after: entry.failures)
      else { return false }
      environment.log("\(error); batch \(frame.number) is tried again in \(wait.text)")
      entry.info.attempts += 1
      if let tickTimer { environment.loop.cancel(tickTimer) }
      retry(entry, after: wait)
      return true
    case .skip:
      // Some of it may be visible, so it cannot be said to be in no output: the next run repeats it.
      guard !mayBeVisible, !context.participants.contains(where: \.hasRemains) else { return false }
      do throws(StreamingError) {
        try skip(entry, error)
      } catch {
        failure = error
        return false
      }
      goOn()
      return true
    }
  }

  private func retry(_ entry: RunningBatch, after wait: Duration) {
    tickTimer = environment.loop.after(wait) { [self] in
      tickTimer = nil
      guard phase == .running || phase == .starting, failure == nil else { return }
      if isLeaving { return retry(entry, after: wait) }
      replan(entry)
      start(entry)
    }
  }

  /// Has the participants take up a batch that is computed again.
  func replan(_ entry: RunningBatch) {
    for participant in context.participants {
      participant.replan(entry.frame.identity, entry.frame.plans, note: entry.record.note(participant.key))
    }
  }

  /// Passes over a failed batch: what its participants noted with the batch before stays as it is.
  private func skip(_ entry: RunningBatch, _ error: any Error) throws(StreamingError) {
    let frame = entry.frame
    environment.log("\(error); batch \(frame.number) is skipped: its records are in no output")
    if let checkpoint {
      var record = entry.record
      record.outcome = .skipped
      record.notes = checkpoint.last?.notes ?? []
      // The decider's last batch stands among them.
      try checkpoint.passedOver(record, reason: "\(error)")
    }
    running.removeFirst()
    arePlansVoid = true
    commitOffsets(frame)
    forget(through: frame.identity)
  }

  /// - Parameter decider: has committed the offsets of its sources with its decision.
  private func commitOffsets(_ frame: BatchFrame, exceptWith decider: (any Decider)? = nil) {
    for (source, plan) in zip(context.sources, frame.plans) {
      if let decider, source.commitsOffsets(with: decider) { continue }
      offsetCommitsInFlight += 1
      source.commit(frame.identity, plan) { [self] error in
        offsetCommitsInFlight -= 1
        if let error {
          environment.log(
            "the offsets of batch \(frame.number) could not be committed"
              + (checkpoint == nil ? ", a restart would repeat it: \(error)" : " to the consumer group: \(error)"))
        }
        stopSourcesIfQuiet()
      }
    }
  }

  private func forget(through last: BatchIdentity) {
    let remembered = context.streams.map(\.rememberDuration).max() ?? .zero
    for stream in context.streams { stream.forget(through: last.time) }
    let limit = last.time.milliseconds - remembered.inMilliseconds
    // Times grow from batch to batch.
    let count = held.firstIndex { $0.time.milliseconds > limit } ?? held.count
    guard count > 0 else { return }
    let newest = held[count - 1].number
    held.removeFirst(count)
    for source in context.sources { source.forget(through: newest) }
  }
}
