import JobScheduling
import LinuxSystem
import Sluice
import StreamRuns
import Synchronization
import SystemInterfaces

/// How long a batch without records takes from its tick to its commit, which is what the engine itself costs, and whether
/// batches leave memory behind.
enum EmptyBatches {
  static let name = "empty batch"

  struct Figures {
    /// Seconds a batch.
    var seconds: Double
    /// Batches, and the process's resident bytes before that one was planned.
    var early: (batches: Int, bytes: Int)
    var late: (batches: Int, bytes: Int)

    var text: String {
      func memory(_ figure: (batches: Int, bytes: Int)) -> String {
        "\(Engine.fixed(Double(figure.bytes) / 1e6)) MB after \(figure.batches) batches"
      }
      return "\(Engine.fixed(seconds * 1e6)) µs from tick to commit, in memory; resident \(memory(early)), "
        + "\(memory(late))"
    }

    var json: String {
      """
      {"seconds":\(seconds),"early_batches":\(early.batches),"early_resident_bytes":\(early.bytes),\
      "late_batches":\(late.batches),"late_resident_bytes":\(late.bytes)}
      """
    }
  }

  /// Over a map, a reduceByKey and one output operation.
  static func measure(batches: Int) throws -> Figures {
    let live = LiveWorld.make(executors: 1)
    defer { live.stop() }
    let loop = EpollLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: live.world.runner)
    let context = try StreamingContext(
      sluice: SluiceContext(runner: scheduler, defaultParallelism: 2), batchInterval: .milliseconds(1),
      environment: StreamingEnvironment(
        world: live.world, loop: loop, scheduler: scheduler, jobName: "empty", availableNow: true, log: { _ in }))
    let marks = Mutex((early: 0, late: 0))
    let (early, late) = (batches / 10, batches - 1)
    let source = CountedSource(batches) { planned in
      if planned == early { marks.withLock { $0.early = ThisProcess.residentMemory } }
      if planned == late { marks.withLock { $0.late = ThisProcess.residentMemory } }
    }
    let stream = context.inputStream(source, label: "nothing") { [sluice = context.sluice] _, _ in
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
    let seconds = (loop.now - began).inSeconds / Double(batches)
    return marks.withLock {
      Figures(seconds: seconds, early: (early, $0.early), late: (late + 1, $0.late))
    }
  }
}
