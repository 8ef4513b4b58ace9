import Sluice

/// The figures as tables and as JSON. The first row is the one that others are compared with.
enum Report {
  static func drains(_ rows: [Row]) -> String {
    var table = TextTable([
      ("job", .left), ("M records/s", .right), ("of the first", .right), ("CPU s", .right), ("batches", .right),
      ("p50 ms", .right), ("p99 ms", .right), ("syncs a batch", .right), ("requests a batch", .right),
    ])
    func rate(_ run: Run) -> Double { Double(run.records) / run.seconds / 1e6 }
    for row in rows {
      let run = row.drain
      table.add([
        row.job.name, fixed(rate(run)), percent(rate(run), rate(rows[0].drain)), fixed(run.processorSeconds),
        "\(run.batches)", fixed(run.median), fixed(run.slowest1Percent), fixed(run.aBatch(run.syncs)),
        fixed(run.aBatch(run.requests)),
      ])
    }
    return table.text
  }

  static func steady(_ rows: [Row], _ interval: Duration) -> String {
    var table = TextTable([
      ("job", .left), ("stable", .left), ("p50 ms", .right), ("of the first", .right), ("p99 ms", .right),
      ("batches", .right), ("skipped ticks", .right), ("CPU s", .right), ("syncs a batch", .right),
      ("requests a batch", .right),
    ])
    let runs = rows.compactMap { row in row.steady.first { $0.interval == interval }.map { (row.job, $0.run) } }
    for (job, run) in runs {
      table.add([
        job.name, run.isStable ? "yes" : "no", fixed(run.median), percent(run.median, runs[0].1.median),
        fixed(run.slowest1Percent), "\(run.batches)", "\(run.skippedTicks)", fixed(run.processorSeconds),
        fixed(run.aBatch(run.syncs)), fixed(run.aBatch(run.requests)),
      ])
    }
    return table.text
  }

  /// What is appended beside the output itself.
  static let logs: [(title: String, bytes: @Sendable (Run) -> Int64)] = [
    ("markers", { $0.topic?.markerBytes ?? 0 }),
    ("offsets", { $0.broker["offsets bytes"] ?? 0 }),
    ("coordinator", { $0.broker["transactions bytes"] ?? 0 }),
    ("plans", { $0.job["plans bytes"] ?? 0 }),
    ("commits", { $0.job["commits bytes"] ?? 0 }),
    ("state", { $0.job["state bytes"] ?? 0 }),
    ("manifest", { $0.job["manifest bytes"] ?? 0 }),
  ]

  static func growth(_ rows: [Row]) -> String {
    var table = TextTable(
      [("job", .left)] + logs.map { ($0.title, .right) } + [("all", .right), ("of the first", .right)])
    func thousand(_ bytes: Int64, _ run: Run) -> Double { run.aBatch(bytes) * 1_000 }
    func all(_ run: Run) -> Double { logs.reduce(0) { $0 + thousand($1.bytes(run), run) } }
    for row in rows {
      guard let run = row.steady.first?.run, let first = rows[0].steady.first?.run else { continue }
      table.add(
        [row.job.name] + logs.map { HumanText.bytes(Int64(thousand($0.bytes(run), run))) }
          + [HumanText.bytes(Int64(all(run))), percent(all(run), all(first))])
    }
    return table.text
  }

  private static func percent(_ value: Double, _ first: Double) -> String {
    first > 0 ? "\(Int((value / first * 100).rounded())) %" : "–"
  }

  private static func fixed(_ value: Double) -> String { HumanText.fixed(value, 2) }

  static func json(_ rows: [Row]) -> String {
    let items = rows.map { row in
      let steady = row.steady.map { "{\"interval_ms\":\($0.interval.inMilliseconds),\(fields($0.run))}" }
      return """
          {"job":"\(row.job.name)","drain":{\(fields(row.drain))},
            "steady":[\(steady.joined(separator: ",\n      "))]}
        """
    }
    return "[\n\(items.joined(separator: ",\n"))\n]\n"
  }

  private static func fields(_ run: Run) -> String {
    func object(_ counts: [String: Int64]) -> String {
      let members = counts.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
      return "{\(members.joined(separator: ","))}"
    }
    let topic =
      run.topic.map {
        "{\"records\":\($0.records),\"record_bytes\":\($0.recordBytes),\"markers\":\($0.markers),"
          + "\"marker_bytes\":\($0.markerBytes)}"
      } ?? "null"
    return "\"records\":\(run.records),\"seconds\":\(run.seconds),\"processor_seconds\":\(run.processorSeconds),"
      + "\"batches\":\(run.batches),\"batch_ms_p50\":\(run.median),\"batch_ms_p99\":\(run.slowest1Percent),"
      + "\"stable\":\(run.isStable),\"skipped_ticks\":\(run.skippedTicks),\"job\":\(object(run.job)),"
      + "\"broker\":\(object(run.broker)),\"output_topic\":\(topic)"
  }
}
