import Groundwork
import KafkaProtocol
import SystemInterfaces
import Testing

@testable import KafkaClients

/// The machine as a transcript: event, expected actions, event, …
@Suite struct ConnectionMachineTests {
  private let start = Instant(nanoseconds: 0)
  private func at(_ milliseconds: Int64) -> Instant { start + .milliseconds(milliseconds) }

  private func machine(inFlight: Int = 5) -> ConnectionMachine {
    var configuration = ClientConfiguration(bootstrap: [])
    configuration.inFlightMax = inFlight
    return ConnectionMachine(configuration)
  }

  private func request(_ token: UInt64, timeout: Duration = .seconds(30)) -> ConnectionMachine.Request {
    ConnectionMachine.Request(token: token, apiKey: .metadata, versions: 0...12, timeout: timeout)
  }

  private func frame<Response: KafkaResponse>(_ response: Response, _ version: Int16, id: Int32) throws -> Bytes {
    var writer = ByteWriter()
    for part in try encodeResponse(response, version: version, correlationID: id) { writer.append(part) }
    let whole = writer.finish()
    return whole[4..<whole.count]
  }

  private func versions(_ call: APIKey, _ range: ClosedRange<Int16>, code: KafkaErrorCode = .none)
    -> ApiVersionsResponse
  {
    var answer = ApiVersionsResponse()
    answer.errorCode = code
    var entry = ApiVersionsResponse.ApiVersion()
    (entry.apiKey, entry.minVersion, entry.maxVersion) = (call.rawValue, range.lowerBound, range.upperBound)
    answer.apiKeys = [entry]
    return answer
  }

  private func ready(_ machine: inout ConnectionMachine, metadata: ClosedRange<Int16> = 0...9) throws {
    _ = machine.opened(now: start)
    guard case .negotiating = machine.state else { return }
    _ = machine.received(try frame(versions(.metadata, metadata), 3, id: 0), now: start, unit: 0.5)
  }

  @Test func aThrottledConnectionIsLeftAloneUntilThen() throws {
    var machine = machine()
    _ = machine.submitted(request(1), now: start)
    try ready(&machine)
    machine.throttled(until: at(500))
    #expect(machine.submitted(request(2), now: at(100)) == [])
    #expect(machine.nextDeadline == at(500))
    // What was sent before is answered all the same.
    let first = try frame(MetadataResponse(), 9, id: 1)
    #expect(machine.received(first, now: at(200), unit: 0) == [.deliver(1, first, version: 9)])
    #expect(machine.timePassed(now: at(400), unit: 0) == [])
    #expect(machine.timePassed(now: at(500), unit: 0) == [.send(2, version: 9, correlationID: 2)])
  }

