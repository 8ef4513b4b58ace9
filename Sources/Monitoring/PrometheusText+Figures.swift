import Datasets
import Groundwork
import JobScheduling
import Streaming

extension PrometheusText {
  // What Spark's sources DAGScheduler, LiveListenerBus and BlockManager show, and pools and executors.

  /// What the scheduler did and does.
  mutating func add(_ scheduler: SchedulerMetrics) {
    add("sluice_scheduler_active_jobs", .gauge, "Jobs that run.", Double(scheduler.jobsActive))
    add("sluice_scheduler_jobs_total", .counter, "Jobs that were submitted.", Double(scheduler.jobsSubmitted))
    add(
      "sluice_scheduler_failed_jobs_total", .counter, "Jobs that have failed or were cancelled.",
      Double(scheduler.jobsFailed))
    add("sluice_scheduler_running_stages", .gauge, "Stages with tasks that run.", Double(scheduler.stagesRunning))
    add(
      "sluice_scheduler_waiting_stages", .gauge, "Stages that wait for others, or for executors.",
      Double(scheduler.stagesWaiting))
    add(
      "sluice_scheduler_failed_stages_total", .counter, "Stages that were given up after they had begun.",
      Double(scheduler.stagesFailed))
    add("sluice_scheduler_running_tasks", .gauge, "Attempts that run.", Double(scheduler.tasksRunning))
    add("sluice_scheduler_waiting_tasks", .gauge, "Tasks that wait for a place.", Double(scheduler.tasksWaiting))
    add("sluice_scheduler_launched_tasks_total", .counter, "Attempts launched.", Double(scheduler.tasksLaunched))
    add(
      "sluice_scheduler_repeated_tasks_total", .counter,
      "Attempts launched in place of one that failed or found something missing.", Double(scheduler.tasksRepeated))
    add(
      "sluice_scheduler_speculative_tasks_total", .counter, "Attempts launched beside another that took long.",
      Double(scheduler.tasksSpeculated))
    add(
      "sluice_scheduler_ended_tasks_total", .counter, "Attempts that ended, by how they did.",
      [
        ([("outcome", "succeeded")], Double(scheduler.tasksSucceeded)),
        ([("outcome", "failed")], Double(scheduler.tasksFailed)),
        ([("outcome", "unneeded")], Double(scheduler.tasksSkipped)),
      ])
    add(
      "sluice_scheduler_fetched_inputs_total", .counter, "Times that a task's input had to be fetched again.",
      Double(scheduler.inputsFetched))
    add(
      "sluice_shuffle_lost_outputs_total", .counter, "Times that a stage waited for its parents to run again.",
      Double(scheduler.shufflesLost))
    add("sluice_task_read_records_total", .counter, "Records that tasks read.", Double(scheduler.recordsRead))
    add("sluice_task_written_records_total", .counter, "Records that tasks wrote.", Double(scheduler.recordsWritten))
    add(
      "sluice_shuffle_written_records_total", .counter, "Elements that tasks wrote for shuffles.",
      Double(scheduler.shuffleRecords))
    add(
      "sluice_shuffle_written_bytes_total", .counter,
      "Bytes of them: in memory without what they refer to, on disk as stored.", Double(scheduler.shuffleBytes))
    add(
      "sluice_spilled_records_total", .counter, "Elements that tasks moved to disk for lack of memory.",
      Double(scheduler.spills.records))
    add("sluice_spilled_bytes_total", .counter, "Bytes of them, encoded.", Double(scheduler.spills.bytes))
    add(
      "sluice_spilled_disk_bytes_total", .counter, "Bytes of them on disk, compressed.",
      Double(scheduler.spills.diskBytes))
    addPools(scheduler.pools)
    addExecutors(scheduler.executors)
    addQueues(scheduler)
  }

  private mutating func addPools(_ pools: [PoolMetrics]) {
    add("sluice_pool_jobs", .gauge, "Jobs of the pool.", pools.map { ([("pool", $0.name)], Double($0.jobs)) })
    add(
      "sluice_pool_running_tasks", .gauge, "Tasks of the pool that run.",
      pools.map { ([("pool", $0.name)], Double($0.tasksRunning)) })
  }

