import Sluice

/// The job that benchmarks measure, as somebody would write it who uses the engine: public face only, nothing tuned.
///
/// At its end it prints one line of name=value pairs: what its records came to, and how its batches went.
@main struct MeasuredJob: StreamingJob {
  static let summary = "Does one of the things that benchmarks measure, and says at the end what it came to."
  static let options: [OptionSpec] = [
    .value("input", "TOPIC", "topic to read", default: "lines"),
    .value(
      "work", "NAME",
      "count: records, lengths and hashes of values; filter: the same of values that hold \"ea\"; words: how often each "
        + "word occurs; window: the same over the last ten batches; copy: to a topic; files: to files, a line a record",
      required: true, format: .choice(["count", "filter", "words", "window", "copy", "files"])),
    .value("output", "TOPIC", "topic that copy writes to; with it filter, words and window write their results there"),
    .value("folder", "DIR", "folder that files writes to"),
    .value("warm-up", "TIME", "how long batches are left out of the figures", default: "0s"),
  ]

  func define(_ context: StreamingContext, _ options: Options) throws {
    let loop = context.environment.loop
    let report = BatchReport(
      began: loop.now, warmUp: Duration(text: try options.required("warm-up")) ?? .zero)
    context.addStreamingListener(report)
    let sums = Sums()
    let records = context.topicStream(
      try options.required("input"), startingOffsets: StartingOffsets(others: .earliest))
    switch try options.required("work") {
    case "count": Works.count(records, sums)
    case "filter": Works.filter(records, sums, output: try options.string("output"))
    case "words": Works.words(records, sums, output: try options.string("output"))
    case "window": Works.window(records, context.batchInterval, output: try options.string("output"))
    case "copy": Works.copy(records, to: try options.required("output"))
    default: Works.files(records, to: try options.required("folder"))
    }
    context.atEnd { context.print("\(sums.text) \(report.text)") }
  }
}
