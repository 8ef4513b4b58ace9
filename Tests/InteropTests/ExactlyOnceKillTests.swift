import Dispatch
import Groundwork
import KafkaProtocol
import LinuxSystem
import SystemInterfaces
import Testing

extension InteropTests {
  /// Jobs with each kind of output under `sluice verify`, job and broker killed at random; and what readers that are not
  /// ours then find in the place where they were killed.
  @Suite struct ExactlyOnceKills {
    /// Of each pipeline; all of them together come to 60 in the gate, and to 300.
    static let kills = ThisProcess.environment("SLUICE_LONG") == nil ? 10 : 50
    static let records = kills * 1000

    /// A run of `sluice verify`, and what it left.
    private struct Verified {
      let scratch: Scratch
      let seed: UInt64
      /// What went in, in this order.
      let lines: [String]
      let finished: Finished

      var work: String { scratch.path + "/verify/killed/work" }

      /// A broker over what the killed run's one left.
      func broker() throws -> BrokerProcess {
        try BrokerProcess(in: scratch, data: scratch.path + "/verify/killed/broker", seed: seed)
      }

      /// How often each word came.
      var totals: [String: Int] {
        var totals: [String: Int] = [:]
        for line in lines {
          for word in line.split(separator: " ").dropFirst() { totals[String(word), default: 0] += 1 }
        }
        return totals
      }

      /// Each line must be there once.
      func expectOnce(_ what: String, _ found: [String]) {
        let difference = missingOrDoubled(found, lines)
        #expect(difference == nil, "\(what), seed \(seed)")
      }
    }

    /// - Parameters:
    ///   - options: of `sluice verify`.
    ///   - arguments: of the job.
    private static func verify(_ options: [String], _ arguments: [String], seed: UInt64) throws -> Verified {
      let scratch = try Scratch()
      var random = SeededRandom(seed: seed)
      let lines = (0..<records).map { number in
        "\(number) " + (0..<4).map { _ in "word\(random.next() % 60)" }.joined(separator: " ")
      }
      let file = try scratch.write("lines.txt", Bytes(lines.joined(separator: "\n") + "\n"))
      let finished = try run(
        Program.path("sluice"),
        [
          "verify", Program.path("KilledOutputs"), "--file", file, "--work", scratch.path + "/verify", "--kills",
          "\(kills)", "--kill-every", "200ms", "--kill-broker", "--seed", "\(seed)",
        ] + options + ["--"] + arguments,
        environment: scratch.environment, within: 60 + kills * 3)
      return Verified(scratch: scratch, seed: seed, lines: lines, finished: finished)
    }

