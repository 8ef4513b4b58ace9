import Datasets
import Groundwork

/// Hears what the scheduler does; the names are those of Spark's SparkListener. All calls come on the scheduler's loop, in
/// the order in which things happened, and must return quickly. Each has a default that does nothing.
public protocol SchedulerListener: AnyObject, Sendable {
  /// A job was submitted; its stages are planned after this.
  func onJobStart(_ event: JobStartEvent)
  /// A stage's tasks are about to run for the first time; the stages it depends on are done.
  func onStageSubmitted(_ event: StageEvent)
  /// An attempt of a task ended, whatever its outcome.
  func onTaskEnd(_ event: TaskEndEvent)
  /// Every task of a stage has succeeded.
  func onStageCompleted(_ event: StageEvent)
  /// A job ended, with or without its results.
  func onJobEnd(_ event: JobEndEvent)
}

extension SchedulerListener {
  /// Does nothing.
  public func onJobStart(_ event: JobStartEvent) {}
  /// Does nothing.
  public func onStageSubmitted(_ event: StageEvent) {}
  /// Does nothing.
  public func onTaskEnd(_ event: TaskEndEvent) {}
  /// Does nothing.
  public func onStageCompleted(_ event: StageEvent) {}
  /// Does nothing.
  public func onJobEnd(_ event: JobEndEvent) {}
}

/// A job that begins.
public struct JobStartEvent: Sendable {
  /// The job's number.
  public var job: JobID
  /// The job's label, as in `JobSpec.label`.
  public var label: String
  /// The batch that the job is for; number 0 outside of a stream.
  public var batch: BatchIdentity
  /// When it was submitted.
  public var time: Instant
}

/// A stage that begins or is done.
public struct StageEvent: Sendable {
  /// The stage's number.
  public var stage: StageID
  /// The job that asked for the stage first.
  public var job: JobID
  /// The stage's last operator.
  public var label: String
  /// The batch that the stage is computed for.
  public var batch: BatchIdentity
  /// Tasks that are to run, or ran.
  public var tasks: Int
  /// When it began or was done.
  public var time: Instant
}

/// One attempt of a task, ended.
public struct TaskEndEvent: Sendable {
  /// How an attempt ended.
  public enum Outcome: Sendable {
    /// It gave its result: records read from sources, records handed to outputs, and the time it ran.
    case succeeded(recordsRead: Int, recordsWritten: Int, duration: Duration)
    /// It threw; the text is the error's.
    case failed(String)
    /// The task's input is fetched again; the text says which.
    case inputMissing(String)
    /// Blocks of a parent's shuffle were gone: the parent's missing tasks run again first.
    case shuffleOutputMissing
    /// Not run, because nobody waits for it any more, or run for nothing because its job has ended.
    case unneeded
  }
  /// The task's stage.
  public var stage: StageID
  /// The job that asked for the stage first.
  public var job: JobID
  /// The partition of the stage's dataset that it computed.
  public var partition: Int
  /// 0 for the first.
  public var attempt: Int
  /// How it ended.
  public var outcome: Outcome
}

/// A job that has ended.
public struct JobEndEvent: Sendable {
  /// The job's number.
  public var job: JobID
  /// The job's label, as in `JobSpec.label`.
  public var label: String
  /// The batch that the job was for; number 0 outside of a stream.
  public var batch: BatchIdentity
  /// nil for success.
  public var failure: JobFailure?
  /// What the job did until it ended.
  public var metrics: JobMetrics
  /// When it ended.
  public var time: Instant
}
