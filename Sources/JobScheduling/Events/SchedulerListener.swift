import Datasets
import Groundwork

/// Hears what the scheduler does; the names are those of Spark's SparkListener. All calls come on the scheduler's loop, in
/// the order in which things happened, and must return quickly. Each has a default that does nothing.
public protocol SchedulerListener: AnyObject, Sendable {
  func onJobStart(_ event: JobStartEvent)
  func onStageSubmitted(_ event: StageEvent)
  func onTaskEnd(_ event: TaskEndEvent)
  func onStageCompleted(_ event: StageEvent)
  func onJobEnd(_ event: JobEndEvent)
}

extension SchedulerListener {
  public func onJobStart(_ event: JobStartEvent) {}
  public func onStageSubmitted(_ event: StageEvent) {}
  public func onTaskEnd(_ event: TaskEndEvent) {}
  public func onStageCompleted(_ event: StageEvent) {}
  public func onJobEnd(_ event: JobEndEvent) {}
}

public struct JobStartEvent: Sendable {
  public var job: JobID
  public var label: String
  public var batch: BatchIdentity
  public var time: Instant
}

public struct StageEvent: Sendable {
  public var stage: StageID
  /// The job that asked for the stage first.
  public var job: JobID
  /// The stage's last operator.
  public var label: String
  public var batch: BatchIdentity
  /// Tasks that are to run, or ran.
  public var tasks: Int
  public var time: Instant
}

public struct TaskEndEvent: Sendable {
  public enum Outcome: Sendable {
    case succeeded(recordsRead: Int, recordsWritten: Int, duration: Duration)
    case failed(String)
    /// The task's input is fetched again; the text says which.
    case inputMissing(String)
    case shuffleOutputMissing
    /// Not run, because nobody waits for it any more, or run for nothing because its job has ended.
    case unneeded
  }
  public var stage: StageID
  public var job: JobID
  public var partition: Int
  /// 0 for the first.
  public var attempt: Int
  public var outcome: Outcome
}

public struct JobEndEvent: Sendable {
  public var job: JobID
  public var label: String
  public var batch: BatchIdentity
  /// nil for success.
  public var failure: JobFailure?
  public var metrics: JobMetrics
  public var time: Instant
}
