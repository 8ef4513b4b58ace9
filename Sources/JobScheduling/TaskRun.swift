import Datasets
import Groundwork
import SystemInterfaces

/// What executors need beside a task: the clock, and what each of them keeps from task to task.
///
/// Sendable: constant; the runner runs one task at a time under one `ExecutorID`, which is the proof that nobody else uses
/// that element of `locals`.
final class Executors: @unchecked Sendable {
  let clock: any Clock
  private let locals: [ExecutorLocals]

  init(_ runner: any Runner, clock: any Clock) {
    self.clock = clock
    // One more than there are at a time: the last stands in for the loop's own thread, see Runner.start.
    locals = (0...max(1, runner.executorCount)).map { _ in ExecutorLocals() }
  }

  var count: Int { locals.count }
  subscript(executor: ExecutorID) -> ExecutorLocals { locals[executor.rawValue] }
}

/// One attempt of one task, from its launch to its end.
///
/// Sendable: the executor reads constants and writes `end` and `executor`, which the loop reads after the runner has
/// reported the task there; the report orders the two.
final class TaskRun: @unchecked Sendable {
  let stage: Stage
  /// The task's place in `Stage.tasks`.
  let slot: Int
  let partition: Int
  /// 0 for the first.
  let attempt: Int
  /// Whether it runs beside another attempt that takes long.
  let isSpeculative: Bool
  /// When it was handed to the runner.
  let launched: Instant
  /// The stage's, or one of its own where it may lose against another attempt.
  let cancellation: TaskCancellation
  /// Whose share of the executors it takes. On the loop only.
  let job: Job
  private let properties: LocalProperties
  private(set) var end = TaskEndReason.skipped
  /// The number of the executor that ran it; nil before.
  private(set) var executor: Int?

  init(
    _ stage: Stage, slot: Int, attempt: Int, isSpeculative: Bool, launched: Instant, cancellation: TaskCancellation
  ) {
    self.stage = stage
    self.slot = slot
    partition = stage.tasks[slot].partition
    self.attempt = attempt
    self.isSpeculative = isSpeculative
    self.launched = launched
    self.cancellation = cancellation
    job = stage.owner
    properties = stage.owner.spec.properties
  }

  /// Runs on an executor.
  func run(on executor: ExecutorID, _ executors: Executors) {
    self.executor = executor.rawValue
    if !cancellation.isCancelled { end = compute(executors[executor], executors.clock) }
  }

  private func compute(_ locals: ExecutorLocals, _ clock: any Clock) -> TaskEndReason {
    let context = TaskContext(
      batch: stage.batch, stage: stage.id.rawValue, partition: partition, attempt: attempt, locals: locals,
      seed: stage.seed, cancellation: cancellation, localProperties: properties)
    let start = clock.now
    do {
      let product: TaskProduct = try context.perform {
        switch stage.kind {
        case .result(let work): .result(try work(partition, context))
        case .shuffleMap(let shuffle): .blocks(try shuffle.map(partition, context))
        }
      }
      context.complete(nil)
      return .success(
        product,
        TaskSummary(
          recordsRead: context.recordsRead, recordsWritten: context.recordsWritten, spills: context.spills,
          counters: context.counters, accumulated: context.accumulated, maxima: context.maxima,
          duration: clock.now - start))
    } catch {
      context.complete(error)
      return ended(by: error, context)
    }
  }

  private func ended(by error: any Error, _ context: TaskContext) -> TaskEndReason {
    switch error {
    case let missing as InputMissing:
      return .inputMissing(missing.input)
    case is ShuffleOutputMissing:
      return .shuffleOutputMissing
    case is TaskCancelled where cancellation.isCancelled:
      return .skipped
    default:
      return .failed(
        TaskError(error: error, operation: context.failedOperator, position: context.inputPosition?()))
    }
  }
}
