import BenchmarkProcesses
import LinuxSystem
import Sluice

/// Finds how small a batch interval stays stable at a rate, and how high a rate at an interval.
@main struct BatchStability {
  static let spec = CommandSpec(
    name: "BatchStability",
    summary: "Finds the smallest stable batch interval at a rate, and the highest stable rate at an interval.",
    discussion: """
      Stable: over the time of a trial the 99th percentile of processing time (from a batch's start to its commit) is \
      within the interval, scheduling delay and lag do not grow, and no more than 1 % of the ticks fall together with the \
      one before, which is what a batch beyond that percentile may cause. Figures are printed with p99.9 and the maximum.
      Job, broker and generator are processes of their own on one machine, with their processor time apart; the generator \
      sends on a schedule that does not wait, a batch of lz4 a millisecond. Word count, filter and window write to a \
      topic, ETL to rolled files. Broker: flush policy os; acks=all; offsets are committed with each batch. Exactly-once: \
      a transaction a batch, or synced files and manifest; the window's state is synced, and its plans.
      The search doubles, then bisects to about an eighth, in short trials; what it finds is tried once more for the full \
      time, and given up in steps of a quarter where that fails.
      """,
    options: [
      .repeated("work", "NAME", "only these jobs", format: .choice(Work.allCases.map(\.rawValue))),
      .repeated("guarantee", "NAME", "only this guarantee", format: .choice(Guarantee.allCases.map(\.rawValue))),
      .value(
        "rate", "N", "records a second at which the smallest interval is looked for", default: "10000",
        format: .integer(1...100_000_000)),
      .repeated(
        "interval", "TIME", "an interval at which the highest rate is looked for (default: 20ms 200ms 1s)",
        format: .duration),
      .value("for", "TIME", "how long a result is tried", default: "30s", format: .duration),
      .value("search", "TIME", "how long the trials of the search are", default: "8s", format: .duration),
      .value("partitions", "N", "topic partitions", default: "4", format: .integer(1...1000)),
      .value("master", "local[N]", "executor threads", default: "local[2]"),
      .repeated("conf", "KEY=VALUE", "a setting of the job", format: .keyValue),
      .value("json", "PATH", "also write results and trials as JSON"),
      .value("svg", "PATH", "also draw the highest rates over the interval"),
      .flag("smoke", "one short trial of each job: shows that it works"),
    ],
    examples: [
      .init("BatchStability --work filter --guarantee at-least-once --interval 200ms", "one job, at one interval")
    ])

  static func main() {
    do {
      let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
      if options.isHelpAsked { return TextOutput.standard.write(spec.helpText()) }
      let isSmoke = try options.flag("smoke")
      let folder = "\(ThisProcess.environment("TMPDIR") ?? "/tmp")/sluice-stability-\(ThisProcess.pid)"
      defer { try? LinuxFileStore().removeTree(folder) }
      let stand = try Stand(
        folder: folder,
        partitions: try options.int("partitions")!, master: try options.required("master"),
        settings: try options.all("conf"), warmUp: isSmoke ? 1 : 4)
      let subjects = try subjects(options)
      if isSmoke { try smoke(stand, subjects) } else { try Measuring(stand, options).run(subjects) }
      try stand.end()
      TextOutput.standard.flush()
    } catch {
      TextOutput.standard.flush()
      TextOutput.error.write("BatchStability: \(error)\n")
      ThisProcess.exit(error is OptionError ? ExitCode.usage : ExitCode.failure)
    }
  }

  private static func subjects(_ options: Options) throws -> [Subject] {
    let works = try options.all("work")
    let guarantees = try options.all("guarantee")
    return Work.allCases.filter { works.isEmpty || works.contains($0.rawValue) }.flatMap { work in
      Guarantee.allCases.filter { guarantees.isEmpty || guarantees.contains($0.rawValue) }.map {
        Subject(work: work, guarantee: $0)
      }
    }
  }

  /// Whether jobs keep up is the machine's affair here; that they read everything is not.
  private static func smoke(_ stand: Stand, _ subjects: [Subject]) throws {
    try Search.check()
    // Each job once, under the guarantee that asks more of it.
    for subject in subjects where subject.guarantee == .exactlyOnce || subject.work == .filter {
      let trial = try stand.run(subject, rate: 2_000, interval: 50, seconds: 1, drains: true)
      TextOutput.standard.write("\(trial.line)\n")
      let (read, sent) = (trial.fields.int("records"), trial.generator.int("records"))
      guard let read, read == sent else {
        throw RecordsMissing(subject: subject, read: read ?? 0, sent: sent ?? 0)
      }
    }
  }
}

/// A job did not read what was sent.
struct RecordsMissing: Error, CustomStringConvertible {
  var subject: Subject
  var read: Int
  var sent: Int
  var description: String { "\(subject.title): \(read) records were read of \(sent) that were sent" }
}
