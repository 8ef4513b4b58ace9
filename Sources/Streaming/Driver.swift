import Datasets
import Groundwork
import JobScheduling
import Synchronization
import SystemInterfaces

/// Runs the batches of one job: tick, plan, compute, prepare, commit, record; one batch at a time, in order.
///
/// Sendable: all state is confined to the environment's loop, but `isWaitingForData`, which is atomic.
final class Driver: @unchecked Sendable {
  private enum Phase {
    /// Sources are finding out where to begin.
    case starting
    /// Batches run at their ticks.
    case running
    /// No further batch begins; what runs is finished.
    case stopping
    case stopped
  }

  let context: StreamingContext
  private let environment: StreamingEnvironment
  private let listeners: [any StreamingListener]
  private let terminated: @Sendable ((any Error)?) -> Void

  private var phase = Phase.starting
  private var clock: BatchClock?
  private var log: CommitLog?
  private var lastNumber: BatchNumber = 0
  private var lastTime: Timestamp?
  private var tickTimer: TimerID?
  /// Batches follow each other without waiting for ticks, up to the ends the sources had when it was asked for.
  private var isDraining: Bool
  private var batch: BatchRun?
  private let coordinator: OutputCoordinator
  /// Batches whose data sources and streams may still hold, oldest first.
  private var held: [BatchIdentity] = []
  private var offsetCommitsInFlight = 0
  private var failure: (any Error)?
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

  // MARK: Start

  func start() {
    do {
      if let directory = environment.checkpointDirectory {
        let log = try CommitLog(directory: directory, files: environment.world.files)
        if log.cutBytes > 0 { environment.log("the commit log had a torn end: \(log.cutBytes) bytes were cut off") }
        lastNumber = log.last?.number ?? 0
        lastTime = log.last?.time
        self.log = consume log
      }
    } catch {
      return finish(error)
    }
    guard !context.sources.isEmpty else {
      return finish(StreamingError.invalidDefinition("the job has no input: add a stream of topics or a queue"))
    }
    prepare(step: 0) { [self] in
      openSinks { [self] in
        reportGuarantees()
        startSources()
      }
    }
  }

  private func prepare(step: Int, then: @escaping @Sendable () -> Void) {
    guard step < context.preparations.count else { return then() }
    let prepare = context.preparations[step]
    prepare { [self] error in
      if let error { return fail(error) }
      self.prepare(step: step + 1, then: then)
    }
  }

  private func openSinks(then: @escaping @Sendable () -> Void) {
    let sinks = context.outputs.compactMap { output in
      if case .sink(let sink, _) = output.kind { sink } else { nil as (any Sink)? }
    }
    if sinks.isEmpty { return then() }
    let pending = Countdown(sinks.count)
    for sink in sinks {
      sink.open { [self] error in
        if let error { return fail(error) }
        if pending.countDown() { then() }
      }
    }
  }

  private func startSources() {
    guard phase == .starting else { return }
    let pending = Countdown(context.sources.count)
    let sourceEnvironment = SourceEnvironment(
      fail: { [self] error in environment.loop.post { [self] in fail(error) } },
      dataArrived: { [self] in dataArrived() }, log: environment.log)
    for source in context.sources {
      source.start(sourceEnvironment) { [self] result in
        switch result {
        case .failure(let error): fail(error)
        case .success: if pending.countDown() { sourcesReady() }
        }
      }
    }
  }

  private func reportGuarantees() {
    let unreplayable = context.sources.first { !$0.isReplayable }
    for output in context.outputs {
      var guarantee =
        switch output.kind {
        case .action:
          OutputGuarantee(.atLeastOnce, reason: "what it does outside is repeated when a batch is run again")
        case .sink(let sink, _): sink.guarantee
        }
      if let unreplayable {
        guarantee = OutputGuarantee(.atMostOnce, reason: "the source \(unreplayable.name) cannot be read again")
      }
      environment.log("output \(output.name): \(guarantee.level.rawValue) (\(guarantee.reason))")
    }
  }

