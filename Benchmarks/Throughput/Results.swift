import BenchmarkProcesses
import Sluice

/// The figures, for people and for programs.
enum Results {
  static func table(_ rows: [Row]) -> String {
    var table = TextTable([
      ("codec", .left), ("work", .left), ("who", .left), ("guarantee", .left), ("M records/s", .right),
      ("CPU s", .right), ("broker CPU s", .right), ("M records/CPU s", .right), ("of C", .right), ("MB", .right),
      ("batches", .right),
    ])
    for row in rows {
      let reference = rows.first { $0.codec == row.codec && $0.work == row.work && $0.who == "C" }
      table.add([
        row.codec, row.work.title, row.processes > 1 ? "\(row.who) × \(row.processes)" : row.who,
        row.guarantee?.rawValue ?? "–", HumanText.fixed(row.rate, 2), HumanText.fixed(row.processorSeconds, 2),
        row.brokerSeconds.map { HumanText.fixed($0, 2) } ?? "–", HumanText.fixed(row.ratePerProcessorSecond, 2),
        reference.map { "\(HumanText.fixed(row.ratePerProcessorSecond / $0.ratePerProcessorSecond * 100, 0)) %" }
          ?? "–",
        row.peakMemory.map { "\($0 >> 20)" } ?? "–", row.batches.map { "\($0)" } ?? "–",
      ])
    }
    return table.text
  }

  /// What holds for every row.
  static func conditions(_ plan: Plan, _ ratios: [(codec: String, ratio: Double)]) -> String {
    """
    \(plan.partitions) partitions, record batches of \(plan.batchSize) bytes, lines of 100 bytes, \(plan.shape.wordCount) \
    words by \(plan.shape.distribution.rawValue), \(plan.master); plans not synced, files synced each batch where \
    exactly-once, broker flush os
    compression: \(ratios.map { "\($0.codec) \(HumanText.fixed($0.ratio, 2))" }.joined(separator: ", "))

    """
  }

  static func json(_ plan: Plan, _ rows: [Row], _ ratios: [(codec: String, ratio: Double)], _ versions: [String])
    -> String
  {
    let items = rows.map { row -> JSON in
      var members: [(String, JSON)] = [
        ("codec", .text(row.codec)), ("work", .text(row.work.rawValue)), ("who", .text(row.who)),
        ("processes", .integer(row.processes)), ("records", .integer(row.records)), ("seconds", .number(row.seconds)),
        ("cpu_seconds", .number(row.processorSeconds)),
      ]
      if let seconds = row.brokerSeconds { members.append(("broker_cpu_seconds", .number(seconds))) }
      if let memory = row.peakMemory { members.append(("peak_memory_bytes", .integer(memory))) }
      if let batches = row.batches { members.append(("batches", .integer(batches))) }
      if let guarantee = row.guarantee {
        members.append(("guarantee", .text(guarantee.rawValue)))
        members.append(("plan_sync", .text(guarantee.planSync(hasState: false))))
        members.append(("file_sync", .text(guarantee.fileSync(writesFiles: row.work == .files, hasState: false))))
      }
      return .object(members)
    }
    return JSON.object(
      Machine.facts("Throughput") + [
        ("master", .text(plan.master)), ("partitions", .integer(plan.partitions)),
        ("record_bytes", .integer(100)), ("batch_size", .integer(plan.batchSize)),
        ("words", .integer(plan.shape.wordCount)), ("distribution", .text(plan.shape.distribution.rawValue)),
        ("runs", .integer(plan.runs)), ("broker_flush", .text("os")),
        ("versions", .list(versions.map { .text($0) })), ("settings", .list(plan.settings.map { .text($0) })),
        ("compression", .object(ratios.map { ($0.codec, .number($0.ratio)) })),
        ("rows", .list(items)),
      ]
    ).rendered() + "\n"
  }
}
