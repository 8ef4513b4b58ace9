import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

extension InteropTests {
  /// Transactional producers and readers of committed records that others wrote, against the embedded broker.
  @Suite struct Transactions {
    private func lines(_ finished: Finished) -> [String: String] {
      var facts: [String: String] = [:]
      for line in finished.text.split(separator: "\n") {
        let parts = line.split(separator: ":", maxSplits: 1)
        let name = String(parts[0])
        let value = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
        facts[name] = facts[name].map { $0 + " | " + value } ?? value
      }
      return facts
    }

    @Test func confluentKafkasAreWholeOrNotAtAll() throws {
      let scratch = try Scratch()
      let broker = try OwnBroker(in: scratch)
      let client = LiveClient(broker.address)
      try client.createTopics([("numbers", 1), ("target", 2)])
      try client.produce((0..<20).map { TestRecord(key: nil, value: Bytes("\($0)")) }, to: "numbers", codec: .none)
      let ran = try run(
        try Program.python(),
        [Program.client("confluent_transactions.py"), "\(broker.address)", "numbers", "target"], within: 100)
      #expect(ran.exit.isSuccess, "\(ran.report)")
      let facts = lines(ran)
      #expect(facts["while open"] == "16 12", "\(ran.report)")
      #expect(facts["after abort"] == "16 12", "\(ran.report)")
      #expect(facts["fenced"] == "_FENCED True", "\(ran.report)")
      #expect(facts["offset"] == "20", "\(ran.report)")
      #expect(facts["doubled"] == "\((0..<20).map { $0 * 2 })", "\(ran.report)")
      #expect(facts["others"] == "['of the second']", "\(ran.report)")
    }

    @Test func aiokafkasAreWholeOrNotAtAll() throws {
      let scratch = try Scratch()
      let broker = try OwnBroker(in: scratch)
      try LiveClient(broker.address).createTopics([("target", 1)])
      let ran = try run(
        try Program.python(), [Program.client("aiokafka_transactions.py"), "\(broker.address)", "target"],
        within: 100)
      #expect(ran.exit.isSuccess, "\(ran.report)")
      let facts = lines(ran)
      #expect(facts["committed"] == "['one', 'two'] | ['one', 'two', 'of the second']", "\(ran.report)")
      #expect(facts["all"] == "['one', 'two', 'lost']", "\(ran.report)")
      #expect(facts["fenced"] == "", "\(ran.report)")
      #expect(facts["offset"] == "7", "\(ran.report)")
      // Another reader of committed records, by librdkafka 2.0.
      let read = try run(
        "kcat",
        [
          "-b", "\(broker.address)", "-C", "-t", "target", "-o", "beginning", "-e", "-q", "-X",
          "isolation.level=read_committed",
        ])
      #expect(read.text == "one\ntwo\nof the second\n", "\(read.report)")
    }

    @Test func aTransactionThatHangsIsSeenAndEnded() throws {
      let scratch = try Scratch()
      let broker = try OwnBroker(in: scratch)
      let server = "\(broker.address)"
      try LiveClient(broker.address).createTopics([("target", 1)])
      let child = try ChildProcess(
        try Program.python(), [Program.client("confluent_open_transaction.py"), server, "target", "hanging-0"],
        input: .pipe, output: .pipe, error: .file(scratch.path + "/errors.txt", appending: true))
      let watch = Watchdog(child, 100)
      defer {
        watch.disarm()
        child.send(.kill)
        child.wait()
      }
      #expect(child.nextLine() == "open")
      func sluice(_ arguments: String...) throws -> Finished {
        try run(
          Program.path("sluice"), ["transactions"] + arguments + ["-b", server], environment: scratch.environment)
      }
      let listed = try sluice("list", "--state", "Ongoing")
      #expect(listed.text.hasPrefix("transactional id  producer id  state"), "\(listed.report)")
      #expect(listed.text.contains("hanging-0"), "\(listed.report)")
      #expect(try sluice("list", "--running-longer-than", "1h").text == "")
      let described = try sluice("describe", "--transactional-id", "hanging-0")
      #expect(described.text.hasPrefix("transactional id hanging-0: Ongoing\n"), "\(described.report)")
      #expect(described.text.contains("target       partitions 0\n"), "\(described.report)")
      let producers = try sluice("describe", "--topic", "target")
      #expect(producers.text.contains("transaction begins at"), "\(producers.report)")
      let wrong = try sluice("abort", "--topic", "target", "--partition", "0", "--start-offset", "1")
      #expect(
        wrong.error.contains("no open transaction of target-0 begins at offset 1: those that are open begin at 0"))
      let aborted = try sluice("abort", "--topic", "target", "--partition", "0", "--start-offset", "0")
      #expect(aborted.text.hasPrefix("aborted the transaction of producer "), "\(aborted.report)")
      #expect(
        try sluice("abort", "-t", "target", "-p", "0", "--start-offset", "0").error.contains("none is open there"))
    }
  }
}
