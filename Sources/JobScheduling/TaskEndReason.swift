import Datasets
import Groundwork
import Synchronization
import SystemInterfaces

/// How one attempt of a task ended; it decides what happens next.
enum TaskEndReason: Sendable {
  /// The partition is done.
  case success(TaskProduct, TaskSummary)
  /// The task's code threw: another attempt, up to the limit.
  case failed(any Error)
  /// Input is not in memory: it is fetched, and the task runs again; not a failure.
  case inputMissing(any FetchableInput)
  /// Output of a parent stage is gone: the parent's missing tasks run again, then this one; not a failure.
  case shuffleOutputMissing
  /// Nobody waits for the stage any more.
  case skipped
}

/// What a successful attempt hands over.
enum TaskProduct: Sendable {
  case result(any Sendable)
  case blocks([ShuffleBlock?])
}

/// What a successful attempt counted.
struct TaskSummary: Sendable {
  var recordsRead: Int
  var recordsWritten: Int
  var spills: SpillCounts
  var counters: [String: Int64]
  var accumulated: [PendingAccumulation]
  var duration: Duration
}

/// Tasks that were submitted together, and the slots their ends land in.
///
/// Sendable: the tasks are constant, each executor touches its own `ExecutorLocals` only, and the slots stand under a lock.
final class Wave: @unchecked Sendable {
  struct Entry {
    let stage: Stage
    /// The task's place in `Stage.tasks`.
    let slot: Int
    let partition: Int
    let attempt: Int
  }
  let entries: [Entry]
  private let clock: any Clock
  /// One for each executor: the runner runs one task at a time under one `ExecutorID`, which is the proof that nobody
  /// else uses that element.
  private let locals: [ExecutorLocals]
  private let ends: Mutex<[TaskEndReason?]>

  init(_ entries: [Entry], clock: any Clock, locals: [ExecutorLocals]) {
    self.entries = entries
    self.clock = clock
    self.locals = locals
    ends = Mutex(Array(repeating: nil, count: entries.count))
  }

  /// Runs on an executor. Touches only what is constant in the stage.
  func run(_ index: Int, on executor: ExecutorID) {
    let entry = entries[index]
    let end = entry.stage.isAbandoned.load(ordering: .relaxed) ? .skipped : attempt(entry, on: executor)
    ends.withLock { $0[index] = end }
  }

  private func attempt(_ entry: Entry, on executor: ExecutorID) -> TaskEndReason {
    let stage = entry.stage
    let context = TaskContext(
      batch: stage.batch, stage: stage.id.rawValue, partition: entry.partition, attempt: entry.attempt,
      locals: locals[executor.rawValue], seed: stage.seed)
    let start = clock.now
    do {
      let product: TaskProduct = try context.perform {
        switch stage.kind {
        case .result(let work): .result(try work(entry.partition, context))
        case .shuffleMap(let shuffle): .blocks(try shuffle.map(entry.partition, context))
        }
      }
      return .success(
        product,
        TaskSummary(
          recordsRead: context.recordsRead, recordsWritten: context.recordsWritten, spills: context.spills,
          counters: context.counters, accumulated: context.accumulated, duration: clock.now - start))
    } catch let missing as InputMissing {
      return .inputMissing(missing.input)
    } catch is ShuffleOutputMissing {
      return .shuffleOutputMissing
    } catch {
      return .failed(error)
    }
  }

  /// The ends, for the loop, once all have run.
  func takeEnds() -> [TaskEndReason?] {
    ends.withLock { ends in
      defer { ends = [] }
      return ends
    }
  }
}
