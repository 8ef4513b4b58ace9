import BenchmarkProcesses
import Glibc
import LinuxSystem
import Sluice

/// Measures how soon a job that is started commits its first batch, and what an idle one holds.
@main struct ColdStart {
  static let spec = CommandSpec(
    name: "ColdStart", summary: "Measures the time from a job's start to its first committed batch, and idle memory.",
    discussion: """
      The broker runs already and its topic holds records; the job's files are in the page cache, after a run that does \
      not count. Time counts from before the process is made, on the system's monotonic clock, to the commit of the first \
      batch with records, as the job's listener hears it. Every start has a checkpoint folder and a group of its own. \
      Idle memory is what a job on an empty topic, and the broker, have in RAM after some seconds. Broker: flush policy \
      os; plans are not synced, and nothing is with at-least-once.
      """,
    options: [
      .value("starts", "N", "starts of each job", default: "20", format: .integer(1...1000)),
      .value("interval", "TIME", "batch interval", default: "10ms", format: .duration),
      .value(
        "idle", "TIME", "how long an idle job runs before its memory is looked at", default: "5s", format: .duration),
      .value("master", "local[N]", "executor threads", default: "local[2]"),
      .value("json", "PATH", "also write the figures as JSON"),
      .flag("smoke", "few starts: shows that it works"),
    ])

  private struct Row {
    var work: String
    var guarantee: Guarantee
    /// Milliseconds, sorted.
    var times: [Double]
    /// Processor time of a start and its end, in seconds.
    var processorSeconds: Double
    var peakMemory: Int
    var title: String { work == "copy" ? "topic to topic" : work }
  }

  static func main() {
    do {
      let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
      if options.isHelpAsked { return TextOutput.standard.write(spec.helpText()) }
      try measure(options)
      TextOutput.standard.flush()
    } catch {
      TextOutput.standard.flush()
      TextOutput.error.write("ColdStart: \(error)\n")
      ThisProcess.exit(error is OptionError ? ExitCode.usage : ExitCode.failure)
    }
  }

  private static func measure(_ options: Options) throws {
    let isSmoke = try options.flag("smoke")
    let folder = "\(ThisProcess.environment("TMPDIR") ?? "/tmp")/sluice-start-\(ThisProcess.pid)"
    defer { try? LinuxFileStore().removeTree(folder) }
    let bench = try Bench(
      folder, interval: try options.required("interval"), master: try options.required("master"))
    let starts = isSmoke ? 2 : try options.int("starts")!
    var rows: [Row] = []
    for (work, guarantee) in [("count", Guarantee.atLeastOnce), ("copy", .atLeastOnce), ("copy", .exactlyOnce)] {
      // The first is not counted: it brings the program into the page cache.
      let runs = try (0...starts).map { _ in try bench.start(work, guarantee) }.dropFirst()
      rows.append(
        Row(
          work: work, guarantee: guarantee, times: runs.map(\.milliseconds).sorted(),
          processorSeconds: median(runs.map(\.processorSeconds)), peakMemory: runs.map(\.peakMemory).max() ?? 0))
    }
    let idle = try bench.idle(seconds: isSmoke ? 1 : max(1, Int(try options.duration("idle")!.inSeconds)))
    let sizes = try bench.sizes()
    try bench.end()

    var table = TextTable([
      ("job", .left), ("guarantee", .left), ("starts", .right), ("median ms", .right), ("worst ms", .right),
      ("CPU ms", .right), ("peak MB", .right),
    ])
    for row in rows {
      table.add([
        row.title, row.guarantee.rawValue, "\(row.times.count)", HumanText.fixed(median(row.times), 1),
        HumanText.fixed(row.times.last ?? 0, 1), HumanText.fixed(row.processorSeconds * 1e3, 1),
        "\(row.peakMemory >> 20)",
      ])
    }
    TextOutput.standard.write(table.text)
    TextOutput.standard.write(
      "idle: job \(megabytes(idle.job)) MB, broker \(megabytes(idle.broker)) MB; "
        + "on disk: job \(megabytes(sizes.job)) MB, sluice \(megabytes(sizes.sluice)) MB\n")
    if let path = try options.string("json") {
      let items = rows.map { row in
        JSON.object([
          ("work", .text(row.work)), ("guarantee", .text(row.guarantee.rawValue)),
          ("plan_sync", .text(row.guarantee.planSync(hasState: false))), ("file_sync", .text("none")),
          ("median_ms", .number(median(row.times))), ("worst_ms", .number(row.times.last ?? 0)),
          ("starts", .integer(row.times.count)), ("cpu_seconds", .number(row.processorSeconds)),
          ("peak_memory_bytes", .integer(row.peakMemory)),
        ])
      }
      let result = JSON.object(
        Machine.facts("ColdStart") + [
          ("interval", .text(try options.required("interval"))), ("broker_flush", .text("os")),
          ("idle_job_bytes", .integer(idle.job)), ("idle_broker_bytes", .integer(idle.broker)),
          ("job_file_bytes", .integer(sizes.job)), ("sluice_file_bytes", .integer(sizes.sluice)),
          ("rows", .list(items)),
        ])
      try LinuxFileStore().replace(path, with: Bytes(result.rendered() + "\n"))
    }
  }

