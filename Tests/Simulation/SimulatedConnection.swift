import Groundwork
import SystemInterfaces

/// One end of a connection.
///
/// Bytes go: `queue` (not yet given to the system) → under way, as one event a flight → `unread` at the other end (the
/// system's buffer there) → the assembler → the sink. What is under way or unread counts against the window.
final class SimulatedConnection {
  private enum State {
    /// Waits for the listener's answer, or (accepted) for the event that tells its own side.
    case opening
    case open
    /// `close` was called; the queue still drains.
    case closing
    case closed
  }

  let id: ConnectionID
  let process: SimulatedProcess
  let loop: SimulatedLoop
  let isClient: Bool
  var sink: (@Sendable (TransportEvent) -> Void)?
  /// The address a client asked for.
  var remote: Address?
  /// The other end; nil once the connection is broken.
  var peer: SimulatedConnection?
  /// The client's last sends, whole, for `replayProbability`.
  private(set) var lastSends: [Bytes] = []

  private let network: SimulatedNetwork
  private var world: SimulatedWorld { network.world }
  private var state = State.opening
  private var queue: [SendPart] = []
  private(set) var queuedBytes = 0
  private var isFlushScheduled = false
  private var awaitsDrained = false
  /// Bytes that left here and were not yet read there.
  private var outstanding = 0
  /// When the last flight arrives: later ones do not overtake it.
  private var lastArrival: Int64 = 0
  private var heldSince: Int64?

  // Receiving
  private enum Unread { case bytes(Bytes, sender: SimulatedConnection?), end }
  private var unread: [Unread] = []
  private var assembler: FrameAssembler
  private var isReading = true
  private var isDispatching = false
  /// Added to the arrival of what is under way, after a cut.
  private var lateness: Int64 = 0

  init(
    _ id: ConnectionID, in network: SimulatedNetwork, process: SimulatedProcess, loop: SimulatedLoop, framing: Framing,
    isClient: Bool
  ) {
    self.id = id
    self.network = network
    self.process = process
    self.loop = loop
    self.isClient = isClient
    assembler = FrameAssembler(framing)
  }

  var isLive: Bool { state != .closed }

  // MARK: Opening and closing

  func becomeOpen() {
    guard state == .opening else { return }
    state = .open
    sink?(.opened)
    if !queue.isEmpty { scheduleFlush() }
    dispatch()
  }

  func becomeOpenSoon() {
    world.schedule(at: world.nanoseconds, .connection, owner: loop) { self.becomeOpen() }
  }

  func failLater(_ reason: CloseReason) {
    world.schedule(at: world.nanoseconds + network.drawLatency(), .connection, owner: loop) { self.end(reason) }
  }

  func close() {
    switch state {
    case .opening:
      state = .closing
      world.schedule(at: world.nanoseconds, .connection, owner: loop) {
        self.peer?.finishedByPeer(after: self.network.drawLatency())
        self.end(.closedHere)
      }
    case .open:
      state = .closing
      scheduleFlush()
      // A peer that does not take the bytes is given five seconds, as by the live transport.
      world.schedule(at: world.nanoseconds + 5_000_000_000, .connection, owner: loop) {
        guard self.isLive else { return }
        self.peer?.reset(after: self.network.drawLatency())
        self.end(.closedHere)
      }
    case .closing, .closed: break
    }
  }

  /// Tells the sink, once, and forgets everything.
  private func end(_ reason: CloseReason) {
    guard state != .closed else { return }
    let sink = sink
    die()
    sink?(.closed(reason))
  }

  /// Without telling the sink: its process is dead.
  func die() {
    sink = nil
    state = .closed
    queue = []
    queuedBytes = 0
    unread = []
    peer = nil
    network.forget(self)
  }

  /// The sink hears of a reset; what was not read by then is lost.
  func reset(after delay: Int64) {
    peer = nil
    world.schedule(at: world.nanoseconds + delay, .connection, owner: loop) { self.end(.reset) }
  }

  /// The other side sends nothing more; what is under way arrives first.
  func finishedByPeer(after delay: Int64) {
    lastArrivalHere = max(lastArrivalHere, world.nanoseconds + delay)
    world.schedule(at: lastArrivalHere, .delivery, owner: loop) {
      guard self.isLive else { return }
      self.unread.append(.end)
      self.dispatch()
    }
  }

  // MARK: Sending

  func send(_ parts: [SendPart]) {
    guard state == .open || state == .opening else { return }
    let count = parts.reduce(0) { $0 + $1.count }
    guard count > 0 else { return }
    queue += parts
    queuedBytes += count
    awaitsDrained = true
    if state == .open { scheduleFlush() }
  }

  private func scheduleFlush() {
    guard !isFlushScheduled else { return }
    isFlushScheduled = true
    world.schedule(at: world.nanoseconds, .flush, owner: loop) { self.flush() }
  }

  private func flush() {
    isFlushScheduled = false
    guard state == .open || state == .closing else { return }
    guard let peer else { return }  // broken; the reset is on its way
    if network.isPartitioned(process, peer.process) { return hold() }
    let conditions = network.conditions
    var room = conditions.windowMax - outstanding
    var flight: [Bytes] = []
    var taken = 0
    while taken < queue.count, room > 0 {
      guard let bytes = load(queue[taken]) else { return breakDown() }
      if bytes.count <= room {
        flight.append(bytes)
        room -= bytes.count
        taken += 1
      } else {
        flight.append(bytes[0..<room])
        queue[taken] = .bytes(bytes[room..<bytes.count])
        room = 0
      }
    }
    queue.removeFirst(taken)
    let size = flight.reduce(0) { $0 + $1.count }
    queuedBytes -= size
    if size > 0 { depart(flight, size, to: peer) }
    guard isLive, queue.isEmpty else { return }
    if state == .closing {
      peer.finishedByPeer(after: network.drawLatency())
      return end(.closedHere)
    }
    if awaitsDrained {
      awaitsDrained = false
      sink?(.drained)
    }
  }

