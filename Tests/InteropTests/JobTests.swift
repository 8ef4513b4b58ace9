import Codecs
import Groundwork
import KafkaProtocol
import LinuxSystem
import SystemInterfaces
import Testing

extension InteropTests {
  /// Jobs as processes, against a broker that is another process.
  @Suite struct Jobs {
    /// Lines of generated words, a share in each codec, over three partitions.
    private static func produceLines(_ client: LiveClient, _ topic: String, perCodec: Int) throws -> [[Bytes]] {
      try client.createTopics([(topic, 3)])
      var random = SeededRandom(seed: 20)
      var partitions: [[Bytes]] = [[], [], []]
      for codec in CompressionCodec.allCases {
        for partition in 0..<3 {
          let lines = (0..<perCodec).map { number in
            var words = ["line", "\(codec)\(number)"]
            for _ in 0..<random.next() % 12 { words.append("word\(random.next() % 400)") }
            return Bytes(words.joined(separator: random.next() % 9 == 0 ? "  " : " "))
          }
          try client.produce(
            lines.map { TestRecord(key: nil, value: $0) }, to: topic, partition: PartitionIndex(Int32(partition)),
            codec: codec)
          partitions[partition] += lines
        }
      }
      return partitions
    }

    @Test func wordsAreCountedOverAllCodecs() throws {
      let python = try Program.python()
      let scratch = try Scratch()
      let broker = try BrokerProcess(in: scratch)
      let client = LiveClient(broker.address)
      let lines = try Self.produceLines(client, "lines", perCodec: 300)
      try client.createTopics([("counts", 1)])
      let job = try run(
        Program.path("WordCount"),
        ["--bootstrap-server", "\(broker.address)", "--available-now", "--name", "words", "--batch-interval", "100ms"],
        environment: scratch.environment)
      #expect(job.exit == .code(0), "\(job.report)")

      var expected: [String: Int] = [:]
      for line in lines.joined() {
        for word in String(line).split(separator: " ") { expected[String(word), default: 0] += 1 }
      }
      var counted: [String: Int] = [:]
      for record in try client.readAll("counts") {
        counted[String(record.key ?? ""), default: 0] += Int(String(record.value ?? "")) ?? 0
      }
      #expect(counted.count > 1000)
      #expect(counted == expected)

      // Kafka's tools see how far the job is.
      let lag = try run(python, [Program.client("admin.py"), "lag", "\(broker.address)", "words", "lines"])
      let ends = lines.map(\.count)
      let wanted = ["confluent", "python"].flatMap { tool in (0..<3).map { "\(tool) \($0) \(ends[$0]) 0" } }
      #expect(lag.text.split(separator: "\n").map(String.init) == wanted, "\(lag.report)")
    }