  private mutating func addExecutors(_ executors: [ExecutorMetrics]) {
    let numbered = executors.enumerated().map { (labels: [("executor", "\($0.offset)")], metrics: $0.element) }
    add(
      "sluice_executor_tasks_total", .counter, "Attempts that ended on the executor; 0 is the driver's own thread.",
      numbered.map { ($0.labels, Double($0.metrics.tasks)) })
    add(
      "sluice_executor_task_seconds_total", .counter, "Time spent in attempts that succeeded.",
      numbered.map { ($0.labels, $0.metrics.taskTime.inSeconds) })
  }

  private mutating func addQueues(_ scheduler: SchedulerMetrics) {
    add(
      "sluice_listener_events_total", .counter, "Events posted to the queues of listeners.",
      Double(scheduler.eventsPosted))
    let queues = scheduler.listenerQueues
    add(
      "sluice_listener_queue_events", .gauge, "Events that wait in the queue.",
      queues.map { ([("queue", $0.name)], Double($0.waiting)) })
    add(
      "sluice_listener_queue_capacity_events", .gauge, "Events that may wait in the queue.",
      queues.map { ([("queue", $0.name)], Double($0.capacity)) })
    add(
      "sluice_listener_queue_delivered_events_total", .counter, "Events that the queue's listeners were told.",
      queues.map { ([("queue", $0.name)], Double($0.delivered)) })
    add(
      "sluice_listener_queue_dropped_events_total", .counter, "Events dropped because too many waited.",
      queues.map { ([("queue", $0.name)], Double($0.dropped)) })
    add(
      "sluice_listener_queue_processing_seconds_total", .counter, "Time spent in the queue's listeners.",
      queues.map { ([("queue", $0.name)], $0.processingTime.inSeconds) })
  }

  /// Storage, state and event time.
  mutating func add(_ figures: JobFigures) {
    let storage = figures.storage
    add(
      "sluice_storage_capacity_bytes", .gauge, "Memory for persisted partitions and shuffles.",
      Double(figures.storageCapacity))
    add(
      "sluice_storage_memory_bytes", .gauge, "Bytes kept in memory.",
      [
        ([("kind", "persisted")], Double(storage.memoryBytes)), ([("kind", "shuffle")], Double(storage.shuffleBytes)),
      ])
    add(
      "sluice_storage_disk_bytes", .gauge, "Bytes of persisted partitions on disk, compressed.",
      Double(storage.diskBytes))
    add(
      "sluice_storage_lookups_total", .counter, "Persisted partitions asked for, by where they were found.",
      [
        ([("found", "memory")], Double(storage.memoryHits)), ([("found", "disk")], Double(storage.diskHits)),
        ([("found", "nowhere")], Double(storage.misses)),
      ])
    add(
      "sluice_storage_evictions_total", .counter, "Persisted partitions that had to leave memory.",
      Double(storage.evictions))
    let states = figures.states
    add(
      "sluice_state_keys", .gauge, "Keys of the operator's state.",
      states.map { ([("operator", $0.operatorName)], Double($0.keys)) })
    add(
      "sluice_state_table_bytes", .gauge, "Memory of the operator's tables, without what keys and values refer to.",
      states.map { ([("operator", $0.operatorName)], Double($0.tableBytes)) })
    add(
      "sluice_state_partitions", .gauge, "State partitions of the operator.",
      states.map { ([("operator", $0.operatorName)], Double($0.partitions)) })
    add(
      "sluice_state_log_bytes", .gauge, "Changes of state on disk since the last snapshot.",
      figures.stateLogBytes.map(Double.init))
    add(
      "sluice_state_snapshot_bytes", .gauge, "The last snapshot of state on disk.",
      figures.stateSnapshotBytes.map(Double.init))
    let watermarks = figures.watermarks.compactMap { stream in stream.watermark.map { (stream.stream, $0) } }
    add(
      "sluice_watermark_seconds", .gauge, "How far the stream's event time has come, since 1970.",
      watermarks.map { ([("stream", $0.0)], Double($0.1.milliseconds) / 1000) })
    add(
      "sluice_watermark_delay_seconds", .gauge, "How far the stream's event time is behind the wall clock.",
      watermarks.map { ([("stream", $0.0)], Double(figures.wallTime.milliseconds - $0.1.milliseconds) / 1000) })
  }
}
