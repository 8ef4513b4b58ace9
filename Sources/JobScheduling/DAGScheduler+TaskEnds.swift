import Datasets
import Groundwork
import SystemInterfaces

extension DAGScheduler {
  /// Attempts have ended, together where they were launched in one wave.
  func runsEnded(_ runs: some Collection<TaskRun>) {
    let now = loop.now
    var lost: [Stage] = []
    for run in runs {
      leave(run, at: now)
      handle(run, &lost)
    }
    // Once a wave, however many tasks of a stage found their parents' output gone.
    for stage in lost where !stage.isFinished && stage.parents.isEmpty {
      stage.owner.metrics.shufflesLost += 1
      counts.shufflesLost += 1
      findParents(of: [stage])
    }
  }

  /// The attempt's place is free again.
  private func leave(_ run: TaskRun, at now: Instant) {
    inFlight -= 1
    run.stage.running -= 1
    run.stage.tasks[run.slot].running -= 1
    if settings.speculation != nil { run.stage.tasks[run.slot].runs.removeAll { $0 === run } }
    pools.ended(run, at: now)
    counts.count(run)
  }

  private func handle(_ run: TaskRun, _ lost: inout [Stage]) {
    let stage = run.stage
    if stage.isFinished || stage.tasks[run.slot].state == .done {
      // The job has ended meanwhile, or another attempt was faster: what this one made is dropped.
      if case .success(.result(let result), _) = run.end { stage.owner.spec.onDiscard?(result) }
      tell(run, .unneeded)
      return
    }
    switch run.end {
    case .success(let product, let summary): succeeded(run, product, summary)
    case .failed(let error):
      if isHeard { tell(run, .failed("\(error.error)")) }
      failed(run.slot, of: stage, error)
    case .inputMissing(let input):
      if isHeard { tell(run, .inputMissing(input.summary)) }
      guard stage.tasks[run.slot].running == 0,
        countLoss(run.slot, of: stage, "its input was missing again after it was fetched: \(input.summary)")
      else { return }
      fetch(input, run.slot, of: stage)
    case .shuffleOutputMissing:
      tell(run, .shuffleOutputMissing)
      guard stage.tasks[run.slot].running == 0,
        countLoss(
          run.slot, of: stage, "the output of the stages it reads from was lost again after it was remade")
      else { return }
      stage.makeReady(run.slot)
      enqueue(stage)
      if !lost.contains(where: { $0 === stage }) { lost.append(stage) }
    case .skipped: again(run.slot, of: stage)
    }
  }

  private func succeeded(_ run: TaskRun, _ product: TaskProduct, _ summary: TaskSummary) {
    let stage = run.stage
    stage.tasks[run.slot].state = .done
    // The first attempt that succeeds counts; the other may stop.
    for other in stage.tasks[run.slot].runs { other.cancellation.cancel() }
    stage.owner.metrics.add(summary)
    if stage.owner.spec.countsAccumulations {
      if let held = stage.owner.spec.accumulations {
        held.take(summary.accumulated)
      } else {
        for pending in summary.accumulated { pending.merge() }
      }
    }
    switch product {
    case .result(let result): stage.owner.results[run.slot] = result
    case .blocks(let blocks):
      if case .shuffleMap(let shuffle) = stage.kind { shuffle.output.store(blocks, ofMap: run.partition) }
    }
    if settings.speculation != nil { stage.durations.append((loop.now - run.launched).inNanoseconds) }
    if isHeard {
      stage.metrics.add(summary)
      tell(
        run,
        .succeeded(
          recordsRead: summary.recordsRead, recordsWritten: summary.recordsWritten, duration: summary.duration))
    }
    stage.remaining -= 1
    if stage.remaining == 0 { complete(stage) }
  }

  /// The attempt failed: another one, or the end of the jobs that need the stage.
  private func failed(_ slot: Int, of stage: Stage, _ error: TaskError) {
    stage.owner.metrics.attemptsFailed += 1
    stage.metrics.attemptsFailed += 1
    stage.tasks[slot].failures += 1
    guard stage.tasks[slot].failures < attemptsMax else { return endJobs(of: stage, slot, error) }
    again(slot, of: stage)
  }

  /// The task is launched again, unless another attempt of it still runs.
  private func again(_ slot: Int, of stage: Stage) {
    guard stage.tasks[slot].running == 0 else { return }
    stage.makeReady(slot)
    enqueue(stage)
  }

  /// - Returns: whether the task may go on.
  private func countLoss(_ slot: Int, of stage: Stage, _ what: String) -> Bool {
    stage.tasks[slot].losses += 1
    if stage.tasks[slot].losses <= lossesMax { return true }
    endJobs(of: stage, slot, TaskError(error: RepeatedLoss(description: "\(what) (\(lossesMax) times)")))
    return false
  }

  private func endJobs(of stage: Stage, _ slot: Int, _ error: TaskError) {
    let reason = JobFailure.Reason.taskFailed(
      stage: stage.id, operation: error.operation ?? stage.label, partition: stage.tasks[slot].partition,
      attempts: stage.tasks[slot].attempts, last: error.error, position: error.position)
    for job in stage.jobs { end(job, reason) }
  }

  private func fetch(_ input: any FetchableInput, _ slot: Int, of stage: Stage) {
    stage.tasks[slot].state = .fetching
    stage.owner.metrics.inputsFetched += 1
    counts.inputsFetched += 1
    fetchesRunning += 1
    input.fetch { [self] error in
      loop.post {
        self.fetchesRunning -= 1
        if !stage.isFinished {
          if let error {
            self.failed(slot, of: stage, TaskError(error: error))
          } else {
            self.again(slot, of: stage)
          }
        }
        self.submitReady()
        self.reportEnds()
      }
    }
  }

  private func tell(_ run: TaskRun, _ outcome: TaskEndEvent.Outcome) {
    guard isHeard else { return }
    let now = loop.now
    emit(
      .taskEnd(
        TaskEndEvent(
          stage: run.stage.id, job: run.stage.owner.id, partition: run.partition, attempt: run.attempt,
          outcome: outcome, isSpeculative: run.isSpeculative, executor: run.executor ?? 0, launched: run.launched,
          time: now)))
  }
}
