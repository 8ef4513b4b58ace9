import BenchmarkProcesses
import LinuxSystem
import Sluice

/// Measures how long a record takes from when it was to be sent until a consumer behind the job holds it.
@main struct Latency {
  static let spec = CommandSpec(
    name: "Latency", summary: "Measures how long records take from topic to topic, at several intervals and rates.",
    discussion: """
      The generator sends without linger, on a schedule that does not wait for answers: a batch a millisecond, or a record \
      where that is rarer. A record tells when it was to be sent, on the system's monotonic clock, so that a late \
      generator counts as well. The end is a process of its own that reads the job's output topic with read_committed and \
      looks at the clock when it holds the record. The job copies every value, in lz4. What was to be sent in the warm-up \
      is left out. Job, broker, generator and receiver are processes of their own on one machine. acks=all; broker flush \
      policy os; no plan and no file is synced: with exactly-once every batch is a transaction.
      MODE receive is that end, which this program starts itself.
      """,
    positionals: [.init("MODE", "receive, or nothing", required: false)],
    options: [
      .repeated("interval", "TIME", "batch interval (default: 1ms 5ms 20ms 100ms 1s)", format: .duration),
      .repeated("rate", "N", "records a second (default: 1000 10000 100000)", format: .integer(1...100_000_000)),
      .repeated("guarantee", "NAME", "only this guarantee", format: .choice(Guarantee.allCases.map(\.rawValue))),
      .value("for", "TIME", "how long each is measured", default: "60s", format: .duration),
      .value("warm-up", "TIME", "how long each runs before", default: "5s", format: .duration),
      .value("partitions", "N", "topic partitions", default: "4", format: .integer(1...1000)),
      .value("master", "local[N]", "executor threads", default: "local[2]"),
      .repeated("conf", "KEY=VALUE", "a setting of the job", format: .keyValue),
      .value("json", "PATH", "also write the rows as JSON"),
      .flag("smoke", "one short run for each guarantee: shows that it works"),
      .value("bootstrap-server", "HOST:PORT", "receive: brokers to begin with", short: "b", format: .addresses),
      .value("topic", "TOPIC", "receive: topic to read", default: "output"),
      .value("records", "N", "receive: ends when it has so many", default: "1", format: .integer(1...Int.max)),
    ],
    examples: [.init("Latency --interval 5ms --rate 10000", "one interval, one rate, both guarantees")])

  static func main() {
    do {
      let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
      if options.isHelpAsked { return TextOutput.standard.write(spec.helpText()) }
      switch options.positionals.first {
      case "receive": try Receiver(options).run()
      case nil: try Measuring(options).run()
      default: throw options.complaint(about: "MODE", "is not understood; write receive, or nothing")
      }
      TextOutput.standard.flush()
    } catch {
      TextOutput.standard.flush()
      TextOutput.error.write("Latency: \(error)\n")
      ThisProcess.exit(error is OptionError ? ExitCode.usage : ExitCode.failure)
    }
  }
}
