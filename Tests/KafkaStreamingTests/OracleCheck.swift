import Datasets
import Groundwork
import Simulation
import SystemInterfaces

@testable import Streaming

/// Executes the recorded plans of a run once each, in order and on plain values, and compares with what the run gave.
///
/// What a power loss may take depends on `sluice.streaming.checkpoint.sync`:
/// - `all`: nothing. A batch that was begun is run again over the same input, however often; what was decided stays so.
/// - `commits`: plans. A batch that was begun and not decided may be run again over other input.
/// - `none`: decisions as well. The log then ends earlier, and what came behind its end is run again, perhaps in other
///   batches: outputs may hold batches that were never decided, and no record is lost.
///
/// In all three, and after every loss, the state is that of the log's last batch, and outputs hold all that it decided.
struct OracleCheck {
  typealias Decided = (record: BatchRecord, output: OracleModel.Output)

  let path: OraclePath
  let checkpoint: CheckpointReport
  private let plans: [BatchRecord]
  /// By partition and offset.
  private let topic: [[Int64: String]]
  private let rows: [Row]
  var problems: [String] = []

  init(_ path: OraclePath) throws {
    self.path = path
    let files = path.path.simulation.makeProcess(named: "auditor", on: path.jobDisk).world.files
    checkpoint = try CheckpointReport(directory: "/state/job", files: files)
    plans = try BatchJournal.records(in: "/state/job/plans", files).filter { $0.outcome == nil }
    var topic = Array(repeating: [Int64: String](), count: FaultyWorld.partitions)
    rows = try path.path.readAll("in")
    for row in rows { topic[row.partition][row.offset] = row.value ?? "" }
    self.topic = topic
  }

  private var commits: [BatchRecord] { checkpoint.decided }

  /// The values of a range, in their order.
  func read(_ range: OffsetRange) -> [String] {
    let rows = topic[Int(range.partition.rawValue)]
    return (range.from.rawValue..<range.until.rawValue).compactMap { rows[$0] }
  }

  /// Whether what a batch was planned from is past any loss.
  var arePlansKept: Bool { path.definition.sync == .all || !path.hasLostPower }
  /// Whether what was decided is.
  var areCommitsKept: Bool { path.definition.sync != .none || !path.hasLostPower }

