import Groundwork
import SystemInterfaces

/// The network between the processes of a world.
///
/// Sendable: confined to the thread of its world.
public final class SimulatedNetwork: @unchecked Sendable {
  /// What connections undergo. Read at each flight of bytes, so a change acts on open connections as well.
  public var conditions = NetworkConditions()
  /// Connections opened, and those that were cut by a fault, so far.
  public private(set) var connectionsOpened = 0
  /// Connections that a fault of the conditions, or the test, has cut so far.
  public private(set) var connectionsCut = 0

  unowned var world: SimulatedWorld!
  var random: SeededRandom
  private var nextID: UInt64 = 1
  private var nextPort = 40_000
  private var endpoints: [UInt64: SimulatedConnection] = [:]
  private var listeners: [Listener] = []
  private var partitions: Set<ProcessPair> = []

  private struct ProcessPair: Hashable {
    var first: String
    var second: String
    init(_ a: SimulatedProcess, _ b: SimulatedProcess) {
      first = min(a.name, b.name)
      second = max(a.name, b.name)
    }
  }

  struct Listener {
    var id: ListenerID
    var address: Address
    var framing: Framing
    var loop: SimulatedLoop
    var process: SimulatedProcess
    var accept: @Sendable (ConnectionID, Address) -> @Sendable (TransportEvent) -> Void
  }

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  /// Lets go of everything.
  func end() {
    for connection in sortedEndpoints() { connection.die() }
    listeners = []
  }

  // MARK: Faults by hand

  /// Nothing passes between the two from now on: bytes wait, connects hang.
  public func partition(_ a: SimulatedProcess, _ b: SimulatedProcess) {
    world.note("partition \(a.name) | \(b.name)")
    partitions.insert(ProcessPair(a, b))
  }

  /// What waited goes on, where it was not given up.
  public func heal(_ a: SimulatedProcess, _ b: SimulatedProcess) {
    world.note("heal \(a.name) | \(b.name)")
    partitions.remove(ProcessPair(a, b))
    resumeHeld()
  }

  /// Ends all partitions; what was held back by them goes on.
  public func healAll() {
    partitions.removeAll()
    resumeHeld()
  }

  /// Cuts every connection of a process, as a restarting switch would.
  public func cutConnections(of process: SimulatedProcess) {
    for connection in sortedEndpoints() where connection.process === process && connection.isLive {
      cut(connection)
    }
  }

  func isPartitioned(_ a: SimulatedProcess, _ b: SimulatedProcess) -> Bool {
    !partitions.isEmpty && partitions.contains(ProcessPair(a, b))
  }

  private func resumeHeld() {
    for connection in sortedEndpoints() { connection.partitionEnded() }
  }

  private func sortedEndpoints() -> [SimulatedConnection] {
    endpoints.keys.sorted().compactMap { endpoints[$0] }
  }

  // MARK: Chance

  func chance(_ probability: Double) -> Bool {
    probability > 0 && Double(random.next() >> 11) * 0x1p-53 < probability
  }

  func drawLatency() -> Int64 {
    let range = conditions.latency
    var time = Int64.random(in: range.lowerBound.inNanoseconds...range.upperBound.inNanoseconds, using: &random)
    if chance(conditions.spikeProbability) { time += conditions.spike.inNanoseconds }
    return time
  }

  // MARK: Connections

  func makeID() -> UInt64 {
    nextID += 1
    return nextID
  }

  func endpoint(_ id: ConnectionID) -> SimulatedConnection? { endpoints[id.rawValue] }
  func forget(_ connection: SimulatedConnection) { endpoints[connection.id.rawValue] = nil }

