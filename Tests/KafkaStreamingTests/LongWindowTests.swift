import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Simulation
import Streaming
import SystemInterfaces
import Testing

@testable import KafkaStreaming

/// Windows that reach back further than their source.
@Suite struct LongWindowTests {
  private static let window = Duration.seconds(600)
  private static let slide = Duration.seconds(10)

  private func sums(_ context: StreamingContext) {
    let pairs = context.topicStream("in").map { record -> (Bytes, Int) in
      let number = Int(record.value) ?? 0
      return (Bytes("k\(number % 7)"), number)
    }
    func save(_ windows: DStream<(Bytes, Int)>, _ name: String) {
      let rows = windows.named(name).transform { pairs, time in pairs.map { ($0.0, $0.1, time.milliseconds) } }
      rows.saveToTopic("out") { ProducerRecord(key: Bytes("\(name) \($0.2) \($0.0)"), value: "\($0.1)") }
    }
    save(pairs.reduceByKeyAndWindow(window: Self.window, slide: Self.slide) { $0 + $1 }, "panes")
    save(
      pairs.reduceByKeyAndWindow(window: Self.window, slide: Self.slide, inverse: { $0 - $1 }) { $0 + $1 }, "running")
    let counts = pairs.countByWindow(Self.window, slide: Self.slide).named("count")
    counts.transform { count, time in count.map { ($0, time.milliseconds) } }
      .saveToTopic("out") { ProducerRecord(key: Bytes("count \($0.1)"), value: "\($0.0)") }
  }

  /// Ten minutes over a topic that keeps one: the job is killed five times within a window, and each window is what the
  /// batches that the commit log names come to, though their records are long gone.
  @Test(arguments: [1, 2, 3] as [UInt64]) func aKillInTheMiddleOfTenMinutes(_ seed: UInt64) throws {
    let path = try PathHarness(seed: seed)
    path.killBroker()
    try path.startBroker { $0.retentionCheckInterval = .seconds(5) }
    try path.createTopic(
      "in", partitions: 2, settings: [("retention.ms", "60000"), ("segment.ms", "10000")])
    try path.createTopic("out")
    var random = SeededRandom(seed: seed)
    let disk = path.simulation.makeDisk(named: "job disk")
    // What each partition has held, gone or not.
    var produced: [[Int]] = [[], []]
    var number = 0
    func produce(_ seconds: Int) throws {
      for _ in 0..<seconds / 5 {
        let rows = (0..<Int(random.next() % 8)).map { _ -> Row in
          defer { number += 1 }
          let partition = Int(random.next() % 2)
          produced[partition].append(number)
          return Row(partition: partition, value: "\(number)")
        }
        try path.produce("in", rows)
        try path.simulation.run(for: .seconds(5))
      }
    }
    for life in 0..<6 {
      let job = try PathJob(path, interval: .seconds(2), checkpoint: "/state/job", disk: disk, sums)
      try job.start()
      try produce(100 + Int(random.next() % 80))
      #expect(job.end == [], "seed \(seed): \(job.end)")
      if life < 5 {
        try path.simulation.run(for: .milliseconds(Int64(random.next() % 2000)))
        job.process.kill()
        try produce(Int(random.next() % 20))
      } else {
        try job.stop()
        #expect(job.end == ["ended"], "seed \(seed)")
      }
    }
    let starts = try path.offsets("in", .earliest)
    let records = try BatchJournal.records(
      in: "/state/job/commits", path.simulation.makeProcess(named: "reader", on: disk).world.files)
    let last = try #require(records.last).batch.time.floor(to: Self.slide)
    var gone = 0
    var failures: [String] = []
    // The job's output is repeated by a batch that is run again: equal, or else it is not in the table.
    var found: [String: Set<String>] = [:]
    for row in try path.readAll("out") { found[row.key ?? "", default: []].insert(row.value ?? "") }
    var windows = 0
    for record in records {
      let end = record.batch.time.floor(to: Self.slide)
      guard record.previousTime.map({ end > $0 }) ?? (end == record.batch.time) else { continue }
      windows += 1
      var totals: [String: Int] = [:]
      var count = 0
      for batch in records where batch.batch.time > end - Self.window && batch.batch.time <= end {
        for range in batch.sources.flatMap(\.plan.ranges) {
          let partition = Int(range.partition.rawValue)
          if end == last, range.from.rawValue < starts[partition] { gone += range.isEmpty ? 0 : 1 }
          for offset in Int(range.from.rawValue)..<Int(range.until.rawValue) {
            totals["k\(produced[partition][offset] % 7)", default: 0] += produced[partition][offset]
            count += 1
          }
        }
      }
      var expected = ["count \(end.milliseconds)": count]
      for (key, sum) in totals {
        for form in ["panes", "running"] { expected["\(form) \(end.milliseconds) \(key)"] = sum }
      }
      let names = found.keys.filter { $0.split(separator: " ")[1] == "\(end.milliseconds)" }
      if names.count != expected.count || expected.contains(where: { found[$0.key] != ["\($0.value)"] }) {
        failures.append("seed \(seed), window to \(end): \(names.count) rows, should be \(expected)")
      }
    }
    #expect(failures.isEmpty, "\(failures.count) of \(windows): \(failures.prefix(2))")
    #expect(windows > 40 && gone > 20, "\(windows) windows; \(gone) ranges of the last one are gone")
  }

