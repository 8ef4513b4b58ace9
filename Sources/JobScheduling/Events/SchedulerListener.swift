import Datasets
import Groundwork

/// Hears what the scheduler does; the names are those of Spark's SparkListener. Each call has a default that does nothing.
///
/// A listener of the context (`SluiceContext.addSchedulerListener`) is called from a queue of its own thread, in the order
/// in which things happened; where it is slow, its queue drops events and counts them, and nobody waits for it. A part of
/// the engine that must hear at once is added to the scheduler itself and called on its loop.
public protocol SchedulerListener: AnyObject, Sendable {
  /// A job was submitted.
  func onJobStart(_ event: JobStartEvent)
  /// The first task of a stage was launched.
  func onStageSubmitted(_ event: StageEvent)
  /// An attempt of a task was launched.
  func onTaskStart(_ event: TaskStartEvent)
  /// A task takes long and will be run a second time beside the first.
  func onSpeculativeTask(_ event: SpeculativeTaskEvent)
  /// An attempt of a task has ended.
  func onTaskEnd(_ event: TaskEndEvent)
  /// A stage is done, or given up.
  func onStageCompleted(_ event: StageEvent)
  /// A job has ended.
  func onJobEnd(_ event: JobEndEvent)
  /// The scheduler was stopped, at the end of the program: the last event of all.
  func onApplicationEnd(_ event: ApplicationEndEvent)
}

extension SchedulerListener {
  /// Does nothing.
  public func onJobStart(_ event: JobStartEvent) {}
  /// Does nothing.
  public func onStageSubmitted(_ event: StageEvent) {}
  /// Does nothing.
  public func onTaskStart(_ event: TaskStartEvent) {}
  /// Does nothing.
  public func onSpeculativeTask(_ event: SpeculativeTaskEvent) {}
  /// Does nothing.
  public func onTaskEnd(_ event: TaskEndEvent) {}
  /// Does nothing.
  public func onStageCompleted(_ event: StageEvent) {}
  /// Does nothing.
  public func onJobEnd(_ event: JobEndEvent) {}
  /// Does nothing.
  public func onApplicationEnd(_ event: ApplicationEndEvent) {}
}

/// Anything a listener hears of.
public enum SchedulerEvent: Sendable {
  /// A job was submitted.
  case jobStart(JobStartEvent)
  /// The first task of a stage was launched.
  case stageSubmitted(StageEvent)
  /// An attempt of a task was launched.
  case taskStart(TaskStartEvent)
  /// A task takes long and will be run a second time.
  case speculativeTask(SpeculativeTaskEvent)
  /// An attempt of a task has ended.
  case taskEnd(TaskEndEvent)
  /// A stage is done, or given up.
  case stageCompleted(StageEvent)
  /// A job has ended.
  case jobEnd(JobEndEvent)
  /// The scheduler was stopped.
  case applicationEnd(ApplicationEndEvent)

  func tell(_ listener: any SchedulerListener) {
    switch self {
    case .jobStart(let event): listener.onJobStart(event)
    case .stageSubmitted(let event): listener.onStageSubmitted(event)
    case .taskStart(let event): listener.onTaskStart(event)
    case .speculativeTask(let event): listener.onSpeculativeTask(event)
    case .taskEnd(let event): listener.onTaskEnd(event)
    case .stageCompleted(let event): listener.onStageCompleted(event)
    case .jobEnd(let event): listener.onJobEnd(event)
    case .applicationEnd(let event): listener.onApplicationEnd(event)
    }
  }
}

/// A job was submitted.
public struct JobStartEvent: Sendable {
  /// The job's number.
  public var job: JobID
  /// What it does: `save delays`, `collect`.
  public var label: String
  /// The batch it works for; number 0 outside of a stream.
  public var batch: BatchIdentity
  /// The pool it competes in.
  public var pool: String
  /// The properties that were set when it was submitted: its group, its description, what else there is.
  public var properties: LocalProperties
  /// When.
  public var time: Instant
}

/// A stage began or is over.
public struct StageEvent: Sendable {
  /// The stage's number.
  public var stage: StageID
  /// The job that counts the stage's work: the first one that needs it.
  public var job: JobID
  /// The stage's last operator.
  public var label: String
  /// The batch it works for; number 0 outside of a stream.
  public var batch: BatchIdentity
  /// Tasks that are to run, or ran.
  public var tasks: Int
  /// When it began, or was over.
  public var time: Instant
  /// When its first task was launched.
  public var submitted: Instant
  /// Why it was given up; nil where it was not.
  public var failure: String?
  /// What its successful tasks did so far, and how many attempts failed; what concerns jobs only is zero.
  public var metrics: JobMetrics
}

/// An attempt of a task was launched.
public struct TaskStartEvent: Sendable {
  /// The task's stage.
  public var stage: StageID
  /// The job whose share of the executors it takes.
  public var job: JobID
  /// The partition it computes.
  public var partition: Int
  /// 0 for the first.
  public var attempt: Int
  /// Whether it runs beside another attempt that takes long.
  public var isSpeculative: Bool
  /// When.
  public var time: Instant
}

/// A task takes long and will be run a second time beside the first.
public struct SpeculativeTaskEvent: Sendable {
  /// The task's stage.
  public var stage: StageID
  /// The job whose share of the executors it takes.
  public var job: JobID
  /// The partition it computes.
  public var partition: Int
  /// When.
  public var time: Instant
}

/// An attempt of a task has ended.
public struct TaskEndEvent: Sendable {
  /// How it ended.
  public enum Outcome: Sendable {
    /// It gave its result: records read from sources, records handed to outputs, and the time it ran.
    case succeeded(recordsRead: Int, recordsWritten: Int, duration: Duration)
    /// It threw; the text is the error's.
    case failed(String)
    /// The task's input is fetched again; the text says which.
    case inputMissing(String)
    /// Blocks of a parent's shuffle were gone: the parent's missing tasks run again first.
    case shuffleOutputMissing
    /// Not run, because nobody waits for it any more, or run for nothing because its job has ended or another attempt
    /// was faster.
    case unneeded
  }
  /// The task's stage.
  public var stage: StageID
  /// The job that counts the stage's work.
  public var job: JobID
  /// The partition it computes.
  public var partition: Int
  /// 0 for the first.
  public var attempt: Int
  /// How it ended.
  public var outcome: Outcome
  /// Whether it ran beside another attempt that took long.
  public var isSpeculative: Bool
  /// The number of the executor that ran it.
  public var executor: Int
  /// When it was launched.
  public var launched: Instant
  /// When its end was handled.
  public var time: Instant
}

/// The scheduler was stopped.
public struct ApplicationEndEvent: Sendable {
  /// When.
  public var time: Instant
}

/// A job has ended.
public struct JobEndEvent: Sendable {
  /// The job's number.
  public var job: JobID
  /// What it does.
  public var label: String
  /// The batch it works for; number 0 outside of a stream.
  public var batch: BatchIdentity
  /// nil for success.
  public var failure: JobFailure?
  /// What it did.
  public var metrics: JobMetrics
  /// When.
  public var time: Instant
}
