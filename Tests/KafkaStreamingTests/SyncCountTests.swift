import Datasets
import FileStreaming
import Groundwork
import KafkaClients
import Simulation
import Streaming
import SystemInterfaces
import Testing

@testable import KafkaStreaming

/// How often a batch waits for the disk: as often as its guarantee asks for, and not once more.
@Suite struct SyncCountTests {
  /// A job, and the syncs of a batch.
  struct Row: Sendable, CustomTestStringConvertible {
    var name: String
    var guarantee: String
    /// Syncs of a batch with records, and how often it waits for them: some run at the same time.
    var syncs: Int
    var waits: Int
    var define: @Sendable (StreamingContext) throws -> Void
    var testDescription: String { "\(name), \(guarantee)" }

    init(
      _ name: String, _ guarantee: String = "exactly-once", syncs: Int, waits: Int,
      _ define: @escaping @Sendable (StreamingContext) throws -> Void
    ) {
      self.name = name
      self.guarantee = guarantee
      self.syncs = syncs
      self.waits = waits
      self.define = define
    }
  }

  private static let toTopic: @Sendable (StreamingContext) throws -> Void = {
    $0.topicStream("in").saveToTopic("out") { ProducerRecord(value: $0.value) }
  }

  /// Values end in a digit, which says in which of so many folders they go.
  private static func toFiles(_ folders: UInt8, _ stream: DStream<ConsumerRecord>) {
    stream.map { $0.value }
      .saveToFiles(
        "/out", path: FilePath("part={part}", fields: ["part": { value in "\((value.last ?? 0) % folders)" }]))
  }

  private static let counts: @Sendable (StreamingContext) throws -> Void = { context in
    context.topicStream("in").map { ($0.value, 1) }
      .mapWithState(
        .function { (key: Bytes, value: Int?, state: State<Int>) -> (Bytes, Int) in
          let sum = (state.get() ?? 0) + (value ?? 0)
          state.update(sum)
          return (key, sum)
        }
      )
      .named("counts").saveToTopic("out") { ProducerRecord(key: $0.0, value: Bytes("\($0.1)")) }
  }

  static let rows: [Row] = [
    // The transaction decides, and the offsets that it commits say all there is to know.
    Row("topic", syncs: 0, waits: 0, toTopic),
    Row("topic", "at-least-once", syncs: 0, waits: 0, toTopic),
    // The files, then the manifest that decides.
    Row("files", syncs: 2, waits: 2) { toFiles(1, $0.topicStream("in")) },
    Row("files in five folders", syncs: 6, waits: 2) { toFiles(5, $0.topicStream("in")) },
    // The file with the manifest, before another decides; the end of the commit waits for nothing.
    Row("files", "at-least-once", syncs: 2, waits: 1) { toFiles(1, $0.topicStream("in")) },
    Row("topic and files", syncs: 2, waits: 1) { context in
      let stream = context.topicStream("in")
      stream.saveToTopic("out") { ProducerRecord(value: $0.value) }
      toFiles(1, stream)
    },
    // The state with the record that tells which version of it the transaction decides.
    Row("state to topic", syncs: 2, waits: 1, counts),
    Row("state to topic", "at-least-once", syncs: 1, waits: 1, counts),
    // Nobody but the commit log decides, and what it decided stays so.
    Row("action", syncs: 1, waits: 1) { $0.topicStream("in").foreachRDD { _ = try $0.collect() } },
    Row("action", "at-least-once", syncs: 0, waits: 0) { $0.topicStream("in").foreachRDD { _ = try $0.collect() } },
  ]

  @Test(arguments: rows) func aBatchSyncsWhatItMust(row: Row) throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    try path.createTopic("out", partitions: 2)
    let disk = path.simulation.makeDisk(named: "disk of the job")
    let job = try PathJob(
      path, interval: .milliseconds(100), settings: ["sluice.streaming.guarantee": row.guarantee],
      checkpoint: "/checkpoint", disk: disk, row.define)
    try job.start()
    func run(_ batches: Int, values: [String]) throws {
      for _ in 0..<batches {
        if !values.isEmpty { try path.produce("in", partitions: 2, values: values) }
        try job.advance()
      }
    }
    let values = (0..<10).map { "v\($0)" }
    // The first ones make files, and are kept whatever is asked for.
    try run(3, values: values)
    try job.advance(3)
    var before = disk.syncs
    let waitsBefore = disk.syncWaits
    let batches = job.batches.count { $0.numRecords > 0 }
    try run(10, values: values)
    try job.advance(3)
    let measured = job.batches.count { $0.numRecords > 0 } - batches
    #expect(measured >= 10 && disk.syncs - before == row.syncs * measured, "\(disk.syncs - before) in \(measured)")
    #expect(disk.syncWaits - waitsBefore == row.waits * measured, "\(disk.syncWaits - waitsBefore) in \(measured)")
    // Batches without records cost nothing, whatever is promised of them.
    before = disk.syncs
    let all = job.batches.count
    try job.advance(20)
    #expect(job.batches.count >= all + 19)
    #expect(disk.syncs == before)
    try job.stop()
    #expect(job.end == ["ended"])
  }
}
