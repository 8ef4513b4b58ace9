import Sluice

/// The job that the tests of exactly-once kill: numbered lines go to the outputs that the flags name, one or several of
/// different kinds, each line once.
@main struct KilledOutputs: StreamingJob {
  static let summary = "Copies numbered lines to a topic, to files and to a table, and counts their words."

  static let options: [OptionSpec] = [
    .value("input", "TOPIC", "topic of the lines: a number, then words", default: "input"),
    .value("topic", "TOPIC", "copies the lines to a topic"),
    .value("files", "DIR", "copies the lines to files that are rolled after 32 KiB or 150 ms"),
    .value(
      "compression", "CODEC", "of the files", default: "none", format: .choice(["none", "gzip", "zstd", "lz4"])),
    .value("database", "FILE", "copies the lines to its table `lines`, with their numbers"),
    .value("words", "TOPIC", "the words with their totals so far, whenever those change"),
    .value("word-files", "DIR", "the same as lines of files, with a tab between"),
    .value("word-database", "FILE", "the totals in its table `totals`, a row for each word"),
  ]

  func define(_ context: StreamingContext, _ options: Options) throws {
    let lines = context.topicStream(try options.required("input"))
    if let topic = try options.string("topic") {
      lines.saveToTopic(topic) { ProducerRecord(value: $0.value) }
    }
    if let folder = try options.string("files") {
      lines.saveToFiles(
        folder, compression: CompressionCodec(name: try options.required("compression")) ?? .none,
        rolling: RollingPolicy(size: 32 << 10, age: .milliseconds(150)))
    }
    if let path = try options.string("database") {
      lines.saveToSQLite(path, table: "lines", columns: [SQLColumn("number", .integer), SQLColumn("line", .text)]) {
        $1.append(KilledOutputs.number($0.value))
        $1.append(text: $0.value)
      }
    }
    let (topic, wordFolder) = (try options.string("words"), try options.string("word-files"))
    let wordDatabase = try options.string("word-database")
    guard topic != nil || wordFolder != nil || wordDatabase != nil else { return }
    let totals = KilledOutputs.totals(lines)
    if let topic { totals.saveToTopic(topic) { ProducerRecord(key: $0.0, value: "\($0.1)") } }
    if let wordFolder {
      totals.saveToFiles(
        wordFolder,
        format: .text { total, line in
          line.append(total.0)
          line.append("\t\(total.1)")
        }, rolling: RollingPolicy(size: 32 << 10, age: .milliseconds(150)))
    }
    if let wordDatabase {
      let columns = [SQLColumn("word", .text, isKey: true), SQLColumn("total", .integer)]
      totals.saveToSQLite(wordDatabase, table: "totals", columns: columns) {
        $1.append(text: $0.0)
        $1.append($0.1)
      }
    }
  }

  /// Each word with how often it came so far, whenever it came again.
  private static func totals(_ lines: DStream<ConsumerRecord>) -> DStream<(Bytes, Int)> {
    let added = lines.flatMap { KilledOutputs.words($0.value) }.map { ($0, 1) }.reduceByKey { $0 + $1 }
    let spec = StateSpec.function { (word: Bytes, new: Int?, state: State<Int>) -> (Bytes, Int) in
      let total = (state.get() ?? 0) + (new ?? 0)
      state.update(total)
      return (word, total)
    }
    return added.mapWithState(spec).named("totals")
  }

  static func number(_ line: Bytes) -> Int? {
    line.split(separator: UInt8(ascii: " ")).first { _ in true }.flatMap { Int($0) }
  }

  /// All but the number.
  static func words(_ line: Bytes) -> [Bytes] {
    Array(line.split(separator: UInt8(ascii: " ")).dropFirst())
  }
}
