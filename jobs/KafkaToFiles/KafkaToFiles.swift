import Sluice

/// Copies topics to files that are rolled by size and age, one line a record: `sluice etl` runs it.
@main struct KafkaToFiles: StreamingJob {
  static let summary = "Copies topics to files, one line a record."
  static let options: [OptionSpec] = [
    .repeated("topic", "TOPIC", "topic to copy; give it again for more", required: true),
    .value("to", "DIR", "folder for the files", required: true),
    .value(
      "format", "FORMAT",
      "text: the value; json and csv: topic, partition, offset, timestamp, key, value (json: headers)",
      default: "text", format: .choice(["text", "json", "csv"])),
    .value(
      "compression", "CODEC", "of the files", default: "none", format: .choice(["none", "gzip", "zstd", "lz4"])),
    .value(
      "path", "TEMPLATE", "folders below DIR, of {topic}, {partition}, {date}, {hour} … of the record's time",
      default: "{topic}"),
    .value("zone", "ZONE", "whose days and hours: UTC or +HH:MM", default: "UTC"),
    .value("roll-size", "BYTES", "a file of this size is closed: 64m, 1g", default: "128m"),
    .value("roll-age", "TIME", "a file of this age is closed", default: "10m", format: .duration),
  ]

  func define(_ context: StreamingContext, _ options: Options) throws {
    guard let size = RollingPolicy.bytes(text: try options.required("roll-size")) else {
      throw options.complaint(about: "roll-size", "is no size; write bytes, or 64k, 128m, 1g")
    }
    guard let zone = ZoneOffset(text: try options.required("zone")) else {
      throw options.complaint(about: "zone", "is no zone; write UTC or a distance from it such as +02:00")
    }
    let format: FileFormat<ConsumerRecord> =
      switch try options.required("format") {
      case "json": .json
      case "csv": .csv
      default: .values
      }
    context.showProgress("etl")
    context.topicStream(try options.all("topic")).saveToFiles(
      try options.required("to"), format: format,
      compression: CompressionCodec(name: try options.required("compression")) ?? .none,
      rolling: RollingPolicy(size: size, age: try options.duration("roll-age") ?? .seconds(600)),
      path: try options.required("path"), zone: zone)
  }
}
