import Datasets
import Groundwork
import SystemInterfaces

/// Tasks reach the executors in one of two ways.
///
/// A job that is alone and small goes as a wave: all its tasks that are ready, in one submission that the loop's own thread
/// takes part in, handled together when all have run. Six tasks cost 11 µs so, and nobody else is kept waiting by them.
///
/// Where jobs compete, where there is much to do, or where stragglers are to be seen, tasks are started one by one, a few
/// at a time, and each is handled when it ends; what starts next is decided only when there is a place, by the pools.
extension DAGScheduler {
  /// Expected work of a wave at most, in nanoseconds: for about so long the loop is not free to do anything else.
  private static var waveWeightMax: Int64 { 50_000_000 }

  /// Tasks that run, or wait in the runner, at a time. Two for each executor, so that none waits for the loop between
  /// two tasks; but one where the time since the launch tells how long a task takes.
  var slots: Int { max(1, runner.executorCount) * (settings.speculation == nil ? 2 : 1) }

  /// Gives the runner the tasks that are ready and have a place.
  func submitReady() {
    while inFlight < slots || startedInFlight == 0 {
      if startedInFlight == 0, settings.speculation == nil, jobs.count == 1, let job = jobs.first?.value,
        startWave(of: job)
      {
        continue
      }
      guard inFlight < slots, let job = pools.next(slots: slots, at: loop.now), let stage = job.firstReady() else {
        return
      }
      guard let (slot, isCopy) = stage.takeNext() else { continue }
      startAlone(launch(stage, slot, isCopy: isCopy, at: loop.now))
    }
  }

  /// - Returns: whether there was something to start and it was little enough.
  private func startWave(of job: Job) -> Bool {
    guard job.hasReady else { return false }
    let stages = job.takeReady()
    var weight: Int64 = 0
    var weights: [Int64] = []
    for stage in stages {
      for slot in stage.pending {
        let added = max(0, stage.dataset.weight(of: stage.tasks[slot].partition))
        weights.append(added)
        weight = weight.addingReportingOverflow(added).overflow ? .max : weight + added
      }
    }
    guard weight <= DAGScheduler.waveWeightMax else {
      for stage in stages { job.enqueue(stage) }
      return false
    }
    let now = loop.now
    var runs: [TaskRun] = []
    runs.reserveCapacity(weights.count)
    for stage in stages {
      while let (slot, isCopy) = stage.takeNext() { runs.append(launch(stage, slot, isCopy: isCopy, at: now)) }
    }
    let executors = executors
    let tasks = zip(weights, runs).map { weight, run in
      ExecutorTask(weight: weight) { run.run(on: $0, executors) }
    }
    isSubmitting = true
    runner.submit(tasks, from: loop) { [self, runs] in
      runsEnded(runs)
      submitReady()
      reportEnds()
    }
    isSubmitting = false
    return true
  }

  private func startAlone(_ run: TaskRun) {
    startedInFlight += 1
    let executors = executors
    let task = ExecutorTask(weight: max(0, run.stage.dataset.weight(of: run.partition))) { run.run(on: $0, executors) }
    isSubmitting = true
    runner.start(task, from: loop) { [self] in
      startedInFlight -= 1
      runsEnded(CollectionOfOne(run))
      submitReady()
      reportEnds()
    }
    isSubmitting = false
  }

  /// Counts a task as running.
  private func launch(_ stage: Stage, _ slot: Int, isCopy: Bool, at now: Instant) -> TaskRun {
    if stage.submitted == nil {
      stage.submitted = now
      stage.owner.metrics.stages += 1
      if isHeard { emit(.stageSubmitted(stageEvent(stage, failure: nil))) }
      watchForStragglers()
    }
    let run = TaskRun(
      stage, slot: slot, attempt: stage.tasks[slot].attempts, isSpeculative: isCopy, launched: now,
      cancellation: settings.speculation == nil ? stage.cancellation : TaskCancellation(parent: stage.cancellation))
    stage.tasks[slot].state = .running
    stage.tasks[slot].attempts += 1
    stage.tasks[slot].running += 1
    if settings.speculation != nil { stage.tasks[slot].runs.append(run) }
    stage.running += 1
    inFlight += 1
    counts.tasksLaunched += 1
    if isCopy { counts.tasksSpeculated += 1 } else if run.attempt > 0 { counts.tasksRepeated += 1 }
    pools.launched(run)
    if isHeard {
      emit(
        .taskStart(
          TaskStartEvent(
            stage: stage.id, job: stage.owner.id, partition: run.partition, attempt: run.attempt,
            isSpeculative: isCopy, time: now)))
    }
    return run
  }
}
