import KafkaProtocol
import LinuxSystem
import Sluice

/// Measures what each guarantee costs: jobs that differ in nothing but their output and its guarantee, over the same input
/// in one run.
@main struct Guarantees {
  static let spec = CommandSpec(
    name: "Guarantees", summary: "Measures what each guarantee costs, beside at-least-once over the same input.",
    discussion: """
      Records of 100 bytes, one broker in this process, four partitions. Two loads. Drain: each job works through the \
      same backlog, batch after batch; records a second, time of a batch from its tick to its commit. Steady: so many \
      records a second arrive while the job runs with small batches; a job is stable where it keeps up.
      Durability: the broker's flush policy is os, so topics and transactions survive the death of the process and not a \
      power loss. Files are synced where a sink or the job's checkpoint asks for it (exactly-once files, databases, state \
      and decisions survive a power loss), and SQLite commits with synchronous=FULL: these rows pay for the disk, and \
      depend on how long it takes to sync. Every job has a checkpoint folder. Syncs and requests are those of the job, by \
      the batch with records; a database's own syncs are not seen. Log growth is what is appended in 1,000 batches, \
      before logs are compacted or rotated. Absolute figures depend on the machine: compare within a run.
      """,
    options: [
      .value("records", "N", "records of the backlog", default: "2000000", format: .integer(1...1_000_000_000)),
      .value("rate", "N", "records a second of the steady load", default: "10000", format: .integer(1...1_000_000)),
      .repeated("interval", "TIME", "batch intervals of the steady load; 5ms and 20ms where none is given"),
      .value("time", "TIME", "how long each job runs under the steady load", default: "5s"),
      .value("partitions", "N", "partitions of each topic", default: "4", format: .integer(1...1000)),
      .value("master", "local[N]", "executor threads", default: "local[2]"),
      .value("runs", "N", "drains of each job, in turn; the median counts", default: "3", format: .integer(1...100)),
      .repeated("only", "TEXT", "only jobs whose name contains this, and the first"),
      .repeated("conf", "KEY=VALUE", "a setting of the jobs"),
      .value("json", "PATH", "also write the rows as JSON"),
      .flag("smoke", "a short run that shows that it works, not how fast"),
    ])

  static func main() throws {
    let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
    if options.isHelpAsked { return TextOutput.standard.write(spec.helpText()) }
    let isSmoke = try options.flag("smoke")
    guard let master = Master(text: try options.required("master")) else {
      throw options.complaint(about: "master", "is not understood; write local[2]")
    }
    let named = try options.all("interval")
    let intervals = try (named.isEmpty ? (isSmoke ? ["20ms"] : ["5ms", "20ms"]) : named).map { text in
      guard let interval = Duration(text: text) else {
        throw options.complaint(about: "interval", "is not a duration; write 5ms")
      }
      return interval
    }
    let rate = try options.int("rate")!
    let time = isSmoke ? .milliseconds(200) : try options.duration("time")!
    let only = try options.all("only")
    let jobs = Job.all.enumerated().filter { index, job in
      index == 0 || only.isEmpty || only.contains { job.name.contains($0) }
    }.map(\.element)

    let stage = try Stage(
      records: isSmoke ? 40_000 : try options.int("records")!, partitions: try options.int("partitions")!,
      executors: master.executorCount(cores: LiveWorld.processorCount))
    defer { stage.end() }
    let runner = Runner(stage, settings: try options.properties("conf"))
    let runs = isSmoke ? 1 : try options.int("runs")!
    var drains = Array(repeating: [Run](), count: jobs.count)
    for _ in 0..<runs {
      for (index, job) in jobs.enumerated() { drains[index].append(try runner.drain(job)) }
    }
    var rows = zip(jobs, drains).map { job, runs in
      Row(job: job, drain: runs.sorted { $0.seconds < $1.seconds }[runs.count / 2])
    }
    TextOutput.standard.write("drain of \(stage.records) records\n\(Report.drains(rows))\n")
    TextOutput.standard.flush()
    for interval in intervals {
      for index in rows.indices {
        let run = try runner.steady(rows[index].job, recordsPerSecond: rate, interval: interval, for: time)
        rows[index].steady.append(Row.Steady(interval: interval, run: run))
      }
      TextOutput.standard.write(
        "\(rate) records a second, batches of \(interval.text)\n\(Report.steady(rows, interval))\n")
      TextOutput.standard.flush()
    }
    TextOutput.standard.write("bytes appended in 1,000 batches of \(intervals[0].text)\n\(Report.growth(rows))")
    TextOutput.standard.flush()
    if let path = try options.string("json") { try LinuxFileStore().replace(path, with: Bytes(Report.json(rows))) }
  }
}

/// All that was measured of one job.
struct Row {
  struct Steady {
    var interval: Duration
    var run: Run
  }
  var job: Job
  var drain: Run
  var steady: [Steady] = []
}
