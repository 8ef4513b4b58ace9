import Groundwork

/// The fourth seam: connections. Every event of a connection arrives on the loop it was opened for, in order, and never
/// inside a call to the transport. Calls about a connection are made on its loop.
public protocol Transport: Sendable {
  /// Begins to connect. The sink hears `.opened`, or `.closed` with the reason; after `.closed` it hears nothing more.
  func connect(
    to address: Address, framing: Framing, on loop: any Loop,
    _ sink: @escaping @Sendable (TransportEvent) -> Void
  ) -> ConnectionID

  /// Begins to listen. `accept` is called on the loop for each new connection and answers with its sink, which hears
  /// `.opened` first.
  /// - Returns: the listener and the address it listens on (the port chosen, where port 0 was asked for).
  func listen(
    on address: Address, framing: Framing, loop: any Loop,
    accept: @escaping @Sendable (_ connection: ConnectionID, _ peer: Address) -> @Sendable (TransportEvent) -> Void
  ) throws(TransportError) -> (ListenerID, Address)

  /// Stops listening; open connections go on. On the listener's loop.
  func stopListening(_ listener: ListenerID)

  /// Queues bytes; they go out in order. Bytes for a closed connection are dropped (the sink has heard of it).
  func send(_ connection: ConnectionID, _ parts: [SendPart])

  /// Bytes queued and not yet given to the system: for whoever must not let a slow reader fill the memory.
  func queuedBytes(_ connection: ConnectionID) -> Int

  /// While paused nothing is read, so that the peer is slowed by its own window.
  func setReading(_ connection: ConnectionID, _ isOn: Bool)

  /// Sends what is queued, then closes; the sink hears `.closed(.closedHere)` and nothing else after this call, save
  /// another reason to be closed that comes first. A peer that does not take the bytes is given five seconds; a
  /// connection that is not open yet is given up at once, with what was queued.
  func close(_ connection: ConnectionID)
}

/// Names a connection of a `Transport`, incoming or outgoing.
public struct ConnectionID: Hashable, Sendable {
  /// The number that the transport knows it by.
  public let rawValue: UInt64
  /// For implementations of `Transport`.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// Names a listener of a `Transport`.
public struct ListenerID: Hashable, Sendable {
  /// The number that the transport knows it by.
  public let rawValue: UInt64
  /// For implementations of `Transport`.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// How the incoming bytes are cut.
public enum Framing: Sendable {
  /// Each `.received` is one frame: a 4-byte big-endian length, which is not part of it, then that many bytes. A frame
  /// that claims more than `maximum` bytes closes the connection; memory grows with what arrives, not with the claim.
  case lengthPrefixed(maximum: Int)
  /// Each `.received` is whatever has arrived.
  case stream
}

/// What the sink of a connection hears, on the connection's loop.
public enum TransportEvent: Sendable {
  /// The connection stands. The first event, unless `.closed` is.
  case opened
  /// What the peer sent, cut as the connection's `Framing` says.
  case received(Bytes)
  /// All that was queued has been given to the system: comes once for each time the queue has been filled by `send`.
  case drained
  /// The end. Where the peer has closed, what was queued before is still sent to it, so that a peer that closes its
  /// sending side only (half-close) gets its answers.
  case closed(CloseReason)
}

/// Why a connection ended, or never came to be.
public enum CloseReason: Sendable, Equatable, CustomStringConvertible {
  /// `close` was called on this side.
  case closedHere
  /// The peer ended the connection in order.
  case closedByPeer
  /// The host is there, and nothing listens on the port.
  case refused
  /// No route leads to the host, or it did not answer in time.
  case unreachable
  /// The peer broke the connection off: what was on its way in either direction may be lost.
  case reset
  /// The host name, which is given here, has no address.
  case cannotResolve(String)
  /// The peer announced a frame of this many bytes, more than the framing's maximum.
  case frameTooLarge(Int)
  /// Any other, by its number in errno.
  case other(Int32)

  /// The reason in words, for a message that names the peer itself.
  public var description: String {
    switch self {
    case .closedHere: "closed here"
    case .closedByPeer: "closed by the peer"
    case .refused: "connection refused: nothing listens there"
    case .unreachable: "the address cannot be reached"
    case .reset: "connection reset by the peer"
    case .cannotResolve(let host): "the name \(host) cannot be resolved"
    case .frameTooLarge(let size): "the peer announced a message of \(size) bytes, more than is allowed"
    case .other(let number): "error \(number)"
    }
  }
}

/// A piece to send: bytes in memory, or a range of a file that need not pass through it.
public enum SendPart: Sendable {
  /// Bytes in memory, held until they have gone out.
  case bytes(Bytes)
  /// `count` bytes of an open file from `position` on; the file is held until they have gone out.
  case file(any File, position: Int64, count: Int)

  /// Bytes of the piece.
  public var count: Int {
    switch self {
    case .bytes(let bytes): bytes.count
    case .file(_, _, let count): count
    }
  }
}

/// A host and a port.
public struct Address: Hashable, Sendable, CustomStringConvertible {
  /// A host name or an IP address; an IPv6 one without brackets.
  public var host: String
  /// 0 to 65535; 0 asks a listener to choose one.
  public var port: Int
  /// Takes any text and number: nothing is checked.
  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// Reads `host:port`, `[v6]:port`; nil where it is neither or the port is not 0 to 65535.
  public init?(text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
      (0...65_535).contains(port)
    else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    guard !host.isEmpty, !host.contains(" ") else { return nil }
    self.init(host: String(host), port: port)
  }

  /// `host:port`, with brackets round an IPv6 address: what `init(text:)` reads.
  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Why a listener could not be opened.
public struct TransportError: DiagnosableError {
  /// What the system refused; `other` carries the number in errno.
  public enum Code: Sendable, Equatable { case addressInUse, permissionDenied, cannotResolve, other(Int32) }
  /// What the system refused.
  public var code: Code
  /// Where it was to listen.
  public var address: Address
  /// Says what the system refused, and where.
  public init(_ code: Code, address: Address) {
    self.code = code
    self.address = address
  }
  /// The user's: another address or the right privileges would do.
  public var fault: Fault { .user }
  /// True where the port may become free.
  public var isRetriable: Bool { code == .addressInUse }
  /// True: the transport can listen elsewhere.
  public var leavesUsable: Bool { true }
  /// `cannot listen on ADDRESS: ` and the cause, with what to do about it.
  public var description: String {
    switch code {
    case .addressInUse: "cannot listen on \(address): the port is in use; stop the other process or choose another port"
    case .permissionDenied: "cannot listen on \(address): permission denied; ports below 1024 need privileges"
    case .cannotResolve: "cannot listen on \(address): the host name cannot be resolved"
    case .other(let number): "cannot listen on \(address): error \(number)"
    }
  }
}