  @Test func aRequestConnectsNegotiatesAndIsSentInTheHighestCommonVersion() throws {
    var machine = machine()
    #expect(machine.submitted(request(1), now: start) == [.connect])
    #expect(machine.submitted(request(2), now: start) == [])
    #expect(machine.opened(now: start) == [.sendApiVersions(version: 3, correlationID: 0)])
    let answer = try frame(versions(.metadata, 1...9), 3, id: 0)
    #expect(
      machine.received(answer, now: start, unit: 0) == [
        .send(1, version: 9, correlationID: 1), .send(2, version: 9, correlationID: 2),
      ])
    let first = try frame(MetadataResponse(), 9, id: 1)
    #expect(machine.received(first, now: start, unit: 0) == [.deliver(1, first, version: 9)])
    #expect(machine.isReady && machine.pendingCount == 1)
  }

  @Test func brokersBefore24AreAskedAgainInVersion0() throws {
    var machine = machine()
    _ = machine.submitted(request(1), now: start)
    _ = machine.opened(now: start)
    let refusal = try frame(versions(.apiVersions, 0...2, code: .unsupportedVersion), 0, id: 0)
    #expect(machine.received(refusal, now: start, unit: 0) == [.sendApiVersions(version: 0, correlationID: 1)])
    let answer = try frame(versions(.metadata, 0...5), 0, id: 1)
    #expect(machine.received(answer, now: start, unit: 0) == [.send(1, version: 5, correlationID: 2)])
  }

  @Test func aCallTheBrokerLacksFailsAlone() throws {
    var machine = machine()
    _ = machine.submitted(request(1), now: start)
    _ = machine.opened(now: start)
    let answer = try frame(versions(.produce, 0...5), 3, id: 0)
    #expect(machine.received(answer, now: start, unit: 0) == [.fail(1, .unsupported)])
    #expect(machine.isReady)
    var narrow = request(2)
    narrow.apiKey = .produce
    narrow.versions = 6...9
    #expect(machine.submitted(narrow, now: start) == [.fail(2, .unsupported)])
  }

  @Test func noMoreThanTheLimitIsInFlight() throws {
    var machine = machine(inFlight: 2)
    _ = machine.submitted(request(1), now: start)
    try ready(&machine)
    #expect(machine.submitted(request(2), now: start) == [.send(2, version: 9, correlationID: 2)])
    #expect(machine.submitted(request(3), now: start) == [])
    let first = try frame(MetadataResponse(), 9, id: 1)
    #expect(
      machine.received(first, now: start, unit: 0) == [
        .deliver(1, first, version: 9), .send(3, version: 9, correlationID: 3),
      ])
    var silent = request(4)
    silent.expectsAnswer = false
    _ = machine.received(try frame(MetadataResponse(), 9, id: 2), now: start, unit: 0)
    #expect(
      machine.submitted(silent, now: start) == [
        .send(4, version: 9, correlationID: 4), .deliver(4, nil, version: 9),
      ])
  }

  @Test func aLateAnswerEndsTheConnectionAndEverythingOnIt() throws {
    var machine = machine()
    _ = machine.submitted(request(1, timeout: .milliseconds(100)), now: start)
    try ready(&machine)
    _ = machine.submitted(request(2), now: at(50))
    #expect(machine.nextDeadline == at(100))
    #expect(machine.timePassed(now: at(99), unit: 0.5) == [])
    #expect(
      machine.timePassed(now: at(100), unit: 0.5) == [
        .disconnect, .fail(1, .timedOut(.milliseconds(100))), .fail(2, .disconnected(.closedHere)),
      ])
    #expect(machine.state == .waiting(until: at(150)))
    #expect(machine.submitted(request(3), now: at(120)) == [])
    #expect(machine.timePassed(now: at(150), unit: 0.5) == [.connect])
  }

  @Test func pausesDoubleUpToTheLimitAndEndWithAnAnswer() throws {
    var machine = machine()
    var now = start
    var pauses: [Int64] = []
    for token in UInt64(1)...8 {
      var actions = machine.submitted(request(token), now: now)
      if actions.isEmpty, let deadline = machine.nextDeadline {
        pauses.append((deadline - now).inMilliseconds)
        now = deadline
        actions = machine.timePassed(now: now, unit: 0.5)
      }
      #expect(actions == [.connect])
      let expected: [ConnectionMachine.Action] = [.fail(token, .cannotConnect(CloseReason.refused.description))]
      #expect(machine.closedByTransport(.refused, now: now, unit: 0.5) == expected)
    }
    #expect(pauses == [50, 100, 200, 400, 800, 1000, 1000])
    #expect(machine.failureCount == 8)
    _ = machine.submitted(request(9), now: now)
    _ = machine.timePassed(now: now + .seconds(1), unit: 0.5)
    _ = machine.opened(now: now)
    _ = machine.received(try frame(versions(.metadata, 0...9), 3, id: 0), now: now, unit: 0.5)
    #expect(machine.failureCount == 0)
  }

  @Test func setupHasATimeOfItsOwn() {
    var machine = machine()
    _ = machine.submitted(request(1), now: start)
    #expect(machine.nextDeadline == at(10_000))
    _ = machine.opened(now: at(9_000))
    #expect(
      machine.timePassed(now: at(10_000), unit: 0.5) == [
        .disconnect, .fail(1, .cannotConnect("no connection within 10s")),
      ])
  }

  @Test func answersOutOfOrderAndStrayBytesEndTheConnection() throws {
    var machine = machine()
    _ = machine.submitted(request(1), now: start)
    try ready(&machine)
    let actions = machine.received(try frame(MetadataResponse(), 9, id: 77), now: start, unit: 0.5)
    #expect(actions == [.disconnect, .fail(1, .malformed("an answer out of order"))])
    var other = self.machine()
    _ = other.submitted(request(1), now: start)
    _ = other.opened(now: start)
    #expect(other.received("HTTP/1.1 400", now: start, unit: 0.5).count == 2)
    var third = self.machine()
    _ = third.submitted(request(1), now: start)
    _ = third.opened(now: start)
    #expect(third.received(Bytes(), now: start, unit: 0.5).first == .disconnect)
  }

  @Test func anIdleConnectionThatTheBrokerClosesIsNoFailure() throws {
    var machine = machine()
    _ = machine.submitted(request(1), now: start)
    try ready(&machine)
    _ = machine.received(try frame(MetadataResponse(), 9, id: 1), now: start, unit: 0.5)
    #expect(machine.closedByTransport(.closedByPeer, now: at(600_000), unit: 0.5) == [])
    #expect(machine.state == .idle && machine.failureCount == 0)
    #expect(machine.submitted(request(2), now: at(600_001)) == [.connect])
  }

  @Test func closingFailsEverythingOnce() throws {
    var machine = machine()
    _ = machine.submitted(request(1), now: start)
    #expect(machine.closedByOwner() == [.disconnect, .fail(1, .closed)])
    #expect(machine.closedByOwner() == [])
    #expect(machine.submitted(request(2), now: start) == [.fail(2, .closed)])
    #expect(machine.closedByTransport(.reset, now: start, unit: 0) == [])
  }
}
