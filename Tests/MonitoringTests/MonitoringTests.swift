import Datasets
import Groundwork
import LinuxSystem
import Synchronization
import SystemInterfaces
import Testing

@testable import Monitoring
@testable import Streaming

/// What a job shows of itself.
@Suite struct MonitoringTests {
  private func batch(_ number: Int64, records: Int, failure: String? = nil) -> BatchInfo {
    let due = Instant(nanoseconds: number * 1_000_000_000)
    var info = BatchInfo(
      number: BatchNumber(number), batchTime: Timestamp(milliseconds: number * 1000),
      inputs: [("topics t", SourcePlan(records: records))], submissionTime: due, skippedTicks: 1, lag: 77)
    info.rates["topics t"] = RateDecision(recordsMax: 500, rate: 512.5, reason: "backpressure")
    info.counters = ["malformed": 2]
    info.lags["topics t"] = SourceLag(records: 77)
    info.processingStartTime = due + .milliseconds(20)
    info.processingEndTime = due + .milliseconds(320)
    info.failureReason = failure
    return info
  }

  @Test func thePageHoldsSparksGauges() {
    let metrics = StreamingMetrics(jobName: "a \"job\"", interval: .seconds(1))
    metrics.onStreamingStarted(Timestamp(milliseconds: 1000))
    metrics.onReceiverStarted(ReceiverInfo(streamID: 0, name: "socket", isActive: true, restarts: 0, lastError: nil))
    metrics.onReceiverStarted(ReceiverInfo(streamID: 1, name: "other", isActive: true, restarts: 0, lastError: nil))
    metrics.onReceiverStopped(
      ReceiverInfo(streamID: 1, name: "other", isActive: false, restarts: 3, lastError: "gone"), reason: "gone")
    for number in 1...3 as ClosedRange<Int64> {
      let info = batch(number, records: 10, failure: number == 2 ? "broken" : nil)
      metrics.onBatchSubmitted(info)
      metrics.onBatchStarted(info)
      var operation = OutputOperationInfo(id: 0, name: "print-1", startTime: info.submissionTime)
      operation.recordsWritten = 4
      operation.failureReason = info.failureReason
      metrics.onOutputOperationCompleted(operation, of: info.number)
      metrics.onBatchCompleted(info)
    }
    metrics.onBatchSubmitted(batch(4, records: 9))
    let lines = metrics.text.split(separator: "\n").map(String.init)
    for line in [
      "sluice_job_info{job=\"a \\\"job\\\"\",started=\"1970-01-01T00:00:01.000Z\"} 1",
      "sluice_completed_batches_total 2", "sluice_job_is_stable 1",
      "sluice_failed_batches_total 1", "sluice_unprocessed_batches 1", "sluice_waiting_batches 1",
      "sluice_running_batches 0", "sluice_skipped_ticks_total 4", "sluice_received_records_total 39",
      "sluice_processed_records_total 20", "sluice_last_completed_batch_processing_delay_seconds 0.3",
      "sluice_last_completed_batch_scheduling_delay_seconds 0.02",
      "sluice_last_completed_batch_total_delay_seconds 0.32", "sluice_last_received_batch_records 9",
      "sluice_lag_records 77", "sluice_source_lag_records{source=\"topics t\"} 77",
      "sluice_source_lag_seconds{source=\"topics t\"} 0", "sluice_receivers 1",
      "sluice_receiver_restarts_total{receiver=\"other\"} 3", "sluice_source_records_max{source=\"topics t\"} 500",
      "sluice_source_rate_records_per_second{source=\"topics t\"} 512.5", "sluice_counted_total{name=\"malformed\"} 4",
      "sluice_output_records_total{output=\"print-1\"} 12", "sluice_output_failures_total{output=\"print-1\"} 1",
      "sluice_processing_delay_seconds_bucket{le=\"0.25\"} 0", "sluice_processing_delay_seconds_bucket{le=\"0.5\"} 2",
      "sluice_processing_delay_seconds_bucket{le=\"+Inf\"} 2", "sluice_processing_delay_seconds_count 2",
    ] { #expect(lines.contains(line), "\(line) is missing") }
    #expect(PrometheusParser(metrics.text).flaws == [])
  }

  private func get(_ path: String, method: String = "GET", port: UInt16) throws -> String {
    // Bash can speak TCP: no client has to be installed.
    let script = """
      exec 3<>/dev/tcp/127.0.0.1/\(port)
      printf '\(method) \(path) HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n\\r\\n' >&3
      timeout 10 cat <&3
      """
    return String(try ChildProcess.run("/bin/bash", ["-c", script]).output)
  }

  @Test func theServerAnswersOverARealSocket() throws {
    let server = try HTTPServer(address: "127.0.0.1", port: 0) { path in
      path == "/metrics" ? HTTPResponse(body: "ünicode 1\n") : nil
    }
    defer { server.stop() }
    let found = try get("/metrics", port: server.port)
    #expect(found.hasPrefix("HTTP/1.1 200 OK\r\n"), "\(found)")
    #expect(found.hasSuffix("\r\n\r\nünicode 1\n"), "\(found)")
    #expect(try get("/nothing", port: server.port).hasPrefix("HTTP/1.1 404 "))
    #expect(try get("/metrics", method: "POST", port: server.port).hasPrefix("HTTP/1.1 405 "))
  }

  @Test func connectionsBeyondTheLimitWaitForOneToGo() throws {
    let server = try HTTPServer(address: "127.0.0.1", port: 0) { _ in HTTPResponse(body: "served\n") }
    defer { server.stop() }
    let script = """
      get() {
        exec 3<>/dev/tcp/127.0.0.1/\(server.port)
        printf 'GET / HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n\\r\\n' >&3
        timeout $1 cat <&3
        exec 3>&-
      }
      for i in {10..74}; do eval "exec $i<>/dev/tcp/127.0.0.1/\(server.port)"; done
      [[ -z $(get 0.3) ]] && echo full
      for i in {10..74}; do eval "exec $i>&-"; done
      get 10 | tail -1
      """
    #expect(String(try ChildProcess.run("/bin/bash", ["-c", script]).output) == "full\nserved\n")
  }

  @Test func aPortInUseAndAWrongAddressAreNamed() throws {
    let server = try HTTPServer(address: "localhost", port: 0) { _ in nil }
    let port = server.port
    let error = #expect(throws: MonitoringError.self) {
      try HTTPServer(address: "127.0.0.1", port: port) { _ in nil }
    }
    #expect(
      error?.description
        == "metrics cannot be served on 127.0.0.1:\(port): the port is in use or not allowed; choose another with "
        + "sluice.metrics.port, or 0 for any that is free")
    #expect(throws: MonitoringError.self) { try HTTPServer(address: "here", port: 0) { _ in nil } }
    server.stop()
    // The port is free again.
    try HTTPServer(address: "127.0.0.1", port: port) { _ in nil }.stop()
  }
}
