import Sluice

/// `sluice produce`: lines to records.
enum ProduceCommand: Command {
  static let spec = CommandSpec(
    name: "sluice produce", summary: "Writes lines from standard input or a file to a topic, a record each.",
    discussion: """
      Properties are those of Kafka's console producer: parse.key, key.separator (default: a tab), parse.headers, \
      headers.delimiter, headers.separator, headers.key.separator, null.marker, ignore.error.
      """,
    options: [
      ClientOptions.topic,
      .value("file", "FILE", "read this file instead of standard input", short: "f"),
      .repeated(
        "property", "KEY=VALUE", "how a line is read, such as parse.key=true", aliases: ["reader-property"],
        format: .keyValue),
      .value(
        "compression-codec", "CODEC", "how batches are compressed", short: "z",
        aliases: ["compression-type"], default: "none", format: .choice(["none", "gzip", "snappy", "lz4", "zstd"])),
      .value(
        "acks", "ACKS", "copies that must have a record before it counts", aliases: ["request-required-acks"],
        default: "all", format: .choice(["all", "-1", "1", "0"])),
    ] + ClientOptions.standard,
    examples: [
      .init("sluice produce --topic lines --file book.txt --compression-codec zstd", "a file, a record a line"),
      .init(
        "printf 'a,1\\nb,2\\n' | sluice produce -t pairs --property parse.key=true --property key.separator=,",
        "with keys"),
    ])
}
