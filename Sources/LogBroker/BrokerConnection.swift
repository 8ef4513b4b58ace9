import Groundwork
import KafkaProtocol
import SystemInterfaces

/// One client's connection: takes requests as they come, answers in their order.
///
/// Requests are handled as they arrive, so that a waiting Fetch does not hold up what follows it, but answers leave in
/// the order of the requests, as the protocol wants it. A client that does not read its answers, or sends without end, is
/// not read from until it has caught up.
///
/// Sendable: state confined to the broker's loop, where the transport's events arrive.
final class BrokerConnection: @unchecked Sendable {
  let id: ConnectionID
  let peer: Address
  private let broker: BrokerState
  private(set) var isClosed = false
  private var isReading = true
  /// Frames not yet handled, from `inboxHead` on.
  private var inbox: [Bytes] = []
  private var inboxHead = 0
  /// The answers due, in order; nil: not yet known.
  private var answers: [[SendPart]?] = []
  /// The number of the first of them.
  private var firstAnswer = 0
  /// Bytes of answers that wait for earlier ones.
  private var heldBytes = 0
  private var isHandling = false

  init(_ id: ConnectionID, peer: Address, broker: BrokerState) {
    self.id = id
    self.peer = peer
    self.broker = broker
  }

  func handle(_ event: TransportEvent) {
    switch event {
    case .opened: break
    case .received(let frame):
      inbox.append(frame)
      handleInbox()
    case .drained: handleInbox()
    case .closed(let reason):
      isClosed = true
      inbox.removeAll()
      answers.removeAll()
      if case .frameTooLarge = reason { broker.report(.warning, "closed connection of \(peer): \(reason)") }
      broker.connectionClosed(self)
    }
  }

  private var isCongested: Bool {
    answers.count >= broker.configuration.pendingRequestsMax
      || broker.world.transport.queuedBytes(id) + heldBytes > broker.configuration.queuedBytesMax
  }

  private func handleInbox() {
    guard !isHandling else { return }
    isHandling = true
    while !isClosed, inboxHead < inbox.count, !isCongested {
      let frame = inbox[inboxHead]
      inbox[inboxHead] = Bytes()
      inboxHead += 1
      answers.append(nil)
      broker.dispatch(frame, Call(self, number: firstAnswer + answers.count - 1, frameSize: frame.count))
    }
    if inboxHead == inbox.count || isClosed {
      inbox.removeAll(keepingCapacity: true)
      inboxHead = 0
    }
    isHandling = false
    let wantsReading = !isClosed && inbox.isEmpty && !isCongested
    if wantsReading != isReading, !isClosed {
      isReading = wantsReading
      broker.world.transport.setReading(id, wantsReading)
    }
  }

  /// The answer of request `number`; it leaves when those before it have.
  func answer(_ number: Int, _ parts: [SendPart]) {
    let index = number - firstAnswer
    guard !isClosed, answers.indices.contains(index), answers[index] == nil else { return }
    answers[index] = parts
    heldBytes += parts.reduce(0) { $0 + $1.count }
    while let ready = answers.first, let parts = ready {
      answers.removeFirst()
      firstAnswer += 1
      heldBytes -= parts.reduce(0) { $0 + $1.count }
      if !parts.isEmpty { broker.world.transport.send(id, parts) }
    }
    // While the queue is full `drained` comes and goes on; otherwise nothing would.
    if !isReading, !isCongested { handleInbox() }
  }

  /// Ends the connection, with a line in the log that says why.
  func fail(_ reason: String) {
    guard !isClosed else { return }
    isClosed = true
    broker.report(.warning, "closed connection of \(peer): \(reason)")
    broker.world.transport.close(id)
    broker.connectionClosed(self)
  }

  /// Ends the connection because the broker stops.
  func close() {
    isClosed = true
    broker.world.transport.close(id)
  }
}

/// One request, and the place its answer goes to.
///
/// Sendable: confined to the broker's loop, as its connection is.
final class Call: @unchecked Sendable {
  let connection: BrokerConnection
  private let number: Int
  /// Bytes of the request: what slices of it keep in memory.
  let frameSize: Int
  /// Set once it has been read.
  var header = RequestHeader(rawAPIKey: -1, version: 0, correlationID: 0, clientID: nil, bodyPosition: 0)

  init(_ connection: BrokerConnection, number: Int, frameSize: Int) {
    self.connection = connection
    self.number = number
    self.frameSize = frameSize
  }

  var version: Int16 { header.version }
  /// The client went away: nobody waits for the answer.
  var isAbandoned: Bool { connection.isClosed }

  func answer<Response: KafkaResponse>(_ response: Response) { answer(response, version: header.version) }

  func answer<Response: KafkaResponse>(_ response: Response, version: Int16) {
    do {
      let parts = try encodeResponse(response, version: version, correlationID: header.correlationID)
      send(parts.map { .bytes($0) })
    } catch {
      connection.fail("the answer to \(Response.apiKey) \(version) cannot be encoded: \(error)")
    }
  }

  func send(_ parts: [SendPart]) { connection.answer(number, parts) }

  /// For a Produce with acks 0.
  func answerNothing() { connection.answer(number, []) }
}
