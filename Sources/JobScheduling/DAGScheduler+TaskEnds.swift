import Datasets
import SystemInterfaces

extension DAGScheduler {
  /// All tasks of a wave have run.
  func waveEnded(_ wave: Wave) {
    wavesRunning -= 1
    var lost: [Stage] = []
    for (entry, end) in zip(wave.entries, wave.takeEnds()) {
      taskEnded(entry, end ?? .skipped, &lost)
    }
    // Once a wave, however many tasks of a stage found their parents' output gone.
    for stage in lost where !stage.isFinished && stage.parents.isEmpty {
      stage.owner.metrics.shufflesLost += 1
      findParents(of: [stage])
    }
  }

  private func taskEnded(_ entry: Wave.Entry, _ end: TaskEndReason, _ lost: inout [Stage]) {
    let stage = entry.stage
    if stage.isFinished {
      // The job has ended meanwhile: what its late tasks made is dropped.
      if case .success(.result(let result), _) = end { stage.owner.spec.onDiscard?(result) }
      tell(entry, .unneeded)
      return
    }
    switch end {
    case .success(let product, let summary):
      stage.tasks[entry.slot].state = .done
      stage.owner.metrics.add(summary)
      for pending in summary.accumulated { pending.merge() }
      switch product {
      case .result(let result): stage.owner.results[entry.slot] = result
      case .blocks(let blocks):
        if case .shuffleMap(let shuffle) = stage.kind { shuffle.output.store(blocks, ofMap: entry.partition) }
      }
      if !listeners.isEmpty {
        tell(
          entry,
          .succeeded(
            recordsRead: summary.recordsRead, recordsWritten: summary.recordsWritten, duration: summary.duration))
      }
      stage.remaining -= 1
      if stage.remaining == 0 { complete(stage) }
    case .failed(let error):
      if !listeners.isEmpty { tell(entry, .failed("\(error)")) }
      failed(entry.slot, of: stage, error)
    case .inputMissing(let input):
      if !listeners.isEmpty { tell(entry, .inputMissing(input.summary)) }
      guard countLoss(entry.slot, of: stage, "its input was missing again after it was fetched: \(input.summary)")
      else { return }
      fetch(input, entry.slot, of: stage)
    case .shuffleOutputMissing:
      tell(entry, .shuffleOutputMissing)
      guard
        countLoss(entry.slot, of: stage, "the output of the stages it reads from was lost again after it was remade")
      else { return }
      stage.tasks[entry.slot].state = .ready
      if !lost.contains(where: { $0 === stage }) { lost.append(stage) }
    case .skipped:
      stage.tasks[entry.slot].state = .ready
      ready.append(stage)
    }
  }

  /// The attempt failed: another one, or the end of the jobs that need the stage.
  private func failed(_ slot: Int, of stage: Stage, _ error: any Error) {
    stage.owner.metrics.attemptsFailed += 1
    stage.tasks[slot].failures += 1
    guard stage.tasks[slot].failures < attemptsMax else { return endJobs(of: stage, slot, error) }
    stage.tasks[slot].state = .ready
    ready.append(stage)
  }

  /// - Returns: whether the task may go on.
  private func countLoss(_ slot: Int, of stage: Stage, _ what: String) -> Bool {
    stage.tasks[slot].losses += 1
    if stage.tasks[slot].losses <= lossesMax { return true }
    endJobs(of: stage, slot, RepeatedLoss(description: "\(what) (\(lossesMax) times)"))
    return false
  }

  private func endJobs(of stage: Stage, _ slot: Int, _ error: any Error) {
    let reason = JobFailure.Reason.taskFailed(
      stage: stage.id, operation: stage.label, partition: stage.tasks[slot].partition,
      attempts: stage.tasks[slot].attempts, last: error)
    for job in stage.jobs { end(job, reason) }
  }

  private func fetch(_ input: any FetchableInput, _ slot: Int, of stage: Stage) {
    stage.tasks[slot].state = .fetching
    stage.owner.metrics.inputsFetched += 1
    fetchesRunning += 1
    input.fetch { [self] error in
      loop.post {
        self.fetchesRunning -= 1
        if !stage.isFinished {
          if let error {
            self.failed(slot, of: stage, error)
          } else {
            stage.tasks[slot].state = .ready
            self.ready.append(stage)
          }
        }
        self.submitReady()
        self.reportEnds()
      }
    }
  }

  private func tell(_ entry: Wave.Entry, _ outcome: TaskEndEvent.Outcome) {
    guard !listeners.isEmpty else { return }
    let event = TaskEndEvent(
      stage: entry.stage.id, job: entry.stage.owner.id, partition: entry.partition, attempt: entry.attempt,
      outcome: outcome)
    for listener in listeners { listener.onTaskEnd(event) }
  }
}
