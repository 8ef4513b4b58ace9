import Datasets
import Groundwork

/// Where the scheduler stands; Spark's sources DAGScheduler and LiveListenerBus, and what pools and executors do.
public struct SchedulerMetrics: Sendable {
  /// Zero of everything.
  public init() {}

  /// Jobs that run.
  public var jobsActive = 0
  /// Jobs that were ever submitted.
  public var jobsSubmitted = 0
  /// Jobs that have failed or were cancelled.
  public var jobsFailed = 0
  /// Stages with tasks that run.
  public var stagesRunning = 0
  /// Stages that wait for others, or for executors.
  public var stagesWaiting = 0
  /// Stages that were given up after they had begun.
  public var stagesFailed = 0
  /// Attempts that run, or wait in the runner.
  public var tasksRunning = 0
  /// Tasks that wait for a place.
  public var tasksWaiting = 0
  /// Attempts launched so far.
  public var tasksLaunched = 0
  /// Attempts launched so far beside another that took long.
  public var tasksSpeculated = 0
  /// Attempts launched so far in place of one that failed or found something missing.
  public var tasksRepeated = 0
  /// Attempts so far that succeeded.
  public var tasksSucceeded = 0
  /// Attempts so far that failed.
  public var tasksFailed = 0
  /// Attempts so far that ended without having been wanted any more.
  public var tasksSkipped = 0
  /// Times so far that input was fetched for a task that found it missing.
  public var inputsFetched = 0
  /// Times so far that a stage was stopped because its parents' output was gone.
  public var shufflesLost = 0
  /// Records that successful attempts read from sources so far.
  public var recordsRead = 0
  /// Records that successful attempts handed to outputs so far.
  public var recordsWritten = 0
  /// What successful attempts moved to disk so far because their memory was full.
  public var spills = SpillCounts()
  /// Elements that successful attempts wrote for shuffles so far.
  public var shuffleRecords = 0
  /// Bytes of them: of those in memory without what they refer to, of those on disk as they are stored.
  public var shuffleBytes = 0
  /// The pools that have jobs or tasks, by name.
  public var pools: [PoolMetrics] = []
  /// By the number of the executor; the last one stands in for the driver's own thread, which is number 0.
  public var executors: [ExecutorMetrics] = []
  /// The queues of listeners, by name.
  public var listenerQueues: [ListenerQueueMetrics] = []
  /// Events posted to the queues of listeners.
  public var eventsPosted = 0
}

/// Where a pool stands.
public struct PoolMetrics: Sendable, Equatable {
  /// The pool's name.
  public var name: String
  /// Its share in proportion to the other pools'.
  public var weight: Int
  /// Tasks at a time that it gets before weights count.
  public var minShare: Int
  /// Which of its own jobs goes first.
  public var mode: SchedulingMode
  /// Its jobs.
  public var jobs: Int
  /// Its tasks that run, or wait in the runner.
  public var tasksRunning: Int
}

/// What an executor has done.
public struct ExecutorMetrics: Sendable, Equatable {
  /// Attempts that ended there.
  public var tasks = 0
  /// Time spent in those that succeeded.
  public var taskTime: Duration = .zero
}

/// What the scheduler counts as it goes.
struct SchedulerCounts {
  var jobsSubmitted = 0
  var jobsFailed = 0
  var stagesFailed = 0
  var tasksLaunched = 0
  var tasksSpeculated = 0
  var tasksRepeated = 0
  var inputsFetched = 0
  var shufflesLost = 0
  private(set) var recordsRead = 0
  private(set) var recordsWritten = 0
  private(set) var spills = SpillCounts()
  private(set) var shuffleRecords = 0
  private(set) var shuffleBytes = 0
  private(set) var tasksSucceeded = 0
  private(set) var tasksFailed = 0
  private(set) var tasksSkipped = 0
  private(set) var executors: [ExecutorMetrics]

  init(executors: Int) { self.executors = Array(repeating: ExecutorMetrics(), count: executors) }

  mutating func count(_ run: TaskRun) {
    if let executor = run.executor { executors[executor].tasks += 1 }
    switch run.end {
    case .success(let product, let summary):
      tasksSucceeded += 1
      recordsRead += summary.recordsRead
      recordsWritten += summary.recordsWritten
      spills.add(summary.spills)
      if case .blocks(let blocks) = product {
        for case let block? in blocks {
          shuffleRecords += block.count
          shuffleBytes += block.byteCount
        }
      }
      if let executor = run.executor { executors[executor].taskTime += summary.duration }
    case .failed: tasksFailed += 1
    case .skipped: tasksSkipped += 1
    case .inputMissing, .shuffleOutputMissing: break
    }
  }
}

extension DAGScheduler {
  /// Where the scheduler stands now. On the loop only. O(jobs + stages that run).
  public var metrics: SchedulerMetrics {
    var metrics = SchedulerMetrics()
    metrics.jobsActive = jobs.count
    metrics.jobsSubmitted = counts.jobsSubmitted
    metrics.jobsFailed = counts.jobsFailed
    for stage in stages.values {
      if stage.running > 0 { metrics.stagesRunning += 1 } else { metrics.stagesWaiting += 1 }
      metrics.tasksWaiting += stage.pending.count
    }
    metrics.stagesFailed = counts.stagesFailed
    metrics.tasksRunning = inFlight
    metrics.tasksLaunched = counts.tasksLaunched
    metrics.tasksSpeculated = counts.tasksSpeculated
    metrics.tasksRepeated = counts.tasksRepeated
    metrics.inputsFetched = counts.inputsFetched
    metrics.shufflesLost = counts.shufflesLost
    metrics.recordsRead = counts.recordsRead
    metrics.recordsWritten = counts.recordsWritten
    metrics.spills = counts.spills
    metrics.shuffleRecords = counts.shuffleRecords
    metrics.shuffleBytes = counts.shuffleBytes
    metrics.tasksSucceeded = counts.tasksSucceeded
    metrics.tasksFailed = counts.tasksFailed
    metrics.tasksSkipped = counts.tasksSkipped
    metrics.pools = pools.pools.map {
      PoolMetrics(
        name: $0.name, weight: $0.share.weight, minShare: $0.share.minShare, mode: $0.mode, jobs: $0.jobs.count,
        tasksRunning: $0.share.running)
    }
    metrics.executors = counts.executors
    metrics.listenerQueues = bus.metrics
    metrics.eventsPosted = bus.posted
    return metrics
  }
}
