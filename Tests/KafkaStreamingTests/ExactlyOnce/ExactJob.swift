import Datasets
import FileStreaming
import Groundwork
import KafkaStreaming
import SQLStreaming
import Simulation

@testable import Streaming

/// A kind of output of an exactly-once job. In the order in which they are asked to decide: a topic before files, files
/// before a table; what is left follows, or (text) commits before the decision and may come twice.
enum ExactOutput: String, CaseIterable, Sendable {
  case topic, files, otherFiles, table, otherTable, text

  /// Whether each record is there exactly once, whatever dies.
  var isExact: Bool { self != .text }
}

/// A job that copies the numbered records of the topic `in` to its outputs, each line with its batch's time before it; and
/// that counts records by key, in state, into one of them.
///
/// No output takes every record: some batches have nothing for the decider, which decides them all the same.
struct ExactDefinition: CustomStringConvertible, Sendable {
  var outputs: [ExactOutput]
  /// The output that is given the counts too; nil where there are none.
  var counted: ExactOutput?
  /// The job's own, beside those that all jobs here have.
  var settings: [String: String] = [:]
  /// Called in a task with each record that goes to an output; may throw.
  var onRecord: (@Sendable (Int) throws -> Void)?

  /// All settings of the job.
  var allSettings: [String: String] {
    [
      "sluice.streaming.guarantee": "exactly-once", "sluice.kafka.maxRatePerPartition": "150",
      "sluice.streaming.backpressure.enabled": "false",
    ].merging(settings) { _, new in new }
  }

  /// A batch that fails is tried again by the same run.
  mutating func retry() {
    settings["sluice.streaming.onBatchFailure"] = "retry"
    settings["sluice.streaming.onBatchFailure.backoff"] = "10ms"
  }

  init(_ outputs: [ExactOutput], counted: ExactOutput? = nil) {
    self.outputs = outputs
    self.counted = counted
  }

  var description: String {
    outputs.map(\.rawValue).joined(separator: "+") + (counted.map { " counting in \($0)" } ?? "")
  }

  static let partitions = 2
  static let records = 36
  static let keys = 5
  static let interval = Duration.milliseconds(20)

  /// Whether the output at this place takes the record.
  func takes(_ number: Int, at place: Int) -> Bool { (number >> 3 + place) % 3 != 0 }

  /// The value of a record: `7`.
  static func number(_ value: Bytes) -> Int { Int(String(value)) ?? -1 }

  /// Defines the job.
  /// - Parameter database: the folder of the database files.
  func define(_ context: StreamingContext, database: String) {
    let input = context.topicStream("in", startingOffsets: .earliest)
    let lines = input.transform { dataset, time in
      dataset.map { record -> (Int, Bytes) in
        (Self.number(record.value), Bytes("\(time.milliseconds) \(String(record.value))"))
      }
    }
    for (place, output) in outputs.enumerated() {
      let taken = lines.filter { takes($0.0, at: place) }.map { line -> Bytes in
        try onRecord?(line.0)
        return line.1
      }
      save(taken, output, "lines", database)
    }
    guard let counted else { return }
    let spec = StateSpec.function { (key: String, value: Int?, state: State<Int>) -> String in
      let count = (state.get() ?? 0) + 1
      state.update(count)
      return "\(key) \(count)"
    }.numPartitions(2)
    let counts = input.map { record -> (String, Int) in
      let number = Self.number(record.value)
      return ("k\(number % Self.keys)", number)
    }.mapWithState(spec).named("counts").transform { dataset, time in
      dataset.map { count -> Bytes in Bytes("\(time.milliseconds) \(count)") }
    }
    save(counts, counted, "counts", database)
  }

  /// Lets state be written as snapshots every now and then, although there is little of it.
  static func keepStateSmall(_ context: StreamingContext) {
    StateCoordinator.of(context).logBytesMin = 300
    StateCoordinator.of(context).sliceBytesMin = 100
  }

  private func save(_ stream: DStream<Bytes>, _ output: ExactOutput, _ name: String, _ database: String) {
    switch output {
    case .topic: stream.saveToTopic(name) { ProducerRecord(value: $0) }
    case .files, .otherFiles:
      stream.saveToFiles(
        "/\(output)/\(name)", format: .text { line, text in text.append(line) },
        rolling: RollingPolicy(size: 90, age: .milliseconds(150)))
    case .table, .otherTable:
      stream.saveToSQLite("\(database)/\(output).db", table: name, columns: [SQLColumn("line", .text)]) { line, row in
        row.append(text: line)
      }
    case .text: stream.saveAsTextFiles("/text-\(name)/records") { line, text in text.append(line) }
    }
  }

  /// Fills the topic `in`: number after number, in turn to each partition.
  static func produceInput(_ path: PathHarness) throws {
    var batches = Array(repeating: [[Row]](), count: partitions)
    for number in 0..<records {
      let partition = number % partitions
      // Record batches of one and of two records in turn.
      if batches[partition].last?.count == 1, batches[partition].count % 2 == 0 {
        batches[partition][batches[partition].count - 1].append(Row(value: "\(number)"))
      } else {
        batches[partition].append([Row(value: "\(number)")])
      }
    }
    for (partition, batches) in batches.enumerated() {
      let now = path.simulation.wallTime
      try path.produce("in", partition: partition, batches: batches.map { try path.batch($0, timestamp: now) })
    }
  }
}
