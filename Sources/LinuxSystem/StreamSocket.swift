import CPrimitives
import Glibc
import Groundwork
import Synchronization
import SystemInterfaces

/// One connection: a non-blocking socket on an `EpollLoop`.
///
/// Sendable: confined to its loop, `queuedBytes` excepted, which is atomic; the transport posts calls that come from
/// elsewhere.
final class StreamSocket: Pollable, @unchecked Sendable {
  private enum State {
    /// Waits for the name or the answer of the peer. → open, closed
    case connecting
    case open
    /// `close` was called: the queue drains, nothing is handed on. → finishing, closed
    case closing
    /// The sink has heard the end. What is queued still goes out, what comes in is thrown away, until the peer closes
    /// as well: closing at once would reset the connection where bytes are unread, and the peer could lose the last
    /// answers. → closed, within five seconds
    case finishing
    case closed
  }

  let id: ConnectionID
  let loop: EpollLoop
  private unowned let transport: LinuxTransport
  private var sink: (@Sendable (TransportEvent) -> Void)?
  private var state = State.connecting
  private var fd: Int32 = -1
  private var interest: UInt32 = 0

  // Sending
  private var queue: [SendPart] = []
  /// Parts of `queue` that are gone, and bytes of the next one that are.
  private var queueNext = 0
  private var skipped = 0
  private let queued = Atomic<Int>(0)
  private var isFlushDue = false
  private var isBlocked = false
  private var awaitsDrained = false

  // Receiving
  private var reader: FrameReader
  private var isReading = true
  private var isAtEnd = false

  // Connecting
  private var candidates: [SocketAddress] = []
  private var attemptTimer: TimerID?
  /// Limits the states closing and finishing.
  private var lastTimer: TimerID?

  /// Bytes taken from one connection before the others of the loop have their turn.
  private static let readBudget = 4 << 20

  init(_ id: ConnectionID, on loop: EpollLoop, framing: Framing, transport: LinuxTransport) {
    self.id = id
    self.loop = loop
    self.transport = transport
    reader = FrameReader(framing)
  }

  var queuedBytes: Int { queued.load(ordering: .relaxed) }

  // MARK: Opening

  func start(_ address: Address, _ sink: @escaping @Sendable (TransportEvent) -> Void) {
    self.sink = sink
    SocketAddress.resolve(address, on: loop) { found in
      guard self.state == .connecting else { return }
      if found.isEmpty { return self.end(.cannotResolve(address.host)) }
      self.candidates = found
      self.tryNext(after: .unreachable)
    }
  }

  /// Tries the next address of the name; the last failure is the one told.
  private func tryNext(after failure: CloseReason) {
    cancelAttempt()
    guard !candidates.isEmpty else { return end(failure) }
    let address = candidates.removeFirst()
    do throws(Errno) {
      let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
      fd = Int32(try System.call { socket(address.family, type, 0) })
    } catch {
      return tryNext(after: error.closeReason)
    }
    setNoDelay()
    let result = address.withPointer { connect(fd, $0, $1) }
    if result < 0, errno != EINPROGRESS {
      let reason = Errno(errno).closeReason
      System.close(fd)
      fd = -1
      return tryNext(after: reason)
    }
    interest = SLUICE_POLL_OUT
    loop.watch(fd, interest, self)
    attemptTimer = loop.at(loop.now + .seconds(10)) {
      self.attemptTimer = nil
      self.attemptFailed(.unreachable)
    }
  }

  private func attemptFailed(_ reason: CloseReason) {
    loop.unwatch(fd)
    System.close(fd)
    fd = -1
    tryNext(after: reason)
  }

  private func cancelAttempt() {
    if let attemptTimer { loop.cancel(attemptTimer) }
    attemptTimer = nil
  }

  /// Takes over an accepted descriptor.
  func adopt(_ fd: Int32, _ sink: @escaping @Sendable (TransportEvent) -> Void) {
    self.fd = fd
    self.sink = sink
    setNoDelay()
    interest = SLUICE_POLL_IN
    loop.watch(fd, interest, self)
    opened()
  }

  private func setNoDelay() {
    var one: Int32 = 1
    _ = setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
  }

