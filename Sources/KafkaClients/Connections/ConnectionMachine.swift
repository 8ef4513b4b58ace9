import Groundwork
import KafkaProtocol
import SystemInterfaces

/// One connection to one broker, decided without touching a socket: correlation, pipelining, timeouts, version
/// negotiation, reconnection.
///
/// Events are past tense methods, each returns what to do, in order. Requests are named by tokens that their owner
/// chooses; each token is answered exactly once, by `deliver` or `fail`.
struct ConnectionMachine: Sendable {
  /// Names a request.
  typealias Token = UInt64

  enum State: Sendable, Equatable {
    /// No connection and nobody wants one. → connecting
    case idle
    /// The transport is connecting. → negotiating, or waiting after a failure
    case connecting(deadline: Instant)
    /// ApiVersions was asked; nothing else is sent before the answer. → ready, or waiting after a failure
    case negotiating(version: Int16, deadline: Instant)
    /// Requests flow. → idle where the connection ends with nothing in flight, else waiting
    case ready
    /// A failure is being waited out; requests queue. → connecting once the time has come and there are requests
    case waiting(until: Instant)
    /// Closed for good.
    case closed
  }

  /// What the machine needs to know of a request.
  struct Request: Sendable, Equatable {
    var token: Token
    var apiKey: APIKey
    /// The versions the sender can use.
    var versions: ClosedRange<Int16>
    var timeout: Duration
    /// Whether the broker answers (it does not for acks 0).
    var expectsAnswer = true
  }

  enum Failure: Sendable, Equatable {
    case disconnected(CloseReason)
    case cannotConnect(String)
    case timedOut(Duration)
    case unsupported
    case malformed(String)
    case closed
  }

  enum Action: Sendable, Equatable {
    /// Open the connection.
    case connect
    /// Close the transport's connection; its later events are not wanted.
    case disconnect
    case sendApiVersions(version: Int16, correlationID: Int32)
    case send(Token, version: Int16, correlationID: Int32)
    /// The answer's frame; nil for a request without one.
    case deliver(Token, Bytes?, version: Int16)
    case fail(Token, Failure)
  }

  private struct Queued: Sendable {
    var request: Request
    var deadline: Instant
  }

  private struct InFlight: Sendable {
    var request: Request
    var correlationID: Int32
    var version: Int16
    var deadline: Instant
  }

  private(set) var state: State = .idle
  /// The broker's version ranges, empty before the negotiation.
  private(set) var brokerVersions: [Int16: ClosedRange<Int16>] = [:]
  /// What the cluster had switched on when the versions were negotiated.
  private(set) var features = FinalizedFeatures()
  /// The broker has asked for a pause: nothing is sent before this (KIP-219).
  private var mutedUntil: Instant?
  private let inFlightMax: Int
  private let setupTimeout: Duration
  private let backoff: Backoff
  /// Sent and not answered, in the order of sending, which is the order of answers.
  private var inFlight: [InFlight] = []
  private var queue: [Queued] = []
  private var failures = 0
  private var nextCorrelationID: Int32 = 0
  private var negotiationID: Int32 = 0

  init(_ configuration: ClientConfiguration) {
    inFlightMax = max(1, configuration.inFlightMax)
    setupTimeout = configuration.connectionSetupTimeout
    backoff = Backoff(base: configuration.reconnectBackoff, max: configuration.reconnectBackoffMax)
  }

  var isReady: Bool { state == .ready }
  /// Requests queued or in flight.
  var pendingCount: Int { queue.count + inFlight.count }
  /// Failures to connect, or ends of a connection in use, since it last answered.
  var failureCount: Int { failures }

  /// When `timePassed` has something to do, nil where nothing is due.
  var nextDeadline: Instant? {
    var next: Instant?
    func consider(_ instant: Instant) { if next.map({ instant < $0 }) ?? true { next = instant } }
    switch state {
    case .connecting(let deadline), .negotiating(_, let deadline): consider(deadline)
    case .waiting(let until): if !queue.isEmpty { consider(until) }
    case .ready: if let mutedUntil, !queue.isEmpty { consider(mutedUntil) }
    case .idle, .closed: break
    }
    // Timeouts may differ from request to request, so the first in line need not be the first due; lines are short.
    for request in inFlight { consider(request.deadline) }
    for request in queue { consider(request.deadline) }
    return next
  }

  // MARK: Events

  /// A request was handed in.
  mutating func submitted(_ request: Request, now: Instant) -> [Action] {
    if state == .closed { return [.fail(request.token, .closed)] }
    queue.append(Queued(request: request, deadline: now + request.timeout))
    switch state {
    case .idle: return connect(now)
    case .waiting(let until) where until <= now: return connect(now)
    case .ready: return sendQueued(now)
    case .connecting, .negotiating, .waiting, .closed: return []
    }
  }

  /// The transport's connection is open.
  mutating func opened(now: Instant) -> [Action] {
    guard case .connecting(let deadline) = state else { return [] }
    return negotiate(version: 3, deadline: deadline)
  }

  /// An answer came.
  mutating func received(_ frame: Bytes, now: Instant, unit: Double) -> [Action] {
    switch state {
    case .negotiating(let version, let deadline): return negotiated(frame, version, deadline, now, unit)
    case .ready: break
    case .idle, .connecting, .waiting, .closed: return []
    }
    guard let id = try? decodeCorrelationID(frame), let first = inFlight.first, first.correlationID == id else {
      // Answers come in the order of requests; anything else means that the stream cannot be trusted any more.
      return [.disconnect] + broken(.malformed("an answer out of order"), now, unit)
    }
    inFlight.removeFirst()
    failures = 0
    return [.deliver(first.request.token, frame, version: first.version)] + sendQueued(now)
  }

