import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

/// `broker`, `topics`, `produce` and `consume` as processes over real sockets.
@Suite struct ConsoleTests {
  @Test(arguments: ["none", "gzip", "snappy", "lz4", "zstd"])
  func keysAndValuesGoThroughABroker(codec: String) throws {
    let place = try Place()
    let broker = try BrokerProcess(in: place)
    let long = String(repeating: "long ", count: 2000)
    let lines = "a,1\nb,2\nc,\nNULL,NULL\n,\(long)\nlast,without an end"
    let produced = try Program.sluice(
      [
        "produce", "-b", broker.address, "--topic", "pairs", "--compression-codec", codec, "--property",
        "parse.key=true",
        "--property", "key.separator=,", "--property", "null.marker=NULL",
      ], in: place, input: Bytes(lines))
    #expect(produced.exit == .code(0), "\(produced.error)")
    #expect(produced.error.hasPrefix("6 records, "))
    let consumed = try Program.sluice(
      [
        "consume", "-b", broker.address, "--topic", "pairs", "--from-beginning", "--max-messages", "6", "--property",
        "print.key=true", "--property", "key.separator=,", "--property", "null.literal=NULL",
      ], in: place)
    #expect(consumed.exit == .code(0), "\(consumed.error)")
    #expect(consumed.output == lines + "\n")
  }

  @Test func whatOneCommandWritesTheNextReadsWithoutABroker() throws {
    let place = try Place()
    let produced = try Program.sluice(["produce", "--topic", "lines"], in: place, input: "one\ntwo\n")
    #expect(produced.exit == .code(0), "\(produced.error)")
    let consumed = try Program.sluice(
      ["consume", "--topic", "lines", "--from-beginning", "--max-messages", "2", "--property", "print.offset=true"],
      in: place)
    #expect(consumed.output == "Offset:0\tone\nOffset:1\ttwo\n")
    #expect(try Program.sluice(["topics", "list"], in: place).output == "lines\n")
  }

  @Test func commandsFindTheBrokerOfTheDataFolder() throws {
    let place = try Place()
    let broker = try BrokerProcess(in: place)
    let created = try Program.sluice(["topics", "create", "--topic", "t", "--partitions", "3"], in: place)
    #expect(created.output == "created topic t with 3 partitions\n", "\(created.error)")
    // The same topic, by the broker's address: so the command above found it and started none of its own.
    #expect(try Program.sluice(["topics", "list", "-b", broker.address], in: place).output == "t\n")
    let again = try Program.sluice(["topics", "create", "--topic", "t"], in: place)
    #expect(again.exit == .code(1))
    #expect(again.error == "sluice: topic t exists already: delete it first, or add --if-not-exists\n")
    #expect(try Program.sluice(["topics", "create", "--topic", "t", "--if-not-exists"], in: place).exit == .code(0))
    let described = try Program.sluice(["topics", "describe", "--topic", "t"], in: place)
    #expect(described.output.hasPrefix("topic t: 3 partitions\n  partition  first offset  next offset  leader"))
    #expect(try Program.sluice(["topics", "delete", "--topic", "t"], in: place).output == "deleted topic t\n")
    #expect(try Program.sluice(["topics", "list"], in: place).output == "")
  }

  @Test func offsetsPartitionsAndGroups() throws {
    let place = try Place()
    let broker = try BrokerProcess(in: place)
    func consume(_ arguments: String) throws -> ChildProcess.Outcome {
      try Program.sluice(
        ["consume", "-b", broker.address, "-t", "t"] + arguments.split(separator: " ").map(String.init), in: place)
    }
    let produced = try Program.sluice(
      ["produce", "-b", broker.address, "-t", "t"], in: place, input: "0\n1\n2\n3\n4\n")
    #expect(produced.exit == .code(0), "\(produced.error)")
    #expect(try consume("-p 0 --offset 3 --max-messages 2").output == "3\n4\n")
    #expect(try consume("--offset earliest --max-messages 1").output == "0\n")
    #expect(try consume("--from-beginning --timeout-ms 300").output == "0\n1\n2\n3\n4\n")
    #expect(try consume("--group g --from-beginning --max-messages 2").output == "0\n1\n")
    #expect(try consume("--group g --max-messages 2").output == "2\n3\n")
    let missing = try consume("-p 7")
    #expect(missing.exit == .code(1))
    #expect(missing.error == "sluice: topic t has no partition 7\n")
  }

  @Test func headersGoThrough() throws {
    let place = try Place()
    let produced = try Program.sluice(
      ["produce", "-t", "t", "--property", "parse.headers=true"], in: place, input: "a:1,b:2\tvalue\n")
    #expect(produced.exit == .code(0), "\(produced.error)")
    let consumed = try Program.sluice(
      ["consume", "-t", "t", "--from-beginning", "-n", "1", "--property", "print.headers=true"], in: place)
    #expect(consumed.output == "a:1,b:2\tvalue\n")
  }

  @Test func aLineWithoutASeparatorIsNamedAndWhatCameBeforeIsSent() throws {
    let place = try Place()
    let produced = try Program.sluice(
      ["produce", "-t", "t", "--property", "parse.key=true", "--property", "key.separator=,"], in: place,
      input: "a,1\nnothing\n")
    #expect(produced.exit == .code(1))
    #expect(produced.error.contains("1 record, 2 bytes in "))
    #expect(produced.error.contains("sluice: line 2 has no \",\" (key.separator)"))
    let consumed = try Program.sluice(["consume", "-t", "t", "--from-beginning", "-n", "1"], in: place)
    #expect(consumed.output == "1\n")
  }

  @Test(arguments: [(Signal.interrupt, 130), (Signal.terminate, 143)] as [(Signal, Int32)])
  func signalsEndTheBrokerCleanly(signal: Signal, code: Int32) throws {
    let place = try Place()
    do {
      let broker = try BrokerProcess(in: place)
      broker.child.send(signal)
      #expect(broker.child.wait() == .code(code))
      #expect(broker.child.nextLine() == nil)
    }
    // The folder is free, and the next one says nothing of a repair.
    let next = try BrokerProcess(in: place)
    #expect(place.errors == "")
    _ = next
  }

  @Test func aPortOrAFolderInUseIsNamed() throws {
    let place = try Place()
    let broker = try BrokerProcess(in: place)
    let port = try Program.sluice(
      ["broker", "--listen", broker.address, "--data", place.path + "/other"], in: place)
    #expect(port.exit == .code(1))
    #expect(
      port.error == "sluice: cannot listen on \(broker.address): the port is in use; stop the other process or choose "
        + "another port\n")
    let folder = try Program.sluice(["broker", "--listen", "127.0.0.1:0"], in: place)
    #expect(folder.exit == .code(1))
    #expect(folder.error.contains("the broker's data folder is in use by pid \(broker.child.pid) at \(broker.address)"))
  }

  @Test func ctrlCSendsWhatWasTyped() throws {
    let place = try Place()
    let broker = try BrokerProcess(in: place)
    let produce = try Program.start(["produce", "-b", broker.address, "-t", "typed"], in: place, input: .pipe)
    produce.write("one\n")
    // The line has gone out once another command can read it.
    let consumer = try Program.start(["consume", "-b", broker.address, "-t", "typed", "--from-beginning"], in: place)
    #expect(consumer.nextLine() == "one")
    produce.send(.interrupt)
    #expect(produce.wait() == .code(130))
    consumer.send(.interrupt)
    #expect(consumer.wait() == .code(130))
    #expect(place.errors.contains("1 record, 3 bytes in "))
  }
}
