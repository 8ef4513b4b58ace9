import Codecs
import Groundwork
import KafkaProtocol
import LinuxSystem
import SystemInterfaces
import Testing

extension InteropTests {
  /// Four clients write to the embedded broker in each codec; each reads what each wrote.
  @Suite struct Matrix {
    static let codecs = CompressionCodec.allCases
    static let writers = ["kcat", "confluent", "python", "ours"]

    @Test func eachClientReadsWhatEachWrote() throws {
      let python = try Program.python()
      let scratch = try Scratch()
      let broker = try OwnBroker(in: scratch)
      let client = LiveClient(broker.address)
      let server = "\(broker.address)"
      let corpora = Self.codecs.map { Corpus($0) }
      let topics = Self.writers.flatMap { writer in Self.codecs.map { "\(writer)-\($0)" } }
      try client.createTopics(topics.map { ($0, 1) })
      for corpus in corpora { _ = try scratch.write("\(corpus.codec).corpus", Corpus.frame(corpus.all)) }

      // Writing
      let names = Self.codecs.map(\.name)
      for (library, script) in [("confluent", "confluent_matrix.py"), ("python", "python_matrix.py")] {
        let wrote = try run(python, [Program.client(script), "produce", server, scratch.path] + names)
        try #require(wrote.exit.isSuccess, "\(library) as producer: \(wrote.report)")
      }
      for corpus in corpora {
        try client.produce(corpus.all, to: "ours-\(corpus.codec)", codec: corpus.codec)
        try Kcat(server).produce(corpus, to: "kcat-\(corpus.codec)")
      }

      // The disk
      for topic in topics {
        let codec = CompressionCodec(name: String(topic.split(separator: "-")[1]))!
        #expect(try Disk.isCompressed(broker.data, topic, with: codec), "batches of \(topic) on the disk")
      }

      // Reading
      func written(_ topic: String) -> [TestRecord] {
        let corpus = corpora.first { topic.hasSuffix("-\($0.codec)") }!
        if topic.hasPrefix("kcat") { return corpus.lines }
        if !topic.hasPrefix("python") { return corpus.all }
        // kafka-python refuses to write a record without key and value, or a header with a null value.
        return corpus.all.filter { $0.key != nil || $0.value != nil }.map { record in
          TestRecord(key: record.key, value: record.value, headers: record.headers.filter { $0.value != nil })
        }
      }
      let total = topics.reduce(0) { $0 + written($1).count }
      var readers: [String: [String: [TestRecord]?]] = [:]
      for (library, script) in [("confluent", "confluent_matrix.py"), ("python", "python_matrix.py")] {
        for how in ["subscribe", "assign"] {
          let read = try run(
            python, [Program.client(script), how, server, scratch.path, "\(total)"] + topics)
          #expect(read.exit.isSuccess, "\(library) as consumer (\(how)): \(read.report)")
          for topic in topics {
            let dump = try Scratch.files.contents(of: "\(scratch.path)/\(topic).\(library)-\(how)")
            readers["\(library) (\(how))", default: [:]][topic] = Corpus.parse(dump)
          }
        }
      }
      let ours = try client.readAll(topics.map { TopicPartition($0, 0) })
      for topic in topics {
        readers["ours", default: [:]][topic] = ours[TopicPartition(topic, 0)]
        readers["kcat (assign)", default: [:]][topic] = try Kcat(server).consume(topic)
      }
      let grouped = try Kcat(server).consumeInGroup(topics, count: total)
      for topic in topics { readers["kcat (group)", default: [:]][topic] = grouped[topic] }

      for (reader, read) in readers.sorted(by: { $0.key < $1.key }) {
        for topic in topics {
          let difference = Corpus.difference(read[topic] ?? nil, written(topic))
          #expect(difference == nil, "\(reader) reading \(topic)")
        }
      }

      // The groups' offsets are kept, and all of them list.
      let listed = try run(python, [Program.client("admin.py"), "confluent", server])
      let facts = Set(listed.text.split(separator: "\n").map(String.init))
      #expect(listed.exit.isSuccess, "confluent as admin: \(listed.report)")
      #expect(
        facts == [
          "made with 3", "enlarged to 5", "max.message.bytes 2097152", "again: TOPIC_ALREADY_EXISTS",
          "groups confluent-readers,kcat-readers,python-readers", "deleted True",
        ])
      let other = try run(python, [Program.client("admin.py"), "python", server])
      #expect(other.exit.isSuccess, "kafka-python as admin: \(other.report)")
      #expect(
        other.text.split(separator: "\n") == [
          "made with 3", "enlarged to 5", "groups confluent-readers,kcat-readers,python-readers", "deleted True",
        ], "\(other.report)")
      let metadata = try run("kcat", ["-L", "-b", server])
      #expect(metadata.exit.isSuccess, "\(metadata.report)")
      for topic in topics { #expect(metadata.text.contains("topic \"\(topic)\" with 1 partitions:")) }
    }

    /// The default partitioner is Java's murmur2: kafka-python's as well.
    @Test func keysGoWhereOthersSendThem() throws {
      let python = try Program.python()
      let scratch = try Scratch()
      let broker = try OwnBroker(in: scratch)
      let client = LiveClient(broker.address)
      try client.createTopics([("theirs", 8), ("ours", 8)])
      let wrote = try run(
        python, [Program.client("python_matrix.py"), "keys", "\(broker.address)", "theirs", "300"])
      #expect(wrote.exit.isSuccess, "\(wrote.report)")
      let records = (0..<300).map { TestRecord(key: Bytes("key \($0)"), value: "") }
      try client.produce(records, to: "ours", partition: nil, codec: .none)
      var placed: Set<String> = []
      for partition in 0..<8 {
        for (_, record) in try Disk.records(broker.data, "ours", partition) {
          placed.insert("\(record.key ?? "")=\(partition)")
        }
      }
      #expect(placed == Set(wrote.text.split(separator: "\n").map(String.init)))
      #expect(placed.count == 300)
    }
  }
}
