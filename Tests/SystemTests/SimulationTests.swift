import Groundwork
import Simulation
import SystemInterfaces
import Testing

/// What the simulated world promises beyond the seams.
struct SimulationTests {
  /// Two processes that talk over a hostile network for a while; the digest of all that happened.
  private func chatter(seed: UInt64) throws -> (digest: UInt64, received: Int) {
    let simulation = SimulatedWorld(seed: seed)
    simulation.network.conditions = .hostile(0.02)
    simulation.postDelayMax = .microseconds(50)
    let server = simulation.makeProcess(named: "server")
    let client = simulation.makeProcess(named: "client")
    let serverLoop = server.makeLoop(named: "loop")
    let transport = server.world.transport
    let received = Counter()
    let (_, address) = try transport.listen(
      on: Address(host: "127.0.0.1", port: 0), framing: .lengthPrefixed(maximum: 1000), loop: serverLoop
    ) { connection, _ in
      { event in
        if case .received(let frame) = event {
          received.value += 1
          transport.send(connection, [.bytes(framed(frame))])
        }
      }
    }
    let talker = Talker(client.world, on: client.makeLoop(named: "talk"), to: address)
    talker.start()
    try simulation.run(for: .seconds(20))
    return (simulation.traceDigest, received.value)
  }

  @Test(arguments: 1...20) func oneSeedGivesOneHistory(seed: UInt64) throws {
    let first = try chatter(seed: seed)
    let second = try chatter(seed: seed)
    #expect(first.digest == second.digest, "seed \(seed)")
    #expect(first.received > 10, "seed \(seed)")
    #expect(try chatter(seed: seed + 1000).digest != first.digest, "seed \(seed)")
  }

  @Test func aWorldThatRunsDrySaysWhatItWaitsFor() throws {
    let simulation = SimulatedWorld(seed: 7)
    let loop = simulation.makeProcess(named: "alone").makeLoop(named: "main")
    loop.after(.seconds(1)) {}
    let error = #expect(throws: SimulationError.self) { try simulation.run { false } }
    #expect(error?.kind == .ranDry)
    #expect(error?.description.contains("seed 7") == true)
    @Sendable func again() { loop.after(.seconds(1)) { again() } }
    again()
    let stuck = #expect(throws: SimulationError.self) { try simulation.run(within: .seconds(100)) { false } }
    #expect(stuck?.kind == .outOfTime)
    #expect(stuck?.description.contains("timer alone/main") == true)
  }

  @Test func killingAProcessEndsEverythingOfIt() throws {
    let simulation = SimulatedWorld(seed: 3)
    let victim = simulation.makeProcess(named: "victim")
    let other = simulation.makeProcess(named: "other")
    let victimLoop = victim.makeLoop(named: "loop")
    let otherLoop = other.makeLoop(named: "loop")
    let ran = Counter()
    victimLoop.post { ran.value += 1 }
    victimLoop.after(.seconds(1)) { ran.value += 1 }
    _ = try victim.world.files.lock("/lock", holder: "victim")
    let (_, address) = try victim.world.transport.listen(
      on: Address(host: "localhost", port: 9), framing: .stream, loop: victimLoop
    ) { _, _ in { _ in ran.value += 1 } }
    let events = Log()
    _ = other.world.transport.connect(to: address, framing: .stream, on: otherLoop) { events.add("\($0)") }
    try simulation.run(for: .milliseconds(10))
    #expect(events.lines == ["opened"])
    let before = ran.value
    victim.kill()
    try simulation.run(for: .seconds(5))
    #expect(ran.value == before)
    #expect(events.lines.count == 2 && events.lines[1].hasPrefix("closed"))
    let file = try other.world.files.lock("/lock", holder: "other")
    file.unlock()
    #expect(throws: FileError.self) { try victim.world.files.list("/") }
    let again = try other.world.transport.listen(on: address, framing: .stream, loop: otherLoop) { _, _ in { _ in } }
    #expect(again.1 == address)
  }

  /// A pump on the stack of a killed process comes back, and what its caller still does has no effect.
  @Test func killingAProcessReturnsItsPump() throws {
    let simulation = SimulatedWorld(seed: 3)
    let victim = simulation.makeProcess(named: "victim")
    let loop = victim.makeLoop(named: "loop")
    let files = victim.world.files
    let log = Log()
    loop.post {
      loop.pump { false }
      log.add("back")
      loop.post { log.add("posted") }
      if (try? files.open("/late", .create)) == nil { log.add("no file") }
    }
    simulation.after(.seconds(1)) { victim.kill() }
    try simulation.runUntilIdle()
    #expect(log.lines == ["back", "no file"])
    let other = simulation.makeProcess(named: "other")
    #expect(try other.world.files.list("/") == [])
  }

