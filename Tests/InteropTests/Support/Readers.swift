import Groundwork
import LinuxSystem
import SystemInterfaces

/// Readers of what jobs wrote that are none of ours: a line for each record, in their order.
enum Independent {
  /// `kcat`: values, or key, a tab and value.
  static func kcat(_ broker: Address, _ topic: String, keys: Bool = false, committed: Bool = true) throws -> [String] {
    try lines(
      "kcat",
      [
        "-C", "-b", "\(broker)", "-t", topic, "-o", "beginning", "-e", "-q", "-f", keys ? "%k\\t%s\\n" : "%s\\n",
        "-X", "isolation.level=\(committed ? "read_committed" : "read_uncommitted")",
      ])
  }

  /// confluent-kafka: key, a tab and value of committed records.
  static func confluent(_ broker: Address, _ topic: String) throws -> [String] {
    try lines(try Program.python(), [Program.client("confluent_committed.py"), "\(broker)", topic])
  }

  /// Files, as Python reads them.
  static func files(_ folder: String) throws -> [String] {
    try lines(try Program.python(), [Program.client("read_files.py"), folder])
  }

  /// The `sqlite3` command.
  static func sqlite(_ database: String, _ query: String) throws -> [String] {
    try lines("sqlite3", ["-readonly", database, query])
  }

  private static func lines(_ program: String, _ arguments: [String]) throws -> [String] {
    let read = try run(program, arguments)
    guard read.exit.isSuccess else { throw SetupFailure("\(program) \(arguments): \(read.report)") }
    return read.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
  }
}

/// What is wrong with lines that are to be there once each, in any order; nil where nothing.
func missingOrDoubled(_ found: [String], _ expected: [String]) -> String? {
  var left: [String: Int] = [:]
  for line in expected { left[line, default: 0] += 1 }
  for line in found { left[line, default: 0] -= 1 }
  let wrong = left.filter { $0.value != 0 }.sorted { $0.key < $1.key }
  if wrong.isEmpty { return nil }
  let lost = wrong.reduce(0) { $0 + max(0, $1.value) }
  let extra = wrong.reduce(0) { $0 + max(0, -$1.value) }
  return "\(found.count) for \(expected.count): \(lost) missing, \(extra) too many, such as "
    + wrong.prefix(3).map { "\(-$0.value > 0 ? "+" : "")\(-$0.value) `\($0.key)`" }.joined(separator: ", ")
}

/// The seed of a test with chance in it, printed so that it can be had again.
func chosenSeed() -> UInt64 {
  let seed =
    ThisProcess.environment("SLUICE_SEED").flatMap { UInt64($0) } ?? LinuxRandomness().next() & 0x7FFF_FFFF
  print("seed \(seed): SLUICE_SEED repeats the choice of moments")
  return seed
}
