import JobScheduling
import LinuxSystem
import Sluice
import Synchronization
import SystemInterfaces

/// Jobs whose batches come from memory, as fast as they go.
enum StreamRun {
  /// - Parameters:
  ///   - batches: how many there are.
  ///   - unmeasured: how many of them pass before the clock starts.
  ///   - define: defines the job on the source; each batch's output must tell the tally its sum.
  static func measure(
    executors: Int, batches: Int, unmeasured: Int = 0,
    _ define: (StreamingContext, CountedSource, Tally) throws -> Void
  ) throws -> Measured {
    let live = LiveWorld.make(executors: executors)
    defer { live.stop() }
    let loop = EpollLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: live.world.runner)
    // Batches follow each other without waiting for ticks; their times are an interval apart.
    let context = try StreamingContext(
      sluice: SluiceContext(runner: scheduler, defaultParallelism: 2), batchInterval: .seconds(60),
      environment: StreamingEnvironment(
        world: live.world, loop: loop, scheduler: scheduler, jobName: "engine", availableNow: true, log: { _ in }))
    let tally = Tally(loop, unmeasured: unmeasured)
    try define(context, CountedSource(batches), tally)
    let failure = Mutex<(any Error)?>(nil)
    let began = loop.now
    try context.start { error in
      failure.withLock { $0 = error }
      loop.stop()
    }
    loop.waitUntilEnded()
    if let error = failure.withLock({ $0 }) { throw error }
    return Measured(seconds: (loop.now - (tally.began ?? began)).inSeconds, sum: tally.sum)
  }
}

/// Adds up what batches give, but for the first ones.
final class Tally: Sendable {
  private struct State {
    var batches = 0
    var sum = 0
    var began: Instant?
  }
  private let state = Mutex(State())
  private let loop: any Loop
  private let unmeasured: Int

  init(_ loop: any Loop, unmeasured: Int) {
    self.loop = loop
    self.unmeasured = unmeasured
  }

  /// A batch's output is there.
  func add(_ sum: Int) {
    let now = loop.now
    state.withLock { state in
      state.batches += 1
      if state.batches > unmeasured { state.sum = state.sum &+ sum }
      if state.batches == unmeasured { state.began = now }
    }
  }

  var sum: Int { state.withLock { $0.sum } }
  /// When the last of the first ones ended; nil where all are measured.
  var began: Instant? { state.withLock { $0.began } }
}

/// A source that is never empty handed and never has anything: datasets are made of the batch's number.
///
/// Sendable: touched on the driver's loop alone.
final class CountedSource: StreamSource, @unchecked Sendable {
  private var left: Int
  /// Hears before each batch how many came before it.
  private let willPlan: (Int) -> Void
  private var planned = 0

  init(_ batches: Int, willPlan: @escaping (Int) -> Void = { _ in }) {
    left = batches
    self.willPlan = willPlan
  }

  var name: String { "numbers" }
  var isReplayable: Bool { true }
  func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
    ready(.success(()))
  }
  func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
    willPlan(planned)
    planned += 1
    left -= 1
    return SourcePlan()
  }
  var hasData: Bool { left > 0 }
  func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
    then(nil)
  }
  func forget(through batch: BatchNumber) {}
  func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) { then(nil) }
  var isExhausted: Bool { left <= 0 }
  var lag: SourceLag { SourceLag(records: 0) }
  func stop(then: @escaping @Sendable () -> Void) { then() }
}
