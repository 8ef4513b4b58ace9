import Groundwork
import KafkaClients
import Sluice
import SystemInterfaces

/// What came of both runs, output by output.
struct VerifyReport {
  private let records: Int
  private var outputs: [(name: String, comparison: VerifyComparison)] = []

  init(_ plan: VerifyPlan, _ stage: VerifyStage, _ process: CommandProcess) throws {
    records = plan.lines.count
    let topics = try plan.topics.isEmpty ? Self.topics(of: stage, plan, process) : plan.topics
    for topic in topics {
      add(
        "topic \(topic)", plan,
        try VerifyReader.topic(topic, of: stage.reference, process),
        try VerifyReader.topic(topic, of: stage.disturbed, process))
    }
    let files = process.world.files
    for folder in plan.folders {
      add(
        "files \(folder)", plan, try VerifyReader.files("\(stage.reference.work)/\(folder)", files),
        try VerifyReader.files("\(stage.disturbed.work)/\(folder)", files))
    }
    for database in plan.databases {
      let wanted = try SQLiteDump.tables(of: "\(stage.reference.work)/\(database)")
      let found = try SQLiteDump.tables(of: "\(stage.disturbed.work)/\(database)")
      for (table, rows) in wanted.sorted(by: { $0.key < $1.key }) {
        add(
          "table \(table)", plan, rows.map { VerifyRecord(line: $0) },
          (found[table] ?? []).map { VerifyRecord(line: $0) })
      }
    }
    if outputs.isEmpty {
      throw CommandError(
        "the job has written nothing that could be compared: it made no topic; name its files with --files, its database "
          + "with --database")
    }
  }

  private mutating func add(
    _ name: String, _ plan: VerifyPlan, _ expected: [VerifyRecord], _ found: [VerifyRecord]
  ) {
    outputs.append((name, VerifyComparison(plan.comparison, expected: expected, found: found)))
  }

  /// The topics that the undisturbed run made.
  private static func topics(
    of stage: VerifyStage, _ plan: VerifyPlan, _ process: CommandProcess
  ) throws -> [String] {
    let client = try stage.reference.connection
    let topics = try process.wait { Admin(client).listTopics(then: $0) }
    return topics.map(\.name).filter { !$0.hasPrefix("__") && !plan.inputs.contains($0) }.sorted()
  }

  /// Whether nothing was lost and nothing doubled.
  var isClean: Bool { outputs.allSatisfy { $0.comparison.lost == 0 && $0.comparison.doubled == 0 } }

  /// A table of the outputs, what differs, and the line that sums up.
  func text(kills: Int) -> String {
    var table = TextTable([
      ("output", .left), ("undisturbed", .right), ("killed", .right), ("lost", .right), ("doubled", .right),
    ])
    var examples = ""
    for (name, comparison) in outputs {
      table.add([
        name, "\(comparison.expected)", "\(comparison.found)", "\(comparison.lost)", "\(comparison.doubled)",
      ])
      for example in comparison.examples { examples += "  \(name): \(example)\n" }
    }
    let sum = { (amount: (VerifyComparison) -> Int) in outputs.reduce(0) { $0 + amount($1.comparison) } }
    return table.text + (examples.isEmpty ? "" : "Different, for example:\n\(examples)")
      + "in \(records), out \(sum(\.found)), lost \(sum(\.lost)), doubled \(sum(\.doubled)), kills \(kills)\n"
  }
}
