import Groundwork
import KafkaClients
import Simulation
import SystemInterfaces

@testable import FileStreaming
@testable import SQLStreaming
@testable import Streaming

/// Looks for a serial explanation of what the outputs of a job hold: batches that, run once each and one after the
/// other, give exactly that.
///
/// - Every record that an output takes is in it once (text: at least once), and nothing else.
/// - A record has the same batch in all outputs, and the counts of that batch are what the records of it give.
/// - Batches cover each partition of the input in its order; they follow each other in every output.
/// - Where nothing of the job's log was lost, these are the batches that it says were decided; they tile the input.
struct ExactCheck {
  private let definition: ExactDefinition
  private let path: PathHarness
  private let database: String
  private let checkpoint: String
  private let isLogWhole: Bool
  private let files: any FileStore
  private var problems: [String] = []

  /// - Parameters:
  ///   - disk: where checkpoint and files stand.
  ///   - database: the folder of the database files.
  ///   - isLogWhole: whether the commit log must hold every decided batch.
  init(
    _ definition: ExactDefinition, _ path: PathHarness, _ disk: SimulatedDisk, database: String,
    checkpoint: String = "/checkpoint", isLogWhole: Bool
  ) {
    self.definition = definition
    self.path = path
    self.database = database
    self.checkpoint = checkpoint
    self.isLogWhole = isLogWhole
    files = path.simulation.makeProcess(named: "auditor", on: disk).world.files
  }

  /// A line of an output: `1356998401000 7` or `1356998401000 k2 3`.
  private struct Line {
    var time: Int64
    var rest: String

    init?(_ text: String) {
      guard let space = text.firstIndex(of: " "), let time = Int64(text[..<space]) else { return nil }
      self.time = time
      rest = String(text[text.index(after: space)...])
    }
  }

  /// - Returns: what does not hold.
  mutating func run() throws -> [String] {
    var lines: [(output: ExactOutput, place: Int, lines: [Line])] = []
    for (place, output) in definition.outputs.enumerated() {
      lines.append((output, place, parse(try read(output, "lines"), "\(output)")))
    }
    guard problems.isEmpty else { return problems }
    let batches = explain(lines)
    if let counted = definition.counted {
      checkCounts(parse(try read(counted, "counts"), "counts in \(counted)"), counted, batches)
    }
    try checkLog(batches)
    try checkOffsets()
    return problems
  }

  private mutating func parse(_ texts: [String], _ what: String) -> [Line] {
    let lines = texts.compactMap { Line($0) }
    if lines.count != texts.count { problems.append("\(what): a line is torn: \(texts)") }
    return lines
  }

  // MARK: Reading

  /// The lines of an output, in their order.
  private mutating func read(_ output: ExactOutput, _ name: String) throws -> [String] {
    switch output {
    case .topic: return try path.readAll(name).map { $0.value ?? "" }
    case .table, .otherTable:
      let connection = try SQLiteConnection("\(database)/\(output).db")
      defer { connection.close() }
      var lines: [String] = []
      try connection.statement("SELECT line FROM \(name) ORDER BY rowid").rows { lines.append($0.text(0)) }
      var left = 0
      try connection.statement("SELECT count(*) FROM sluice_prepared").rows { left = Int($0.integer(0)) }
      if left > 0 { problems.append("\(output): rows of \(left) batches are left over") }
      return lines
    case .files, .otherFiles:
      let folder = "/\(output)/\(name)"
      let report = try FolderReport(directory: folder, files: files)
      problems += try report.verify().problems.map { "\(folder): \($0)" }
      // As a plain reader sees them: the job has ended, so all files have their names.
      var text = ""
      for name in try files.list(folder).sorted() where !PathPattern.isHidden(name) {
        text += String(try files.contents(of: "\(folder)/\(name)"))
      }
      return text.split(separator: "\n").map(String.init)
    case .text:
      let folders = try WholeFolder.all(below: "/text-\(name)", files)
      problems += folders.flatMap(\.flaws)
      return folders.flatMap(\.lines)
    }
  }

  // MARK: Records

