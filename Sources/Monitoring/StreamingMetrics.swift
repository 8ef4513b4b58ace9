import Groundwork
import Streaming
import Synchronization

/// Keeps the numbers of a streaming job, as Spark's StreamingSource has them, for a scraper to read at any time.
///
/// Sendable: its state stands under a lock, held for an update or while the page is copied out.
public final class StreamingMetrics: StreamingListener {
  private struct State {
    var started: Timestamp?
    var completed = 0
    var failed = 0
    var waiting = 0
    var running = 0
    var skippedTicks = 0
    var receivedRecords = 0
    var processedRecords = 0
    var lastReceived: BatchInfo?
    var lastCompleted: BatchInfo?
    var counters: [String: Int64] = [:]
    /// By the number of their streams.
    var receivers: [Int: ReceiverInfo] = [:]
    var operationRecords: [String: Int] = [:]
    var operationFailures: [String: Int] = [:]
    var processing = Histogram()
    var scheduling = Histogram()
    var total = Histogram()
    var stability: StabilityRule
  }
  private let state: Mutex<State>
  private let jobName: String
  private let interval: Duration

  /// - Parameters:
  ///   - jobName: stands in `sluice_job_info`.
  ///   - interval: the batch interval.
  public init(jobName: String, interval: Duration) {
    self.jobName = jobName
    self.interval = interval
    state = Mutex(State(stability: StabilityRule(interval: interval)))
  }

  /// Notes when the run started.
  public func onStreamingStarted(_ time: Timestamp) { state.withLock { $0.started = time } }

  /// Counts a planned batch and its records, once however often it is tried.
  public func onBatchSubmitted(_ batch: BatchInfo) {
    state.withLock { state in
      state.waiting += 1
      // A batch that is tried again was received before.
      guard batch.attempts == 1 else { return }
      state.receivedRecords += batch.numRecords
      state.skippedTicks += batch.skippedTicks
      state.lastReceived = batch
    }
  }

  /// One batch waits less and one more runs.
  public func onBatchStarted(_ batch: BatchInfo) {
    state.withLock { state in
      state.waiting = max(0, state.waiting - 1)
      state.running += 1
    }
  }

  /// Notes the receiver.
  public func onReceiverStarted(_ receiver: ReceiverInfo) { note(receiver) }

  /// Notes the receiver.
  public func onReceiverError(_ receiver: ReceiverInfo) { note(receiver) }

  /// Notes the receiver.
  public func onReceiverStopped(_ receiver: ReceiverInfo, reason: String) { note(receiver) }

  private func note(_ receiver: ReceiverInfo) { state.withLock { $0.receivers[receiver.streamID] = receiver } }

  /// Counts what an output operation wrote, or its failure.
  public func onOutputOperationCompleted(_ operation: OutputOperationInfo, of batch: BatchNumber) {
    state.withLock { state in
      state.operationRecords[operation.name, default: 0] += operation.recordsWritten
      if operation.failureReason != nil { state.operationFailures[operation.name, default: 0] += 1 }
    }
  }

  /// Counts the batch with its delays and counters, or its failure.
  public func onBatchCompleted(_ batch: BatchInfo) {
    state.withLock { state in
      state.running = max(0, state.running - 1)
      guard batch.failureReason == nil else {
        state.failed += 1
        return
      }
      state.completed += 1
      state.processedRecords += batch.numRecords
      state.lastCompleted = batch
      state.counters.merge(batch.counters, uniquingKeysWith: &+)
      if let delay = batch.processingDelay {
        state.processing.add(delay.inSeconds)
        _ = state.stability.batchCompleted(processingDelay: delay)
      }
      if let delay = batch.schedulingDelay { state.scheduling.add(delay.inSeconds) }
      if let delay = batch.totalDelay { state.total.add(delay.inSeconds) }
    }
  }

  /// The page, in Prometheus's text format.
  public var page: HTTPResponse {
    HTTPResponse(contentType: PrometheusText.contentType, body: text)
  }

