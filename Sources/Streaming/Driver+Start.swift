import Datasets
import Groundwork
import SystemInterfaces

extension Driver {
  // Start: what the disk says, then sinks, sources, the batches to run again, and the clock.

  func start() {
    do throws(StreamingError) {
      guard !context.sources.isEmpty else {
        throw .invalidDefinition("the job has no input: add a stream of topics, files or a queue")
      }
      policy = try FailurePolicy { context.setting($0) }
      concurrency = try context.concurrentBatches()
      overlaps = try choosePipelining()
      context.expectFailures(policy != .stop)
      determinismCheck = try DeterminismCheck { context.setting($0) }
      try controlRates()
      if let directory = environment.checkpointDirectory {
        let checkpoint = try Checkpoint(
          directory: directory, files: environment.world.files, jobName: environment.jobName,
          processID: environment.processID, sync: try syncSetting())
        self.checkpoint = checkpoint
        context.writer = checkpoint.writer
      }
      decider = try chooseDecider()
    } catch {
      return finish(error)
    }
    prepare(step: 0) { [self] in
      openSinks { [self] in
        takeOver { [self] decided in
          settle(decided) { [self] in
            reportGuarantees()
            startSources()
          }
        }
      }
    }
  }

  /// What decides the job's batches: the greatest of what its sinks can decide with; nil: the commit log.
  private func chooseDecider() throws(StreamingError) -> (any Decider)? {
    let key = "sluice.streaming.guarantee"
    switch context.setting(key) ?? "exactly-once" {
    case "exactly-once": break
    case "at-least-once": return nil
    case let other: throw .invalidDefinition("\(key): `\(other)` is not known; choose exactly-once or at-least-once")
    }
    // The first of several with the same rank.
    return context.sinks.compactMap(\.decider).reversed().max { $0.rank < $1.rank }
  }

  /// Keeps predecessors out, and asks what was decided last.
  private func takeOver(then: @escaping @Sendable (Decision?) -> Void) {
    guard phase == .starting else { return }
    guard let decider else { return then(nil) }
    decider.takeOver { [self] result in
      switch result {
      case .failure(let error): fail(error)
      case .success(let decided): then(decided)
      }
    }
  }

  /// Takes up where the last run left off, and has the sinks settle what it left prepared.
  private func settle(_ decided: Decision?, then: @escaping @Sendable () -> Void) {
    let decision: RecoveryDecision
    // Committed offsets expire, and a group can be deleted: then the commit log wins. What keeps records forgets nothing.
    let name = decider.flatMap { $0.keepsRecord ? $0.name : nil }
    do throws(StreamingError) {
      if let checkpoint {
        decision = try checkpoint.settle(decided, of: name)
      } else {
        decision = try RecoveryDecision(commits: [], plans: [], decided: decided, decider: name)
      }
      try restore(decision)
    } catch {
      return fail(error)
    }
    let last = decision.last.map { max($0.batch.number, decided?.batch ?? 0) } ?? decided?.batch
    recover(context.sinks, through: last, then: then)
  }

  private func recover(_ sinks: [any Sink], through last: BatchNumber?, then: @escaping @Sendable () -> Void) {
    guard let sink = sinks.first else { return then() }
    sink.recover(through: last) { [self] error in
      if let error { return fail(error) }
      recover(Array(sinks.dropFirst()), through: last, then: then)
    }
  }

  /// Backpressure, for every source that obeys it.
  private func controlRates() throws(StreamingError) {
    let key = "sluice.streaming.backpressure.enabled"
    switch context.setting(key) ?? "true" {
    case "true": break
    case "false": return
    case let other: throw .invalidDefinition("\(key): `\(other)` is not true or false")
    }
    for (source, name) in zip(context.sources, context.sourceNames) where source.takesLimits {
      let controller = try RateController(source, name: name, interval: context.batchInterval) { context.setting($0) }
      rateControllers.append((name, controller))
      context.add(participant: controller)
    }
  }

  private func syncSetting() throws(StreamingError) -> Checkpoint.Sync {
    let key = "sluice.streaming.checkpoint.sync"
    guard let text = context.setting(key) else {
      // Where batches may come again, none of them waits for the disk.
      return context.setting("sluice.streaming.guarantee") == "at-least-once" ? .none : .commits
    }
    guard let sync = Checkpoint.Sync(rawValue: text) else {
      throw .invalidDefinition("\(key): `\(text)` is not known; choose none, commits or all")
    }
    return sync
  }

