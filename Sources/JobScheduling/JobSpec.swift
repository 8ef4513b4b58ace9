import Datasets
import Groundwork

/// A job: what to compute of a dataset, and who hears of it.
public struct JobSpec: Sendable {
  /// What a task of a job's last stage does: computes one partition of the dataset and gives a result. It throws to
  /// fail the attempt, which the scheduler then repeats.
  public typealias Work = @Sendable (_ partition: Int, _ task: TaskContext) throws -> any Sendable

  /// The dataset whose partitions are computed.
  public var dataset: AnyRDD
  /// Which partitions, each once; results come in this order.
  public var partitions: [Int]
  /// What a task of the last stage does.
  public var work: Work
  /// The batch that the job is for; number 0 outside of a stream.
  public var batch: BatchIdentity
  /// The number of the output operation within the batch; random numbers of tasks are drawn from it, so that a replay
  /// draws the same.
  public var operation: Int
  /// For people: `save delays`, `collect`.
  public var label: String
  /// The pool it competes in, its group and its description, among others.
  public var properties: LocalProperties
  /// Whether what its tasks add to accumulators counts; not where a batch is computed only to compare it.
  package var countsAccumulations = true
  /// Takes what its tasks add to accumulators, to count it later; nil: it counts as soon as a task has succeeded.
  package var accumulations: HeldAccumulations?
  /// Called on the loop with each result that nobody will use: its job failed or was cancelled meanwhile.
  public var onDiscard: (@Sendable (_ result: any Sendable) -> Void)?
  /// Called once on the loop, never inside a call to the scheduler.
  public var onComplete: @Sendable (JobEnd) -> Void

  /// A job over all partitions, or over some.
  /// - Parameter partitions: each once, in the order wanted of the results; all, from 0 on, where nil.
  public init(
    dataset: AnyRDD, partitions: [Int]? = nil, batch: BatchIdentity, operation: Int = 0, label: String,
    properties: LocalProperties = LocalProperties(),
    onDiscard: (@Sendable (_ result: any Sendable) -> Void)? = nil, work: @escaping Work,
    onComplete: @escaping @Sendable (JobEnd) -> Void
  ) {
    self.dataset = dataset
    self.partitions = partitions ?? Array(0..<dataset.partitionCount)
    self.work = work
    self.batch = batch
    self.operation = operation
    self.label = label
    self.properties = properties
    self.onDiscard = onDiscard
    self.onComplete = onComplete
  }
}

/// How a job ended.
public struct JobEnd: Sendable {
  /// The number that the scheduler gave it.
  public var job: JobID
  /// As in its `JobSpec`, for people.
  public var label: String
  /// The batch that it was for; number 0 outside of a stream.
  public var batch: BatchIdentity
  /// The results in the order of `JobSpec.partitions`.
  public var outcome: Result<[any Sendable], JobFailure>
  /// What it did until it ended; complete for a success only.
  public var metrics: JobMetrics
}

/// What a job did. Records and counters are those of the successful attempt of each task, once.
public struct JobMetrics: Sendable {
  /// Stages that ran, the last one included; skipped ones are counted apart.
  public var stages = 0
  /// Shuffles whose output was still there.
  public var stagesSkipped = 0
  /// Tasks that succeeded.
  public var tasks = 0
  /// Attempts that failed.
  public var attemptsFailed = 0
  /// Times that input was fetched for a task that found it missing.
  public var inputsFetched = 0
  /// Times that a stage was stopped because its parents' output was gone.
  public var shufflesLost = 0
  /// Records that its tasks read from sources.
  public var recordsRead = 0
  /// Records that its tasks handed to outputs.
  public var recordsWritten = 0
  /// What tasks moved to disk because their memory was full.
  public var spills = SpillCounts()
  /// Counters raised by `TaskContext.count`, by name.
  public var counters: [String: Int64] = [:]
  /// Maxima raised by `TaskContext.raise`, by name.
  public var maxima: [String: Int64] = [:]
  /// Time spent in successful tasks, added up, and in the longest.
  public var taskTime: Duration = .zero
  /// Time spent in the longest successful task.
  public var taskTimeMax: Duration = .zero
  /// From the submission to the end.
  public var duration: Duration = .zero

  /// Zero of everything.
  public init() {}

  mutating func add(_ summary: TaskSummary) {
    tasks += 1
    recordsRead += summary.recordsRead
    recordsWritten += summary.recordsWritten
    spills.add(summary.spills)
    if !summary.counters.isEmpty { counters.merge(summary.counters, uniquingKeysWith: &+) }
    if !summary.maxima.isEmpty { maxima.merge(summary.maxima, uniquingKeysWith: max) }
    taskTime += summary.duration
    taskTimeMax = max(taskTimeMax, summary.duration)
  }

  /// Adds what another job of the same batch did.
  public mutating func add(_ other: JobMetrics) {
    stages += other.stages
    stagesSkipped += other.stagesSkipped
    tasks += other.tasks
    attemptsFailed += other.attemptsFailed
    inputsFetched += other.inputsFetched
    shufflesLost += other.shufflesLost
    recordsRead += other.recordsRead
    recordsWritten += other.recordsWritten
    spills.add(other.spills)
    counters.merge(other.counters, uniquingKeysWith: &+)
    maxima.merge(other.maxima, uniquingKeysWith: max)
    taskTime += other.taskTime
    taskTimeMax = max(taskTimeMax, other.taskTimeMax)
    duration += other.duration
  }
}