  func connect(
    from process: SimulatedProcess, to address: Address, framing: Framing, on loop: SimulatedLoop,
    _ sink: @escaping @Sendable (TransportEvent) -> Void
  ) -> ConnectionID {
    let client = SimulatedConnection(
      ConnectionID(makeID()), in: self, process: process, loop: loop, framing: framing, isClient: true)
    client.sink = sink
    client.remote = address
    endpoints[client.id.rawValue] = client
    let port = nextPort
    nextPort = nextPort >= 65_000 ? 40_000 : nextPort + 1
    world.schedule(at: world.nanoseconds + drawLatency(), .connection, owner: nil) {
      self.arrive(client, from: Address(host: "127.0.0.1", port: port), started: self.world.nanoseconds)
    }
    return client.id
  }

  /// The client's first packet is at the listener's machine.
  private func arrive(_ client: SimulatedConnection, from peer: Address, started: Int64) {
    guard client.isLive, let address = client.remote else { return }
    if conditions.unresolvableHosts.contains(address.host) { return client.failLater(.cannotResolve(address.host)) }
    guard let listener = listener(for: address) else { return client.failLater(.refused) }
    if isPartitioned(client.process, listener.process) {
      let waited = world.nanoseconds - started
      if waited >= conditions.connectTimeout.inNanoseconds { return client.failLater(.unreachable) }
      // As TCP does, the first packet is sent again and again.
      world.schedule(at: world.nanoseconds + 500_000_000, .connection, owner: nil) {
        self.arrive(client, from: peer, started: started)
      }
      return
    }
    if chance(conditions.refuseProbability) { return client.failLater(.refused) }
    let server = accept(listener, from: peer)
    server.peer = client
    client.peer = server
    connectionsOpened += 1
    world.schedule(at: world.nanoseconds + drawLatency(), .connection, owner: client.loop) { client.becomeOpen() }
  }

  private func accept(_ listener: Listener, from peer: Address) -> SimulatedConnection {
    let server = SimulatedConnection(
      ConnectionID(makeID()), in: self, process: listener.process, loop: listener.loop, framing: listener.framing,
      isClient: false)
    endpoints[server.id.rawValue] = server
    world.running(on: listener.loop) { server.sink = listener.accept(server.id, peer) }
    server.becomeOpenSoon()
    return server
  }

  /// Cuts a connection at both ends, at different times; see `NetworkConditions`.
  func cut(_ connection: SimulatedConnection) {
    connectionsCut += 1
    guard let peer = connection.peer else { return connection.reset(after: drawLatency()) }
    world.note("cut \(connection.process.name) – \(peer.process.name) connection \(connection.id.rawValue)")
    let client = connection.isClient ? connection : peer
    let server = connection.isClient ? peer : connection
    if chance(conditions.replayProbability) { replay(client) }
    client.reset(after: drawLatency())
    if chance(conditions.lateDeliveryProbability) {
      let late = Int64.random(in: 0...max(1, conditions.lateDeliveryMax.inNanoseconds), using: &random)
      server.delayDeliveries(by: late)
      server.reset(after: late + drawLatency() * 2)
    } else {
      server.reset(after: drawLatency())
    }
    client.peer = nil
    server.peer = nil
  }

  /// The client's last frames come to the listener once more.
  private func replay(_ client: SimulatedConnection) {
    let frames = client.lastSends
    guard !frames.isEmpty, let address = client.remote, let listener = listener(for: address) else { return }
    let delay = Int64.random(in: 0...max(1, conditions.lateDeliveryMax.inNanoseconds), using: &random)
    world.schedule(at: world.nanoseconds + delay, .fault, owner: nil) {
      guard listener.process.isAlive, self.listener(for: address) != nil else { return }
      self.world.note("replay \(frames.count) frames to \(address)")
      let ghost = self.accept(listener, from: Address(host: "127.0.0.1", port: 1))
      for frame in frames { ghost.arrive([frame], after: self.drawLatency()) }
      ghost.reset(after: self.conditions.lateDeliveryMax.inNanoseconds + self.drawLatency())
    }
  }

  func processDied(_ process: SimulatedProcess) {
    listeners.removeAll { $0.process === process }
    for connection in sortedEndpoints() where connection.process === process {
      let peer = connection.peer
      connection.die()
      guard let peer else { continue }
      peer.peer = nil
      // The system closes the sockets of the dead: the peer sees the end, or a reset where bytes were left unread.
      let delay = drawLatency()
      if random.next() & 1 == 0 { peer.reset(after: delay) } else { peer.finishedByPeer(after: delay) }
    }
  }