  private func sourcesReady() {
    guard phase == .starting else { return }
    guard isDraining else { return begin() }
    limitSources { [self] in begin() }
  }

  private func limitSources(then: @escaping @Sendable () -> Void) {
    let pending = Countdown(context.sources.count)
    for source in context.sources {
      source.limitToPresent { [self] error in
        if let error { return fail(error) }
        if pending.countDown() { then() }
      }
    }
  }

  private func begin() {
    guard phase == .starting else { return }
    phase = .running
    let now = environment.world.clock.now
    let wallTime = environment.world.clock.wallTime
    clock = BatchClock(interval: context.batchInterval, now: now, wallTime: wallTime, lastTime: lastTime)
    for listener in listeners { listener.onStreamingStarted(wallTime) }
    scheduleTick()
  }

  // MARK: Ticks

  private func scheduleTick() {
    guard phase == .running, batch == nil, let clock else { return }
    if let tickTimer { environment.loop.cancel(tickTimer) }
    tickTimer = nil
    if isDraining {
      if context.sources.allSatisfy(\.isExhausted) { return stop(gracefully: true) }
      if context.sources.contains(where: \.hasData) {
        environment.loop.post { [self] in tick() }
        return
      }
      // Nothing has arrived yet: the source says when; the tick is the fallback.
      isWaitingForData.store(true, ordering: .sequentiallyConsistent)
      if context.sources.contains(where: \.hasData) { dataArrived() }
    }
    tickTimer = environment.loop.at(clock.nextTick) { [self] in tick() }
  }

  /// Called from any thread.
  private func dataArrived() {
    if isWaitingForData.exchange(false, ordering: .sequentiallyConsistent) {
      environment.loop.post { [self] in scheduleTick() }
    }
  }

  private func tick() {
    guard phase == .running, batch == nil, clock != nil else { return }
    tickTimer = nil
    isWaitingForData.store(false, ordering: .relaxed)
    if isDraining, context.sources.allSatisfy(\.isExhausted) { return stop(gracefully: true) }
    let world = environment.world
    let tick =
      isDraining
      ? clock!.immediateTick(now: world.clock.now, wallTime: world.clock.wallTime)
      : clock!.tick(now: world.clock.now, wallTime: world.clock.wallTime)
    guard let tick else { return scheduleTick() }
    if tick.isHeld {
      environment.log("the wall clock went back: batch times are held until it has caught up with \(tick.time)")
    }
    let identity = BatchIdentity(number: lastNumber.next, time: tick.time)
    let plans = context.sources.map { $0.plan(identity, interval: context.batchInterval) }
    let frame = BatchFrame(identity: identity, previousTime: lastTime, plans: plans)
    lastNumber = identity.number
    lastTime = identity.time
    held.append(identity)
    let info = BatchInfo(
      number: identity.number, batchTime: identity.time,
      inputs: zip(context.sources, plans).map { ($0.name, $1) }, submissionTime: tick.due,
      skippedTicks: tick.skipped, lag: context.sources.reduce(0) { $0 + $1.lag.records })
    let run = BatchRun(frame, info, environment, listeners) { [self] result in batchEnded(result) }
    batch = run
    run.start(context.outputs, coordinator)
  }

  private func batchEnded(_ result: Result<BatchInfo, any Error>) {
    guard let run = batch else { return }
    batch = nil
    // It was given up, and the job has ended without it.
    guard phase != .stopped else { return }
    switch result {
    case .failure(let error):
      return finish(failure ?? error)
    case .success(let info):
      let frame = run.frame
      do {
        try log?.append(
          CommitLog.Entry(
            batch: frame.identity, records: info.numRecords, ranges: frame.plans.flatMap(\.ranges)))
      } catch {
        return finish(error)
      }
      commitOffsets(frame)
      forget(through: frame.identity)
      for listener in listeners { listener.onBatchCompleted(info) }
    }
    if let failure { return finish(failure) }
    if phase == .stopping { return finish(nil) }
    scheduleTick()
  }