    /// The last line, and the exit code.
    private static func expectClean(_ verified: Verified, out: Int?) throws {
      let report = "seed \(verified.seed): \(verified.finished.report)"
      #expect(verified.finished.exit == .code(0), "\(report)")
      let last = verified.finished.text.split(separator: "\n").last.map(String.init) ?? ""
      let match = try #require(
        last.wholeMatch(of: #/in (\d+), out (\d+), lost 0, doubled 0, kills (\d+)/#), "\(report)")
      #expect(Int(match.1) == verified.lines.count, "\(report)")
      if let out { #expect(Int(match.2) == out, "\(report)") }
      #expect(try #require(Int(match.3)) >= kills, "\(report)")
      // Kills that hit starts only would prove little.
      let told = try #require(
        verified.finished.error.firstMatch(of: #/killed (\d+) times, (\d+) of them after .*; the broker (\d+) times/#),
        "\(report)")
      #expect(try #require(Int(told.2)) * 3 >= (try #require(Int(told.1))), "\(report)")
      print(last, told.0, separator: "; ")
    }

    @Test func topicToTopic() throws {
      let verified = try Self.verify(["--topic", "copy"], ["--topic", "copy"], seed: chosenSeed())
      try Self.expectClean(verified, out: Self.records)
      let broker = try verified.broker()
      verified.expectOnce("kcat", try Independent.kcat(broker.address, "copy"))
      let confluent = try Independent.confluent(broker.address, "copy").map { String($0.dropFirst()) }
      verified.expectOnce("confluent-kafka", confluent)
    }

    @Test func wordCountWithState() throws {
      let verified = try Self.verify(["--compare", "last"], ["--words", "totals"], seed: chosenSeed())
      try Self.expectClean(verified, out: nil)
      let broker = try verified.broker()
      Self.expectTotals(verified, "kcat", try Independent.kcat(broker.address, "totals", keys: true))
      Self.expectTotals(verified, "confluent-kafka", try Independent.confluent(broker.address, "totals"))
    }

    /// The manifest of the files decides, with the state's version in it; the table of totals rolls forward.
    @Test func wordCountToFilesAndTable() throws {
      let verified = try Self.verify(
        ["--compare", "last", "--files", "out", "--database", "words.db"],
        ["--word-files", "out", "--word-database", "words.db"], seed: chosenSeed())
      try Self.expectClean(verified, out: nil)
      Self.expectTotals(verified, "files", try Independent.files(verified.work + "/out"))
      let rows = try Independent.sqlite(verified.work + "/words.db", "SELECT word, total FROM totals")
      #expect(rows.sorted() == verified.totals.map { "\($0.key)|\($0.value)" }.sorted(), "seed \(verified.seed)")
    }

    /// - Parameter records: words with their totals, a tab between, in the order in which they were written.
    private static func expectTotals(_ verified: Verified, _ what: String, _ records: [String]) {
      var totals: [String: Int] = [:]
      var wrong: [String] = []
      for record in records {
        let parts = record.split(separator: "\t")
        let (word, total) = (String(parts[0]), parts.count > 1 ? Int(parts[1]) ?? -1 : -1)
        // A total that is told twice, or falls, comes from a batch that counted twice.
        if total <= totals[word, default: 0] { wrong.append("\(record) after \(totals[word, default: 0])") }
        totals[word] = total
      }
      #expect(wrong.isEmpty, "\(what), seed \(verified.seed): \(wrong.prefix(3))")
      #expect(totals == verified.totals, "\(what), seed \(verified.seed)")
      #expect(records.count > totals.count * 3, "\(what): \(records.count) records, so there were hardly any batches")
    }

    @Test func topicToCompressedFiles() throws {
      let seed = chosenSeed()
      let codec = ["gzip", "zstd", "lz4"][Int(seed % 3)]
      let verified = try Self.verify(
        ["--files", "out"], ["--files", "out", "--compression", codec], seed: seed)
      try Self.expectClean(verified, out: Self.records)
      verified.expectOnce("\(codec) files", try Independent.files(verified.work + "/out"))
      let report = try run(Program.path("sluice"), ["files", "verify", verified.work + "/out"])
      #expect(report.exit == .code(0), "seed \(seed), \(codec): \(report.report)")
    }

    @Test func topicToDatabase() throws {
      let verified = try Self.verify(["--database", "lines.db"], ["--database", "lines.db"], seed: chosenSeed())
      try Self.expectClean(verified, out: Self.records)
      let path = verified.work + "/lines.db"
      let rows = try Independent.sqlite(path, "SELECT line FROM lines")
      verified.expectOnce("sqlite3", rows)
      let counts = try Independent.sqlite(path, "SELECT count(*), count(DISTINCT number), max(number) FROM lines")
      #expect(counts == ["\(Self.records)|\(Self.records)|\(Self.records - 1)"], "seed \(verified.seed)")
      #expect(try Independent.sqlite(path, "PRAGMA integrity_check") == ["ok"])
    }

    /// The topics' transaction decides; files and table roll forward.
    @Test func topicToTopicsFilesAndTableAtOnce() throws {
      let verified = try Self.verify(
        ["--topic", "copy", "--files", "out", "--database", "lines.db"],
        ["--topic", "copy", "--files", "out", "--database", "lines.db", "--words", "totals"], seed: chosenSeed())
      try Self.expectClean(verified, out: Self.records * 3)
      let broker = try verified.broker()
      verified.expectOnce("kcat", try Independent.kcat(broker.address, "copy"))
      verified.expectOnce("files", try Independent.files(verified.work + "/out"))
      let rows = try Independent.sqlite(verified.work + "/lines.db", "SELECT line FROM lines")
      verified.expectOnce("sqlite3", rows)
    }

    /// Where no broker is named the job has one inside, which dies with it.
    @Test func theBrokerInsideDiesWithTheJob() throws {
      let seed = chosenSeed()
      var random = SeededRandom(seed: seed)
      let scratch = try Scratch()
      let lines = (0..<Self.records).map { "\($0) word\($0 % 7)" }
      let data = scratch.path + "/inside"
      do {
        let broker = try BrokerProcess(in: scratch, data: data, seed: seed)
        let client = LiveClient(broker.address)
        try client.createTopics([("input", 4)])
        for partition in 0..<4 {
          let share = lines.indices.filter { $0 % 4 == partition }
          try client.produce(
            share.map { TestRecord(key: nil, value: Bytes(lines[$0])) }, to: "input",
            partition: PartitionIndex(Int32(partition)), codec: .lz4)
        }
      }
      func start(_ more: [String]) throws -> ChildProcess {
        try ChildProcess(
          Program.path("KilledOutputs"),
          [
            "--conf", "sluice.broker.data=\(data)", "--checkpoint", scratch.path + "/checkpoint", "--batch-interval",
            "20ms", "--topic", "copy", "--words", "totals",
          ] + more, environment: scratch.environment, output: .pipe, error: .pipe)
      }
      for kill in 1...Self.kills {
        // So slow that there is work left for the last one.
        let job = try start(["--conf", "sluice.kafka.maxRatePerPartition=1000"])
        // The time of the fault itself, not a wait for anything.
        let moment = DispatchTime.now() + .microseconds(Int(random.next() % 400_000))
        _ = DispatchSemaphore(value: 0).wait(timeout: moment)
        job.send(.kill)
        let killed = finish(job)
        #expect(killed.exit == .signal(9), "kill \(kill), seed \(seed): \(killed.report)")
      }
      let last = finish(try start(["--available-now"]))
      #expect(last.exit == .code(0), "seed \(seed): \(last.report)")
      let verified = Verified(scratch: scratch, seed: seed, lines: lines, finished: last)
      let broker = try BrokerProcess(in: scratch, data: data, seed: seed)
      verified.expectOnce("kcat", try Independent.kcat(broker.address, "copy"))
      verified.expectOnce(
        "confluent-kafka", try Independent.confluent(broker.address, "copy").map { String($0.dropFirst()) })
      Self.expectTotals(verified, "totals", try Independent.kcat(broker.address, "totals", keys: true))
    }

    /// The same harness finds what is doubled where nothing decides: with batches of a millisecond most of the time lies
    /// between the sending and the commit log.
    @Test func atLeastOnceIsFoundToDouble() throws {
      let seed = chosenSeed()
      let scratch = try Scratch()
      let finished = try run(
        Program.path("sluice"),
        [
          "verify", Program.path("KilledOutputs"), "--work", scratch.path + "/verify", "--kills", "30", "--kill-every",
          "150ms", "--batch-interval", "1ms", "--seed", "\(seed)", "--topic", "copy", "--", "--conf",
          "sluice.streaming.guarantee=at-least-once", "--topic", "copy",
        ], environment: scratch.environment, within: 120)
      #expect(finished.exit == .code(1), "seed \(seed): \(finished.report)")
      let last = finished.text.split(separator: "\n").last.map(String.init) ?? ""
      #expect(
        last.wholeMatch(of: #/in 20000, out \d+, lost 0, doubled [1-9]\d*, kills 30/#) != nil,
        "seed \(seed): \(finished.report)")
      print(last)
    }
  }
}
