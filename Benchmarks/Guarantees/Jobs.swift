import Sluice

/// A job under one guarantee: what is measured.
struct Job: Sendable {
  enum Output: Sendable { case topic, files, folders, sqlite, topicAndFiles, count }

  var output: Output
  var isExactlyOnce: Bool

  var guarantee: String { isExactlyOnce ? "exactly-once" : "at-least-once" }
  var writesTopic: Bool { output == .topic || output == .topicAndFiles || output == .count }

  init(_ output: Output, exactlyOnce: Bool) {
    self.output = output
    isExactlyOnce = exactlyOnce
  }

  /// `topic → files, exactly-once`.
  var name: String {
    let what =
      switch output {
      case .topic: "topic → topic"
      case .files: "topic → files"
      case .folders: "topic → files in 8 folders"
      case .sqlite: "topic → SQLite"
      case .topicAndFiles: "topic → topic + files"
      case .count: "counts of words → topic"
      }
    return "\(what), \(guarantee)"
  }

  /// The first is what all others are compared with.
  static let all = [
    Job(.topic, exactlyOnce: false), Job(.topic, exactlyOnce: true),
    Job(.files, exactlyOnce: false), Job(.files, exactlyOnce: true), Job(.folders, exactlyOnce: true),
    Job(.sqlite, exactlyOnce: true), Job(.topicAndFiles, exactlyOnce: true),
    Job(.count, exactlyOnce: false), Job(.count, exactlyOnce: true),
  ]

  /// Where a run writes.
  struct Places: Sendable {
    var input: String
    var topic: String
    var folder: String
    var database: String
  }

  /// - Parameter startingOffsets: where the job begins.
  func define(_ context: StreamingContext, _ places: Places, startingOffsets: StartingOffsets) {
    let records = context.topicStream(places.input, startingOffsets: startingOffsets)
    switch output {
    case .topic: records.saveToTopic(places.topic) { ProducerRecord(value: $0.value) }
    case .files: saveToFiles(records, places)
    case .folders:
      // By the first letter of a line.
      saveToFiles(records, places, path: FilePath("{part}", fields: ["part": { "\(($0.value.first ?? 0) % 8)" }]))
    case .topicAndFiles:
      records.saveToTopic(places.topic) { ProducerRecord(value: $0.value) }
      saveToFiles(records, places)
    case .sqlite:
      records.saveToSQLite(
        places.database, table: "lines",
        columns: [SQLColumn("part", .integer), SQLColumn("offset", .integer), SQLColumn("line", .text)]
      ) { record, row in
        row.append(Int(record.partition.rawValue))
        row.append(record.offset.rawValue)
        row.append(text: record.value)
      }
    case .count:
      let words = records.map { record in (record.value.prefix(through: UInt8(ascii: " ")), 1) }.reduceByKey(+)
      let counts = words.mapWithState(
        .function { (word: Bytes, more: Int?, state: State<Int>) -> (Bytes, Int) in
          let count = (state.get() ?? 0) + (more ?? 0)
          state.update(count)
          return (word, count)
        }
      )
      .named("counts")
      counts.saveToTopic(places.topic) { word, count in ProducerRecord(key: word, value: Bytes("\(count)")) }
    }
  }

  private func saveToFiles(
    _ records: DStream<ConsumerRecord>, _ places: Places, path: FilePath<ConsumerRecord> = ""
  ) {
    records.saveToFiles(
      places.folder,
      format: .text { record, writer in record.value.withUnsafeBytes { writer.append($0) } },
      rolling: RollingPolicy(size: 64 << 20), path: path)
  }
}

extension Bytes {
  /// Up to the first such byte, without it; all where there is none.
  func prefix(through byte: UInt8) -> Bytes {
    let end = withUnsafeBytes { $0.firstIndex(of: byte) } ?? count
    return self[0..<end]
  }
}
