import JobScheduling
import LinuxSystem
import Sluice
import Synchronization
import SystemInterfaces

/// Jobs whose batches come from memory, as fast as they go.
package enum StreamRun {
  /// - Parameters:
  ///   - batches: how many there are.
  ///   - unmeasured: how many of them pass before the clock starts.
  ///   - checkpoint: the folder for the job's logs and state; nil: nothing is written.
  ///   - settings: of the job.
  ///   - define: defines the job on the source; each batch's output must tell the tally its sum.
  package static func measure(
    executors: Int, batches: Int, unmeasured: Int = 0, checkpoint: String? = nil, settings: [String: String] = [:],
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
        world: live.world, loop: loop, scheduler: scheduler, jobName: "engine",
        checkpointDirectory: checkpoint, availableNow: true, settings: settings, log: { _ in }))
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
package final class Tally: Sendable {
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
  package func add(_ sum: Int) {
    let now = loop.now
    state.withLock { state in
      state.batches += 1
      if state.batches > unmeasured { state.sum = state.sum &+ sum }
      if state.batches == unmeasured { state.began = now }
    }
  }

  package var sum: Int { state.withLock { $0.sum } }
  /// When the last of the first ones ended; nil where all are measured.
  var began: Instant? { state.withLock { $0.began } }
}

/// A source that is never empty handed and never has anything: datasets are made of the batch's number.
///
/// Sendable: touched on the driver's loop alone.
package final class CountedSource: StreamSource, @unchecked Sendable {
  private var left: Int
  /// Hears before each batch how many came before it.
  private let willPlan: (Int) -> Void
  private var planned = 0

  package init(_ batches: Int, willPlan: @escaping (Int) -> Void = { _ in }) {
    left = batches
    self.willPlan = willPlan
  }

  package var name: String { "numbers" }
  package var isReplayable: Bool { true }
  package func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
    ready(.success(()))
  }
  package func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
    willPlan(planned)
    planned += 1
    left -= 1
    return SourcePlan()
  }
  package var hasData: Bool { left > 0 }
  package func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
    then(nil)
  }
  package func forget(through batch: BatchNumber) {}
  package func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) { then(nil) }
  package var isExhausted: Bool { left <= 0 }
  package var lag: SourceLag { SourceLag(records: 0) }
  package func stop(then: @escaping @Sendable () -> Void) { then() }
}
