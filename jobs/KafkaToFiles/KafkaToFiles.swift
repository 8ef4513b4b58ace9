import Sluice

/// Copies topics to text files, one line a record: `sluice etl` runs it.
@main struct KafkaToFiles: StreamingJob {
  static let summary = "Copies topics to files, one line a record."
  static let options: [OptionSpec] = [
    .repeated("topic", "TOPIC", "topic to copy; give it again for more", required: true),
    .value("to", "DIR", "folder for the files", required: true),
    .value(
      "format", "FORMAT", "text: the value; json: key, value, topic, partition, offset, timestamp, headers",
      default: "text", format: .choice(["text", "json"])),
  ]

  func define(_ context: StreamingContext, _ options: Options) throws {
    let records = context.topicStream(try options.all("topic"))
    let folder = try options.required("to")
    context.showProgress("etl")
    if try options.required("format") == "json" {
      records.saveAsTextFiles("\(folder)/records", suffix: "json") { record, line in line.append(json: record) }
    } else {
      records.saveAsTextFiles("\(folder)/records", suffix: "txt") { record, line in line.append(line: record.value) }
    }
  }
}
