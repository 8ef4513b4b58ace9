import Groundwork
import KafkaProtocol
import SystemInterfaces

/// Carries out what a `ConnectionMachine` decides, over the transport.
///
/// Sendable: its state is touched on its loop alone; the transport and the loop call it there.
final class BrokerConnection: @unchecked Sendable {
  let address: Address
  private let world: World
  private let loop: any Loop
  private let configuration: ClientConfiguration
  private var machine: ConnectionMachine
  private var connection: ConnectionID?
  /// Counts connections, so that a late event of an earlier one is known for what it is.
  private var generation = 0
  private var nextToken: ConnectionMachine.Token = 0
  private var pending: [ConnectionMachine.Token: Pending] = [:]
  private let timer: Reminder
  /// Called each time the broker's versions are known.
  var onReady: (@Sendable () -> Void)?

  private struct Pending {
    var apiKey: APIKey
    var encode: (_ version: Int16, _ correlationID: Int32) throws -> [Bytes]
    var complete: (Result<(frame: Bytes?, version: Int16), ClientError>) -> Void
  }

  init(_ world: World, _ loop: any Loop, _ address: Address, _ configuration: ClientConfiguration) {
    self.world = world
    self.loop = loop
    self.address = address
    self.configuration = configuration
    machine = ConnectionMachine(configuration)
    timer = Reminder(loop)
  }

  var isReady: Bool { machine.isReady }
  var failureCount: Int { machine.failureCount }
  var pendingCount: Int { machine.pendingCount }

  /// The broker's range for a call, nil where it has none or is not known yet.
  func brokerVersions(_ call: APIKey) -> ClosedRange<Int16>? { machine.brokerVersions[call.rawValue] }
  /// What the cluster had switched on when this connection was made.
  var features: FinalizedFeatures { machine.features }

  /// Sends a request; `then` is called once, on the loop, never inside this call.
  /// - Parameters:
  ///   - versions: narrows the versions that may be used.
  ///   - hasAnswer: false for what brokers do not answer; `then` hears a default answer once the bytes are handed over.
  func send<Request: KafkaRequest>(
    _ request: Request, versions: ClosedRange<Int16>? = nil, timeout: Duration, hasAnswer: Bool = true,
    then: @escaping @Sendable (Result<Request.Response, ClientError>) -> Void
  ) {
    let token = nextToken
    nextToken += 1
    let clientID = configuration.clientID
    let address = address
    pending[token] = Pending(
      apiKey: Request.apiKey,
      encode: { version, id in
        try encodeRequest(request, version: version, correlationID: id, clientID: clientID)
      },
      complete: { [weak self] result in
        then(
          result.flatMap { answer in
            guard let frame = answer.frame else { return .success(Request.Response()) }
            do {
              let response = try decodeResponse(Request.Response.self, frame, version: answer.version)
              self?.obey(response, answer.version)
              return .success(response)
            } catch {
              return .failure(ClientError(.malformedAnswer(Request.apiKey, address, DecodeErrorText(error))))
            }
          })
      })
    let allowed = versions ?? Request.versions
    // Posted, so that a failure known at once is not reported inside the call either.
    loop.post { [self] in
      perform(
        machine.submitted(
          ConnectionMachine.Request(
            token: token, apiKey: Request.apiKey, versions: allowed, timeout: timeout, expectsAnswer: hasAnswer),
          now: loop.now))
    }
  }

  /// Ends the connection; what was asked fails with `closed`.
  func close() { perform(machine.closedByOwner()) }

  /// Waits out what the broker asks for (KIP-219).
  private func obey(_ response: some KafkaResponse, _ version: Int16) {
    guard let pause = Throttling.pause(response, version: version) else { return }
    machine.throttled(until: loop.now + pause)
  }

  // MARK: Events

  private func handle(_ event: TransportEvent, of generation: Int) {
    guard generation == self.generation, connection != nil else { return }
    switch event {
    case .opened: perform(machine.opened(now: loop.now))
    case .received(let frame):
      let wasReady = machine.isReady
      perform(machine.received(frame, now: loop.now, unit: world.randomness.unit()))
      if !wasReady, machine.isReady { onReady?() }
    case .drained: break
    case .closed(let reason):
      connection = nil
      perform(machine.closedByTransport(reason, now: loop.now, unit: world.randomness.unit()))
    }
  }

  private func perform(_ actions: [ConnectionMachine.Action]) {
    for action in actions { perform(action) }
    setTimer()
  }

  private func perform(_ action: ConnectionMachine.Action) {
    switch action {
    case .connect:
      generation += 1
      let current = generation
      connection = world.transport.connect(
        to: address, framing: .lengthPrefixed(maximum: configuration.answerSizeMax), on: loop
      ) { [weak self] event in self?.handle(event, of: current) }
    case .disconnect:
      generation += 1
      if let connection { world.transport.close(connection) }
      connection = nil
    case .sendApiVersions(let version, let id):
      var request = ApiVersionsRequest()
      request.clientSoftwareName = "sluice"
      request.clientSoftwareVersion = "1"
      guard
        let parts = try? encodeRequest(request, version: version, correlationID: id, clientID: configuration.clientID)
      else { return }
      transmit(parts)
    case .send(let token, let version, let id):
      do {
        guard let parts = try pending[token]?.encode(version, id) else { return }
        transmit(parts)
      } catch {
        // The request takes its place in the line of answers, and none will come: the connection starts afresh.
        let failed = pending.removeValue(forKey: token)
        failed?.complete(.failure(ClientError(.unsendable(failed!.apiKey, DecodeErrorText(error)))))
        if let connection { world.transport.close(connection) }
      }
    case .deliver(let token, let frame, let version):
      pending.removeValue(forKey: token)?.complete(.success((frame, version)))
    case .fail(let token, let failure):
      guard let failed = pending.removeValue(forKey: token) else { return }
      failed.complete(.failure(error(failure, failed.apiKey)))
    }
  }

  private func transmit(_ parts: [Bytes]) {
    guard let connection else { return }
    world.transport.send(connection, parts.map { .bytes($0) })
  }

  private func error(_ failure: ConnectionMachine.Failure, _ call: APIKey) -> ClientError {
    switch failure {
    case .disconnected(let reason): ClientError(.disconnected(address, reason))
    case .cannotConnect(let reason): ClientError(.cannotConnect(address, reason: reason))
    case .timedOut(let duration): ClientError(.timedOut(call, address, after: duration))
    case .unsupported: ClientError(.unsupportedCall(call, address))
    case .malformed(let what): ClientError(.cannotConnect(address, reason: what))
    case .closed: ClientError(.closed)
    }
  }

  private func setTimer() {
    guard let deadline = machine.nextDeadline else { return timer.cancel() }
    timer.set(deadline) { [weak self] in
      guard let self else { return }
      perform(machine.timePassed(now: loop.now, unit: world.randomness.unit()))
    }
  }
}
