import Dispatch
import Groundwork
import KafkaProtocol
import LinuxSystem
import SystemInterfaces
import Testing

extension InteropTests {
  /// A job with state and windows of event time, killed again and again while producers go on: it ends with what the
  /// topics' content comes to, each batch's output there once.
  @Suite struct StatefulKills {
    static let kills = ThisProcess.environment("SLUICE_LONG") == nil ? 20 : 200
    private static let inputs = ["left", "right"]

    @Test func stateAndWindowsAreThoseOfAnUndisturbedJob() throws {
      let seed = ThisProcess.environment("SLUICE_SEED").flatMap { UInt64($0) } ?? LinuxRandomness().next()
      print("seed \(seed): SLUICE_SEED repeats the choice of moments")
      var random = SeededRandom(seed: seed)
      let scratch = try Scratch()
      let broker = try BrokerProcess(in: scratch, seed: seed)
      let client = LiveClient(broker.address)
      try client.createTopics(Self.inputs.map { ($0, 1) })
      let producers = Self.inputs.map { PersistentProducer(client, topic: $0) }
      for producer in producers { producer.start() }

      for kill in 1...Self.kills {
        let job = try Self.start(broker, scratch)
        let watch = Watchdog(job, 60)
        // Every third kill falls into the start, where the job reads back what the last one left.
        if kill % 3 != 0 {
          var changes = Int(random.next() % 6) + 1
          var last = try Self.committedBytes(scratch)
          try waitUntil("the job commits batches before kill \(kill), seed \(seed)") {
            let now = try Self.committedBytes(scratch)
            if now != last { changes -= 1 }
            last = now
            return changes <= 0 || job.exitNow != nil
          }
        }
        // The time of the fault itself, not a wait for anything.
        let moment = random.next() % (kill % 3 == 0 ? 150_000 : 20_000)
        _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .microseconds(Int(moment)))
        job.send(.kill)
        let killed = finish(job)
        watch.disarm()
        guard killed.exit == .signal(9) else {
          throw SetupFailure("kill \(kill), seed \(seed): the job had ended before: \(killed.report)")
        }
      }
      for producer in producers {
        let outcome = try producer.stop()
        #expect(outcome.failures.isEmpty, "seed \(seed): \(outcome.failures.prefix(3))")
      }
      // The first `end` carries the watermark past all windows, and a batch goes by the watermark of those before it.
      for _ in 1...2 {
        for topic in Self.inputs {
          try client.produce([TestRecord(key: nil, value: "end")], to: topic, codec: .none)
        }
        let last = finish(try Self.start(broker, scratch, ["--available-now"]))
        #expect(last.exit == .code(0), "seed \(seed): \(last.report)")
      }
      try Self.check(client, seed)
    }

    private static func start(
      _ broker: BrokerProcess, _ scratch: Scratch, _ more: [String] = []
    ) throws -> ChildProcess {
      try ChildProcess(
        Program.path("KilledTotals"),
        [
          "--bootstrap-server", "\(broker.address)", "--checkpoint", scratch.path + "/checkpoint", "--batch-interval",
          "20ms",
        ] + more, environment: scratch.environment, output: .pipe, error: .pipe)
    }

    /// Changes with each batch that the job commits.
    private static func committedBytes(_ scratch: Scratch) throws -> Int {
      let folder = scratch.path + "/checkpoint/commits"
      guard try Scratch.files.attributes(folder) != nil else { return 0 }
      return try Scratch.files.list(folder).reduce(0) {
        $0 + Int(try Scratch.files.attributes("\(folder)/\($1)")?.size ?? 0)
      }
    }

    private struct Total: Equatable {
      var count = 0
      var sum = 0
    }

    /// Holds the job's topics against a plain computation over its inputs: see `KilledTotals`.
    private static func check(_ client: LiveClient, _ seed: UInt64) throws {
      var totals: [String: Total] = [:]
      var windows: [String: Int] = [:]
      var read = 0
      for record in try inputs.flatMap({ try client.readAll($0) }) {
        let number = Int(String(record.value ?? ""))
        read += 1
        let key = number.map { "k\($0 % 13)" } ?? "end"
        totals[key, default: Total()].count += 1
        totals[key, default: Total()].sum += number ?? 0
        if let number { windows["\(key) \((number + number * 7919 % 50) / 500 * 500)", default: 0] += 1 }
      }

      var wrong: [String] = []
      var batches: Set<Int> = []
      for topic in ["mapped", "updated"] {
        var latest: [String: (time: Int, total: Total)] = [:]
        for record in try client.readAll(topic) {
          let name = String(record.key ?? "").split(separator: " ")
          let value = String(record.value ?? "").split(separator: " ").compactMap { Int($0) }
          let (key, time) = (String(name[0]), Int(name[1]) ?? 0)
          let total = Total(count: value[0], sum: value[1])
          batches.insert(time)
          if let before = latest[key] {
            // No batch is there twice, and state never falls back.
            if time <= before.time || total.count < before.total.count {
              wrong.append("\(topic) \(key): \(total) at \(time) after \(before)")
            }
          }
          latest[key] = (time, total)
        }
        if latest.mapValues(\.total) != totals { wrong.append("\(topic): \(latest), should be \(totals)") }
      }
      #expect(wrong.isEmpty, "seed \(seed): \(wrong.count), such as \(wrong.prefix(3))")

      var closed: [String: [Int]] = [:]
      for record in try client.readAll("windows") {
        closed[String(record.key ?? ""), default: []].append(Int(String(record.value ?? "")) ?? -1)
      }
      let different = Set(windows.keys).union(closed.keys).filter { closed[$0] != windows[$0].map { [$0] } }.sorted()
      #expect(
        different.isEmpty,
        """
        seed \(seed): \(different.count) of \(windows.count) windows, such as \
        \(different.prefix(3).map { "\($0): \(closed[$0] ?? []) for \(windows[$0] ?? 0)" })
        """)
      #expect(try client.readAll("late").isEmpty)
      #expect(windows.count > 13 && batches.count > kills / 2, "\(windows.count) windows, \(batches.count) batches")
      print(
        "\(kills) kills; \(read) records in \(batches.count) batches: \(totals.count) totals, \(windows.count) closed "
          + "windows")
    }
  }
}
