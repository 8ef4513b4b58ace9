import JobScheduling
import LinuxSystem
import Sluice
import Synchronization
import SystemInterfaces

/// How long a batch without records takes from its tick to its commit: what the engine itself costs.
enum EmptyBatches {
  /// A source that is never empty handed and never has anything.
  ///
  /// Sendable: touched on the driver's loop alone.
  private final class NothingSource: StreamSource, @unchecked Sendable {
    private var left: Int
    init(_ batches: Int) { left = batches }
    var name: String { "nothing" }
    var isReplayable: Bool { true }
    func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
      ready(.success(()))
    }
    func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
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

  /// - Returns: seconds a batch, over a map, a reduceByKey and one output operation.
  static func measure(batches: Int) throws -> Double {
    let live = LiveWorld.make(executors: 1)
    defer { live.stop() }
    let loop = EpollLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: live.world.runner)
    let context = try StreamingContext(
      sluice: SluiceContext(runner: scheduler, defaultParallelism: 2), batchInterval: .milliseconds(1),
      environment: StreamingEnvironment(
        world: live.world, loop: loop, scheduler: scheduler, jobName: "empty", availableNow: true, log: { _ in }))
    let stream = context.inputStream(NothingSource(batches), label: "nothing") { [sluice = context.sluice] _, _ in
      sluice.parallelize([Int](), partitionCount: 4)
    }
    stream.map { ($0, 1) }.reduceByKey(+).foreachRDD { _ = try $0.collect() }
    let failure = Mutex<(any Error)?>(nil)
    let began = loop.now
    try context.start { error in
      failure.withLock { $0 = error }
      loop.stop()
    }
    loop.waitUntilEnded()
    if let error = failure.withLock({ $0 }) { throw error }
    return (loop.now - began).inSeconds / Double(batches)
  }
}