  private func restore(_ decision: RecoveryDecision) throws(StreamingError) {
    if let checkpoint, checkpoint.cutBytes > 0 {
      environment.log("the logs of the checkpoint had a torn end: \(checkpoint.cutBytes) bytes were cut off")
    }
    arePlansVoid = decision.last?.outcome == .skipped
    lastNumber = decision.numberFloor
    lastTime = decision.timeFloor
    replays = decision.replay
    if let last = decision.last {
      environment.log(
        "going on after batch \(last.batch.number)" + (checkpoint.map { " in \($0.directory)" } ?? ""))
    }
    if let lost = decision.lost {
      if let checkpoint, let last = decision.last, let decider, isRecordNeeded(by: decider) {
        throw .checkpoint(
          "\(decider.name) has decided batch \(lost), but what the checkpoint in \(checkpoint.directory) "
            + "knows of it ends with batch \(last.batch.number) (a power loss, with sluice.streaming.checkpoint.sync=none, "
            + "or a folder put back from a copy): its state lacks what came between. Put back the newer folder; or give "
            + "the job a new one, to begin with empty state at the committed offsets")
      }
      environment.log(
        "batch \(lost) is decided, but its record is lost (a power loss, or no checkpoint): going on from "
          + "the offsets committed with it")
    }
    if !replays.isEmpty {
      environment.log("\(replays.count) planned and not decided: run again over the same input")
    }
    if !decision.dropped.isEmpty {
      environment.log(
        "\(decision.dropped.count) plans do not follow the last decided batch (a power loss?): their input is planned anew"
      )
    }
    for participant in context.participants {
      try participant.restore(
        decision.last.map { RestorePoint(batch: $0.batch, note: $0.note(participant.key)) })
    }
    let names = context.sourceNames
    for (source, name) in zip(context.sources, names) where decision.lost == nil {
      if let record = decision.last?.sources.first(where: { $0.name == name }) { source.restore(record.plan) }
    }
    for record in decision.last?.sources ?? [] where !names.contains(record.name) {
      environment.log(
        "the checkpoint knows the source \(record.name), which this job does not read: its place is forgotten with this "
          + "start")
    }
    try checkpoint?.write(
      JobDescription(
        job: environment.jobName, interval: context.batchInterval, sources: names,
        operators: context.operators.map {
          JobDescription.Operator(name: $0.name, label: $0.label, isDerived: $0.isDerived)
        }, outputs: context.outputs.map(\.name)))
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
    let sinks = context.sinks
    if sinks.isEmpty { return then() }
    let pending = Countdown(sinks.count)
    for sink in sinks {
      let isDeciding = decider.map { sink.decider === $0 } ?? false
      sink.open(SinkOpening(job: environment.jobName, isDeciding: isDeciding)) { [self] error in
        if let error { return fail(error) }
        if pending.countDown() { then() }
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
      if guarantee.level == .exactlyOnce, decider == nil, checkpoint == nil {
        guarantee = OutputGuarantee(
          .atLeastOnce, reason: "without a checkpoint folder nothing says after a crash which batch was the last")
      }
      if let unreplayable {
        guarantee = OutputGuarantee(.atMostOnce, reason: unreplayable.unreplayableReason)
      }
      environment.log("output \(output.name): \(guarantee.level.rawValue) (\(guarantee.reason))")
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
        case .success: if pending.countDown() { recallPast() }
        }
      }
    }
  }

  /// Gives windows in memory what they need of the runs before.
  private func recallPast() {
    do throws(StreamingError) {
      if let checkpoint { context.recall(try checkpoint.past(context.pastNeeded)) }
    } catch {
      return fail(error)
    }
    replayNext()
  }

  // MARK: Batches that run again

  /// Runs the next batch that was planned by an earlier run and never decided; after the last, the clock starts.
  func replayNext() {
    guard phase == .starting || phase == .stopping else { return }
    guard phase == .starting, let record = replays.first else { return sourcesReady() }
    replays.removeFirst()
    let pending = Countdown(context.sources.count)
    let answers = PlanAnswers(context.sources.count)
    for (index, (source, name)) in zip(context.sources, context.sourceNames).enumerated() {
      guard let recorded = record.sources.first(where: { $0.name == name }) else {
        if pending.countDown() { run(record, answers.plans) }
        continue
      }
      source.replay(record.batch, recorded.plan) { [self] result in
        switch result {
        case .failure(let error): fail(error)
        case .success(let plan):
          answers.plans[index] = plan
          if pending.countDown() { run(record, answers.plans) }
        }
      }
    }
  }

  private func run(_ record: BatchRecord, _ plans: [SourcePlan]) {
    guard phase == .starting, failure == nil else { return }
    held.append(record.batch)
    let frame = BatchFrame(identity: record.batch, previousTime: record.previousTime, plans: plans)
    let planned = BatchRecord(
      batch: record.batch, previousTime: record.previousTime, interval: record.interval,
      records: plans.reduce(0) { $0 + $1.records }, sources: sourceRecords(plans), notes: record.notes)
    var info = makeInfo(frame, due: environment.world.clock.now, skipped: 0)
    info.isReplay = true
    let entry = RunningBatch(frame, planned, info)
    do throws(StreamingError) {
      // What was planned by a batch that is passed over goes by something that did not happen. Nobody has seen it: nothing
      // of a batch leaves before the one before it has ended.
      if arePlansVoid { try planAnew(entry) } else { replan(entry) }
    } catch {
      return finish(error)
    }
    run(entry)
  }

  private func sourcesReady() {
    guard phase == .starting else { return }
    guard isDraining else { return begin() }
    limitSources { [self] in begin() }
  }

  func limitSources(then: @escaping @Sendable () -> Void) {
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
    let key = "sluice.streaming.catchUp"
    let catchUp = context.setting(key) ?? "none"
    guard catchUp == "none" || catchUp == "all" else {
      return fail(StreamingError.invalidDefinition("\(key): `\(catchUp)` is not known; choose none or all"))
    }
    phase = .running
    let now = environment.world.clock.now
    let wallTime = environment.world.clock.wallTime
    clock = BatchClock(
      interval: context.batchInterval, now: now, wallTime: wallTime, lastTime: lastTime, catchesUp: catchUp == "all")
    for listener in listeners { listener.onStreamingStarted(wallTime) }
    scheduleTick()
  }
}

/// Plans as they come in, by source.
///
/// Sendable: confined to the driver's loop.
private final class PlanAnswers: @unchecked Sendable {
  var plans: [SourcePlan]
  init(_ count: Int) { plans = Array(repeating: SourcePlan(), count: count) }
}
