import BenchmarkWorkload
import JobScheduling
import KafkaProtocol
import LinuxSystem
import Sluice
import Synchronization
import SystemInterfaces

/// Measures the engine's operators in memory, each beside a hand-written single-purpose loop over the same bytes.
@main struct Engine {
  static let spec = CommandSpec(
    name: "Engine", summary: "Measures operators over record batches in memory, beside hand-written loops.",
    discussion: """
      The input is uncompressed record batches of 100-byte lines (10 words out of 10,000, Zipf 1.0). Engine and loop walk \
      the same records; the loop runs on one thread. No guarantee is involved: nothing is written anywhere.
      """,
    options: [
      .value("records", "N", "records of the input", default: "2000000", format: .integer(1...100_000_000)),
      .value("keys", "N", "keys of the keyed cases", default: "1000000", format: .integer(1...100_000_000)),
      .value(
        "runs", "N", "runs; the fastest counts, of engine and loop in turn", default: "5", format: .integer(1...100)),
      .repeated("case", "NAME", "only these cases"),
      .value("json", "PATH", "also write the rows as JSON"),
      .flag("smoke", "a short run that shows that it works, not how fast"),
    ])

  static func main() throws {
    let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
    if options.isHelpAsked { return TextOutput.standard.write(spec.helpText()) }
    let isSmoke = try options.flag("smoke")
    let records = isSmoke ? 50_000 : try options.int("records")!
    let keys = isSmoke ? 10_000 : try options.int("keys")!
    let runs = isSmoke ? 1 : try options.int("runs")!
    let named = try options.all("case")
    let input = try Input(records: records, partitions: 4)
    let rows = try Cases.all(input, keys: keys).filter { named.isEmpty || named.contains($0.name) }
      .map { try $0.measure(runs: runs) }
    var table = TextTable([
      ("case", .left), ("items", .right), ("loop M/s", .right), ("1 executor M/s", .right), ("of the loop", .right),
      ("2 executors M/s", .right), ("times 1", .right),
    ])
    for row in rows {
      table.add([
        row.name, "\(row.items)", row.loop.map { fixed(row.rate($0)) } ?? "–", fixed(row.rate(row.one)),
        row.loop.map { "\(Int(($0 / row.one * 100).rounded())) %" } ?? "–", fixed(row.rate(row.two)),
        fixed(row.one / row.two),
      ])
    }
    TextOutput.standard.write(table.text)
    let empty = try EmptyBatches.measure(batches: isSmoke ? 200 : 20_000)
    TextOutput.standard.write("\nan empty batch from tick to commit, in memory: \(fixed(empty * 1e6)) µs\n")
    TextOutput.standard.flush()
    if let path = try options.string("json") {
      try LinuxFileStore().replace(path, with: Bytes(json(rows, empty: empty)))
    }
  }

  private static func fixed(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }

  private static func json(_ rows: [Row], empty: Double) -> String {
    let items = rows.map { row in
      """
        {"case":"\(row.name)","items":\(row.items),"loop_seconds":\(row.loop.map { "\($0)" } ?? "null"),\
      "one_executor_seconds":\(row.one),"two_executors_seconds":\(row.two)}
      """
    }
    return "{\"cases\":[\n\(items.joined(separator: ",\n"))\n],\n\"empty_batch_seconds\":\(empty)}\n"
  }
}

/// What one case took.
struct Row {
  var name: String
  /// Records or keys that one run handles.
  var items: Int
  /// Seconds of the hand-written loop, where there is one.
  var loop: Double?
  /// Seconds of the engine on one executor, and on two.
  var one: Double
  var two: Double

  /// Millions a second.
  func rate(_ seconds: Double) -> Double { Double(items) / seconds / 1e6 }
}

/// The input: record batches in memory, one list a partition.
struct Input: Sendable {
  let batches: [[Bytes]]
  let records: Int
  let lines: [Bytes]

  init(records wanted: Int, partitions: Int) throws {
    let workload = Workload(batchSize: 1 << 20, seed: 1)
    var builder = RecordBatchBuilder(capacity: 1 << 20)
    let batch = try workload.encode(&builder, .none, CodecWorkspace())
    let copies = max(1, (wanted + workload.records.count - 1) / workload.records.count)
    var lists = Array(repeating: [Bytes](), count: partitions)
    for copy in 0..<copies { lists[copy % partitions].append(batch) }
    batches = lists
    records = copies * workload.records.count
    lines = workload.records
  }

  /// The values of all records as a dataset.
  func dataset(_ context: SluiceContext) -> RDD<Bytes> {
    let batches = batches
    return RDD(
      context, label: "records", partitionCount: batches.count, dependencies: [], weight: { _ in 10_000_000 }
    ) { partition, task, emit in
      let workspace = task.locals.object(CodecWorkspace.self) { CodecWorkspace() }
      var chunk = Chunk<Bytes>()
      for batch in batches[partition] {
        try RecordBatch(batch).forEachRecord(using: workspace) { record in
          chunk.append(record.value!)
          if chunk.count == Chunk<Bytes>.usualCapacity {
            try emit(chunk.view)
            chunk.clear()
          }
        }
      }
      if chunk.count > 0 { try emit(chunk.view) }
    }
  }

  /// Every value, in order, on this thread.
  func visit(_ body: (Bytes) throws -> Void) throws {
    let workspace = CodecWorkspace()
    for list in batches {
      for batch in list { try RecordBatch(batch).forEachRecord(using: workspace) { try body($0.value!) } }
    }
  }
}

/// One thing that is measured.
struct Case {
  var name: String
  var items: Int
  /// The engine's way; gives a checksum of the result.
  var engine: @Sendable (SluiceContext) throws -> Int
  /// The hand-written loop, which must give the same.
  var loop: (() throws -> Int)?

  func measure(runs: Int) throws -> Row {
    var row = Row(name: name, items: items, loop: loop == nil ? nil : .infinity, one: .infinity, two: .infinity)
    let expected = try loop?()
    for _ in 0..<runs {
      if let loop {
        let began = LinuxClock().now
        _ = try loop()
        row.loop = min(row.loop!, (LinuxClock().now - began).inSeconds)
      }
      row.one = min(row.one, try run(executors: 1, expected))
      row.two = min(row.two, try run(executors: 2, expected))
    }
    return row
  }

  private func run(executors: Int, _ expected: Int?) throws -> Double {
    let live = LiveWorld.make(executors: executors)
    defer { live.stop() }
    let loop = EpollLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: live.world.runner)
    let context = SluiceContext(runner: scheduler, defaultParallelism: 2)
    let outcome = Mutex<Result<(seconds: Double, sum: Int), any Error>?>(nil)
    loop.post { [engine] in
      outcome.withLock { outcome in
        outcome = Result {
          let began = loop.now
          let sum = try engine(context)
          return ((loop.now - began).inSeconds, sum)
        }
      }
      loop.stop()
    }
    loop.waitUntilEnded()
    let result = try outcome.withLock { $0! }.get()
    if let expected, result.sum != expected { throw WrongResult(name: name, engine: result.sum, loop: expected) }
    return result.seconds
  }
}

/// Engine and loop disagree.
struct WrongResult: Error, CustomStringConvertible {
  var name: String
  var engine: Int
  var loop: Int
  var description: String { "\(name): the engine gave \(engine), the loop \(loop)" }
}
