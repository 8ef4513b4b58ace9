import Groundwork
import KafkaProtocol
import LogBroker
import LogStorage
import Simulation
import SystemInterfaces
import Testing

/// What a broken, hostile or later client sends: the protocol's own error or a closed connection and a line in the log,
/// and the broker goes on.
struct ProtocolEdgeTests {
  private func stillServes(_ bench: BrokerBench) throws {
    #expect(try bench.client().call(ApiVersionsRequest()).errorCode == .none)
  }

  @Test func versionsAreAnnounced() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    for version in Int16(0)...4 {
      let response = try client.call(ApiVersionsRequest(), version: version)
      var ranges: [Int16: ClosedRange<Int16>] = [:]
      for key in response.apiKeys { ranges[key.apiKey] = key.minVersion...key.maxVersion }
      // From these librdkafka infers which codecs the broker has.
      #expect(ranges[APIKey.produce.rawValue]?.lowerBound == 0)
      #expect(ranges[APIKey.fetch.rawValue]?.contains(2) == true)
      #expect(ranges[APIKey.findCoordinator.rawValue]?.lowerBound == 0)
      #expect(ranges.count == 28)
    }
  }

  @Test func aLaterApiVersionsIsAnsweredInVersionZero() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    client.sendRaw([0, 0, 0, 16, 0, 18, 0, 99, 0, 0, 0, 7, 0, 3, 97, 98, 99, 0, 0xFF, 0xFF])
    try bench.simulation.run(within: .seconds(5)) { client.has(7) }
    let response = try client.response(ApiVersionsResponse.self, 7, version: 0)
    #expect(response.errorCode == .unsupportedVersion)
    #expect(response.apiKeys.contains { $0.apiKey == 18 && $0.maxVersion == 4 })
    #expect(try client.call(ApiVersionsRequest(), version: 0).errorCode == .none)
  }

  @Test func whatCannotBeReadClosesTheConnection() throws {
    let bench = try BrokerBench()
    let frames: [(bytes: [UInt8], reason: String)] = [
      ([0, 0, 0, 0], "cannot be read"),
      ([0, 0, 0, 3, 1, 2, 3], "cannot be read"),
      // An unknown call, and one that is known but not answered here.
      ([0, 0, 0, 10, 0x03, 0xE7, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF], "number 999"),
      ([0, 0, 0, 10, 0, 4, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF], "LeaderAndIsr"),
      // A version that is not announced.
      ([0, 0, 0, 11, 0, 1, 0, 90, 0, 0, 0, 1, 0xFF, 0xFF, 0], "Fetch version 90"),
      // A client id, and an array, that claim more than is there.
      ([0, 0, 0, 10, 0, 3, 0, 1, 0, 0, 0, 1, 0x7F, 0xFF], "cannot be read"),
      ([0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF], "Metadata request"),
      // A frame that claims 2 GiB.
      ([0x7F, 0xFF, 0xFF, 0xFF, 0, 3], "2147483647 bytes"),
      ([0xFF, 0xFF, 0xFF, 0xFF, 0, 3], ""),
    ]
    for frame in frames {
      let client = try bench.client()
      let known = bench.lines.lines.count
      client.sendRaw(frame.bytes)
      _ = try client.waitForClose()
      if !frame.reason.isEmpty {
        #expect(bench.lines.lines.count > known, "\(frame)")
        #expect(bench.lines.lines.last?.contains(frame.reason) == true, "\(bench.lines.lines.last ?? "")")
      }
    }
    try stillServes(bench)
  }

  /// As librdkafka 2.16 asks Metadata 12 where it knows no topic: three bytes stand behind the request, and Kafka's
  /// brokers read on.
  @Test func bytesBehindARequestArePassedOver() throws {
    let bench = try BrokerBench()
    try bench.client().makeTopic("t")
    let client = try bench.client()
    client.sendRaw([0, 0, 0, 18, 0, 3, 0, 12, 0, 0, 0, 7, 0xFF, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0])
    try bench.simulation.run(within: .seconds(5)) { client.has(7) }
    #expect(try client.response(MetadataResponse.self, 7, version: 12).topics.map(\.name) == ["t"])
  }

  /// Every prefix and every flipped byte of real requests: the connection may close, the broker must not fall.
  @Test func damagedRequestsDoNoHarm() throws {
    let bench = try BrokerBench { $0.partitionCountMax = 50 }
    try bench.client().makeTopic("t")
    let maker = try bench.client()
    var random = SeededRandom(seed: 3)
    func frame<Request: KafkaRequest>(_ request: Request, _ version: Int16) throws -> [UInt8] {
      try encodeRequest(request, version: version, correlationID: 1, clientID: "c").flatMap { Array($0) }
    }
    var group = JoinGroupRequest()
    group.groupID = "g"
    group.sessionTimeoutMilliseconds = 10_000
    group.protocolType = "consumer"
    let frames = [
      try frame(maker.produceRequest("t", batch("hello")), 9), try frame(maker.produceRequest("t", batch("hello")), 3),
      try frame(maker.fetchRequest("t", from: 0), 12), try frame(maker.fetchRequest("t", from: 0), 4),
      try frame(MetadataRequest(), 12), try frame(group, 9), try frame(OffsetFetchRequest(), 7),
    ]
    for frame in frames {
      for _ in 0..<60 {
        var damaged = frame
        if Bool.random(using: &random) {
          let size = Int.random(in: 4..<frame.count, using: &random)
          damaged = Array(frame[..<size])
          let length = UInt32(size - 4)
          for index in 0..<4 { damaged[index] = UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * index)) }
        } else {
          damaged[Int.random(in: 8..<frame.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
        }
        let client = try bench.client()
        client.sendRaw(damaged)
        try bench.simulation.run(for: .milliseconds(5))
        client.close()
      }
    }
    try stillServes(bench)
    #expect(try bench.client().produce("t", batch("fine")).errorCode == .none)
  }

  @Test func aClientThatDoesNotReadIsNotReadFrom() throws {
    let bench = try BrokerBench {
      $0.queuedBytesMax = 100_000
      $0.pendingRequestsMax = 8
    }
    let writer = try bench.client()
    try writer.makeTopic("t")
    _ = try writer.produce("t", batch(String(repeating: "x", count: 50_000)))
    let reader = try bench.client()
    reader.setReading(false)
    var last: Int32 = 0
    for _ in 0..<200 { last = try reader.send(reader.fetchRequest("t", from: 0), version: 12) }
    try bench.simulation.run(for: .seconds(5))
    #expect(reader.frames.isEmpty)
    // It reads again: everything comes, in order.
    reader.setReading(true)
    try bench.simulation.run(within: .seconds(60)) { reader.has(last) }
    #expect(reader.frames.count == 200)
    #expect(try reader.frames.map { try decodeCorrelationID($0) } == Array(last - 199...last))
  }

  @Test func manyWaitingRequestsAreBounded() throws {
    let bench = try BrokerBench { $0.pendingRequestsMax = 8 }
    let reader = try bench.client()
    try reader.makeTopic("t")
    var last: Int32 = 0
    for _ in 0..<50 { last = try reader.send(reader.fetchRequest("t", from: 0, maxWait: 1000), version: 12) }
    try bench.simulation.run(for: .milliseconds(1500))
    #expect(reader.frames.count == 9)
    try bench.simulation.run(within: .seconds(20)) { reader.has(last) }
  }

  @Test func theFolderIsLockedAndNamesItsHolder() throws {
    let bench = try BrokerBench()
    #expect(
      BrokerHolder.read(ofFolder: "/data", in: bench.files) == BrokerHolder(processID: 4711, address: bench.address))
    let second = bench.simulation.makeProcess(named: "second")
    let configuration = BrokerConfiguration(dataDirectory: "/data", processID: 99)
    let broker = Broker(world: second.world, loop: second.makeLoop(named: "b"), configuration: configuration)
    let error = #expect(throws: BrokerError.self) { try broker.start() }
    #expect(error?.code == .folderInUse(holder: "pid 4711 at \(bench.address)", address: bench.address))
    #expect(
      error?.description
        == "the broker's data folder is in use by pid 4711 at \(bench.address): "
        + "connect to it (--bootstrap-server \(bench.address)), stop it, or choose another folder")
    try bench.killAndRestart()
    try stillServes(bench)
  }

  @Test func aPortInUseIsNamed() throws {
    let bench = try BrokerBench()
    let other = bench.simulation.makeProcess(named: "other")
    var configuration = BrokerConfiguration(dataDirectory: "/other", processID: 99)
    configuration.listenAddress = bench.address
    let error = #expect(throws: BrokerError.self) {
      try Broker(world: other.world, loop: other.makeLoop(named: "b"), configuration: configuration).start()
    }
    #expect(error?.code == .listen(.addressInUse, address: bench.address))
    // Nothing is left locked.
    configuration.listenAddress.port = 0
    _ = try Broker(world: other.world, loop: other.makeLoop(named: "b"), configuration: configuration).start()
  }

  @Test func holdersAreReadFromText() {
    #expect(
      BrokerHolder(text: "pid 12 at [::1]:9092")
        == BrokerHolder(processID: 12, address: Address(host: "::1", port: 9092)))
    #expect(BrokerHolder(text: "pid 12 starting") == BrokerHolder(processID: 12, address: nil))
    for text in ["", "pid", "pid x at a:1", "somebody else"] { #expect(BrokerHolder(text: text) == nil) }
  }

  @Test func aFullDiskIsAnErrorOfOneRequest() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    try client.makeTopic("t")
    bench.process.disk.inject(DiskFault(.write, pathContains: "t-0", code: .diskFull, isTorn: true))
    let answer = try client.produce("t", batch("x"))
    #expect(answer.errorCode == .kafkaStorageError)
    #expect(answer.errorMessage?.contains("free some space") == true)
    #expect(try client.produce("t", batch("y")).baseOffset == 0)
    #expect(bench.lines.contains("disk is full"))
  }
}