  private func commitOffsets(_ frame: BatchFrame) {
    for (source, plan) in zip(context.sources, frame.plans) {
      offsetCommitsInFlight += 1
      source.commit(frame.identity, plan) { [self] error in
        offsetCommitsInFlight -= 1
        if let error {
          environment.log(
            "the offsets of batch \(frame.number) could not be committed, a restart would repeat it: \(error)")
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

  // MARK: End

  /// A source cannot go on.
  private func fail(_ error: any Error) {
    guard phase != .stopped, failure == nil else { return }
    failure = error
    if batch == nil { finish(error) }
  }

  /// Every wait of a stop is bounded by `gracefulStopTimeout`: for the batch, for its commit, for the offsets' commit.
  func stop(gracefully: Bool) {
    switch phase {
    case .stopped: if !gracefully { stopSources() }
    case .starting, .running, .stopping:
      phase = .stopping
      if let tickTimer { environment.loop.cancel(tickTimer) }
      guard let batch else {
        finish(failure)
        if !gracefully { stopSources() }
        return
      }
      let number = batch.frame.number
      environment.loop.after(gracefulStopTimeout) { [self] in giveUp(number) }
      if !gracefully { batch.cancel() }
    }
  }

  /// Ends the job without the batch, where it still runs.
  private func giveUp(_ number: BatchNumber) {
    guard let batch, batch.frame.number == number else { return }
    environment.log("batch \(number) did not end within \(gracefulStopTimeout.text): it is dropped")
    batch.cancel()
    // A commit that has begun cannot be taken back, but whoever stops the job need not wait for it either.
    if self.batch != nil {
      finish(
        StreamingError.batchFailed(
          batch: number,
          reason:
            "the commit of batch \(number) did not end within \(gracefulStopTimeout.text) after the stop; a restart "
            + "repeats the batch"))
    }
  }

  private var gracefulStopTimeout: Duration {
    context.setting("sluice.streaming.gracefulStopTimeout").flatMap { Duration(text: $0) } ?? .seconds(30)
  }

  func stopAtPresentEnd() {
    guard phase == .running || phase == .starting, !isDraining else { return }
    if phase == .starting {
      isDraining = true
      return
    }
    limitSources { [self] in
      isDraining = true
      scheduleTick()
    }
  }

  private var outcome: (any Error)??
  private var areSourcesStopping = false

  private func finish(_ error: (any Error)?) {
    guard phase != .stopped else { return }
    phase = .stopped
    if let tickTimer { environment.loop.cancel(tickTimer) }
    outcome = .some(error)
    stopSourcesIfQuiet()
    guard !areSourcesStopping else { return }
    environment.loop.after(gracefulStopTimeout) { [self] in
      guard !areSourcesStopping else { return }
      environment.log(
        "the offsets of the last batch were not committed within \(gracefulStopTimeout.text): a restart repeats it")
      stopSources()
    }
  }

  /// Sources stop only when the offsets of the last batch are stored.
  private func stopSourcesIfQuiet() {
    if phase == .stopped, offsetCommitsInFlight == 0 { stopSources() }
  }

  private func stopSources() {
    guard !areSourcesStopping, let outcome else { return }
    areSourcesStopping = true
    let pending = Countdown(context.sources.count)
    let terminated = terminated
    let closings = context.closings
    let end: @Sendable () -> Void = {
      for closing in closings { closing() }
      terminated(outcome)
    }
    if context.sources.isEmpty { return end() }
    for source in context.sources {
      source.stop { if pending.countDown() { end() } }
    }
  }
}

/// Counts answers; the last one says so.
final class Countdown: Sendable {
  private let remaining: Mutex<Int>
  init(_ count: Int) { remaining = Mutex(count) }
  func countDown() -> Bool {
    remaining.withLock { remaining in
      remaining -= 1
      return remaining == 0
    }
  }
}
