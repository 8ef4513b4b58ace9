import Groundwork
import KafkaProtocol
import SystemInterfaces

/// Performs what the groups' machines decide: keeps the calls that wait, sets the timers.
///
/// Membership lives in memory: after a restart of the broker members find their ids unknown and join again. Committed
/// offsets are kept durably, elsewhere.
///
/// Sendable: state confined to the broker's loop; timers run there.
final class GroupCoordinator: @unchecked Sendable {
  private let loop: any Loop
  private let randomness: any Randomness
  private let initialDelay: Duration
  private(set) var groups: [String: GroupMachine] = [:]
  private var joins: [CallToken: (GroupMachine.JoinAnswer) -> Void] = [:]
  private var syncs: [CallToken: (GroupMachine.SyncAnswer) -> Void] = [:]
  private var timers: [String: (at: Instant, id: TimerID)] = [:]
  private var nextToken: UInt64 = 1

  init(loop: any Loop, randomness: any Randomness, initialDelay: Duration) {
    self.loop = loop
    self.randomness = randomness
    self.initialDelay = initialDelay
  }

  func makeToken() -> CallToken {
    defer { nextToken += 1 }
    return CallToken(rawValue: nextToken)
  }

  /// An id that no member has had: the client's name, for whoever reads it, and 128 random bits.
  func makeMemberID(_ prefix: String) -> String {
    "\(prefix)-\(String(randomness.next(), radix: 16))\(String(randomness.next(), radix: 16))"
  }

  func join(
    _ group: String, _ request: GroupMachine.JoinRequest, _ answer: @escaping (GroupMachine.JoinAnswer) -> Void
  ) {
    joins[request.token] = answer
    let now = loop.now
    with(group) { $0.join(request, now: now) }
  }

  func sync(
    _ group: String, memberID: String, generation: Int32, protocolType: String?, protocolName: String?,
    assignments: [String: Bytes], _ answer: @escaping (GroupMachine.SyncAnswer) -> Void
  ) {
    let token = makeToken()
    syncs[token] = answer
    let now = loop.now
    with(group) {
      $0.sync(
        token: token, memberID: memberID, generation: generation, protocolType: protocolType,
        protocolName: protocolName, assignments: assignments, now: now)
    }
  }

  func heartbeat(_ group: String, memberID: String, generation: Int32) -> KafkaErrorCode {
    groups[group]?.heartbeat(memberID: memberID, generation: generation, now: loop.now) ?? .unknownMemberID
  }

  func leave(_ group: String, memberID: String, instanceID: String?) -> KafkaErrorCode {
    guard groups[group] != nil else { return .unknownMemberID }
    var error = KafkaErrorCode.none
    let now = loop.now
    with(group) { machine in
      let result = machine.leave(memberID: memberID, instanceID: instanceID, now: now)
      error = result.error
      return result.actions
    }
    return error
  }

  func mayCommit(_ group: String, memberID: String, generation: Int32) -> KafkaErrorCode {
    guard groups[group] != nil else { return generation < 0 ? .none : .illegalGeneration }
    return groups[group]!.mayCommit(memberID: memberID, generation: generation, now: loop.now)
  }

  /// Runs one event through a group's machine, then does what it says.
  private func with(_ group: String, _ event: (inout GroupMachine) -> [GroupMachine.Action]) {
    var machine = groups[group] ?? GroupMachine(initialDelay: initialDelay)
    let actions = event(&machine)
    groups[group] = machine.isForgettable ? nil : machine
    schedule(group, machine.isForgettable ? nil : machine.nextDeadline)
    for action in actions {
      switch action {
      case .answerJoin(let token, let answer): joins.removeValue(forKey: token)?(answer)
      case .answerSync(let token, let answer): syncs.removeValue(forKey: token)?(answer)
      }
    }
  }

  /// One timer a group. Heartbeats move deadlines away all the time: a timer that is too early stays, and sets itself
  /// anew when it comes.
  private func schedule(_ group: String, _ deadline: Instant?) {
    if let timer = timers[group] {
      if let deadline, timer.at <= deadline { return }
      loop.cancel(timer.id)
      timers[group] = nil
    }
    guard let deadline else { return }
    let id = loop.at(deadline) { [weak self] in self?.timerFired(group) }
    timers[group] = (deadline, id)
  }

  private func timerFired(_ group: String) {
    timers[group] = nil
    guard groups[group] != nil else { return }
    let now = loop.now
    with(group) { $0.timePassed(now: now) }
  }
}
