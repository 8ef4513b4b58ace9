import Sluice

/// `sluice consume`: records to lines.
enum ConsumeCommand: Command {
  static let spec = CommandSpec(
    name: "sluice consume", summary: "Prints a topic's records, a line each, until Ctrl-C or a limit.",
    discussion: """
      Without --from-beginning, --offset or --group it shows what arrives from now on.
      Properties are those of Kafka's console consumer: print.timestamp, print.partition, print.offset, print.headers, \
      print.key, print.value, key.separator (default: a tab), line.separator, headers.separator, null.literal.
      """,
    options: [
      ClientOptions.topic,
      .value("partition", "N", "only this partition", short: "p", format: .integer(0...Int(Int32.max))),
      .value("offset", "OFFSET", "where to begin in it: a number, earliest or latest", short: "o"),
      .flag("from-beginning", "begin with the oldest record"),
      .value("max-messages", "N", "end after so many records", short: "n", format: .integer(1...Int.max)),
      .value(
        "timeout-ms", "MS", "end when nothing came for so long", format: .integer(1...Int(Int32.max))),
      .value("group", "GROUP", "go on from this group's offsets, and commit them", short: "g"),
      .repeated(
        "property", "KEY=VALUE", "how a record is shown, such as print.key=true", aliases: ["formatter-property"],
        format: .keyValue),
      .value(
        "isolation-level", "LEVEL", "whether records of open and aborted transactions are hidden",
        default: "read_committed", format: .choice(["read_committed", "read_uncommitted"])),
    ] + ClientOptions.standard,
    examples: [
      .init("sluice consume --topic lines --from-beginning --timeout-ms 1000", "all there is"),
      .init(
        "sluice consume -t delays -b localhost:9092 --property print.key=true --property key.separator=,",
        "what arrives, with keys"),
    ])
}
