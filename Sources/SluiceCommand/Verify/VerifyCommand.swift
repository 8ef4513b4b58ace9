import Groundwork
import LinuxSystem
import Sluice
import SystemInterfaces

/// `sluice verify`: kills a user's own job over and over, and counts what that lost and doubled.
enum VerifyCommand: Command {
  static let spec = CommandSpec(
    name: "sluice verify", summary: "Kills a job over and over, and counts what its outputs lost and doubled.",
    discussion: """
      The job runs twice over the same input, each time with a broker, a checkpoint and a working folder of its own: \
      once to its end without disturbance, and once with kill -9 at random moments while the input comes. Then each output \
      is compared: topics (committed records), files below --files and tables of --database, both as the job writes them \
      relative to its working folder; files that end in .gz, .zst or .lz4 are unpacked. The last line sums up; the exit \
      code is 1 where a record was lost or doubled.
      Outputs must not depend on where batches begin and end. Where they do, --compare sums adds up numbers by key (counts \
      for each batch), and --compare last takes the newest value of each key (running totals).
      """,
    positionals: [.init("JOB", "path or name of the job's executable")],
    options: [
      .repeated("input", "TOPIC", "a topic that the job reads (default: input)"),
      .value("partitions", "N", "partitions of the input topics", default: "4", format: .integer(1...1000)),
      .value("file", "FILE", "lines that go in, a record each, in place of generated ones"),
      .value("records", "N", "records that are generated", default: "20000", format: .integer(1...100_000_000)),
      .value("kill-every", "TIME", "mean time between kills", default: "200ms", format: .duration),
      .value("for", "TIME", "how long the input comes and the job is killed", default: "60s", format: .duration),
      .value("kills", "N", "end after so many kills, in place of --for", format: .integer(1...1_000_000)),
      .flag("kill-broker", "kill the broker as well, while the job runs or together with it: one of four kills"),
      .repeated("topic", "TOPIC", "an output topic to compare (default: all that the job made)", short: "t"),
      .repeated("files", "DIR", "a folder that the job writes files to"),
      .repeated("database", "FILE", "an SQLite database that the job writes to"),
      .value(
        "compare", "HOW", "what must be equal", default: "records", format: .choice(["records", "sums", "last"])),
      .value("batch-interval", "TIME", "the job's batch interval", default: "20ms", format: .duration),
      .value("work", "DIR", "where both runs live (default: a folder in /tmp, removed at the end)"),
      .value("seed", "N", "of the kills and the generated input", default: "1", format: .integer(0...Int(Int32.max))),
    ], rest: "job arguments",
    examples: [
      .init("sluice verify ./MyJob --input orders --kill-every 200ms --for 60s -- --region eu", "a job of one's own"),
      .init(
        "sluice verify WordCount --input lines --compare sums --for 10s -- --input lines --output counts",
        "counts for each batch, added up"),
      .init(
        "sluice verify KafkaToFiles --input orders --files out --kills 100 --kill-broker -- --topic orders --to out",
        "files, the broker killed too"),
    ])

  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let program = try SubmitCommand.program(options.positionals[0], process)
    let plan = try VerifyPlan(options, program: program, process)
    let stage = try VerifyStage(plan, process)
    defer { stage.end() }
    process.report("both runs are in \(stage.folder); \(plan.lines.count) records go in")
    try stage.reference.runWhole(plan.lines)
    let extent = plan.kills.map { "until it was killed \($0) times" } ?? "for \(plan.time.text) with kills"
    process.report("the undisturbed run is through; now \(extent)")
    let kills = try stage.disturbed.runKilled(plan.lines, plan, process)
    process.report(kills.text)
    let report = try VerifyReport(plan, stage, process)
    process.show(report.text(kills: kills.count))
    if !report.isClean { stage.keepsFolder = true }
    if !report.isClean { process.report("what both runs left stands in \(stage.folder)") }
    return report.isClean ? ExitCode.success : ExitCode.failure
  }
}

/// What is asked of `sluice verify`.
struct VerifyPlan {
  let program: String
  let arguments: [String]
  let inputs: [String]
  let partitions: Int
  let lines: [Bytes]
  let killEvery: Duration
  let time: Duration
  /// How many kills end it; nil: the time does.
  let kills: Int?
  let killsBroker: Bool
  let topics: [String]
  let folders: [String]
  let databases: [String]
  let comparison: VerifyComparison.Kind
  let interval: Duration
  let folder: String?
  let seed: UInt64

  init(_ options: Options, program: String, _ process: CommandProcess) throws {
    // The job runs in a folder of its own.
    self.program = Self.absolute(program)
    arguments = options.rest
    inputs = try options.all("input").isEmpty ? ["input"] : options.all("input")
    partitions = try options.int("partitions") ?? 4
    killEvery = max(.milliseconds(1), try options.duration("kill-every") ?? .milliseconds(200))
    time = try options.duration("for") ?? .seconds(60)
    kills = try options.int("kills")
    killsBroker = try options.flag("kill-broker")
    topics = try options.all("topic")
    folders = try options.all("files")
    databases = try options.all("database")
    comparison = VerifyComparison.Kind(rawValue: try options.required("compare")) ?? .records
    interval = try options.duration("batch-interval") ?? .milliseconds(20)
    folder = try options.string("work").map { Self.absolute($0) }
    seed = UInt64(try options.int("seed") ?? 1)
    if let file = try options.string("file") {
      lines = Array(try process.world.files.contents(of: file).split(separator: UInt8(ascii: "\n")).map(\.copied))
      if lines.isEmpty { throw CommandError("\(file) has no lines: nothing would go in", exitCode: ExitCode.usage) }
    } else {
      lines = Self.generated(try options.int("records") ?? 20_000, seed: seed)
    }
  }

  private static func absolute(_ path: String) -> String {
    path.hasPrefix("/") ? path : "\(ThisProcess.currentDirectory)/\(path)"
  }

  /// Lines of five words out of a hundred, each line with its number in front.
  static func generated(_ count: Int, seed: UInt64) -> [Bytes] {
    var random = SeededRandom(seed: seed)
    return (0..<count).map { number in
      Bytes("\(number) " + (0..<5).map { _ in "word\(random.next() % 100)" }.joined(separator: " "))
    }
  }
}
