import Datasets
import Groundwork
import Synchronization

/// A stage that runs: the tasks of one side of a shuffle, or the last ones of a job.
///
/// Sendable: what executors read (`id`, `kind`, `batch`, `seed`) is constant and `isAbandoned` is atomic; everything else
/// is touched on the scheduler's loop only.
final class Stage: @unchecked Sendable {
  enum Kind {
    /// Writes the map side of a shuffle.
    case shuffleMap(ShuffleDependency)
    /// Gives the job's results.
    case result(JobSpec.Work)
  }
  /// Where a task stands.
  struct Task {
    enum State {
      /// To be submitted as soon as the stage's parents are done.
      case ready
      /// In a wave.
      case running
      /// Its input is being fetched.
      case fetching
      case done
    }
    var partition: Int
    var state = State.ready
    /// Attempts so far.
    var attempts = 0
    var failures = 0
    /// Times that input or parents' output was missing.
    var losses = 0
  }

  let id: StageID
  let kind: Kind
  let dataset: AnyRDD
  let batch: BatchIdentity
  /// The same in every replay: follows from the way from the job's last stage to this one.
  let seed: UInt64
  /// Nobody waits for it any more: its tasks that have not started are skipped.
  let isAbandoned = Atomic<Bool>(false)

  // On the loop only.
  var tasks: [Task]
  /// Tasks that are not done.
  var remaining: Int
  /// The job that asked for it first and counts its work.
  let owner: Job
  /// The jobs that need it: one, or more where concurrent jobs share a shuffle.
  var jobs: [Job]
  /// Stages that wait for it.
  var dependents: [Stage] = []
  /// Stages it waits for.
  var parents: [Stage] = []
  var isSubmitted = false
  var isFinished = false

  init(
    _ id: StageID, _ kind: Kind, _ dataset: AnyRDD, partitions: [Int], batch: BatchIdentity, seed: UInt64, job: Job
  ) {
    self.id = id
    self.kind = kind
    self.dataset = dataset
    self.batch = batch
    self.seed = seed
    owner = job
    jobs = [job]
    tasks = partitions.map { Task(partition: $0) }
    remaining = partitions.count
  }

  /// The operator, for people.
  var label: String { dataset.label }
  var isResult: Bool {
    if case .result = kind { return true }
    return false
  }
}

/// A job that runs. Touched on the scheduler's loop only.
final class Job {
  let id: JobID
  let spec: JobSpec
  let start: Instant
  var metrics = JobMetrics()
  /// By the place in `spec.partitions`.
  var results: [(any Sendable)?]
  /// Stages that work for it.
  var stages: [Stage] = []
  var isEnded = false

  init(_ id: JobID, _ spec: JobSpec, start: Instant) {
    self.id = id
    self.spec = spec
    self.start = start
    results = Array(repeating: nil, count: spec.partitions.count)
  }
}