  /// A plain window keeps ranges, not elements: what is gone when it is read again goes to the data-loss policy.
  @Test(arguments: DataLossPolicy.allCases, [false, true]) func aPlainWindowAsksThePolicy(
    _ policy: DataLossPolicy, _ isRestarted: Bool
  ) throws {
    let path = try PathHarness()
    path.killBroker()
    try path.startBroker { $0.retentionCheckInterval = .seconds(1) }
    try path.createTopic("in", settings: [("retention.ms", "22000"), ("segment.ms", "1000")])
    let disk = path.simulation.makeDisk(named: "job disk")
    let seen = Cell<[(time: Int64, values: [String])]>([])
    let box = Cell<KafkaSource?>(nil)
    func start() throws -> PathJob {
      let job = try PathJob(
        path, settings: ["sluice.kafka.onDataLoss": policy.rawValue], checkpoint: "/state/job", disk: disk
      ) { context in
        context.topicStream("in").window(.seconds(60), slide: .seconds(1)).foreachRDD { dataset, time in
          seen.value.append((time.milliseconds, try dataset.map { String($0.value) }.collect().sorted()))
        }
      }
      box.value = job.context.sources.compactMap { $0 as? KafkaSource }[0]
      try job.start()
      return job
    }
    var job = try start()
    try path.produce("in", values: ["a", "b"])
    try path.simulation.run(for: .seconds(12))
    try path.produce("in", values: ["c"])
    try path.simulation.run(for: .seconds(5))
    #expect(seen.value.last?.values == ["a", "b", "c"])
    if isRestarted {
      job.process.kill()
      job = try start()
      try path.simulation.run(for: .seconds(2))
      #expect(seen.value.last?.values == ["a", "b", "c"], "\(job.end) \(job.log)")
    }
    // What it had in memory goes, and retention takes the first two records.
    try path.simulation.run(for: .seconds(10))
    box.value?.fetched.evictAll()
    seen.value = []
    try path.simulation.run(for: .seconds(3))
    let start = try path.offsets("in", .earliest)
    #expect(start == [2])
    let ledger = try gaps(disk, path)
    switch policy {
    case .fail:
      #expect(
        job.end.first?.contains("in-0, offsets 0 to 2, had to be read again and is no longer in the topic") == true)
      #expect(seen.value.isEmpty && ledger.isEmpty)
    case .earliest, .latest:
      #expect(job.end == [])
      #expect(seen.value.last?.values == ["c"], "\(seen.value)")
      #expect(Set(ledger) == ["partition=in-0 from=0 until=2 reason=retention"])
      #expect(job.log.contains { $0.hasPrefix("in-0: up to 2 records are lost (retention): batch ") }, "\(job.log)")
      try job.stop()
    }
  }

  private func gaps(_ disk: SimulatedDisk, _ path: PathHarness) throws -> [String] {
    let files = path.simulation.makeProcess(named: "reader", on: disk).world.files
    guard try files.attributes("/state/job/gaps.txt") != nil else { return [] }
    let file = try files.open("/state/job/gaps.txt", .read)
    var bytes = [UInt8](repeating: 0, count: Int(try file.size()))
    let count = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").map { line in
      line.split(separator: " ").filter { !$0.hasPrefix("time=") && !$0.hasPrefix("batch=") }.joined(separator: " ")
    }
  }
}
