import Groundwork
import SystemInterfaces

extension DAGScheduler {
  /// Looks at running tasks again after the interval, while there are stages to look at.
  func watchForStragglers() {
    guard let speculation = settings.speculation, stragglerTimer == nil, !stages.isEmpty else { return }
    stragglerTimer = loop.after(speculation.interval) { [self] in
      stragglerTimer = nil
      copyStragglers(speculation)
      watchForStragglers()
      submitReady()
      reportEnds()
    }
  }

  /// Nothing is left to look at.
  func stopWatchingForStragglers() {
    guard let timer = stragglerTimer else { return }
    stragglerTimer = nil
    loop.cancel(timer)
  }

  private func copyStragglers(_ speculation: SpeculationSettings) {
    let now = loop.now
    for stage in stages.values.sorted(by: { $0.id < $1.id }) where stage.running > 0 && stage.parents.isEmpty {
      stage.durations.sort()
      guard let limit = speculation.limit(done: stage.durations, tasks: stage.tasks.count) else { continue }
      var found = false
      for slot in stage.tasks.indices {
        let task = stage.tasks[slot]
        guard task.state == .running, task.running == 1, !task.wantsCopy, let run = task.runs.first,
          (now - run.launched).inNanoseconds > limit
        else { continue }
        found = true
        stage.wantCopy(of: slot)
        if isHeard {
          emit(
            .speculativeTask(
              SpeculativeTaskEvent(stage: stage.id, job: stage.owner.id, partition: task.partition, time: now)))
        }
      }
      if found { enqueue(stage) }
    }
  }
}

extension SpeculationSettings {
  /// How long, in nanoseconds, a task of a stage may take before it is run a second time; nil where too few are done to
  /// tell.
  /// - Parameters:
  ///   - done: how long the tasks took that are done, in nanoseconds, sorted.
  ///   - tasks: how many tasks the stage has.
  func limit(done: [Int64], tasks: Int) -> Int64? {
    guard tasks > 1, !done.isEmpty, done.count >= Int(quantile * Double(tasks)) else { return nil }
    let median = Double(done[done.count / 2] + done[(done.count - 1) / 2]) / 2
    return max(Int64(median * multiplier), minTaskRuntime.inNanoseconds)
  }
}