  private func depart(_ flight: [Bytes], _ size: Int, to peer: SimulatedConnection) {
    let conditions = network.conditions
    if isClient, conditions.replayProbability > 0 {
      lastSends.append(flight.count == 1 ? flight[0] : joined(flight))
      if lastSends.count > 4 { lastSends.removeFirst() }
    }
    var delay = network.drawLatency()
    if let speed = conditions.bytesPerSecond {
      delay += Int64(Double(size) / Double(max(speed, 1)) * 1e9)
      delay += max(0, peer.lastArrivalHere - world.nanoseconds - delay)
    }
    outstanding += size
    if network.chance(conditions.cutProbability) {
      // A random part of the flight still arrives, in front of the reset.
      let part = Int.random(in: 0...size, using: &network.random)
      peer.arrive([joined(flight)[0..<part]], after: delay, from: nil)
      return network.cut(self)
    }
    if size > 1, network.chance(conditions.splitProbability) {
      let whole = joined(flight)
      let place = Int.random(in: 1..<size, using: &network.random)
      peer.arrive([whole[0..<place]], after: delay, from: self)
      peer.arrive([whole[place..<size]], after: delay + network.drawLatency(), from: self)
    } else {
      peer.arrive(flight, after: delay, from: self)
    }
  }

  private func load(_ part: SendPart) -> Bytes? {
    switch part {
    case .bytes(let bytes): return bytes
    case .file(let file, let position, let count):
      guard let bytes = try? file.read(at: position, count: count), bytes.count == count else { return nil }
      return bytes
    }
  }

  private func joined(_ flight: [Bytes]) -> Bytes {
    if flight.count == 1 { return flight[0] }
    var writer = ByteWriter(capacity: 1024)
    for bytes in flight { writer.append(bytes) }
    return writer.finish()
  }

  /// A promised file range could not be read: the stream cannot go on.
  private func breakDown() {
    peer?.reset(after: network.drawLatency())
    peer = nil
    end(.other(5))
  }

  // MARK: Partitions

  private func hold() {
    guard heldSince == nil else { return }
    heldSince = world.nanoseconds
    let limit = network.conditions.partitionTimeout.inNanoseconds
    world.schedule(at: world.nanoseconds + limit, .connection, owner: nil) {
      guard let since = self.heldSince, self.world.nanoseconds - since >= limit, self.isLive else { return }
      self.network.cut(self)
    }
  }

  func partitionEnded() {
    guard heldSince != nil, let peer, !network.isPartitioned(process, peer.process) else { return }
    heldSince = nil
    scheduleFlush()
  }

  // MARK: Receiving

  /// When the last bytes under way to here arrive.
  private(set) var lastArrivalHere: Int64 = 0

  func delayDeliveries(by time: Int64) { lateness += time }

  /// Bytes arrive here after `delay`, behind all that is under way already.
  func arrive(_ flight: [Bytes], after delay: Int64, from sender: SimulatedConnection? = nil) {
    lastArrivalHere = max(lastArrivalHere, world.nanoseconds + delay)
    let before = lateness
    world.schedule(at: lastArrivalHere, .delivery, owner: loop) {
      self.land(flight, from: sender, latenessBefore: before)
    }
  }

  private func land(_ flight: [Bytes], from sender: SimulatedConnection?, latenessBefore: Int64) {
    guard isLive else { return }
    if lateness > latenessBefore {
      // The connection was cut while this was under way: it comes later. Order is kept, all wait equally long.
      let late = lateness
      world.schedule(at: world.nanoseconds + late - latenessBefore, .delivery, owner: loop) {
        self.land(flight, from: sender, latenessBefore: late)
      }
      return
    }
    // A closing end reads on, so that the peer is not stopped by a full window, but nobody hears of it.
    for bytes in flight { unread.append(.bytes(bytes, sender: sender)) }
    dispatch()
  }

  func setReading(_ isOn: Bool) {
    guard isReading != isOn, isLive else { return }
    isReading = isOn
    if isOn { world.schedule(at: world.nanoseconds, .delivery, owner: loop) { self.dispatch() } }
  }

  /// Hands on what may be handed on; the sink may close, pause or send while this runs.
  private func dispatch() {
    guard !isDispatching, state == .open || state == .closing else { return }
    isDispatching = true
    defer { isDispatching = false }
    while isLive, isReading || state == .closing {
      if state == .open {
        do {
          if let frame = try assembler.next() {
            sink?(.received(frame))
            continue
          }
        } catch {
          peer?.reset(after: network.drawLatency())
          peer = nil
          return end(.frameTooLarge(error.size))
        }
      }
      guard !unread.isEmpty else { return }
      switch unread.removeFirst() {
      case .bytes(let bytes, let sender):
        assembler.push(bytes)
        sender?.wasRead(bytes.count)
      case .end:
        if state == .closing { continue }
        return endedByPeer()
      }
    }
  }

  /// The peer closed: what is queued still goes out, then this end closes as well.
  private func endedByPeer() {
    let rest = queue.compactMap { load($0) }
    if !rest.isEmpty, let peer, peer.isLive { peer.arrive(rest, after: network.drawLatency()) }
    peer?.finishedByPeer(after: network.drawLatency())
    end(.closedByPeer)
  }

  private func wasRead(_ count: Int) {
    outstanding -= count
    if isLive, !queue.isEmpty, !isFlushScheduled {
      isFlushScheduled = true
      world.schedule(at: world.nanoseconds + network.drawLatency(), .flush, owner: loop) { self.flush() }
    }
  }
}
