import Groundwork
import Sluice

/// `sluice checkpoint show`.
enum CheckpointShow: Command {
  static let spec = CommandSpec(
    name: "sluice checkpoint show", summary: "Shows what a job's checkpoint holds.",
    discussion: """
      The job, where each source goes on, operators, outputs, what the engine keeps (rates, watermarks, state), batches \
      that were planned and not decided, and the newest batches. It only reads, also while the job runs.
      """,
    positionals: [.init("DIR", "the folder that the job got with --checkpoint")],
    options: [.value("batches", "N", "how many of the newest batches", default: "10", format: .integer(0...100_000))],
    examples: [.init("sluice checkpoint show /var/lib/sessions", "where the job sessions stands")])

  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let report = try CheckpointReport(directory: options.positionals[0], files: process.world.files)
    process.show(text(report, batches: try options.int("batches") ?? 10))
    return ExitCode.success
  }

  private static let titles = [
    "job": "Job", "source": "Sources go on at", "operator": "Operators", "output": "Outputs",
    "kept": "Kept with the batch",
  ]

  static func text(_ report: CheckpointReport, batches: Int) -> String {
    var text = ""
    var facts = report.facts[...]
    while let section = facts.first?.section {
      text += "\(titles[section] ?? section)\n"
      let rows = facts.prefix { $0.section == section }
      let width = rows.reduce(0) { max($0, $1.name.count) }
      for fact in rows {
        text += "  \(fact.name)\(String(repeating: " ", count: width - fact.name.count))  \(fact.value)\n"
      }
      text += "\n"
      facts = facts.dropFirst(rows.count)
    }
    if !report.undecided.isEmpty {
      text += "Planned and not decided: the next start runs them again\n" + self.batches(report.undecided) + "\n"
    }
    if !report.skipped.isEmpty {
      text += "Skipped by the failure policy: their records are in no output\n"
      for record in report.skipped {
        text += "  batch \(record.batch.number): \(record.ranges.map { "\($0)" }.joined(separator: " "))"
        text += record.note("reason").map { ": \($0)\n" } ?? "\n"
      }
      text += "\n"
    }
    if batches > 0, !report.decided.isEmpty {
      text += "Newest batches\n" + self.batches(Array(report.decided.suffix(batches)))
    }
    return text
  }

  private static func batches(_ records: [BatchRecord]) -> String {
    var table = TextTable([
      ("  batch", .right), ("time", .left), ("records", .right), ("outcome", .left), ("ranges", .left),
    ])
    for record in records {
      table.add([
        "  \(record.batch.number)", "\(record.batch.time)", "\(record.records)", record.outcome?.rawValue ?? "planned",
        record.ranges.filter { !$0.isEmpty }.map { "\($0)" }.joined(separator: " "),
      ])
    }
    return table.text
  }
}

/// `sluice checkpoint diff`.
enum CheckpointDiff: Command {
  static let spec = CommandSpec(
    name: "sluice checkpoint diff", summary: "Shows how two checkpoints differ.",
    discussion: """
      A line for each difference: - stands only in the first, + only in the second, ~ in both with other values. The exit \
      code is 1 where there are differences.
      """,
    positionals: [.init("DIR", "a checkpoint"), .init("OTHER", "another, such as a copy made before an upgrade")],
    options: [], examples: [.init("sluice checkpoint diff before/ after/", "what an upgrade changed")])

  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let files = process.world.files
    let (first, second) = (options.positionals[0], options.positionals[1])
    let lines = try CheckpointReport(directory: first, files: files)
      .differences(to: CheckpointReport(directory: second, files: files))
    process.show(lines.map { $0 + "\n" }.joined())
    return lines.isEmpty ? ExitCode.success : ExitCode.failure
  }
}