  private func opened() {
    state = .open
    sink?(.opened)
    if queueNext < queue.count { scheduleFlush() }
    updateInterest()
  }

  // MARK: Events

  func ready(_ flags: UInt32) {
    switch state {
    case .connecting: connectReady()
    case .open, .closing, .finishing:
      if flags & SLUICE_POLL_OUT != 0 {
        isBlocked = false
        flush()
      }
      if flags & (SLUICE_POLL_IN | SLUICE_POLL_ERROR | SLUICE_POLL_HANGUP) != 0, state != .closed {
        if isReading || state != .open {
          readMore()
        } else if flags & (SLUICE_POLL_ERROR | SLUICE_POLL_HANGUP) != 0 {
          end(.reset)
        }
      }
    case .closed: break
    }
  }

  private func connectReady() {
    var failure: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    if getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0 { failure = errno }
    if failure != 0 { return attemptFailed(Errno(failure).closeReason) }
    cancelAttempt()
    candidates = []
    opened()
  }

  private func readMore() {
    var taken = 0
    while taken < Self.readBudget {
      let space = reader.space()
      switch System.progress({ recv(fd, space.baseAddress!, space.count, 0) }) {
      case .moved(0):
        return endOfInput()
      case .moved(let count):
        taken += count
        if state == .open {
          reader.received(count)
          dispatch()
        }
        guard state != .closed, isReading || state != .open else { return }
        // A short read has emptied the socket: the call that would say so is spared.
        if count < space.count { return }
      case .wouldBlock: return
      case .failed(let error): return end(error.closeReason)
      }
    }
  }

  /// Hands on the frames that are there. The sink may send, pause, close, or pump the loop from inside.
  private func dispatch() {
    while state == .open, isReading {
      do throws(FrameTooLarge) {
        guard let frame = try reader.next() else { return }
        sink?(.received(frame))
      } catch {
        return end(.frameTooLarge(error.size))
      }
    }
  }

  private func endOfInput() {
    isAtEnd = true
    switch state {
    case .open:
      tell(.closedByPeer)
      if queuedBytes > 0 { finish() } else { shut() }
    case .closing: finishIfDrained()
    case .finishing: if queuedBytes == 0 { shut() } else { updateInterest() }
    case .connecting, .closed: break
    }
  }

  func setReading(_ isOn: Bool) {
    guard isReading != isOn else { return }
    isReading = isOn
    updateInterest()
    // Frames may be waiting in the buffer, of which the system knows nothing.
    if isOn { loop.post { self.dispatch() } }
  }

  private func updateInterest() {
    guard fd >= 0, state != .connecting, state != .closed else { return }
    var flags: UInt32 = 0
    if !isAtEnd, isReading || state != .open { flags |= SLUICE_POLL_IN }
    if isBlocked { flags |= SLUICE_POLL_OUT }
    guard flags != interest else { return }
    interest = flags
    loop.changeWatch(fd, flags)
  }

  // MARK: Sending

  func send(_ parts: [SendPart]) {
    guard state == .open || state == .connecting else { return }
    var count = 0
    for part in parts where part.count > 0 {
      queue.append(part)
      count += part.count
    }
    guard count > 0 else { return }
    queued.wrappingAdd(count, ordering: .relaxed)
    awaitsDrained = true
    if state == .open { scheduleFlush() }
  }

  private func scheduleFlush() {
    guard !isFlushDue, !isBlocked else { return }
    isFlushDue = true
    loop.flushSoon(self)
  }

  /// Writes what the system takes. Called by the loop between pieces of work, never inside a call to the transport.
  func flush() {
    isFlushDue = false
    guard state == .open || state == .closing || state == .finishing, !isBlocked else { return }
    while queueNext < queue.count {
      switch writeSome() {
      case .moved(let count): advance(count)
      case .wouldBlock:
        isBlocked = true
        compactQueue()
        return updateInterest()
      case .failed(let error):
        return end(error.closeReason)
      }
    }
    queue.removeAll(keepingCapacity: queue.count <= 64)
    queueNext = 0
    updateInterest()
    switch state {
    case .open:
      if awaitsDrained {
        awaitsDrained = false
        sink?(.drained)
      }
    case .closing: finishIfDrained()
    case .finishing: if isAtEnd { shut() }
    case .connecting, .closed: break
    }
  }

