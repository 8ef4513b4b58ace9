import CPrimitives
import Glibc
import Groundwork
import Synchronization
import SystemInterfaces

/// TCP over non-blocking sockets; each connection lives on the `EpollLoop` it was opened for.
public final class LinuxTransport: Transport, Sendable {
  private let sockets = Lock<[UInt64: StreamSocket]>([:])
  private let listeners = Lock<[UInt64: SocketListener]>([:])
  private let nextID = Atomic<UInt64>(1)

  /// Without connections or threads of its own: each connection lives on the loop it is opened for, which must be an
  /// `EpollLoop`.
  public init() {}

  /// From any thread. Names are looked up beside the loop; the addresses found are tried in turn, 10 s each.
  public func connect(
    to address: Address, framing: Framing, on loop: any Loop, _ sink: @escaping @Sendable (TransportEvent) -> Void
  ) -> ConnectionID {
    let socket = makeSocket(on: epoll(loop), framing)
    socket.loop.post { socket.start(address, sink) }
    return socket.id
  }

  /// From any thread; blocks while a host name is looked up. When it returns connections queue.
  /// - Throws: `TransportError` with the reason why none of the host's addresses could be bound.
  public func listen(
    on address: Address, framing: Framing, loop: any Loop,
    accept: @escaping @Sendable (ConnectionID, Address) -> @Sendable (TransportEvent) -> Void
  ) throws(TransportError) -> (ListenerID, Address) {
    let id = ListenerID(nextID.wrappingAdd(1, ordering: .relaxed).newValue)
    let loop = epoll(loop)
    let (fd, bound) = try SocketListener.open(address)
    let listener = SocketListener(fd, on: loop) { fd, peer in
      let socket = self.makeSocket(on: loop, framing)
      socket.adopt(fd, accept(socket.id, peer))
    }
    listeners.withLock { $0[id.rawValue] = listener }
    loop.post { listener.start() }
    return (id, bound)
  }

  /// From any thread; off the loop it is posted. A listener that is not known is ignored.
  public func stopListening(_ listener: ListenerID) {
    guard let found = listeners.withLock({ $0.removeValue(forKey: listener.rawValue) }) else { return }
    onLoop(found.loop) { found.stop() }
  }

  /// From any thread, but the order of parts from several threads is theirs. Bytes leave when the loop's current piece
  /// of work is done, so that several calls share one write.
  public func send(_ connection: ConnectionID, _ parts: [SendPart]) {
    guard let socket = socket(connection) else { return }
    onLoop(socket.loop) { socket.send(parts) }
  }

  /// From any thread; 0 for a connection that has ended.
  public func queuedBytes(_ connection: ConnectionID) -> Int { socket(connection)?.queuedBytes ?? 0 }

  /// From any thread; off the loop it is posted. Frames that were read before wait in the connection's buffer until
  /// reading goes on.
  public func setReading(_ connection: ConnectionID, _ isOn: Bool) {
    guard let socket = socket(connection) else { return }
    onLoop(socket.loop) { socket.setReading(isOn) }
  }

  /// From any thread; off the loop it is posted.
  public func close(_ connection: ConnectionID) {
    guard let socket = socket(connection) else { return }
    onLoop(socket.loop) { socket.close() }
  }

  /// Open connections, for tests and reports.
  public var connectionCount: Int { sockets.withLock { $0.count } }

  private func makeSocket(on loop: EpollLoop, _ framing: Framing) -> StreamSocket {
    let id = ConnectionID(nextID.wrappingAdd(1, ordering: .relaxed).newValue)
    let socket = StreamSocket(id, on: loop, framing: framing, transport: self)
    sockets.withLock { $0[id.rawValue] = socket }
    return socket
  }

  private func socket(_ id: ConnectionID) -> StreamSocket? { sockets.withLock { $0[id.rawValue] } }
  func forget(_ id: ConnectionID) { sockets.withLock { $0[id.rawValue] = nil } }

  private func onLoop(_ loop: EpollLoop, _ work: @escaping @Sendable () -> Void) {
    if loop.isCurrent { work() } else { loop.post(work) }
  }

  private func epoll(_ loop: any Loop) -> EpollLoop {
    guard let loop = loop as? EpollLoop else { preconditionFailure("a live transport needs a live loop") }
    return loop
  }
}

/// A listening socket. Confined to its loop after `open`.
///
/// Sendable: `fd` and the constants are set before it is handed to the loop, the rest is touched there only.
final class SocketListener: Pollable, @unchecked Sendable {
  let loop: EpollLoop
  private var fd: Int32
  private let accepted: @Sendable (Int32, Address) -> Void

  init(_ fd: Int32, on loop: EpollLoop, _ accepted: @escaping @Sendable (Int32, Address) -> Void) {
    self.fd = fd
    self.loop = loop
    self.accepted = accepted
  }

  /// Binds and listens: connections queue from here on.
  /// - Returns: the descriptor, and the address with the port that was chosen.
  static func open(_ address: Address) throws(TransportError) -> (Int32, Address) {
    var failure = TransportError(.cannotResolve, address: address)
    for candidate in SocketAddress.resolve(address, passive: true) {
      do throws(Errno) {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let fd = Int32(try System.call { socket(candidate.family, type, 0) })
        do throws(Errno) {
          var one: Int32 = 1
          _ = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
          try System.call { candidate.withPointer { bind(fd, $0, $1) } }
          try System.call { Glibc.listen(fd, 1024) }
          var bound = SocketAddress()
          bound.size = socklen_t(MemoryLayout<sockaddr_storage>.size)
          try System.call {
            withUnsafeMutablePointer(to: &bound.storage) {
              $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &bound.size) }
            }
          }
          return (fd, Address(host: address.host, port: bound.address.port))
        } catch {
          System.close(fd)
          throw error
        }
      } catch {
        let code: TransportError.Code =
          switch error.rawValue {
          case EADDRINUSE: .addressInUse
          case EACCES, EPERM: .permissionDenied
          default: .other(error.rawValue)
          }
        failure = TransportError(code, address: address)
      }
    }
    throw failure
  }

  func start() {
    guard fd >= 0 else { return }
    loop.watch(fd, SLUICE_POLL_IN, self)
  }

  func stop() {
    guard fd >= 0 else { return }
    loop.unwatch(fd)
    System.close(fd)
    fd = -1
  }

  func ready(_ flags: UInt32) {
    // A bounded number, so that a flood of connections does not starve those that are open.
    for _ in 0..<64 where fd >= 0 {
      var peer = SocketAddress()
      switch System.progress({ Int(withUnsafeMutablePointer(to: &peer.storage) { sluice_accept(fd, $0) }) }) {
      case .moved(let new): accepted(Int32(new), peer.address)
      case .wouldBlock: return
      case .failed(let error):
        // Out of descriptors: the connection stays in the queue, and asking again at once would only spin.
        if error.rawValue == EMFILE || error.rawValue == ENFILE || error.rawValue == ENOMEM { rest() }
        return
      }
    }
  }

  private func rest() {
    loop.changeWatch(fd, 0)
    loop.at(loop.now + .milliseconds(100)) {
      if self.fd >= 0 { self.loop.changeWatch(self.fd, SLUICE_POLL_IN) }
    }
  }

  func abandon() {
    System.close(fd)
    fd = -1
  }
}