  /// With every fault of the network at work, bytes of one connection come whole and in order, up to a cut.
  @Test(arguments: 1...50) func aHostileNetworkKeepsTheOrderOfBytes(seed: UInt64) throws {
    let simulation = SimulatedWorld(seed: seed)
    simulation.network.conditions = .hostile(0.03)
    simulation.network.conditions.replayProbability = 0
    let (a, b) = (simulation.makeProcess(named: "a"), simulation.makeProcess(named: "b"))
    let (loop, transport) = (a.makeLoop(named: "loop"), a.world.transport)
    let sent = patterned(300_000, seed: seed)
    let got = Holder<[ConnectionID: Bytes]>([:])
    let (accepted, ends) = (Counter(), Counter())
    let (_, address) = try b.world.transport.listen(
      on: Address(host: "b", port: 1), framing: .stream, loop: b.makeLoop(named: "loop")
    ) { connection, _ in
      accepted.value += 1
      return { event in
        switch event {
        case .received(let bytes):
          got.change { all in
            var writer = ByteWriter()
            writer.append(all[connection] ?? Bytes())
            writer.append(bytes)
            all[connection] = writer.finish()
          }
        case .closed: ends.value += 1
        case .opened, .drained: break
        }
      }
    }
    loop.post {
      for _ in 0..<5 {
        let box = Holder<ConnectionID?>(nil)
        box.value = transport.connect(to: address, framing: .stream, on: loop) { event in
          guard case .opened = event, let connection = box.value else { return }
          for start in stride(from: 0, to: 300_000, by: 10_000) {
            loop.after(.milliseconds(start / 10_000)) {
              transport.send(connection, [.bytes(sent[start..<(start + 10_000)])])
              if start == 290_000 { transport.close(connection) }
            }
          }
        }
      }
    }
    try simulation.runUntilIdle()
    #expect(ends.value == accepted.value && accepted.value > 0, "seed \(seed)")
    #expect(got.value.values.allSatisfy { sent.hasPrefix($0) }, "seed \(seed)")
  }

  /// Goal: after a power loss the synced bytes are there, and nothing that was never written.
  /// Strategy: random writes, truncations and syncs against a model of the synced part.
  @Test(arguments: 1...200) func powerLossKeepsWhatWasSynced(seed: UInt64) throws {
    let simulation = SimulatedWorld(seed: seed)
    var random = SeededRandom(seed: seed)
    let process = simulation.makeProcess(named: "writer")
    let files = process.world.files
    try files.createDirectories("/data/log")
    let file = try files.open("/data/log/a", .create)
    try files.syncDirectory("/data/log")
    var synced: [UInt8] = []
    var written: [UInt8] = []
    for _ in 0..<30 {
      let part = [UInt8](repeating: UInt8.random(in: 1...255, using: &random), count: Int(random.next() % 50))
      try file.write(at: Int64(written.count), Bytes(part))
      written += part
      if random.next() % 4 == 0 {
        try file.sync()
        synced = written
      }
    }
    simulation.losePower()
    let reader = simulation.makeProcess(named: "reader").world.files
    let content = Array(try reader.contents(of: "/data/log/a"))
    #expect(content.starts(with: synced), "seed \(seed)")
    #expect(content.count <= written.count, "seed \(seed)")
    #expect(zip(content, written).allSatisfy { $0 == $1 || $0 == 0 }, "seed \(seed)")
  }

  @Test func powerLossMayUndoNamesAndProcessDeathDoesNot() throws {
    var survived = 0
    var replacedWhole = true
    for seed in 1...100 as ClosedRange<UInt64> {
      let simulation = SimulatedWorld(seed: seed)
      let process = simulation.makeProcess(named: "writer")
      try process.world.files.replace("/file", with: "old")
      try process.world.files.syncDirectory("/")
      try process.world.files.replace("/file", with: "new")
      process.kill()
      let next = simulation.makeProcess(named: "next")
      #expect(try next.world.files.contents(of: "/file") == "new")
      simulation.losePower()
      let last = simulation.makeProcess(named: "last")
      let content = try last.world.files.contents(of: "/file")
      if content == "new" { survived += 1 }
      replacedWhole = replacedWhole && (content == "new" || content == "old")
    }
    #expect(replacedWhole)
    #expect((10...90).contains(survived), "\(survived)")
  }

  @Test func injectedFaultsStrikeOnce() throws {
    let simulation = SimulatedWorld(seed: 5)
    let files = simulation.makeProcess(named: "writer").world.files
    let file = try files.open("/a", .create)
    simulation.disk.inject(DiskFault(.write, after: 1, pathContains: "a", code: .inputOutput, isTorn: true))
    try file.write(at: 0, "0123456789")
    let error = #expect(throws: FileError.self) { try file.write(at: 10, "0123456789") }
    #expect(error?.code == .inputOutput)
    #expect(try file.size() < 20)
    try file.write(at: 10, "0123456789")
    simulation.disk.capacity = 25
    let full = #expect(throws: FileError.self) { try file.write(at: 20, "0123456789") }
    #expect(full?.code == .diskFull)
    #expect(try file.size() == 25)
    #expect(try String(files.contents(of: "/a")) == "0123456789012345678901234")
  }