  // MARK: Listeners

  private static let wildcards: Set<String> = ["0.0.0.0", "::", ""]
  private static func normal(_ host: String) -> String {
    host == "localhost" || host == "::1" ? "127.0.0.1" : host
  }

  private func listener(for address: Address) -> Listener? {
    listeners.first { $0.address.port == address.port && Self.matches($0.address.host, address.host) }
  }

  private static func matches(_ listening: String, _ asked: String) -> Bool {
    wildcards.contains(listening) || normal(listening) == normal(asked)
  }

  func listen(
    _ process: SimulatedProcess, on address: Address, framing: Framing, loop: SimulatedLoop,
    accept: @escaping @Sendable (ConnectionID, Address) -> @Sendable (TransportEvent) -> Void
  ) throws(TransportError) -> (ListenerID, Address) {
    if conditions.unresolvableHosts.contains(address.host) { throw TransportError(.cannotResolve, address: address) }
    var address = address
    if address.port == 0 {
      repeat { nextPort += 1 } while listener(for: Address(host: address.host, port: nextPort)) != nil
      address.port = nextPort
    }
    let isTaken = listeners.contains {
      $0.address.port == address.port
        && (Self.matches($0.address.host, address.host) || Self.matches(address.host, $0.address.host))
    }
    if isTaken { throw TransportError(.addressInUse, address: address) }
    let id = ListenerID(makeID())
    listeners.append(
      Listener(id: id, address: address, framing: framing, loop: loop, process: process, accept: accept))
    return (id, address)
  }

  func stopListening(_ id: ListenerID) { listeners.removeAll { $0.id == id } }
}

/// The transport as one process has it.
///
/// Sendable: confined to the thread of its world.
final class SimulatedTransport: Transport, @unchecked Sendable {
  private let network: SimulatedNetwork
  private unowned let process: SimulatedProcess

  init(_ network: SimulatedNetwork, for process: SimulatedProcess) {
    self.network = network
    self.process = process
  }

  func connect(
    to address: Address, framing: Framing, on loop: any Loop, _ sink: @escaping @Sendable (TransportEvent) -> Void
  ) -> ConnectionID {
    guard process.isAlive else { return ConnectionID(0) }
    return network.connect(from: process, to: address, framing: framing, on: own(loop), sink)
  }

  func listen(
    on address: Address, framing: Framing, loop: any Loop,
    accept: @escaping @Sendable (ConnectionID, Address) -> @Sendable (TransportEvent) -> Void
  ) throws(TransportError) -> (ListenerID, Address) {
    guard process.isAlive else { throw TransportError(.other(0), address: address) }
    return try network.listen(process, on: address, framing: framing, loop: own(loop), accept: accept)
  }

  func stopListening(_ listener: ListenerID) { network.stopListening(listener) }
  func send(_ connection: ConnectionID, _ parts: [SendPart]) { own(connection)?.send(parts) }
  func queuedBytes(_ connection: ConnectionID) -> Int { own(connection)?.queuedBytes ?? 0 }
  func setReading(_ connection: ConnectionID, _ isOn: Bool) { own(connection)?.setReading(isOn) }
  func close(_ connection: ConnectionID) { own(connection)?.close() }

  private func own(_ connection: ConnectionID) -> SimulatedConnection? {
    guard process.isAlive, let found = network.endpoint(connection), found.process === process else { return nil }
    precondition(
      found.loop.isCurrent || network.world.current == nil,
      "connection \(connection.rawValue) of loop \(found.loop.name) is used on another loop")
    return found
  }

  private func own(_ loop: any Loop) -> SimulatedLoop {
    guard let loop = loop as? SimulatedLoop else { preconditionFailure("a simulated transport needs a simulated loop") }
    return loop
  }
}
