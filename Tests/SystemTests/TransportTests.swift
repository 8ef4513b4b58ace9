import Groundwork
import LinuxSystem
import Simulation
import SystemInterfaces
import Testing

/// A listener that keeps what it hears, and a client beside it.
private final class Wire: Sendable {
  let stage: Stage
  let address: Address
  let listener: ListenerID
  let serverEvents = Log()
  let clientEvents = Log()
  let received = Holder<[Bytes]>([])
  let answers = Holder<[Bytes]>([])
  let accepted = Holder<[ConnectionID]>([])

  /// - Parameter onFrame: what the server does with a frame.
  init(
    _ stage: Stage, server: Framing = .lengthPrefixed(maximum: 16 << 20),
    onFrame: @escaping @Sendable (ConnectionID, Bytes) -> Void = { _, _ in }
  ) throws {
    self.stage = stage
    (listener, address) = try stage.transport.listen(
      on: Address(host: "127.0.0.1", port: 0), framing: server, loop: stage.loop
    ) { [serverEvents, received, accepted] connection, _ in
      accepted.change { $0.append(connection) }
      return { event in
        switch event {
        case .received(let bytes):
          received.change { $0.append(bytes) }
          onFrame(connection, bytes)
        case .opened: serverEvents.add("opened")
        case .drained: break
        case .closed(let reason): serverEvents.add("closed: \(reason)")
        }
      }
    }
  }

  func connect(_ framing: Framing = .stream, to address: Address? = nil) throws -> ConnectionID {
    try stage.perform { [self] in
      stage.transport.connect(to: address ?? self.address, framing: framing, on: stage.loop) {
        [clientEvents, answers] event in
        switch event {
        case .received(let bytes): answers.change { $0.append(bytes) }
        case .opened: clientEvents.add("opened")
        case .drained: clientEvents.add("drained")
        case .closed(let reason): clientEvents.add("closed: \(reason)")
        }
      }
    }
  }

  func send(_ connection: ConnectionID, _ parts: [SendPart]) throws {
    _ = try stage.perform { [stage] in
      stage.transport.send(connection, parts)
      return 0
    }
  }

  func close(_ connection: ConnectionID) throws {
    _ = try stage.perform { [stage] in
      stage.transport.close(connection)
      return 0
    }
  }

  func receivedBytes() -> Int { received.value.reduce(0) { $0 + $1.count } }
}

/// What every transport does, live or simulated.
struct TransportTests {
  @Test(arguments: Kind.allCases) func framesComeAndGo(kind: Kind) throws {
    let stage = try Stage(kind)
    let wire = try Wire(stage) { [transport = stage.transport] connection, frame in
      transport.send(connection, [.bytes(framed(frame))])
    }
    let connection = try wire.connect(.lengthPrefixed(maximum: 1000))
    // Bytes may be queued before the connection is open.
    try wire.send(connection, [.bytes(framed("one")), .bytes(framed("")), .bytes(framed("three"))])
    try stage.wait("three answers") { wire.answers.value.count == 3 }
    #expect(wire.answers.value == ["one", "", "three"])
    #expect(wire.received.value == ["one", "", "three"])
    try stage.wait("drained") { wire.clientEvents.lines.contains("drained") }
    #expect(wire.clientEvents.lines.first == "opened" && wire.serverEvents.lines == ["opened"])
    try wire.close(connection)
    try stage.wait("both ends") { wire.clientEvents.lines.count > 2 && wire.serverEvents.lines.count == 2 }
    #expect(wire.clientEvents.lines.last == "closed: closed here")
    #expect(wire.serverEvents.lines.last == "closed: closed by the peer")
  }

  @Test(arguments: Kind.allCases) func nobodyListens(kind: Kind) throws {
    let stage = try Stage(kind)
    let wire = try Wire(stage)
    _ = try stage.perform {
      stage.transport.stopListening(wire.listener)
      return 0
    }
    _ = try wire.connect()
    try stage.wait("the refusal") { !wire.clientEvents.lines.isEmpty }
    #expect(wire.clientEvents.lines == ["closed: connection refused: nothing listens there"])
  }

  @Test(arguments: Kind.allCases) func aNameThatDoesNotResolve(kind: Kind) throws {
    let stage = try Stage(kind)
    stage.simulation?.network.conditions.unresolvableHosts = ["no such.invalid"]
    let wire = try Wire(stage)
    _ = try wire.connect(to: Address(host: "no such.invalid", port: 9))
    try stage.wait("the failure") { !wire.clientEvents.lines.isEmpty }
    #expect(wire.clientEvents.lines == ["closed: the name no such.invalid cannot be resolved"])
  }

  @Test(arguments: Kind.allCases) func localhostByName(kind: Kind) throws {
    let stage = try Stage(kind)
    let wire = try Wire(stage)
    _ = try wire.connect(to: Address(host: "localhost", port: wire.address.port))
    try stage.wait("the connection") { wire.clientEvents.lines == ["opened"] }
    #expect(wire.clientEvents.lines == ["opened"])
  }

