import Datasets
import Groundwork
import Simulation
import SystemInterfaces

@testable import Streaming

/// Executes the recorded plans of a run once each, in order and on plain values, and compares with what the run gave.
struct OracleCheck {
  private let path: OraclePath
  private let commits: [BatchRecord]
  private let plans: [BatchRecord]
  /// By partition and offset.
  private let topic: [[Int64: String]]
  private var problems: [String] = []

  init(_ path: OraclePath) throws {
    self.path = path
    let files = path.path.simulation.makeProcess(named: "auditor", on: path.jobDisk).world.files
    commits = try BatchJournal.records(in: "/state/job/commits", files)
    plans = try BatchJournal.records(in: "/state/job/plans", files)
    var topic = Array(repeating: [Int64: String](), count: FaultyPath.partitions)
    for row in try path.path.readAll("in") { topic[row.partition][row.offset] = row.value ?? "" }
    self.topic = topic
  }

  private func read(_ range: OffsetRange) -> [String] {
    let rows = topic[Int(range.partition.rawValue)]
    return (range.from.rawValue..<range.until.rawValue).compactMap { rows[$0] }
  }

  /// - Returns: what does not hold.
  mutating func run() -> [String] {
    checkTiling()
    guard problems.isEmpty else { return problems }
    var model = OracleModel(path.definition)
    var outputs: [(record: BatchRecord, output: OracleModel.Output)] = []
    for record in commits {
      let watermark = model.watermark
      checkPlan(of: record, watermark)
      outputs.append((record, model.run(record, read)))
    }
    checkStates(outputs)
    check("windows", path.ledger.windows, outputs.map { ($0.record, $0.output.windows) })
    check("late records", path.ledger.late, outputs.map { ($0.record, $0.output.late) })
    let late = outputs.reduce(0) { $0 + $1.output.late.count }
    if late == 0 { checkUndisturbed(model, outputs.map(\.output)) }
    path.statistics.late = late
    path.statistics.equalToUndisturbed = late == 0 ? 1 : 0
    path.statistics.batches = commits.count
    path.statistics.records = topic.reduce(0) { $0 + $1.count }
    path.statistics.runs = path.jobs.count
    path.statistics.repeats = path.ledger.states.count - commits.count
    return problems
  }

  /// Decided batches follow each other in number and time, and their ranges cover every partition once.
  private mutating func checkTiling() {
    var next: [TopicPartition: Offset] = [:]
    var last: BatchRecord?
    for record in commits {
      if let last, record.batch.number <= last.batch.number || record.batch.time <= last.batch.time {
        problems.append("batch \(record.batch) is decided after \(last.batch)")
      }
      if record.outcome != .committed { problems.append("batch \(record.batch) was not committed") }
      last = record
      for range in record.ranges {
        let expected = next[range.topicPartition] ?? 0
        if range.from != expected { problems.append("batch \(record.batch.number): \(range) follows \(expected)") }
        next[range.topicPartition] = range.until
      }
    }
    for (index, rows) in topic.enumerated() {
      let reached = next[TopicPartition("in", PartitionIndex(Int32(index)))] ?? 0
      let end = (rows.keys.max() ?? -1) + 1
      if reached.rawValue < end { problems.append("in-\(index) was read up to \(reached) of \(end)") }
    }
  }

  /// Whether what a batch was planned from is past any loss.
  private var arePlansKept: Bool { path.sync == "all" || !path.hasLostPower }

  private mutating func checkPlan(of record: BatchRecord, _ watermark: Int64?) {
    guard let plan = plans.last(where: { $0.batch.number == record.batch.number }) else {
      if arePlansKept { problems.append("batch \(record.batch.number) was decided and has no plan") }
      return
    }
    if plan.batch != record.batch || plan.ranges != record.ranges {
      // A plan that a power loss took may come back out of the disk's order, but never behind its successor.
      problems.append("batch \(record.batch) was decided over \(record.ranges), planned \(plan.batch) \(plan.ranges)")
    }
    let noted = plan.notes.first { $0.key.hasPrefix("watermark ") }?.text
    let expected = watermark.map(String.init) ?? "-"
    if noted != expected {
      problems.append("batch \(record.batch.number) was planned with watermark \(noted ?? "none"), not \(expected)")
    }
  }

  private mutating func checkStates(_ outputs: [(record: BatchRecord, output: OracleModel.Output)]) {
    var kept: [BatchNumber: OracleLedger.Entry] = [:]
    for entry in path.ledger.states {
      guard let number = entry.number else { continue }
      if let before = kept[number], before.rows != entry.rows, arePlansKept {
        problems.append("batch \(number) was given as \(entry.rows), before as \(before.rows)")
      }
      kept[number] = entry
    }
    for (record, output) in outputs {
      let found = kept.removeValue(forKey: record.batch.number)
      if found?.rows != output.states {
        problems.append("states after batch \(record.batch): \(found?.rows ?? ["none"]) for \(output.states)")
      }
    }
    if !kept.isEmpty { problems.append("output of batches that were never decided: \(kept.keys.sorted())") }
  }

  /// What an action saw: of each decided batch at least once what the model gives, and nothing else as long as plans are
  /// kept.
  private mutating func check(
    _ what: String, _ entries: [OracleLedger.Entry], _ expected: [(record: BatchRecord, rows: [String])]
  ) {
    var seen = Dictionary(grouping: entries, by: \.time)
    for (record, rows) in expected {
      let found = seen.removeValue(forKey: record.batch.time.milliseconds) ?? []
      let counted = arePlansKept ? found : found.suffix(1)
      for entry in counted where entry.rows != rows {
        problems.append("\(what) of batch \(record.batch): \(entry.rows) for \(rows)")
      }
      if found.isEmpty { problems.append("\(what) of batch \(record.batch) were never given") }
    }
    if arePlansKept, !seen.isEmpty {
      problems.append("\(what) of batches that were never decided: \(seen.keys.sorted())")
    }
  }

  /// Nothing was late, so totals and windows do not depend on where batches end: they are those of the whole topic.
  private mutating func checkUndisturbed(_ model: OracleModel, _ outputs: [OracleModel.Output]) {
    var totals: [String: [Int]] = [:]
    var windows: [String: [Int]] = [:]
    for event in topic.flatMap({ $0.sorted { $0.key < $1.key }.map { OracleEvent($0.value) } }) {
      totals[event.key] = OracleDefinition.add(event.value, to: totals[event.key])
      let start = event.time - event.time % OracleDefinition.window
      if event.key != "far" {
        windows["\(event.key) \(start)"] = OracleDefinition.add(event.value, to: windows["\(event.key) \(start)"])
      }
    }
    /// Count and sum: the order of two partitions' records is that of the batches.
    func unordered(_ sums: [String: [Int]]) -> [String: [Int]] { sums.mapValues { Array($0.prefix(2)) } }
    if path.definition.state == .mapWithState, unordered(model.states) != unordered(totals) {
      problems.append("totals \(model.states) for \(totals)")
    }
    var given: [String: [Int]] = [:]
    for row in path.ledger.windows.flatMap(\.rows) {
      let parts = row.split(separator: " ", maxSplits: 2)
      guard parts.count == 3 else { continue }
      given["\(parts[0]) \(parts[1])"] =
        parts[2].dropFirst().dropLast().split(separator: ", ").compactMap { Int($0) }
    }
    if unordered(given) != unordered(windows) {
      let differing = Set(given.keys).union(windows.keys).filter { given[$0]?.prefix(2) != windows[$0]?.prefix(2) }
      problems.append("windows differ from the undisturbed run's: \(differing.sorted().prefix(5))")
    }
  }
}