  /// Finds the batch of each record, and the records of each batch, by the outputs.
  private mutating func explain(_ outputs: [(output: ExactOutput, place: Int, lines: [Line])]) -> [Int: Int64] {
    var batches: [Int: Int64] = [:]
    // What is there once says which batch it was.
    for (output, place, lines) in outputs.sorted(by: { $0.output.isExact && !$1.output.isExact }) {
      var times: [Int: [Int64]] = [:]
      for line in lines { times[Int(line.rest) ?? -1, default: []].append(line.time) }
      let expected = (0..<ExactDefinition.records).filter { definition.takes($0, at: place) }
      let missing = expected.filter { times[$0] == nil }
      if !missing.isEmpty { problems.append("\(output): \(missing) are missing") }
      let invented = times.keys.filter { !expected.contains($0) }.sorted()
      if !invented.isEmpty { problems.append("\(output): \(invented) are there") }
      for (number, times) in times.sorted(by: { $0.key < $1.key }) {
        if output.isExact, times.count > 1 {
          problems.append("\(output): \(number) is there \(times.count) times, in batches of \(times)")
        }
        guard let known = batches[number] else {
          // Of several copies the last is that of the batch that was decided.
          batches[number] = times.max()
          continue
        }
        if !times.contains(known) { problems.append("\(output): \(number) is of \(times), elsewhere of \(known)") }
      }
      if output.isExact, zip(lines, lines.dropFirst()).contains(where: { $0.time > $1.time }) {
        problems.append("\(output): batches are out of order: \(lines.map(\.time))")
      }
    }
    for partition in 0..<ExactDefinition.partitions {
      let numbers = batches.keys.filter { $0 % ExactDefinition.partitions == partition }.sorted()
      for (before, after) in zip(numbers, numbers.dropFirst()) where batches[before]! > batches[after]! {
        problems.append("record \(after) is in batch \(batches[after]!), \(before) in \(batches[before]!)")
      }
    }
    return batches
  }

  /// Each batch gives, for every key, the counts that follow those of the batch before.
  private mutating func checkCounts(_ lines: [Line], _ output: ExactOutput, _ batches: [Int: Int64]) {
    var expected: [String] = []
    var counts: [String: Int] = [:]
    let ordered = batches.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
    for (number, time) in ordered {
      let key = "k\(number % ExactDefinition.keys)"
      counts[key, default: 0] += 1
      expected.append("\(time) \(key) \(counts[key]!)")
    }
    // What no output takes says nothing of its batch.
    guard batches.count == ExactDefinition.records else {
      let found = lines.map(\.rest).sorted()
      let all = (0..<ExactDefinition.keys).flatMap { key in
        let count = (0..<ExactDefinition.records).filter { $0 % ExactDefinition.keys == key }.count
        return (1...count).map { "k\(key) \($0)" }
      }.sorted()
      if output.isExact ? found != all : Set(found) != Set(all) { problems.append("counts: \(found)") }
      return
    }
    let found = lines.map { "\($0.time) \($0.rest)" }
    if output.isExact {
      if found.sorted() != expected.sorted() {
        let (more, less) = (Set(found).subtracting(expected), Set(expected).subtracting(found))
        problems.append(
          "counts in \(output): \(more.sorted().prefix(5)) for \(less.sorted().prefix(5)), \(found.count) in all")
      }
    } else if !Set(found).isSuperset(of: expected) {
      problems.append("counts in \(output): \(Set(expected).subtracting(found).sorted().prefix(5)) are missing")
    }
  }

  // MARK: The log

  /// The decided batches tile the input, and hold the records that the outputs say they do.
  private mutating func checkLog(_ batches: [Int: Int64]) throws {
    let decided = try CheckpointReport(directory: checkpoint, files: files).decided
    var next: [Int32: Int64] = [:]
    var last: BatchRecord?
    for record in decided {
      if let last, record.batch.number <= last.batch.number || record.batch.time <= last.batch.time {
        problems.append("batch \(record.batch) is decided after \(last.batch)")
      }
      if record.outcome != .committed {
        problems.append("batch \(record.batch) is \(record.outcome.map { "\($0)" } ?? "")")
      }
      last = record
      for range in record.ranges {
        let partition = range.partition.rawValue
        if isLogWhole, range.from.rawValue != next[partition] ?? 0 {
          problems.append("batch \(record.batch.number): \(range) follows \(next[partition] ?? 0)")
        }
        next[partition] = max(next[partition] ?? 0, range.until.rawValue)
        for offset in range.from.rawValue..<range.until.rawValue {
          let number = Int(offset) * ExactDefinition.partitions + Int(partition)
          guard let time = batches[number], time != record.batch.time.milliseconds else { continue }
          problems.append("record \(number) is in batch \(record.batch), in outputs in that of \(time)")
        }
      }
    }
    let ends = (0..<ExactDefinition.partitions).map { next[Int32($0)] ?? 0 }
    if isLogWhole, ends != Self.ends { problems.append("the log ends at \(ends)") }
  }

  private static var ends: [Int64] {
    (0..<ExactDefinition.partitions).map { partition in
      Int64((ExactDefinition.records - partition + ExactDefinition.partitions - 1) / ExactDefinition.partitions)
    }
  }

  private mutating func checkOffsets() throws {
    let committed = try path.committed("in")
    if committed != Self.ends { problems.append("the group stands at \(committed)") }
  }
}
