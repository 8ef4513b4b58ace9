import Datasets
import Groundwork
import SystemInterfaces

extension DAGScheduler {
  /// Makes the job's last stage and the stages it needs; those that can run are then queued.
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
    stages[stage.id] = stage
    return stage
  }

  /// Lets each of the stages wait for those that write what it reads and what is not there; makes them where they do not
  /// run yet, and so on to the beginning of the lineage. O(operators of the stages + shuffles between them).
  func findParents(of stages: [Stage]) {
    var pending = stages
    while let stage = pending.popLast() {
      for (position, shuffle) in Lineage.shuffles(readBy: stage.dataset, steps: &planningSteps).enumerated() {
        planningSteps += 1
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
        parent.dependents[stage.id] = stage
        stage.parents[parent.id] = parent
      }
      if stage.parents.isEmpty { enqueue(stage) }
    }
  }

  /// Notes that a job needs a stage that runs already, and everything that stage waits for.
  private func join(_ job: Job, _ stage: Stage) {
    var pending = [stage]
    while let stage = pending.popLast() {
      planningSteps += 1
      guard !stage.jobs.contains(where: { $0 === job }) else { continue }
      stage.jobs.append(job)
      job.stages.append(stage)
      pending.append(contentsOf: stage.parents.values.sorted { $0.id < $1.id })
    }
  }

  /// The stage may have tasks to launch: it will be asked when executors are given out.
  func enqueue(_ stage: Stage) { stage.owner.enqueue(stage) }

  /// Every task of the stage is done: who waited for it may run.
  func complete(_ stage: Stage) {
    let dependents = stage.dependents
    finish(stage)
    if isHeard { emit(.stageCompleted(stageEvent(stage, failure: nil))) }
    for dependent in dependents.values where !dependent.isFinished && dependent.parents.isEmpty { enqueue(dependent) }
    if stage.isResult { end(stage.owner, nil) }
  }

  /// Nobody needs the stage any more: its tasks that have not started are skipped, those that run find out.
  func abandon(_ stage: Stage, _ failure: JobFailure) {
    stage.cancellation.cancel()
    finish(stage)
    guard stage.isSubmitted else { return }
    counts.stagesFailed += 1
    if isHeard { emit(.stageCompleted(stageEvent(stage, failure: failure.description))) }
  }

  /// Takes a stage that is done or abandoned out of every table, and out of the stages around it.
  private func finish(_ stage: Stage) {
    stage.isFinished = true
    stages[stage.id] = nil
    if case .shuffleMap(let shuffle) = stage.kind { shuffleStages[ObjectIdentifier(shuffle)] = nil }
    for dependent in stage.dependents.values { dependent.parents[stage.id] = nil }
    for parent in stage.parents.values { parent.dependents[stage.id] = nil }
    stage.dependents = [:]
    stage.parents = [:]
  }

  func stageEvent(_ stage: Stage, failure: String?) -> StageEvent {
    StageEvent(
      stage: stage.id, job: stage.owner.id, label: stage.label, batch: stage.batch, tasks: stage.tasks.count,
      time: loop.now, submitted: stage.submitted ?? loop.now, failure: failure, metrics: stage.metrics)
  }
}