    @Test func aTopicBecomesTextFiles() throws {
      let scratch = try Scratch()
      let broker = try BrokerProcess(in: scratch)
      let client = LiveClient(broker.address)
      let lines = try Self.produceLines(client, "lines", perCodec: 200)
      // A record stays one line, whatever is in it.
      try client.produce(
        [TestRecord(key: nil, value: "a\nb\rc"), TestRecord(key: nil, value: "")], to: "lines", codec: .zstd)
      let job = try Self.etl(broker, scratch, "text")
      #expect(job.exit == .code(0), "\(job.report)")
      let written = try Scratch.lines(under: scratch.path + "/text")
      let expected = lines.flatMap { $0 } + [Bytes(#"a\nb\rc"#), Bytes()]
      #expect(written.sorted() == expected.sorted())
    }

    @Test func aTopicBecomesLinesOfJSON() throws {
      let scratch = try Scratch()
      let broker = try BrokerProcess(in: scratch)
      let client = LiveClient(broker.address)
      try client.createTopics([("lines", 2)])
      let corpora = CompressionCodec.allCases.map { Corpus($0) }
      for corpus in corpora {
        try client.produce(corpus.plain + corpus.nulls + corpus.headed, to: "lines", partition: 1, codec: corpus.codec)
      }
      let job = try Self.etl(broker, scratch, "json")
      #expect(job.exit == .code(0), "\(job.report)")
      let written = try Scratch.lines(under: scratch.path + "/json")
      // Read by software nobody here wrote: Python's json.
      let file = try scratch.write("all.json", Bytes(written.map { String($0) }.joined(separator: "\n") + "\n"))
      let read = try run(try Program.python(), [Program.client("json_lines.py"), file, scratch.path + "/all.frame"])
      #expect(read.exit.isSuccess, "\(read.report)")
      let records = Corpus.parse(try Scratch.files.contents(of: scratch.path + "/all.frame"))
      let expected = corpora.flatMap { $0.plain + $0.nulls + $0.headed }
      let difference = Corpus.difference(records, expected)
      #expect(difference == nil)
      #expect(read.text.contains("topic lines partition 1 offsets 0 to \(expected.count - 1)"), "\(read.report)")
    }

    @Test func aKilledJobLosesNothing() throws {
      let scratch = try Scratch()
      let broker = try BrokerProcess(in: scratch)
      let client = LiveClient(broker.address)
      let lines = try Self.produceLines(client, "lines", perCodec: 400).flatMap { $0 }
      let folder = scratch.path + "/text"
      // 20 records a partition and batch: the 2,000 of a partition take ten seconds.
      let job = try Self.startEtl(
        broker, scratch, "text",
        ["--conf", "sluice.kafka.maxRatePerPartition=200", "--batch-interval", "100ms", "--roll-age", "300ms"],
        availableNow: false)
      let watch = Watchdog(job, 60)
      defer { watch.disarm() }
      try waitUntil("300 lines are written") {
        try Scratch.lines(under: folder).count >= 300 || job.exitNow != nil
      }
      job.send(.kill)
      let killed = finish(job)
      #expect(killed.exit == .signal(9), "it ended before it was killed: \(killed.report)")
      let before = try Scratch.lines(under: folder).count
      #expect(before >= 300 && before < lines.count, "\(before) of \(lines.count) lines when it was killed")
      let again = try Self.etl(broker, scratch, "text")
      #expect(again.exit == .code(0), "\(again.report)")
      let written = try Scratch.lines(under: folder)
      // Every line once: the folder's manifest decides the batches.
      #expect(written.sorted() == lines.sorted(), "\(written.count) lines written for \(lines.count)")
      let verified = try run(Program.path("sluice"), ["files", "verify", folder], environment: scratch.environment)
      #expect(verified.exit == .code(0), "\(verified.report)")
    }

    /// A run over a backlog gives its batches times beyond the present; the next run reaches the same times.
    @Test func aSecondRunReplacesNothingOfTheFirst() throws {
      let scratch = try Scratch()
      let broker = try BrokerProcess(in: scratch)
      let client = LiveClient(broker.address)
      try client.createTopics([("lines", 1)])
      var expected: [Bytes] = []
      for run in ["first", "second"] {
        let lines = (0..<200).map { Bytes("\(run) \($0)") }
        try client.produce(lines.map { TestRecord(key: nil, value: $0) }, to: "lines", codec: .none)
        expected += lines
        let job = finish(try Self.startEtl(broker, scratch, "text", ["--conf", "sluice.kafka.maxRatePerPartition=10"]))
        #expect(job.exit == .code(0), "\(job.report)")
      }
      let written = try Scratch.lines(under: scratch.path + "/text")
      #expect(written.sorted() == expected.sorted(), "\(written.count) lines of \(expected.count)")
    }

    private static func startEtl(
      _ broker: BrokerProcess, _ scratch: Scratch, _ format: String, _ more: [String] = [], availableNow: Bool = true
    ) throws -> ChildProcess {
      try ChildProcess(
        Program.path("KafkaToFiles"),
        [
          "--bootstrap-server", "\(broker.address)", "--topic", "lines", "--to", "\(scratch.path)/\(format)",
          "--format", format,
        ] + (availableNow ? ["--available-now"] : []) + more, environment: scratch.environment, output: .pipe,
        error: .pipe)
    }

    private static func etl(_ broker: BrokerProcess, _ scratch: Scratch, _ format: String) throws -> Finished {
      finish(try startEtl(broker, scratch, format))
    }
  }
}