  /// - Returns: what does not hold.
  mutating func run() throws -> [String] {
    problems += path.loaders.flaws(in: rows)
    checkTiling()
    checkPromises()
    checkSkipped()
    guard problems.isEmpty else { return problems }
    var model = OracleModel(path.definition)
    var outputs: [Decided] = []
    for record in commits {
      let watermark = model.watermark
      checkPlan(of: record, watermark)
      outputs.append((record, model.run(record, read)))
    }
    let committed = outputs.filter { $0.record.outcome == .committed }
    checkStates(committed)
    check("windows", path.ledger.windows, committed.map { ($0.record, $0.output.windows) })
    check("late records", path.ledger.late, committed.map { ($0.record, $0.output.late) })
    try checkCopies()
    let late = outputs.reduce(0) { $0 + $1.output.late.count }
    if late == 0 { checkUndisturbed(model, committed) }
    path.statistics.late = late
    path.statistics.equalToUndisturbed = late == 0 ? 1 : 0
    path.statistics.batches = commits.count
    path.statistics.skipped = commits.count - committed.count
    path.statistics.records = rows.count
    path.statistics.overlaps = path.listener.overlaps
    path.statistics.repeats = path.ledger.states.count - committed.count
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
      if record.outcome == .skipped, path.definition.policy != .skip {
        problems.append("batch \(record.batch) was skipped")
      }
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

  /// What was said to be decided is, and what was begun is begun again alike, as far as that is promised.
  private mutating func checkPromises() {
    let records = Dictionary(commits.map { ($0.batch.number, $0) }, uniquingKeysWith: { $1 })
    for told in path.listener.decided where areCommitsKept && !told.ranges.allSatisfy(\.isEmpty) {
      guard let record = records[told.batch.number], record.batch == told.batch, record.ranges == told.ranges else {
        problems.append("batch \(told.batch) over \(told.ranges) was decided and is not any more")
        continue
      }
    }
    var begun: [BatchNumber: OracleListener.Begun] = [:]
    for batch in path.listener.begun where arePlansKept && !wasGivenUp(batch) {
      let first = begun[batch.batch.number, default: batch]
      if first.batch != batch.batch || first.ranges != batch.ranges {
        problems.append("batch \(first.batch) over \(first.ranges) was run again as \(batch.batch), \(batch.ranges)")
      }
      begun[batch.batch.number] = first
    }
  }

  /// Whether a batch was computed on one before it that did not happen: it was given up with its plan, and nobody has seen
  /// anything of it.
  private func wasGivenUp(_ begun: OracleListener.Begun) -> Bool {
    path.listener.begun.contains { $0.run > begun.run && $0.batch.number.next == begun.batch.number }
  }

  /// The ledger of skipped batches names those that the log says were skipped, and no others.
  private mutating func checkSkipped() {
    let decided = commits.filter { $0.outcome == .skipped }
    let listed = checkpoint.skipped
    if listed.map(\.batch) != decided.map(\.batch) || listed.map(\.ranges) != decided.map(\.ranges) {
      problems.append("the ledger has skipped \(listed.map(\.batch)), the log \(decided.map(\.batch))")
    }
    if listed.contains(where: { $0.note("reason")?.isEmpty != false }) { problems.append("a skip has no reason") }
  }

  /// Whether something of a batch that was passed over may be in outputs: of an earlier run, which died with it. Where its
  /// plan was lost, that run's batch of the same number was another one.
  func mayShow(_ skipped: BatchIdentity) -> Bool {
    let attempts = path.listener.begun.filter {
      $0.batch == skipped || !arePlansKept && $0.batch.number == skipped.number
    }
    return Set(attempts.map(\.run)).count > 1
  }

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
    // The plan may go by a batch whose decision was lost, and which was passed over when it ran again.
    let mayGoFurther =
      !areCommitsKept && commits.contains { $0.outcome == .skipped && $0.batch.number < record.batch.number }
    if noted != expected, !mayGoFurther || (noted.flatMap { Int64($0) } ?? .min) < watermark ?? .min {
      problems.append("batch \(record.batch.number) was planned with watermark \(noted ?? "none"), not \(expected)")
    }
  }

  private mutating func checkStates(_ outputs: [Decided]) {
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
    for record in commits where record.outcome == .skipped && mayShow(record.batch) { kept[record.batch.number] = nil }
    // What moves nothing is not synced, and the last run need not make as many batches as a power loss took.
    if path.hasLostPower {
      let moving = Set(path.listener.begun.filter { !$0.ranges.allSatisfy(\.isEmpty) }.map(\.batch.number))
      kept = kept.filter { moving.contains($0.key) }
    }
    if areCommitsKept, !kept.isEmpty {
      problems.append("output of batches that were skipped or never decided: \(kept.keys.sorted())")
    }
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
    // An action has acted when a later part of its batch fails.
    for record in commits where record.outcome == .skipped { seen[record.batch.time.milliseconds] = nil }
    if arePlansKept, !seen.isEmpty {
      problems.append("\(what) of batches that were never decided: \(seen.keys.sorted())")
    }
  }

  /// Nothing was late, so totals and windows do not depend on where batches end: they are those of the whole topic, without
  /// what was passed over.
  private mutating func checkUndisturbed(_ model: OracleModel, _ outputs: [Decided]) {
    var totals: [String: [Int]] = [:]
    var windows: [String: [Int]] = [:]
    for event in outputs.flatMap(\.record.ranges).sorted(by: {
      ($0.topicPartition, $0.from) < ($1.topicPartition, $1.from)
    })
    .flatMap(read).map({ OracleEvent($0) }) {
      totals[event.key] = OracleDefinition.add(event.value, to: totals[event.key])
      let start = event.time - event.time % OracleDefinition.window
      if !event.isFar {
        windows["\(event.key) \(start)"] = OracleDefinition.add(event.value, to: windows["\(event.key) \(start)"])
      }
    }
    /// Count and sum: the order of two partitions' records is that of the batches.
    func unordered(_ sums: [String: [Int]]) -> [String: [Int]] { sums.mapValues { Array($0.prefix(2)) } }
    if path.definition.state == .mapWithState, unordered(model.states) != unordered(totals) {
      problems.append("totals \(model.states) for \(totals)")
    }
    var given: [String: [Int]] = [:]
    for row in outputs.flatMap(\.output.windows) {
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
