import Datasets
import Groundwork

/// How one attempt of a task ended; it decides what happens next.
enum TaskEndReason: Sendable {
  /// The partition is done.
  case success(TaskProduct, TaskSummary)
  /// The task's code threw: another attempt, up to the limit.
  case failed(TaskError)
  /// Input is not in memory: it is fetched, and the task runs again; not a failure.
  case inputMissing(any FetchableInput)
  /// Output of a parent stage is gone: the parent's missing tasks run again, then this one; not a failure.
  case shuffleOutputMissing
  /// Nobody waits for it any more: it was not run, or found that out while it ran.
  case skipped
}

/// What a task's code threw, and what the task knows of the place.
struct TaskError: Sendable {
  var error: any Error
  /// The operator whose function threw; nil where the task does not know.
  var operation: String?
  /// Where the task stood in its input; nil where its source does not say.
  var position: String?
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
  var maxima: [String: Int64]
  var duration: Duration
}
