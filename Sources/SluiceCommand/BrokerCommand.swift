import Sluice

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
extension BrokerCommand { static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 { 1 } }
extension ProduceCommand { static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 { 1 } }
extension ConsumeCommand { static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 { 1 } }