  /// The transport's connection ended.
  mutating func closedByTransport(_ reason: CloseReason, now: Instant, unit: Double) -> [Action] {
    switch state {
    case .idle, .waiting, .closed: return []
    case .ready where inFlight.isEmpty && queue.isEmpty:
      // An idle connection that a broker closes after its `connections.max.idle.ms` is no failure.
      state = .idle
      return []
    case .ready: return broken(.disconnected(reason), now, unit)
    case .connecting, .negotiating: return broken(.cannotConnect(reason.description), now, unit)
    }
  }

  /// `nextDeadline` may have come.
  mutating func timePassed(now: Instant, unit: Double) -> [Action] {
    var actions: [Action] = []
    queue.removeAll { queued in
      guard queued.deadline <= now else { return false }
      actions.append(.fail(queued.request.token, .timedOut(queued.request.timeout)))
      return true
    }
    switch state {
    case .connecting(let deadline) where deadline <= now, .negotiating(_, let deadline) where deadline <= now:
      actions.append(.disconnect)
      actions += broken(.cannotConnect("no connection within \(setupTimeout.text)"), now, unit)
    case .waiting(let until) where until <= now && !queue.isEmpty:
      actions += connect(now)
    case .ready:
      if let until = mutedUntil, until <= now {
        mutedUntil = nil
        actions += sendQueued(now)
      }
      guard let late = inFlight.firstIndex(where: { $0.deadline <= now }) else { break }
      // The answers behind it would wait for the late one for ever: the connection is given up.
      let request = inFlight.remove(at: late)
      actions += [.disconnect, .fail(request.request.token, .timedOut(request.request.timeout))]
      actions += broken(.disconnected(.closedHere), now, unit)
    default: break
    }
    return actions
  }

  /// An answer asked for a pause: what is sent before its end the broker would only leave lying (KIP-219).
  mutating func throttled(until: Instant) { mutedUntil = max(mutedUntil ?? until, until) }

  /// The owner wants no more of it.
  mutating func closedByOwner() -> [Action] {
    guard state != .closed else { return [] }
    let wasOpen =
      switch state {
      case .connecting, .negotiating, .ready: true
      case .idle, .waiting, .closed: false
      }
    state = .closed
    return (wasOpen ? [.disconnect] : []) + failAll(.closed)
  }

  // MARK: Steps

  private mutating func connect(_ now: Instant) -> [Action] {
    state = .connecting(deadline: now + setupTimeout)
    return [.connect]
  }

  private mutating func correlationID() -> Int32 {
    defer { nextCorrelationID = nextCorrelationID == .max ? 0 : nextCorrelationID + 1 }
    return nextCorrelationID
  }

  private mutating func negotiate(version: Int16, deadline: Instant) -> [Action] {
    state = .negotiating(version: version, deadline: deadline)
    negotiationID = correlationID()
    return [.sendApiVersions(version: version, correlationID: negotiationID)]
  }

  private mutating func negotiated(
    _ frame: Bytes, _ version: Int16, _ deadline: Instant, _ now: Instant, _ unit: Double
  ) -> [Action] {
    // The error code comes first in every version. A broker that does not know the version asked for answers in
    // version 0 (KIP-511), so the code is looked at before the rest is read.
    guard frame.count >= 6, (try? decodeCorrelationID(frame)) == negotiationID else {
      return [.disconnect] + broken(.malformed("no answer to ApiVersions"), now, unit)
    }
    let code = KafkaErrorCode(rawValue: Int16(frame[4]) << 8 | Int16(frame[5]))
    if code == .unsupportedVersion, version > 0 { return negotiate(version: 0, deadline: deadline) }
    guard !code.isError, let answer = try? decodeResponse(ApiVersionsResponse.self, frame, version: version) else {
      let what = code.isError ? code.description : "an unreadable answer to ApiVersions"
      return [.disconnect] + broken(.malformed(what), now, unit)
    }
    brokerVersions = [:]
    for call in answer.apiKeys where call.minVersion <= call.maxVersion {
      brokerVersions[call.apiKey] = call.minVersion...call.maxVersion
    }
    features = FinalizedFeatures(answer)
    state = .ready
    failures = 0
    return sendQueued(now)
  }

  private mutating func sendQueued(_ now: Instant) -> [Action] {
    if let mutedUntil, mutedUntil > now { return [] }
    mutedUntil = nil
    var actions: [Action] = []
    var taken = 0
    for queued in queue {
      guard inFlight.count < inFlightMax else { break }
      taken += 1
      let request = queued.request
      guard let theirs = brokerVersions[request.apiKey.rawValue],
        let version = KafkaProtocol.negotiate(ours: request.versions, theirs: theirs)
      else {
        actions.append(.fail(request.token, .unsupported))
        continue
      }
      let id = correlationID()
      actions.append(.send(request.token, version: version, correlationID: id))
      if request.expectsAnswer {
        inFlight.append(InFlight(request: request, correlationID: id, version: version, deadline: queued.deadline))
      } else {
        actions.append(.deliver(request.token, nil, version: version))
      }
    }
    queue.removeFirst(taken)
    return actions
  }

  /// The connection is of no more use: what was asked fails, and the next attempt waits.
  private mutating func broken(_ failure: Failure, _ now: Instant, _ unit: Double) -> [Action] {
    failures += 1
    state = .waiting(until: now + backoff.pause(failures: failures, unit: unit))
    return failAll(failure)
  }

  private mutating func failAll(_ failure: Failure) -> [Action] {
    let tokens = inFlight.map(\.request.token) + queue.map(\.request.token)
    inFlight = []
    queue = []
    return tokens.map { .fail($0, failure) }
  }
}
