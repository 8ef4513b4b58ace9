import Groundwork
import Streaming

extension StreamingMetrics {
  /// The page, in Prometheus's text format.
  public var page: HTTPResponse {
    HTTPResponse(contentType: PrometheusText.contentType, body: text)
  }

  var text: String {
    let state = snapshot
    var page = PrometheusText()
    addJob(state, &page)
    addReceivers(state, &page)
    if let last = state.lastCompleted { addLast("completed", last, state.figures, &page) }
    if let last = state.lastReceived {
      addLast("received", last, state.figures, &page)
      page.add(
        "sluice_last_received_batch_records", .gauge, "Records of the last planned batch.", Double(last.numRecords))
      addSources(last, &page)
    }
    page.add("sluice_processing_delay_seconds", "From a batch's start to its commit.", state.processing)
    page.add("sluice_scheduling_delay_seconds", "From when a batch was due to its start.", state.scheduling)
    page.add("sluice_total_delay_seconds", "From when a batch was due to its commit.", state.total)
    page.add(
      "sluice_counted_total", .counter, "What tasks counted by name.",
      state.counters.sorted { $0.key < $1.key }.map { ([("name", $0.key)], Double($0.value)) })
    page.add(
      "sluice_output_records_total", .counter, "Records handed to the sinks.",
      state.operationRecords.sorted { $0.key < $1.key }.map { ([("output", $0.key)], Double($0.value)) })
    page.add(
      "sluice_output_failures_total", .counter, "Output operations that failed.",
      state.operationFailures.sorted { $0.key < $1.key }.map { ([("output", $0.key)], Double($0.value)) })
    if let figures = state.figures {
      page.add(figures.scheduler)
      page.add(figures)
    }
    return page.text
  }

  private func addJob(_ state: State, _ page: inout PrometheusText) {
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
      "sluice_discarded_batches_total", .counter,
      "Attempts of batches that were given up because the batch before failed.", Double(state.discarded))
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
  }

  private func addReceivers(_ state: State, _ page: inout PrometheusText) {
    let receivers = state.receivers.values.sorted { $0.streamID < $1.streamID }
    page.add("sluice_receivers", .gauge, "Receivers that receive.", Double(receivers.count { $0.isActive }))
    page.add(
      "sluice_receiver_active", .gauge, "1 while the receiver receives.",
      receivers.map { ([("receiver", $0.name)], $0.isActive ? 1 : 0) })
    page.add(
      "sluice_receiver_restarts_total", .counter, "How often the receiver was started anew.",
      receivers.map { ([("receiver", $0.name)], Double($0.restarts)) })
    page.add(
      "sluice_receiver_errors_total", .counter, "Trouble that the receiver told of.",
      receivers.map { ([("receiver", $0.name)], Double(state.receiverErrors[$0.streamID] ?? 0)) })
  }

  private func addLast(_ which: String, _ batch: BatchInfo, _ figures: JobFigures?, _ page: inout PrometheusText) {
    let name = "sluice_last_\(which)_batch"
    page.add("\(name)_time_seconds", .gauge, "Its time, since 1970.", Double(batch.batchTime.milliseconds) / 1000)
    /// Since 1970, as the wall clock stands now.
    func seconds(_ instant: Instant?) -> Double? {
      guard let instant, let figures else { return nil }
      return Double(figures.wallTime.milliseconds) / 1000 + (instant - figures.time).inSeconds
    }
    page.add("\(name)_submission_time_seconds", .gauge, "When it was due, since 1970.", seconds(batch.submissionTime))
    page.add(
      "\(name)_processing_start_time_seconds", .gauge, "When it began, since 1970.", seconds(batch.processingStartTime))
    page.add(
      "\(name)_processing_end_time_seconds", .gauge, "When it was committed, since 1970.",
      seconds(batch.processingEndTime))
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
      "sluice_source_lag_bytes", .gauge, "Bytes that are in no batch yet, estimated by those that have arrived.",
      lags.map { ([("source", $0.key)], Double($0.value.bytes)) })
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
      "sluice_source_rate_records_per_second", .gauge, "Records a second that the job can take in, as estimated.",
      rates.compactMap { rate in rate.value.rate.map { ([("source", rate.key)], $0) } })
    page.add(
      "sluice_source_limited", .gauge, "1 where the last batch could have taken more, and what kept it from that.",
      batch.inputs.sorted { $0.source < $1.source }.map { input in
        // Without the setting's value: a label must not change with it.
        let reason = input.plan.limitReason.map { String($0.prefix { $0 != "=" }) }
        return ([("source", input.source), ("reason", reason ?? "none")], reason == nil ? 0 : 1)
      })
  }
}