  @Test func aPartitionHoldsBytesAndThenCuts() throws {
    let simulation = SimulatedWorld(seed: 11)
    let a = simulation.makeProcess(named: "a")
    let b = simulation.makeProcess(named: "b")
    let events = Log()
    let heard = Log()
    let (_, address) = try b.world.transport.listen(
      on: Address(host: "b", port: 1), framing: .stream, loop: b.makeLoop(named: "loop")
    ) { _, _ in { heard.add("\($0)") } }
    let loop = a.makeLoop(named: "loop")
    let transport = a.world.transport
    let connection = transport.connect(to: address, framing: .stream, on: loop) { events.add("\($0)") }
    try simulation.run { events.lines.count == 1 }
    simulation.network.partition(a, b)
    loop.post { transport.send(connection, [.bytes("hello")]) }
    try simulation.run(for: .seconds(5))
    #expect(heard.lines == ["opened"])
    simulation.network.heal(a, b)
    try simulation.run { heard.lines.count == 2 }
    #expect(heard.lines[1] == "received(\"hello\")")
    simulation.network.partition(a, b)
    loop.post { transport.send(connection, [.bytes("lost")]) }
    try simulation.run(for: .seconds(20))
    #expect(events.lines.last == "closed(connection reset by the peer)")
    #expect(heard.lines.last == "closed(connection reset by the peer)")
    let late = Log()
    _ = transport.connect(to: address, framing: .stream, on: loop) { late.add("\($0)") }
    try simulation.run(for: .seconds(20))
    #expect(late.lines == ["closed(the address cannot be reached)"])
  }

  @Test func tasksCanBeHeldAndRunByHand() throws {
    let simulation = SimulatedWorld(seed: 1)
    let process = simulation.makeProcess(named: "driver", executors: 4)
    let loop = process.makeLoop(named: "loop")
    let order = Log()
    process.runner.mode = .held
    let tasks = (0..<3).map { number in ExecutorTask(weight: 1) { _ in order.add("\(number)") } }
    process.world.runner.submit(tasks, from: loop) { order.add("done") }
    #expect(process.runner.heldCount == 3 && order.lines.isEmpty)
    process.runner.runHeld(at: 1)
    process.runner.runAllHeld()
    #expect(order.lines == ["1", "0", "2"])
    try simulation.runUntilIdle()
    #expect(order.lines.last == "done")
  }

  @Test func wallClockJumpsWithoutTheMonotonicOne() throws {
    let simulation = SimulatedWorld(seed: 1)
    let clock = simulation.makeProcess(named: "p").world.clock
    let (instant, wall) = (clock.now, clock.wallTime)
    simulation.jumpWallClock(by: .seconds(-10))
    #expect(clock.now == instant && clock.wallTime - wall == .seconds(-10))
    try simulation.run(for: .seconds(1))
    #expect(clock.now - instant == .seconds(1) && clock.wallTime - wall == .seconds(-9))
  }

  @Test func eventsAreCheap() throws {
    let simulation = SimulatedWorld(seed: 1)
    let loop = simulation.makeProcess(named: "p").makeLoop(named: "l")
    let count = Counter()
    @Sendable func tick() {
      count.value += 1
      if count.value < 100_000 { loop.after(.milliseconds(1)) { tick() } }
    }
    loop.post { tick() }
    let time = try ContinuousClock().measure { try simulation.runUntilIdle() }
    #expect(count.value == 100_000)
    print("100,000 simulated events in \(time)")
  }
}

/// Sends numbered frames for ever, reconnecting when cut. Confined to its loop.
private final class Talker: @unchecked Sendable {  // safe: used on one loop of one simulated thread
  private let world: World
  private let loop: any Loop
  private let address: Address
  private var number = 0

  init(_ world: World, on loop: any Loop, to address: Address) {
    self.world = world
    self.loop = loop
    self.address = address
  }

  func start() {
    let link = Log()
    let connection = world.transport.connect(to: address, framing: .lengthPrefixed(maximum: 1000), on: loop) { event in
      if case .closed = event {
        link.add("closed")
        self.loop.after(.milliseconds(100)) { self.start() }
      }
    }
    talk(connection, link)
  }

  private func talk(_ connection: ConnectionID, _ link: Log) {
    loop.after(.milliseconds(50)) {
      guard link.lines.isEmpty else { return }
      self.number += 1
      self.world.transport.send(connection, [.bytes(framed(Bytes("message \(self.number)")))])
      self.talk(connection, link)
    }
  }
}
