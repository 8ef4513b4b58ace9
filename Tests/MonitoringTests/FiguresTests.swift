import Datasets
import Groundwork
import JobScheduling
import Simulation
import Synchronization
import SystemInterfaces
import Testing

@testable import Monitoring
@testable import Streaming

/// The page of a job that runs, with a shuffle, state, event time, failing tasks and a listener.
@Suite struct FiguresTests {
  private struct Odd: Error {}
  private final class Listener: SchedulerListener {}
  private final class Flag: Sendable {
    private let count = Atomic(0)
    /// True at the first call.
    func first() -> Bool { count.add(1, ordering: .relaxed).newValue == 1 }
  }

  @Test func theEnginesPartsStandOnThePage() throws {
    let simulation = SimulatedWorld(seed: 1)
    let process = simulation.makeProcess(named: "job", executors: 2)
    let loop = process.makeLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: process.runner)
    let context = try StreamingContext(
      sluice: SluiceContext(runner: scheduler, defaultParallelism: 2), batchInterval: .seconds(1),
      environment: StreamingEnvironment(
        world: process.world, loop: loop, scheduler: scheduler, jobName: "figures", checkpointDirectory: "/checkpoint"))
    let queue = QueueSource<Int>()
    for batch in 0..<3 { queue.append(Array(batch * 10..<batch * 10 + 10)) }
    let flag = Flag()
    let numbers = context.queueStream(queue).map { number in
      if number == 13, flag.first() { throw Odd() }
      return number
    }
    let spec = StateSpec.function { (_: Int, new: Int?, state: State<Int>) -> Int in
      state.update((state.get() ?? 0) + (new ?? 0))
      return 0
    }
    numbers.map { ($0 % 7, 1) }.reduceByKey(+).mapWithState(spec).named("rests").foreachRDD { _ = try $0.count() }
    let timed = numbers.withEventTime({ Timestamp(milliseconds: 1_000_000 + Int64($0) * 1000) }, delay: .seconds(5))
    timed.map { ($0 % 2, 1) }.eventTimeWindow(.tumbling(.seconds(10))).count().named("windows").results.foreachRDD {
      _ = try $0.count()
    }
    numbers.cache().foreachRDD { dataset in for _ in 0..<2 { _ = try dataset.count() } }
    context.sluice.addSchedulerListener(Listener())

    let metrics = StreamingMetrics(jobName: "figures", interval: .seconds(1))
    context.addStreamingListener(metrics)
    let ends = Mutex<[String]>([])
    loop.post {
      metrics.follow(context)
      do { try context.start { error in ends.withLock { $0.append(error.map { "\($0)" } ?? "ended") } } } catch {
        ends.withLock { $0.append("\(error)") }
      }
    }
    try simulation.run(for: .seconds(6))
    let text = metrics.text
    let page = PrometheusParser(text)
    #expect(page.flaws == [])

    #expect(page["sluice_scheduler_active_jobs"] == 0)
    #expect(page["sluice_scheduler_jobs_total"]! >= 3 * 4, "\(text)")
    #expect(page["sluice_scheduler_failed_jobs_total"] == 0)
    #expect(page["sluice_scheduler_ended_tasks_total", ["outcome": "failed"]] == 1)
    #expect(page["sluice_scheduler_repeated_tasks_total"] == 1)
    let succeeded = page["sluice_scheduler_ended_tasks_total", ["outcome": "succeeded"]]!
    #expect(succeeded == page["sluice_scheduler_launched_tasks_total"]! - 1)
    let executors = page.samples.filter { $0.key.name == "sluice_executor_tasks_total" }.values.reduce(0, +)
    #expect(executors == succeeded + 1)
    // Rests of 7 and halves of windows: at least a key a task.
    #expect(page["sluice_shuffle_written_records_total"]! >= 21)
    #expect(page["sluice_shuffle_written_bytes_total"]! >= 21 * 16)
    #expect(page["sluice_spilled_bytes_total"] == 0)
    #expect(page["sluice_state_keys", ["operator": "rests"]] == 7)
    #expect(page["sluice_state_table_bytes", ["operator": "rests"]]! >= 7 * 16)
    #expect(page["sluice_state_partitions", ["operator": "rests"]] == 2)
    #expect(page["sluice_state_log_bytes"]! > 0)
    // The latest time of all was that of 29, less the delay.
    let watermark = page.samples.first { $0.key.name == "sluice_watermark_seconds" }
    #expect(watermark?.value == 1024.0)
    #expect(page["sluice_storage_lookups_total", ["found": "memory"]]! >= 3)
    #expect(page["sluice_storage_capacity_bytes"] == Double(context.sluice.blocks.capacity))
    let queueLabels = ["queue": "shared"]
    #expect(page["sluice_listener_queue_dropped_events_total", queueLabels] == 0)
    #expect(page["sluice_listener_queue_delivered_events_total", queueLabels]! > 20)
    #expect(page["sluice_completed_batches_total"]! >= 5)
    #expect(page["sluice_last_completed_batch_submission_time_seconds"]! > 1_000_000_000)
    #expect(
      page["sluice_last_completed_batch_processing_end_time_seconds"]!
        >= page["sluice_last_completed_batch_processing_start_time_seconds"]!)

    context.stop()
    try simulation.run { ends.withLock { !$0.isEmpty } }
    #expect(ends.withLock { $0 } == ["ended"])
    // Nobody asks any more: the world comes to rest.
    let last = metrics.snapshot.figures?.time
    try simulation.run(for: .seconds(5))
    #expect(metrics.snapshot.figures?.time == last)
  }

  @Test func limitsAreShownWithTheirReason() {
    let metrics = StreamingMetrics(jobName: "j", interval: .seconds(1))
    var info = BatchInfo(
      number: 1, batchTime: 1000,
      inputs: [
        ("a", SourcePlan(records: 5, limitReason: RateDecision.limitReason)),
        ("b", SourcePlan(records: 5, limitReason: "sluice.kafka.maxRatePerPartition=10")), ("c", SourcePlan()),
      ], submissionTime: Instant(nanoseconds: 0), skippedTicks: 0, lag: 0)
    info.rates["a"] = RateDecision(recordsMax: 5, rate: 5, reason: "backpressure: 5 records/s")
    metrics.onBatchSubmitted(info)
    metrics.onReceiverError(ReceiverInfo(streamID: 0, name: "r", isActive: false, restarts: 1, lastError: "broke"))
    let page = PrometheusParser(metrics.text)
    #expect(page.flaws == [])
    #expect(page["sluice_source_limited", ["source": "a", "reason": "rate control"]] == 1)
    #expect(page["sluice_source_limited", ["source": "b", "reason": "sluice.kafka.maxRatePerPartition"]] == 1)
    #expect(page["sluice_source_limited", ["source": "c", "reason": "none"]] == 0)
    #expect(page["sluice_source_rate_records_per_second", ["source": "a"]] == 5)
    #expect(page["sluice_receiver_errors_total", ["receiver": "r"]] == 1)
    #expect(page["sluice_receiver_active", ["receiver": "r"]] == 0)
  }
}
