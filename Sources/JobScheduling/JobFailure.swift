import Datasets
import Groundwork

/// Why a job did not give its results.
public struct JobFailure: DiagnosableError {
  /// What ended the job.
  public enum Reason: Sendable {
    /// A task failed as often as it may; `last` is its last error, `operation` the operator whose function threw it, or
    /// the stage's last one where that is not known, `position` where the task stood in its input, if its source says so.
    case taskFailed(
      stage: StageID, operation: String, partition: Int, attempts: Int, last: any Error, position: String? = nil)
    /// A partition was asked for that the dataset does not have.
    case noSuchPartition(Int, count: Int)
    /// `cancel` was called; the text says why.
    case cancelled(String)
    /// The scheduler, or the loop it lives on, was stopped.
    case stopped
    /// An action was called from elsewhere than the driver's loop: inside a task, or on another thread.
    case notOnTheLoop
  }
  /// What ended the job.
  public var reason: Reason
  /// The job's label, as in `JobSpec.label`.
  public var label: String
  /// The batch that the job was for; number 0 outside of a stream.
  public var batch: BatchIdentity

  /// Says why, and of which job.
  public init(_ reason: Reason, label: String, batch: BatchIdentity) {
    self.reason = reason
    self.label = label
    self.batch = batch
  }

  /// As the last error of a failed task says, where it is one of ours; else the user's.
  public var fault: Fault {
    switch reason {
    case .taskFailed(_, _, _, _, let last, _): (last as? any DiagnosableError)?.fault ?? .user
    case .noSuchPartition, .notOnTheLoop, .cancelled, .stopped: .user
    }
  }

  /// As the last error of a failed task says, where it is one of ours; else false.
  public var isRetriable: Bool {
    if case .taskFailed(_, _, _, _, let last, _) = reason {
      return (last as? any DiagnosableError)?.isRetriable ?? false
    }
    return false
  }

  /// False only after the scheduler was stopped: it runs no further job.
  public var leavesUsable: Bool {
    if case .stopped = reason { return false }
    return true
  }

  /// Names the job, its batch, and what to do or the last error of the task that failed.
  public var description: String {
    let job = batch.number.rawValue == 0 ? "job '\(label)'" : "job '\(label)' of batch \(batch.number)"
    switch reason {
    case .taskFailed(let stage, let operation, let partition, let attempts, let last, let position):
      return "\(job) failed: partition \(partition) of stage \(stage) (\(operation)) failed \(attempts) times; "
        + "the last error\(position.map { ", at \($0)" } ?? ""): \(last)"
    case .noSuchPartition(let partition, let count):
      return "\(job) asks for partition \(partition), but its dataset has \(count), numbered from 0"
    case .cancelled(let why): return "\(job) was cancelled: \(why)"
    case .stopped: return "\(job) cannot run: the context was stopped; make a new one"
    case .notOnTheLoop:
      return "\(job) was started from inside a task or another thread: "
        + "actions such as collect() and count() run in the driver, call them in foreachRDD or main"
    }
  }
}

/// What a task's input or its parents' output did too often to go on.
struct RepeatedLoss: Error, CustomStringConvertible {
  var description: String
}
