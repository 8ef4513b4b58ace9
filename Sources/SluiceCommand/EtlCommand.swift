import Sluice

/// `sluice etl`: topics to files, by the job KafkaToFiles.
enum EtlCommand: Command {
  static let spec = CommandSpec(
    name: "sluice etl", summary: "Moves topics to files, one line a record.",
    discussion: """
      Format text writes the value; json writes key, value, topic, partition, offset, timestamp and headers; csv all but \
      the headers. Files are hidden while they are written and get their names when they are large or old enough, and when \
      the job ends; `sluice files ls DIR` shows both. It runs the job KafkaToFiles, which stands beside sluice.
      """,
    options: [
      .repeated("topic", "TOPIC", "a topic to move", short: "t", required: true),
      .value("to", "DIR", "folder for the files", required: true),
      .value("format", "FORMAT", "what a line holds", default: "text", format: .choice(["text", "json", "csv"])),
      .value(
        "compression", "CODEC", "of the files", default: "none", format: .choice(["none", "gzip", "zstd", "lz4"])),
      .value(
        "path", "TEMPLATE", "folders below DIR, of {topic}, {partition}, {date}, {hour} … of the record's time",
        default: "{topic}"),
      .value("zone", "ZONE", "whose days and hours: UTC or +HH:MM", default: "UTC"),
      .value("roll-size", "BYTES", "a file of this size is closed: 64m, 1g", default: "128m"),
      .value("roll-age", "TIME", "a file of this age is closed", default: "10m", format: .duration),
    ] + JobOptions.standard + SubmitCommand.supervision,
    examples: [
      .init("sluice etl --topic flights --to archive --format json --available-now", "what is there now, then end"),
      .init(
        "sluice etl -t flights --to archive --compression zstd --path '{topic}/dt={date}/hour={hour}'",
        "a folder for each hour, as Hive and Spark read them"),
      .init("sluice etl -b localhost:9092 --topic a --topic b --to /srv/archive --supervise", "day and night"),
    ])
}

extension EtlCommand {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let topics = try options.all("topic").flatMap { $0.split(separator: ",").map(String.init) }
    // The name is also the consumer group: other topics, another job.
    let name = "etl-" + topics.sorted().joined(separator: "+")
    var own: [String] = []
    for topic in topics { own += ["--topic", topic] }
    own += ["--to", try options.required("to"), "--format", try options.required("format")]
    own += options.arguments(only: ["compression", "path", "zone", "roll-size", "roll-age"])
    if try !options.isGiven("name") { own += ["--name", name] }
    let program = try SubmitCommand.program("KafkaToFiles", process)
    return try JobRun.run(program, name: name, own: own, options, process)
  }
}
