import Datasets
import Groundwork
import SystemInterfaces

extension DAGScheduler {
  /// Makes the job's last stage and the stages it needs; those that can run are then in `ready`.
  func plan(_ job: Job) {
    let spec = job.spec
    let seed = Hash64.fold(UInt64(truncatingIfNeeded: spec.operation) ^ 0x9E37_79B9_7F4A_7C15, 0xD6E8_FEB8_6659_FD93)
    let last = makeStage(.result(spec.work), spec.dataset, partitions: spec.partitions, seed: seed, job)
    findParents(of: [last])
  }

  private func makeStage(
    _ kind: Stage.Kind, _ dataset: AnyRDD, partitions: [Int], seed: UInt64, _ job: Job
  ) -> Stage {
    lastStage += 1
    let stage = Stage(
      StageID(lastStage), kind, dataset, partitions: partitions, batch: job.spec.batch, seed: seed, job: job)
    job.stages.append(stage)
    return stage
  }

  /// Lets each of the stages wait for those that write what it reads and what is not there; makes them where they do not
  /// run yet, and so on to the beginning of the lineage.
  func findParents(of stages: [Stage]) {
    var pending = stages
    while let stage = pending.popLast() {
      for (position, shuffle) in Lineage.shuffles(readBy: stage.dataset).enumerated() {
        let missing = shuffle.output.missingMapPartitions
        if missing.isEmpty {
          if !stage.isSubmitted { stage.owner.metrics.stagesSkipped += 1 }
          continue
        }
        let parent: Stage
        if let running = shuffleStages[ObjectIdentifier(shuffle)] {
          parent = running
          for job in stage.jobs { join(job, running) }
        } else {
          parent = makeStage(
            .shuffleMap(shuffle), shuffle.parent, partitions: missing,
            seed: Hash64.fold(stage.seed, 0xA076_1D64_78BD_642F &+ UInt64(position)), stage.jobs[0])
          for job in stage.jobs.dropFirst() { join(job, parent) }
          shuffleStages[ObjectIdentifier(shuffle)] = parent
          pending.append(parent)
        }
        guard !stage.parents.contains(where: { $0 === parent }) else { continue }
        parent.dependents.append(stage)
        stage.parents.append(parent)
      }
      if stage.parents.isEmpty { ready.append(stage) }
    }
  }

  /// Notes that a job needs a stage that runs already, and everything that stage waits for.
  private func join(_ job: Job, _ stage: Stage) {
    var pending = [stage]
    while let stage = pending.popLast() {
      guard !stage.jobs.contains(where: { $0 === job }) else { continue }
      stage.jobs.append(job)
      job.stages.append(stage)
      pending.append(contentsOf: stage.parents)
    }
  }

  /// Gives the runner the tasks that are ready: one wave a job, jobs in the order of their submission.
  func submitReady() {
    while !ready.isEmpty {
      var stages = ready
      ready = []
      if stages.count > 1 { stages.sort { ($0.owner.id, $0.id) < ($1.owner.id, $1.id) } }
      var start = 0
      while start < stages.count {
        var end = start + 1
        while end < stages.count, stages[end].owner === stages[start].owner { end += 1 }
        submitWave(stages[start..<end])
        start = end
      }
    }
  }

  private func submitWave(_ stages: ArraySlice<Stage>) {
    var entries: [Wave.Entry] = []
    var weights: [Int64] = []
    // A stage that waits for parents is made ready again by them.
    for stage in stages where !stage.isFinished && stage.parents.isEmpty {
      if !stage.isSubmitted {
        stage.isSubmitted = true
        stage.owner.metrics.stages += 1
        if !listeners.isEmpty {
          let event = stageEvent(stage)
          for listener in listeners { listener.onStageSubmitted(event) }
        }
      }
      for slot in stage.tasks.indices where stage.tasks[slot].state == .ready {
        let partition = stage.tasks[slot].partition
        entries.append(
          Wave.Entry(stage: stage, slot: slot, partition: partition, attempt: stage.tasks[slot].attempts))
        weights.append(stage.dataset.weight(of: partition))
        stage.tasks[slot].state = .running
        stage.tasks[slot].attempts += 1
      }
    }
    guard !entries.isEmpty else { return }
    let wave = Wave(entries, clock: loop, locals: locals)
    let tasks = weights.indices.map { index in
      ExecutorTask(weight: weights[index]) { executor in wave.run(index, on: executor) }
    }
    wavesRunning += 1
    isSubmitting = true
    runner.submit(tasks, from: loop) { [self] in
      waveEnded(wave)
      submitReady()
      reportEnds()
    }
    isSubmitting = false
  }

  private func stageEvent(_ stage: Stage) -> StageEvent {
    StageEvent(
      stage: stage.id, job: stage.owner.id, label: stage.label, batch: stage.batch, tasks: stage.tasks.count,
      time: loop.now)
  }

  /// Every task of the stage is done: who waited for it may run.
  func complete(_ stage: Stage) {
    let dependents = stage.dependents
    finish(stage)
    if !listeners.isEmpty {
      let event = stageEvent(stage)
      for listener in listeners { listener.onStageCompleted(event) }
    }
    for dependent in dependents where !dependent.isFinished && dependent.parents.isEmpty { ready.append(dependent) }
    if stage.isResult { end(stage.owner, nil) }
  }

  /// Takes a stage that is done or abandoned out of every table, and out of the stages around it.
  func finish(_ stage: Stage) {
    stage.isFinished = true
    if case .shuffleMap(let shuffle) = stage.kind { shuffleStages[ObjectIdentifier(shuffle)] = nil }
    for dependent in stage.dependents { dependent.parents.removeAll { $0 === stage } }
    for parent in stage.parents { parent.dependents.removeAll { $0 === stage } }
    stage.dependents = []
    stage.parents = []
  }
}
