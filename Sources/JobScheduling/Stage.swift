import Datasets
import Groundwork

/// A stage that runs: the tasks of one side of a shuffle, or the last ones of a job.
///
/// Sendable: what executors read (`id`, `kind`, `batch`, `seed`, `cancellation`) is constant; everything else is touched on
/// the scheduler's loop only.
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
      /// To be launched as soon as the stage's parents are done.
      case ready
      /// At least one attempt runs.
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
    /// Attempts that run now: more than one where the first takes long.
    var running = 0
    /// Those attempts; kept only where tasks may be run twice.
    var runs: [TaskRun] = []
    /// Whether a second attempt beside the first waits for an executor.
    var wantsCopy = false
  }

  let id: StageID
  let kind: Kind
  let dataset: AnyRDD
  let batch: BatchIdentity
  /// The same in every replay: follows from the way from the job's last stage to this one.
  let seed: UInt64
  /// Set when nobody waits for the stage any more.
  let cancellation = TaskCancellation()

  // On the loop only.
  var tasks: [Task]
  /// Tasks that are not done.
  var remaining: Int
  /// Places of tasks in state ready, in the order in which they are to be launched.
  private(set) var pending: ArraySlice<Int>
  /// Places of tasks that are to be run a second time beside the first.
  private var copies: ArraySlice<Int> = []
  /// Attempts that run.
  var running = 0
  /// How long the tasks that are done took, in nanoseconds; kept only where tasks may be run twice.
  var durations: [Int64] = []
  /// The job that counts its work and gives it executors: the first one that needs it.
  var owner: Job
  /// The jobs that need it: one, or more where concurrent jobs share a shuffle.
  var jobs: [Job]
  /// Stages that wait for it.
  var dependents: [StageID: Stage] = [:]
  /// Stages it waits for.
  var parents: [StageID: Stage] = [:]
  /// What its successful tasks did; kept only where somebody listens.
  var metrics = JobMetrics()
  /// When its first task was launched.
  var submitted: Instant?
  /// Whether it stands in its owner's heap.
  var isQueued = false
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
    pending = ArraySlice(0..<partitions.count)
  }

  /// The operator, for people.
  var label: String { dataset.label }
  var isSubmitted: Bool { submitted != nil }
  var isResult: Bool {
    if case .result = kind { return true }
    return false
  }

  /// Whether there is a task to launch and nothing to wait for.
  var canStart: Bool { !isFinished && parents.isEmpty && !(pending.isEmpty && copies.isEmpty) }

  /// The task is to be launched again.
  func makeReady(_ slot: Int) {
    tasks[slot].state = .ready
    pending.append(slot)
  }

  /// The task is to be run a second time while the first attempt goes on.
  func wantCopy(of slot: Int) {
    tasks[slot].wantsCopy = true
    copies.append(slot)
  }

  /// Takes the next task to launch: one that does not run, else one that is to run twice and still runs once.
  func takeNext() -> (slot: Int, isCopy: Bool)? {
    if let slot = pending.popFirst() { return (slot, false) }
    while let slot = copies.popFirst() {
      tasks[slot].wantsCopy = false
      if tasks[slot].state == .running, tasks[slot].running == 1 { return (slot, true) }
    }
    return nil
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
  /// Stages that have, or had, tasks to launch.
  private var ready = StageHeap()
  /// What it has among its pool's jobs.
  var share = Share()
  /// Where it competes for executors; nil before its start.
  var pool: Pool?
  var isEnded = false

  init(_ id: JobID, _ spec: JobSpec, start: Instant) {
    self.id = id
    self.spec = spec
    self.start = start
    results = Array(repeating: nil, count: spec.partitions.count)
  }

  /// Notes that the stage may have tasks to launch.
  func enqueue(_ stage: Stage) {
    guard !stage.isQueued else { return }
    stage.isQueued = true
    ready.push(stage)
  }

  /// The stage whose tasks are launched next; those before it that have none, or wait again, leave the heap.
  func firstReady() -> Stage? {
    while let stage = ready.first {
      if stage.canStart { return stage }
      _ = ready.popFirst()
      stage.isQueued = false
    }
    return nil
  }

  var hasReady: Bool { firstReady() != nil }

  /// Lets go of its stages, which refer to it, once it has ended.
  func dropStages() {
    stages = []
    ready = StageHeap()
  }

  /// Takes all stages that have tasks to launch, in order.
  func takeReady() -> [Stage] {
    var stages: [Stage] = []
    while let stage = ready.popFirst() {
      stage.isQueued = false
      if stage.canStart { stages.append(stage) }
    }
    return stages
  }
}
