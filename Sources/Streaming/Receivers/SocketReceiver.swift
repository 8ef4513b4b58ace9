import Groundwork
import Synchronization
import SystemInterfaces

/// Makes elements of the bytes that arrive on a connection; one for each connection, so it may keep what is incomplete.
public protocol SocketConverter<Element>: Sendable {
  /// What it makes.
  associatedtype Element: Sendable
  /// Takes bytes as they arrive, cut anywhere.
  /// - Returns: the elements that are complete now.
  /// - Throws: where the bytes can be none: the connection is closed and made anew.
  mutating func received(_ bytes: Bytes) throws -> [Element]
  /// The peer sends no more.
  /// - Returns: what can be made of the rest.
  mutating func ended() -> [Element]
}

extension SocketConverter {
  /// Drops the rest.
  public mutating func ended() -> [Element] { [] }
}

/// Lines of text, without their line ends; see `LineCutter`.
struct LineConverter: SocketConverter {
  /// A line that is longer means that the peer sends something else.
  static let lineMax = 64 << 20
  private let lines = LineCutterBox()

  mutating func received(_ bytes: Bytes) throws -> [Bytes] {
    var found: [Bytes] = []
    lines.cutter.feed(bytes) { found.append($0) }
    guard lines.cutter.pendingCount <= LineConverter.lineMax else {
      throw StreamingError.receiver(
        "a line of more than \(LineConverter.lineMax) bytes: is this a stream of text lines?")
    }
    return found
  }

  mutating func ended() -> [Bytes] {
    var found: [Bytes] = []
    lines.cutter.finish { found.append($0) }
    return found
  }
}

/// A cutter where a copyable value is asked for.
///
/// Sendable: belongs to one converter, which is used on the receivers' loop only.
private final class LineCutterBox: @unchecked Sendable {
  var cutter = LineCutter()
}

/// Each frame is a run of elements in their canonical encoding.
struct FrameConverter<Element: StreamCodable>: SocketConverter {
  mutating func received(_ bytes: Bytes) throws -> [Element] {
    var reader = StreamReader(bytes)
    var elements: [Element] = []
    while reader.remaining > 0 { elements.append(try Element.decode(from: &reader)) }
    return elements
  }
}

/// Receives from a socket that somebody listens on, and connects again where the connection breaks. Unreliable: what is on
/// its way when a connection or the job breaks is lost.
///
/// Sendable: its variables are confined to the receivers' loop, on which the connection's events arrive as well.
final class SocketReceiver<Converter: SocketConverter>: Receiver, @unchecked Sendable {
  typealias Element = Converter.Element

  private let address: Address
  private let framing: Framing
  private let transport: any Transport
  private let helper: HelperLoop
  private let makeConverter: @Sendable () -> Converter
  private var connection: ConnectionID?
  /// Counts connections: events of an old one are none of ours.
  private var generation = 0

  init(
    _ address: Address, framing: Framing, transport: any Transport, helper: HelperLoop,
    makeConverter: @escaping @Sendable () -> Converter
  ) {
    self.address = address
    self.framing = framing
    self.transport = transport
    self.helper = helper
    self.makeConverter = makeConverter
  }

  func onStart(_ supervisor: ReceiverSupervisor<Element>) {
    generation += 1
    let number = generation
    let converter = Mutex(makeConverter())
    connection = transport.connect(to: address, framing: framing, on: helper.loop) { [weak self] event in
      guard let self, number == generation else { return }
      switch event {
      case .opened, .drained: break
      case .received(let bytes):
        do {
          take(try converter.withLock { try $0.received(bytes) }, supervisor)
        } catch {
          supervisor.restart("\(address) sent what cannot be read", error: error)
        }
      case .closed(let reason):
        connection = nil
        // After a reset the rest is a torn piece, not an end.
        if reason == .closedByPeer { take(converter.withLock { $0.ended() }, supervisor) }
        supervisor.restart("no connection to \(address) (\(reason))")
      }
    }
  }

  private func take(_ elements: [Element], _ supervisor: ReceiverSupervisor<Element>) {
    guard !elements.isEmpty else { return }
    // A frame is a block of its own; other data is gathered for the block interval.
    let isWelcome: Bool
    if case .lengthPrefixed = framing {
      isWelcome = supervisor.store(elements)
    } else {
      isWelcome = supervisor.storeEach(elements)
    }
    if !isWelcome, let connection { transport.setReading(connection, false) }
  }

  func onResume() {
    if let connection { transport.setReading(connection, true) }
  }

  func onStop() {
    generation += 1
    if let connection { transport.close(connection) }
    connection = nil
  }
}
