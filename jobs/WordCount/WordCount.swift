import Sluice

/// Counts the words of the lines in one topic, batch by batch, into another.
@main struct WordCount: StreamingJob {
  static let summary = "Counts the words of each batch of lines and writes word and count to a topic."
  static let options: [OptionSpec] = [
    .value("input", "TOPIC", "topic of the lines", default: "lines"),
    .value("output", "TOPIC", "topic for the counts: key = word, value = count", default: "counts"),
  ]

  func define(_ context: StreamingContext, _ options: Options) throws {
    let lines = context.topicStream(try options.required("input"))
    let counts = lines.flatMap { $0.value.split(separator: " ") }.countByValue()
    counts.print()
    counts.saveToTopic(try options.required("output")) { word, count in
      ProducerRecord(key: word, value: "\(count)")
    }
  }
}