  var text: String {
    let state = state.withLock { $0 }
    var page = PrometheusText()
    page.add(
      "sluice_job_info", .gauge, "The job, and when its present run started.",
      [([("job", jobName), ("started", state.started.map { "\($0)" } ?? "")], 1)])
    page.add("sluice_batch_interval_seconds", .gauge, "The batch interval.", interval.inSeconds)
    page.add(
      "sluice_job_is_stable", .gauge, "1 while batches are processed within the interval; alert on 0.",
      state.stability.isStable ? 1 : 0)
    page.add("sluice_completed_batches_total", .counter, "Batches that were committed.", Double(state.completed))
    page.add("sluice_failed_batches_total", .counter, "Attempts of batches that failed.", Double(state.failed))
    page.add(
      "sluice_unprocessed_batches", .gauge, "Batches that wait or run.", Double(state.waiting + state.running))
    page.add("sluice_waiting_batches", .gauge, "Batches that wait.", Double(state.waiting))
    page.add("sluice_running_batches", .gauge, "Batches that run.", Double(state.running))
    page.add(
      "sluice_skipped_ticks_total", .counter, "Ticks that batches ran over: their data went into the next batch.",
      Double(state.skippedTicks))
    page.add(
      "sluice_received_records_total", .counter, "Records of all planned batches.", Double(state.receivedRecords))
    page.add(
      "sluice_processed_records_total", .counter, "Records of all committed batches.", Double(state.processedRecords))
    page.add(
      "sluice_receivers", .gauge, "Receivers that receive.", Double(state.receivers.values.count { $0.isActive }))
    page.add(
      "sluice_receiver_restarts_total", .counter, "How often receivers were started anew.",
      state.receivers.values.sorted { $0.streamID < $1.streamID }.map { ([("receiver", $0.name)], Double($0.restarts)) }
    )
    if let last = state.lastCompleted { addLast("completed", last, &page) }
    if let last = state.lastReceived {
      addLast("received", last, &page)
      page.add(
        "sluice_last_received_batch_records", .gauge, "Records of the last planned batch.", Double(last.numRecords))
      addSources(last, &page)
    }
    page.add("sluice_processing_delay_seconds", "From a batch's start to its commit.", state.processing)
    page.add("sluice_scheduling_delay_seconds", "From when a batch was due to its start.", state.scheduling)
    page.add("sluice_total_delay_seconds", "From when a batch was due to its commit.", state.total)
    page.add(
      "sluice_counter_total", .counter, "What tasks counted by name.",
      state.counters.sorted { $0.key < $1.key }.map { ([("name", $0.key)], Double($0.value)) })
    page.add(
      "sluice_output_records_total", .counter, "Records handed to the sinks.",
      state.operationRecords.sorted { $0.key < $1.key }.map { ([("output", $0.key)], Double($0.value)) })
    page.add(
      "sluice_output_failures_total", .counter, "Output operations that failed.",
      state.operationFailures.sorted { $0.key < $1.key }.map { ([("output", $0.key)], Double($0.value)) })
    return page.text
  }

  private func addLast(_ which: String, _ batch: BatchInfo, _ page: inout PrometheusText) {
    let name = "sluice_last_\(which)_batch"
    page.add("\(name)_time_seconds", .gauge, "Its time, since 1970.", Double(batch.batchTime.milliseconds) / 1000)
    page.add("\(name)_scheduling_delay_seconds", .gauge, "How late it started.", batch.schedulingDelay?.inSeconds)
    page.add("\(name)_processing_delay_seconds", .gauge, "How long it ran.", batch.processingDelay?.inSeconds)
    page.add(
      "\(name)_total_delay_seconds", .gauge, "From when it was due to its commit.", batch.totalDelay?.inSeconds)
  }

  private func addSources(_ batch: BatchInfo, _ page: inout PrometheusText) {
    page.add("sluice_lag_records", .gauge, "Records that could be read and are in no batch yet.", Double(batch.lag))
    let lags = batch.lags.sorted { $0.key < $1.key }
    page.add(
      "sluice_source_lag_records", .gauge, "The same, by source.",
      lags.map { ([("source", $0.key)], Double($0.value.records)) })
    page.add(
      "sluice_source_lag_seconds", .gauge, "The age of the oldest record that is in no batch yet.",
      lags.map { ([("source", $0.key)], $0.value.time?.inSeconds ?? 0) })
    page.add(
      "sluice_partition_lag_records", .gauge, "The same, by topic partition.",
      lags.flatMap { lag in
        lag.value.partitions.map {
          ([("source", lag.key), ("partition", "\($0.partition)")], Double($0.records))
        }
      })
    let rates = batch.rates.sorted { $0.key < $1.key }
    page.add(
      "sluice_source_records_max", .gauge, "The most records the last batch could take.",
      rates.compactMap { rate in rate.value.recordsMax.map { ([("source", rate.key)], Double($0)) } })
    page.add(
      "sluice_source_rate", .gauge, "Records a second that the job can take in, as estimated.",
      rates.compactMap { rate in rate.value.rate.map { ([("source", rate.key)], $0) } })
  }
}