  private func writeSome() -> Progress {
    if case .file(let file, let position, let count) = queue[queueNext] {
      return sendFile(file, position + Int64(skipped), count - skipped)
    }
    return withUnsafeTemporaryAllocation(of: iovec.self, capacity: 64) { vectors in
      var gather = Gather(vectors: vectors, scratch: loop.scratch)
      var index = queueNext
      var skip = skipped
      while index < queue.count, case .bytes(let bytes) = queue[index], gather.add(bytes, skipping: skip) {
        skip = 0
        index += 1
      }
      var message = msghdr()
      message.msg_iov = vectors.baseAddress
      message.msg_iovlen = gather.count
      // More follows at once: the system need not send a small packet for the head of a file range.
      let flags = Int32(MSG_NOSIGNAL) | (index < queue.count ? Int32(MSG_MORE) : 0)
      return System.progress { sendmsg(fd, &message, flags) }
    }
  }

  private func sendFile(_ file: any File, _ position: Int64, _ count: Int) -> Progress {
    if let file = file as? LinuxFile {
      var offset = off_t(position)
      let progress = System.progress { sendfile(fd, file.descriptor, &offset, count) }
      // The file is shorter than was promised: the stream cannot go on.
      if case .moved(0) = progress { return .failed(Errno(EIO)) }
      return progress
    }
    let piece = UnsafeMutableRawBufferPointer(rebasing: loop.scratch[..<min(count, loop.scratch.count)])
    guard let got = try? file.read(at: position, into: piece), got > 0 else { return .failed(Errno(EIO)) }
    return System.progress { Glibc.send(fd, piece.baseAddress!, got, Int32(MSG_NOSIGNAL)) }
  }

  private func advance(_ count: Int) {
    queued.wrappingSubtract(count, ordering: .relaxed)
    var left = count
    while left > 0 {
      let rest = queue[queueNext].count - skipped
      if left < rest {
        skipped += left
        return
      }
      left -= rest
      skipped = 0
      queue[queueNext] = .bytes(Bytes())
      queueNext += 1
    }
  }

  private func compactQueue() {
    guard queueNext > 32, queueNext * 2 > queue.count else { return }
    queue.removeFirst(queueNext)
    queueNext = 0
  }

  // MARK: Closing

  func close() {
    switch state {
    case .connecting: loop.post { self.end(.closedHere) }
    case .open:
      state = .closing
      limitClosing()
      updateInterest()
      scheduleFlush()
    case .closing, .finishing, .closed: break
    }
  }

  private func finishIfDrained() {
    guard queuedBytes == 0 else { return }
    tell(.closedHere)
    finish()
  }

  private func finish() {
    state = .finishing
    limitClosing()
    if queuedBytes == 0 {
      if isAtEnd { return shut() }
      _ = shutdown(fd, Int32(SHUT_WR))
    }
    updateInterest()
  }

  private func limitClosing() {
    guard lastTimer == nil else { return }
    lastTimer = loop.at(loop.now + .seconds(5)) {
      self.lastTimer = nil
      self.end(.closedHere)
    }
  }

  private func tell(_ reason: CloseReason) {
    let sink = sink
    self.sink = nil
    sink?(.closed(reason))
  }

  /// Tells the sink, where it has not heard, and closes.
  private func end(_ reason: CloseReason) {
    guard state != .closed else { return }
    shut()
    tell(reason)
  }

  private func shut() {
    guard state != .closed else { return }
    state = .closed
    cancelAttempt()
    if let lastTimer { loop.cancel(lastTimer) }
    lastTimer = nil
    if fd >= 0 {
      loop.unwatch(fd)
      System.close(fd)
      fd = -1
    }
    queue = []
    queueNext = 0
    queued.store(0, ordering: .relaxed)
    reader.free()
    transport.forget(id)
  }

  func abandon() {
    sink = nil
    state = .closed
    System.close(fd)
    fd = -1
    reader.free()
    transport.forget(id)
  }
}
