import Groundwork
import KafkaProtocol
import LinuxSystem
import Streaming
import SystemInterfaces
import Testing

extension InteropTests {
  /// A job over windows of ten minutes is killed while its topic keeps one minute: it goes on with the same windows.
  ///
  /// The records carry times of nearly a minute ago, so that retention takes them a few seconds after they were written.
  @Suite struct LongWindowKills {
    private static let age = Duration.milliseconds(57_500)
    private static let perLife = 1_000

    @Test func windowsGoOnWithoutTheirRecords() throws {
      let scratch = try Scratch()
      let broker = try BrokerProcess(in: scratch, settings: ["log.retention.check.interval.ms=100"])
      let client = LiveClient(broker.address)
      try client.createTopics([("left", 1)], settings: [("retention.ms", "60000"), ("segment.ms", "1000")])
      try client.createTopics([("panes", 1), ("running", 1)])
      var produced = 0
      let lives = 3
      for life in 1...lives {
        let job = try ChildProcess(
          Program.path("KilledTotals"),
          [
            "--bootstrap-server", "\(broker.address)", "--checkpoint", scratch.path + "/checkpoint", "--batch-interval",
            "100ms", "--window", "10m",
          ], environment: scratch.environment, output: .pipe, error: .pipe)
        let watch = Watchdog(job, 60)
        let before = try Self.batches(scratch).count
        try waitUntil("the job commits a batch, life \(life)") {
          try job.exitNow != nil || Self.batches(scratch).count > before
        }
        let records = (produced..<produced + Self.perLife).map { TestRecord(key: nil, value: Bytes("\($0)")) }
        let now = liveWorld.clock.wallTime
        try client.produce(records, to: "left", codec: .none, timestamp: now - Self.age)
        produced += Self.perLife
        try waitUntil("the job has committed \(produced) records, and a window over them, life \(life)") {
          let batches = try Self.batches(scratch)
          guard let read = batches.first(where: { Self.end($0) >= produced }) else { return job.exitNow != nil }
          return job.exitNow != nil || batches.filter { $0.batch.time > read.batch.time }.count > 4
        }
        job.send(life == lives ? .terminate : .kill)
        let ended = finish(job)
        watch.disarm()
        guard ended.exit == (life == lives ? .code(143) : .signal(9)) else {
          throw SetupFailure("life \(life): \(ended.report)")
        }
        if life < lives {
          try waitUntil("retention has taken all \(produced) records") {
            try client.start(of: "left").rawValue == produced
          }
        }
      }
      try Self.check(client, try Self.batches(scratch), produced)
    }

    private static func batches(_ scratch: Scratch) throws -> [BatchRecord] {
      try BatchJournal.records(in: scratch.path + "/checkpoint/commits", Scratch.files)
    }

    private static func end(_ batch: BatchRecord) -> Int {
      Int(batch.sources.flatMap(\.plan.ranges).map(\.until.rawValue).max() ?? 0)
    }

    /// A number's offset is the number itself, so the commit log says what each window holds.
    private static func check(_ client: LiveClient, _ batches: [BatchRecord], _ produced: Int) throws {
      var found: [String: [String: Set<String>]] = [:]
      for topic in ["panes", "running"] {
        for record in try client.readAll(topic) {
          found[topic, default: [:]][String(record.key ?? ""), default: []].insert(String(record.value ?? ""))
        }
      }
      var wrong: [String] = []
      var windows = 0
      var last = 0
      for batch in batches {
        let end = batch.batch.time.floor(to: .milliseconds(200))
        guard batch.previousTime.map({ end > $0 }) ?? (end == batch.batch.time) else { continue }
        windows += 1
        let ranges = batches.filter { $0.batch.time <= end }.flatMap { $0.sources.flatMap(\.plan.ranges) }
        last = ranges.reduce(0) { $0 + Int($1.until - $1.from) }
        var sums: [String: Int] = [:]
        // They follow each other from the first number on.
        for number in 0..<last { sums["k\(number % 13) \(end.milliseconds)", default: 0] += number }
        for (topic, rows) in found {
          let names = rows.keys.filter { $0.hasSuffix(" \(end.milliseconds)") }
          if names.count != sums.count || sums.contains(where: { rows[$0.key] != ["\($0.value)"] }) {
            wrong.append("\(topic) to \(end), \(last) records: \(names.map { "\($0): \(rows[$0] ?? [])" })")
          }
        }
      }
      #expect(wrong.isEmpty, "\(wrong.count) of \(windows): \(wrong.prefix(2))")
      #expect(last == produced && windows > 10)
      print("\(windows) windows over \(batches.count) batches; \(produced) records, all but the last \(perLife) gone")
    }
  }
}