  private static func megabytes(_ bytes: Int) -> String { HumanText.fixed(Double(bytes) / 1e6, 1) }
}

/// A broker with a topic that holds some records, and one that is empty.
final class Bench {
  private static let records = 1_000
  private static let partitions = 4

  private let programs: Programs
  private let folder: String
  private let broker: BrokerProcess
  private let interval: String
  private let master: String
  private var number = 0

  init(_ folder: String, interval: String, master: String) throws {
    programs = try Programs()
    self.folder = folder
    self.interval = interval
    self.master = master
    try LinuxFileStore().createDirectories(folder)
    broker = try BrokerProcess(programs, folder: folder)
    for topic in ["lines", "empty", "output"] { try broker.makeTopic(topic, partitions: Bench.partitions) }
    _ = try MeasuredProcess.run(
      try programs.path("Generator"),
      [
        "fill", "-b", broker.address, "--topic", "lines", "--partitions", "\(Bench.partitions)", "--records",
        "\(Bench.records)", "--batch-size", "16384",
      ], log: "\(folder)/generator.log")
  }

  func end() throws { try broker.end() }

  private func command(_ work: String, _ input: String, _ guarantee: Guarantee) throws -> JobCommand {
    number += 1
    let own = "\(folder)/\(number)"
    try LinuxFileStore().createDirectories(own)
    return JobCommand(
      work: work, input: input, output: work == "copy" ? "output" : nil, name: "start-\(number)", folder: own,
      interval: interval, guarantee: guarantee, master: master, settings: [])
  }

  /// Starts a job, and lets it come to the end of its topic.
  func start(
    _ work: String, _ guarantee: Guarantee
  ) throws -> (milliseconds: Double, processorSeconds: Double, peakMemory: Int) {
    var command = try command(work, "lines", guarantee)
    command.drains = true
    let process = try command.start(programs, broker)
    let outcome = try process.finish()
    guard let committed = outcome.fields.int("first_commit_ns"), outcome.fields.int("records") ?? 0 >= Bench.records
    else { throw NothingCommitted(log: "\(command.folder)/job.log") }
    return (
      Double(Int64(committed) - process.began.nanoseconds) / 1e6, outcome.processorSeconds, outcome.peakMemory
    )
  }

  /// The memory of a job that has nothing to do, and of the broker.
  func idle(seconds: Int) throws -> (job: Int, broker: Int) {
    let process = try command("count", "empty", .atLeastOnce).start(programs, broker)
    usleep(UInt32(seconds) * 1_000_000)
    let memory = (process.residentMemory, broker.residentMemory)
    process.send(.terminate)
    _ = try process.finish(allowing: .terminate)
    return memory
  }

  /// Bytes of the programs' files.
  func sizes() throws -> (job: Int, sluice: Int) {
    let files = LinuxFileStore()
    return (
      Int(try files.attributes(try programs.path("MeasuredJob"))?.size ?? 0),
      Int(try files.attributes(programs.sluice)?.size ?? 0)
    )
  }
}

/// A job ended without a batch.
struct NothingCommitted: Error, CustomStringConvertible {
  var log: String
  var description: String { "the job ended without having read the topic: see \(log)" }
}
