import Groundwork

/// Jobs that share a weight. Touched on the scheduler's loop only.
final class Pool {
  let name: String
  let mode: SchedulingMode
  /// What it has among the pools.
  var share: Share
  /// The pool's jobs in the order of their submission.
  var jobs: [Job] = []

  init(_ name: String, _ settings: PoolSettings) {
    self.name = name
    mode = settings.mode
    share = Share(weight: settings.weight, minShare: settings.minShare)
  }

  /// The job of this pool that starts a task next; nil where none has one to start.
  func next(slots: Int, at now: Instant) -> Job? {
    switch mode {
    case .fifo: return jobs.first { $0.hasReady }
    case .fair:
      return FairOrder.next(jobs.map(\.share), canStart: jobs.map(\.hasReady), slots: slots, at: now).map { jobs[$0] }
    }
  }
}

/// The pools that have jobs or tasks, and who of them goes next. Touched on the scheduler's loop only.
struct PoolTable {
  private let settings: SchedulerSettings
  /// By name.
  private(set) var pools: [Pool] = []

  init(_ settings: SchedulerSettings) { self.settings = settings }

  var isEmpty: Bool { pools.isEmpty }

  /// Puts a job into the pool of this name, which is made where there is none; with FIFO there is one pool only.
  mutating func enter(_ job: Job, pool wanted: String?, at now: Instant) {
    let name = settings.mode == .fifo ? SchedulerSettings.defaultPool : wanted ?? SchedulerSettings.defaultPool
    let pool: Pool
    if let index = pools.firstIndex(where: { $0.name == name }) {
      pool = pools[index]
    } else {
      var chosen = settings.pools[name] ?? PoolSettings()
      if settings.mode == .fifo { chosen.mode = .fifo }
      pool = Pool(name, chosen)
      pool.share.join(pools.lazy.map(\.share), at: now)
      pools.insert(pool, at: pools.firstIndex { $0.name > name } ?? pools.count)
    }
    job.share.join(pool.jobs.lazy.map(\.share), at: now)
    pool.jobs.append(job)
    job.pool = pool
  }

  /// The job has ended; what it still runs goes on counting.
  mutating func leave(_ job: Job) {
    guard let pool = job.pool else { return }
    pool.jobs.removeAll { $0 === job }
    forgetIfEmpty(pool)
  }

  /// Counts the launch of a task.
  func launched(_ run: TaskRun) {
    run.job.share.launched(at: run.launched)
    run.job.pool?.share.launched(at: run.launched)
  }

  /// Counts the end of a task.
  mutating func ended(_ run: TaskRun, at now: Instant) {
    run.job.share.ended(launched: run.launched, at: now)
    guard let pool = run.job.pool else { return }
    pool.share.ended(launched: run.launched, at: now)
    forgetIfEmpty(pool)
  }

  /// The job that starts a task next.
  func next(slots: Int, at now: Instant) -> Job? {
    if pools.count == 1 { return pools[0].next(slots: slots, at: now) }
    let canStart = pools.map { pool in pool.jobs.contains { $0.hasReady } }
    return FairOrder.next(pools.map(\.share), canStart: canStart, slots: slots, at: now)
      .flatMap { pools[$0].next(slots: slots, at: now) }
  }

  private mutating func forgetIfEmpty(_ pool: Pool) {
    if pool.jobs.isEmpty, pool.share.running == 0 { pools.removeAll { $0 === pool } }
  }
}
