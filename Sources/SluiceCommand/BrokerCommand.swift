import Groundwork
import LogBroker
import LogStorage
import Sluice
import SystemInterfaces

/// `sluice broker`: the embedded broker on its own, so that it outlives jobs.
enum BrokerCommand: Command {
  static let spec = CommandSpec(
    name: "sluice broker",
    summary: "Runs a broker of one node that Kafka clients can talk to.",
    discussion: """
      It prints its address when it is ready and ends with Ctrl-C. Jobs and commands without --bootstrap-server find it \
      by its data folder.
      What it acknowledged survives the death of the process; with --flush sync also a power loss.
      """,
    options: [
      .value(
        "listen", "HOST:PORT", "where to listen; port 0 takes a free one", default: "127.0.0.1:9092", format: .address),
      .value("data", "DIR", "data folder (default: $XDG_STATE_HOME/sluice/broker)"),
      .value(
        "flush", "WHEN", "what an acknowledgement waits for: os, or sync, which asks the disk", default: "os",
        format: .choice(["os", "sync"])),
      .repeated("config", "KEY=VALUE", "a setting of the broker, such as num.partitions=4", format: .keyValue),
    ],
    examples: [
      .init("sluice broker", "on 127.0.0.1:9092, found by jobs and commands of this user"),
      .init("sluice broker --listen 0.0.0.0:9093 --data /var/lib/sluice --flush sync", "for others on the network"),
    ])
}
extension BrokerCommand {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let folder = try options.string("data") ?? StateDirectory(environment: process.environment).broker
    let settings = try BrokerSettings(try options.properties("config"))
    let flush = try options.string("flush").flatMap { FlushPolicy(rawValue: $0) } ?? .os
    let address = try options.address("listen")
    let found = try EmbeddedBroker.start(process.world, dataDirectory: folder, processID: process.pid) {
      if let address { $0.listenAddress = address }
      $0.flushPolicy = flush
      settings.apply(to: &$0)
      $0.log = { [error = process.error] line in error.write("sluice broker: \(line)\n") }
    }
    process.show("broker ready at \(found.address), data in \(folder); Ctrl-C ends it\n")
    process.output.flush()
    defer { found.owned?.stop(waitingOn: process.loop) }
    try process.pump { false }
    return ExitCode.success
  }
}

/// The broker's settings by Kafka's names.
private struct BrokerSettings {
  private var partitionCount: Int?
  private var createsTopics: Bool?
  private var retentionCheckInterval: Duration?
  private var defaults = LogConfiguration()

  /// Broker names of what topics call otherwise (Kafka documentation, "Server Default Property").
  private static let topicNames = [
    "log.cleanup.policy": "cleanup.policy", "log.index.interval.bytes": "index.interval.bytes",
    "log.message.timestamp.type": "message.timestamp.type", "log.retention.bytes": "retention.bytes",
    "log.retention.ms": "retention.ms", "log.roll.jitter.ms": "segment.jitter.ms", "log.roll.ms": "segment.ms",
    "log.segment.bytes": "segment.bytes", "message.max.bytes": "max.message.bytes",
  ]

  init(_ properties: [String: String]) throws {
    var topicSettings: [String: String] = [:]
    let interval = "log.retention.check.interval.ms"
    let known = ["num.partitions", "auto.create.topics.enable", interval] + Self.topicNames.keys.sorted()
    for (name, value) in properties.sorted(by: { $0.key < $1.key }) {
      switch name {
      case "num.partitions":
        guard let count = Int(value), (1...10_000).contains(count) else {
          throw CommandError("--config num.partitions: `\(value)` is not 1 to 10000", exitCode: ExitCode.usage)
        }
        partitionCount = count
      case "auto.create.topics.enable":
        guard value == "true" || value == "false" else {
          throw CommandError(
            "--config auto.create.topics.enable: `\(value)` is neither true nor false", exitCode: ExitCode.usage)
        }
        createsTopics = value == "true"
      case interval:
        guard let milliseconds = Int64(value), milliseconds >= 1 else {
          throw CommandError("--config \(interval): `\(value)` is not at least 1", exitCode: ExitCode.usage)
        }
        retentionCheckInterval = .milliseconds(milliseconds)
      default:
        guard let topicName = Self.topicNames[name] else {
          let hint = Suggestions.nearest(to: name, among: known).map { "; did you mean \($0)?" }
          throw CommandError(
            "--config: the broker has no setting \(name)\(hint ?? "; it has \(known.joined(separator: ", "))")",
            exitCode: ExitCode.usage)
        }
        topicSettings[topicName] = value
      }
    }
    do throws(LogError) {
      defaults = try defaults.applying(topicSettings)
    } catch {
      throw CommandError("--config: \(error)", exitCode: ExitCode.usage)
    }
  }

  func apply(to configuration: inout BrokerConfiguration) {
    if let partitionCount { configuration.defaultPartitionCount = partitionCount }
    if let createsTopics { configuration.createsTopicsOnDemand = createsTopics }
    if let retentionCheckInterval { configuration.retentionCheckInterval = retentionCheckInterval }
    configuration.topicDefaults = defaults
  }
}
