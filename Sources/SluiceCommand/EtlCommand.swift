import Sluice

/// `sluice etl`: topics to files, by the job KafkaToFiles.
enum EtlCommand: Command {
  static let spec = CommandSpec(
    name: "sluice etl", summary: "Moves topics to files, one line a record.",
    discussion: """
      Format text writes the value; json writes key, value, partition, offset, timestamp and headers. It runs the job \
      KafkaToFiles, which stands beside sluice.
      """,
    options: [
      .repeated("topic", "TOPIC", "a topic to move", short: "t", required: true),
      .value("to", "DIR", "folder for the files", required: true),
      .value("format", "FORMAT", "what a line holds", default: "text", format: .choice(["text", "json"])),
    ] + JobOptions.standard + SubmitCommand.supervision,
    examples: [
      .init("sluice etl --topic flights --to archive --format json --available-now", "what is there now, then end"),
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
    if try !options.isGiven("name") { own += ["--name", name] }
    let program = try SubmitCommand.program("KafkaToFiles", process)
    return try JobRun.run(program, name: name, own: own, options, process)
  }
}