  @Test(arguments: Kind.allCases) func theSecondListenerIsToldThePortIsInUse(kind: Kind) throws {
    let stage = try Stage(kind)
    let wire = try Wire(stage)
    let error = #expect(throws: TransportError.self) {
      try stage.transport.listen(on: wire.address, framing: .stream, loop: stage.loop) { _, _ in { _ in } }
    }
    #expect(
      error?.description
        == "cannot listen on \(wire.address): the port is in use; stop the other process or choose another port")
    #expect(wire.address.port > 0)
  }

  /// Frames of many sizes, sent cut at every other place, come out whole.
  @Test(arguments: Kind.allCases) func framesSplitAndMergedAnywhere(kind: Kind) throws {
    for seed in 1...5 as ClosedRange<UInt64> {
      let stage = try Stage(kind, seed: seed)
      stage.simulation?.network.conditions.splitProbability = 0.5
      var random = SeededRandom(seed: seed)
      var writer = ByteWriter()
      var expected: [Bytes] = []
      for index in 0..<200 {
        let size = [0, 3, 15, 16, 200, 5000, 70_000][Int(random.next() % 7)]
        let frame = patterned(size, seed: UInt64(index))
        expected.append(frame)
        writer.append(framed(frame))
      }
      let all = writer.finish()
      let wire = try Wire(stage)
      let connection = try wire.connect()
      var sent = 0
      while sent < all.count {
        let count = min(all.count - sent, Int(random.next() % 200_000) + 1)
        try wire.send(connection, [.bytes(all[sent..<(sent + count)])])
        sent += count
      }
      try stage.wait("200 frames") { wire.received.value.count == 200 }
      #expect(wire.received.value == expected, "seed \(seed)")
    }
  }

  @Test(arguments: Kind.allCases) func aFrameThatClaimsTooMuchEndsTheConnection(kind: Kind) throws {
    let stage = try Stage(kind)
    let wire = try Wire(stage, server: .lengthPrefixed(maximum: 100))
    let connection = try wire.connect()
    try wire.send(connection, [.bytes(framed("fine")), .bytes(Bytes([0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3]))])
    try stage.wait("the end") { wire.serverEvents.lines.count == 2 && wire.clientEvents.lines.last != "drained" }
    #expect(wire.received.value == ["fine"])
    #expect(
      wire.serverEvents.lines.last
        == "closed: the peer announced a message of 4294967295 bytes, more than is allowed")
    #expect(wire.clientEvents.lines.last?.hasPrefix("closed: ") == true)
  }

  @Test(arguments: Kind.allCases) func largeFrames(kind: Kind) throws {
    let stage = try Stage(kind)
    let wire = try Wire(stage) { [transport = stage.transport] connection, frame in
      transport.send(connection, [.bytes(framed(frame))])
    }
    let connection = try wire.connect(.lengthPrefixed(maximum: 16 << 20))
    let large = patterned(8 << 20)
    for _ in 0..<3 { try wire.send(connection, [.bytes(framed(large)), .bytes(framed("small"))]) }
    try stage.wait("six answers") { wire.answers.value.count == 6 }
    #expect(wire.answers.value[0] == large && wire.answers.value[4] == large)
    #expect(wire.answers.value[1] == "small" && wire.answers.value[5] == "small")
  }

  /// A reader that pauses fills the window; the sender sees its queue stand, and all arrives once reading goes on.
  @Test(arguments: Kind.allCases) func aPausedReaderSlowsTheSender(kind: Kind) throws {
    let stage = try Stage(kind)
    let wire = try Wire(stage, server: .stream)
    let connection = try wire.connect()
    try stage.wait("the connection") { wire.accepted.value.count == 1 && wire.clientEvents.lines.count == 1 }
    let transport = stage.transport
    let peer = wire.accepted.value[0]
    _ = try stage.perform {
      transport.setReading(peer, false)
      return 0
    }
    let block = patterned(32 << 20)
    try wire.send(connection, [.bytes(block)])
    try stage.wait("a full window") { [loop = stage.loop] in
      _ = loop
      let queued = transport.queuedBytes(connection)
      return queued > 0 && queued < 32 << 20
    }
    let settled = wire.receivedBytes()
    #expect(transport.queuedBytes(connection) > 1 << 20)
    #expect(!wire.clientEvents.lines.contains("drained"))
    let isLater = Holder(false)
    stage.loop.post { stage.loop.after(.milliseconds(20)) { isLater.value = true } }
    try stage.wait("20 ms") { isLater.value }
    #expect(wire.receivedBytes() == settled)
    _ = try stage.perform {
      transport.setReading(peer, true)
      return 0
    }
    try stage.wait("all bytes") { wire.receivedBytes() == 32 << 20 }
    try stage.wait("drained") { wire.clientEvents.lines.contains("drained") }
    #expect(transport.queuedBytes(connection) == 0)
  }

  /// A pause inside the sink holds back frames that are read already.
  @Test(arguments: Kind.allCases) func pausingInsideTheSinkHoldsFramesBack(kind: Kind) throws {
    let stage = try Stage(kind)
    let transport = stage.transport
    let wire = try Wire(stage) { connection, _ in transport.setReading(connection, false) }
    let connection = try wire.connect()
    try wire.send(connection, (0..<5).map { .bytes(framed(Bytes("frame \($0)"))) })
    for count in 1...5 {
      try stage.wait("frame \(count)") { wire.received.value.count >= count }
      let isLater = Holder(false)
      stage.loop.post { stage.loop.after(.milliseconds(5)) { isLater.value = true } }
      try stage.wait("5 ms") { isLater.value }
      #expect(wire.received.value.count == count)
      _ = try stage.perform {
        transport.setReading(wire.accepted.value[0], true)
        return 0
      }
    }
    #expect(wire.received.value == ["frame 0", "frame 1", "frame 2", "frame 3", "frame 4"])
  }

  /// What was queued before `close` arrives, and the peer's answers after it are thrown away.
  @Test(arguments: Kind.allCases) func closingSendsWhatIsQueued(kind: Kind) throws {
    let stage = try Stage(kind)
    let wire = try Wire(stage, server: .stream)
    let connection = try wire.connect()
    let block = patterned(4 << 20)
    _ = try stage.perform { [transport = stage.transport] in
      transport.send(connection, [.bytes(block), .bytes("end")])
      return 0
    }
    try stage.wait("the connection") { wire.clientEvents.lines.first == "opened" }
    try wire.close(connection)
    try stage.wait("both ends") {
      wire.clientEvents.lines.last?.hasPrefix("closed") == true && wire.serverEvents.lines.count == 2
    }
    #expect(wire.receivedBytes() == (4 << 20) + 3)
    #expect(wire.clientEvents.lines.last == "closed: closed here")
    #expect(wire.serverEvents.lines.last == "closed: closed by the peer")
    try wire.send(connection, [.bytes("into the void")])
    #expect(stage.transport.queuedBytes(connection) == 0)
  }

  @Test(arguments: Kind.allCases) func aStoppedListenerLeavesItsConnections(kind: Kind) throws {
    let stage = try Stage(kind)
    let wire = try Wire(stage)
    let connection = try wire.connect()
    try stage.wait("the connection") { wire.serverEvents.lines.count == 1 }
    _ = try stage.perform {
      stage.transport.stopListening(wire.listener)
      return 0
    }
    try wire.send(connection, [.bytes(framed("still here"))])
    try stage.wait("the frame") { wire.received.value.count == 1 }
    _ = try wire.connect()
    try stage.wait("the refusal") { wire.clientEvents.lines.contains { $0.hasPrefix("closed") } }
    #expect(wire.serverEvents.lines == ["opened"])
    let again = try stage.transport.listen(on: wire.address, framing: .stream, loop: stage.loop) { _, _ in { _ in } }
    #expect(again.1 == wire.address)
  }

  @Test(arguments: Kind.allCases) func rangesOfFilesAreSent(kind: Kind) throws {
    let stage = try Stage(kind)
    let file = try stage.files.open(stage.path("data"), .create)
    let content = patterned(300_000)
    try file.write(at: 0, content)
    let wire = try Wire(stage)
    let connection = try wire.connect()
    var head = ByteWriter()
    head.append(bigEndian: UInt32(250_004))
    try wire.send(
      connection,
      [.bytes(head.finish()), .file(file, position: 1000, count: 250_000), .bytes("tail"), .bytes(framed("next"))])
    try stage.wait("two frames") { wire.received.value.count == 2 }
    #expect(wire.received.value[0][0..<250_000] == content[1000..<251_000])
    #expect(wire.received.value[0][250_000..<250_004] == "tail")
    #expect(wire.received.value[1] == "next")
    // A range that is not there cannot be sent: the connection ends, on both sides.
    try wire.send(connection, [.file(file, position: 299_000, count: 5000)])
    try stage.wait("the end") {
      wire.clientEvents.lines.last?.hasPrefix("closed") == true && wire.serverEvents.lines.count == 2
    }
  }

  @Test(arguments: Kind.allCases) func manyConnectionsAtOnce(kind: Kind) throws {
    let stage = try Stage(kind)
    let wire = try Wire(stage) { [transport = stage.transport] connection, frame in
      transport.send(connection, [.bytes(framed(frame))])
    }
    let connections = try (0..<100).map { _ in try wire.connect(.lengthPrefixed(maximum: 100)) }
    for (number, connection) in connections.enumerated() {
      try wire.send(connection, [.bytes(framed(Bytes("number \(number)")))])
    }
    try stage.wait("100 answers") { wire.answers.value.count == 100 }
    #expect(Set(wire.answers.value) == Set((0..<100).map { Bytes("number \($0)") }))
  }
}
