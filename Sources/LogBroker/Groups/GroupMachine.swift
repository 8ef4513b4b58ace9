import Groundwork
import KafkaProtocol
import SystemInterfaces

/// The state of one consumer group under the classic protocol: who is in it, which generation, who has what. A pure
/// machine: events in, actions out; waiting calls are named by tokens; time comes with each event.
///
/// Source: Kafka's GroupCoordinator and GroupMetadata; KIP-62 (timeouts), KIP-345 (static members, of which only the
/// replacing of a member by its instance id is here), KIP-394 (a member gets its id before it joins).
struct GroupMachine {
  /// empty → preparing (a first member joins) → completing (all have joined, or the rebalance timeout has passed) →
  /// stable (the leader has sent assignments) → preparing (somebody joins, leaves, expires or asks anew) …
  /// From preparing back to empty when nobody is left.
  enum Phase: String {
    /// Nobody is a member. Offsets may be committed without one.
    case empty = "Empty"
    /// Members are expected to join again; joins wait.
    case preparing = "PreparingRebalance"
    /// Members know the generation; syncs wait for the leader's assignments.
    case completing = "CompletingRebalance"
    /// Everybody has an assignment.
    case stable = "Stable"
  }

  struct MemberProtocol: Equatable {
    var name: String
    var metadata: Bytes
  }

  struct Member {
    var id: String
    var instanceID: String?
    var clientID: String
    var clientHost: String
    var sessionTimeout: Duration
    var rebalanceTimeout: Duration
    var protocols: [MemberProtocol]
    var assignment = Bytes()
    /// When it is given up unless it is heard of; not while one of its calls waits here.
    var deadline: Instant
    var waitingJoin: CallToken?
    var waitingSync: CallToken?
    /// The order of joining, which also decides who leads.
    var order: Int
    var isWaiting: Bool { waitingJoin != nil || waitingSync != nil }
  }

  struct JoinRequest {
    var token: CallToken
    var memberID: String
    /// The id that a new member is given.
    var newMemberID: String
    var instanceID: String?
    var clientID: String
    var clientHost: String
    var sessionTimeout: Duration
    var rebalanceTimeout: Duration
    var protocolType: String
    var protocols: [MemberProtocol]
    /// Whether a member without an id must come again with the one it is given.
    var requiresKnownID: Bool
  }

  struct JoinAnswer: Equatable {
    var error = KafkaErrorCode.none
    var generation: Int32 = -1
    var protocolType: String?
    var protocolName: String?
    var leader = ""
    var memberID = ""
    /// For the leader: everybody, with what they said of themselves.
    var members: [JoinedMember] = []
  }

  struct JoinedMember: Equatable {
    var id: String
    var instanceID: String?
    var metadata: Bytes
  }

  struct SyncAnswer: Equatable {
    var error = KafkaErrorCode.none
    var protocolType: String?
    var protocolName: String?
    var assignment = Bytes()
  }

  enum Action: Equatable {
    case answerJoin(CallToken, JoinAnswer)
    case answerSync(CallToken, SyncAnswer)
  }

  /// How long a rebalance of an empty group waits for more members (`group.initial.rebalance.delay.ms`).
  let initialDelay: Duration
  private(set) var phase = Phase.empty
  private(set) var generation: Int32 = 0
  private(set) var protocolType: String?
  private(set) var protocolName: String?
  private(set) var leader: String?
  private(set) var members: [String: Member] = [:]
  /// Ids that were given and have not come back, and until when they may.
  private(set) var pendingIDs: [String: Instant] = [:]
  /// While preparing: when those who have not joined are dropped. While completing: those who have not synced.
  private var phaseDeadline: Instant?
  /// While preparing from empty: not before.
  private var earliestCompletion: Instant?
  private var nextOrder = 0
  private var actions: [Action] = []

  init(initialDelay: Duration) { self.initialDelay = initialDelay }

  /// Nothing is left that a coordinator must remember.
  var isForgettable: Bool { phase == .empty && pendingIDs.isEmpty }
  var membersInOrder: [Member] { members.values.sorted { $0.order < $1.order } }

  /// When `timePassed` is wanted, at the latest.
  var nextDeadline: Instant? {
    var times = members.values.filter { !$0.isWaiting }.map(\.deadline)
    times += pendingIDs.values
    if let phaseDeadline { times.append(phaseDeadline) }
    if let earliestCompletion, phase == .preparing, allHaveJoined { times.append(earliestCompletion) }
    return times.min()
  }

  // MARK: Events

  /// A member asks to join; the answer may come with a later event.
  mutating func join(_ request: JoinRequest, now: Instant) -> [Action] {
    func refused(_ error: KafkaErrorCode, _ memberID: String) -> [Action] {
      [.answerJoin(request.token, JoinAnswer(error: error, memberID: memberID))]
    }
    guard accepts(request) else { return refused(.inconsistentGroupProtocol, request.memberID) }
    var memberID = request.memberID
    if memberID.isEmpty {
      memberID = request.newMemberID
      if let instance = request.instanceID {
        replaceMember(ofInstance: instance, now: now)
      } else if request.requiresKnownID {
        pendingIDs[memberID] = now + request.sessionTimeout
        return refused(.memberIDRequired, memberID)
      }
    } else if pendingIDs.removeValue(forKey: memberID) == nil, members[memberID] == nil {
      let isReplaced = request.instanceID != nil && member(ofInstance: request.instanceID!) != nil
      return refused(isReplaced ? .fencedInstanceID : .unknownMemberID, memberID)
    }
    if let known = members[memberID] {
      let isSame = known.protocols == request.protocols
      switch phase {
      case .completing where isSame, .stable where isSame && memberID != leader:
        // It did not get our answer, or asks without need: the generation stands.
        members[memberID]?.deadline = now + known.sessionTimeout
        return [.answerJoin(request.token, joinAnswer(for: memberID))]
      default: break
      }
    }
    enter(memberID, request, now: now)
    if phase != .preparing { prepareRebalance(now: now) }
    completeIfAllJoined(now: now)
    return takeActions()
  }

  /// A member asks for its assignment; the leader brings everybody's.
  mutating func sync(
    token: CallToken, memberID: String, generation: Int32, protocolType: String?, protocolName: String?,
    assignments: [String: Bytes], now: Instant
  ) -> [Action] {
    func refused(_ error: KafkaErrorCode) -> [Action] { [.answerSync(token, SyncAnswer(error: error))] }
    guard let member = members[memberID] else { return refused(.unknownMemberID) }
    guard generation == self.generation else { return refused(.illegalGeneration) }
    if let protocolType, protocolType != self.protocolType { return refused(.inconsistentGroupProtocol) }
    if let protocolName, protocolName != self.protocolName { return refused(.inconsistentGroupProtocol) }
    members[memberID]?.deadline = now + member.sessionTimeout
    switch phase {
    case .empty: return refused(.unknownMemberID)
    case .preparing: return refused(.rebalanceInProgress)
    case .stable: return [.answerSync(token, syncAnswer(member.assignment))]
    case .completing:
      if let earlier = member.waitingSync {
        actions.append(.answerSync(earlier, SyncAnswer(error: .rebalanceInProgress)))
      }
      members[memberID]?.waitingSync = token
      if memberID == leader { distribute(assignments, now: now) }
      return takeActions()
    }
  }

  /// A member says that it lives.
  mutating func heartbeat(memberID: String, generation: Int32, now: Instant) -> KafkaErrorCode {
    guard let member = members[memberID] else { return .unknownMemberID }
    guard generation == self.generation else { return .illegalGeneration }
    members[memberID]?.deadline = now + member.sessionTimeout
    return phase == .preparing ? .rebalanceInProgress : .none
  }

  /// A member leaves, named by its id or, with an empty one, by its instance.
  mutating func leave(memberID: String, instanceID: String?, now: Instant) -> (error: KafkaErrorCode, actions: [Action])
  {
    if pendingIDs.removeValue(forKey: memberID) != nil {
      completeIfAllJoined(now: now)
      return (.none, takeActions())
    }
    var memberID = memberID
    if let instanceID {
      guard let known = member(ofInstance: instanceID) else { return (.unknownMemberID, []) }
      if !memberID.isEmpty, memberID != known { return (.fencedInstanceID, []) }
      memberID = known
    }
    guard members[memberID] != nil else { return (.unknownMemberID, []) }
    remove(memberID, .unknownMemberID, now: now)
    return (.none, takeActions())
  }

  /// Whether offsets may be committed by this member, or by nobody where the group is empty.
  mutating func mayCommit(memberID: String, generation: Int32, now: Instant) -> KafkaErrorCode {
    if generation < 0, memberID.isEmpty { return phase == .empty ? .none : .unknownMemberID }
    guard let member = members[memberID] else { return .unknownMemberID }
    guard generation == self.generation else { return .illegalGeneration }
    members[memberID]?.deadline = now + member.sessionTimeout
    return phase == .completing ? .rebalanceInProgress : .none
  }

  /// Time has passed: members that were not heard of are given up, a rebalance ends.
  mutating func timePassed(now: Instant) -> [Action] {
    for (id, deadline) in pendingIDs where deadline <= now { pendingIDs[id] = nil }
    for member in membersInOrder where !member.isWaiting && member.deadline <= now {
      remove(member.id, .unknownMemberID, now: now)
    }
    if let deadline = phaseDeadline, deadline <= now {
      switch phase {
      case .preparing:
        pendingIDs.removeAll()
        for member in membersInOrder where member.waitingJoin == nil { members[member.id] = nil }
        earliestCompletion = nil
        completeJoin(now: now)
      case .completing:
        let late = membersInOrder.filter { $0.waitingSync == nil }
        phaseDeadline = nil
        for member in late { remove(member.id, .unknownMemberID, now: now) }
      case .empty, .stable: phaseDeadline = nil
      }
    }
    completeIfAllJoined(now: now)
    return takeActions()
  }

  // MARK: Steps

  private mutating func takeActions() -> [Action] {
    defer { actions.removeAll() }
    return actions
  }

  /// Whether the kind of group is the same and some protocol is known to all other members.
  private func accepts(_ request: JoinRequest) -> Bool {
    guard !request.protocolType.isEmpty, !request.protocols.isEmpty else { return false }
    let others = members.values.filter { $0.id != request.memberID }
    guard !others.isEmpty else { return true }
    guard protocolType == request.protocolType else { return false }
    return request.protocols.contains { offered in
      others.allSatisfy { $0.protocols.contains { $0.name == offered.name } }
    }
  }

  private func member(ofInstance instance: String) -> String? {
    members.values.first { $0.instanceID == instance }?.id
  }

  private mutating func replaceMember(ofInstance instance: String, now: Instant) {
    if let old = member(ofInstance: instance) { remove(old, .fencedInstanceID, now: now) }
  }

  private mutating func enter(_ memberID: String, _ request: JoinRequest, now: Instant) {
    if let earlier = members[memberID]?.waitingJoin {
      actions.append(.answerJoin(earlier, JoinAnswer(error: .rebalanceInProgress, memberID: memberID)))
    }
    if members.isEmpty { protocolType = request.protocolType }
    var member = Member(
      id: memberID, instanceID: request.instanceID, clientID: request.clientID, clientHost: request.clientHost,
      sessionTimeout: request.sessionTimeout, rebalanceTimeout: request.rebalanceTimeout,
      protocols: request.protocols, deadline: now + request.sessionTimeout, order: nextOrder)
    if let known = members[memberID] {
      member.order = known.order
      member.assignment = known.assignment
      member.waitingSync = known.waitingSync
    } else {
      nextOrder += 1
    }
    member.waitingJoin = request.token
    members[memberID] = member
  }

  /// Takes a member out, answers what of it waits, and lets the others rebalance.
  private mutating func remove(_ memberID: String, _ error: KafkaErrorCode, now: Instant) {
    guard let member = members.removeValue(forKey: memberID) else { return }
    if let token = member.waitingJoin {
      actions.append(.answerJoin(token, JoinAnswer(error: error, memberID: memberID)))
    }
    if let token = member.waitingSync { actions.append(.answerSync(token, SyncAnswer(error: error))) }
    switch phase {
    case .stable, .completing: prepareRebalance(now: now)
    case .preparing, .empty: break
    }
    completeIfAllJoined(now: now)
  }

  private var allHaveJoined: Bool { pendingIDs.isEmpty && members.values.allSatisfy { $0.waitingJoin != nil } }

  private mutating func prepareRebalance(now: Instant) {
    for member in membersInOrder {
      guard let token = member.waitingSync else { continue }
      members[member.id]?.waitingSync = nil
      members[member.id]?.deadline = now + member.sessionTimeout
      actions.append(.answerSync(token, SyncAnswer(error: .rebalanceInProgress)))
    }
    earliestCompletion = phase == .empty && initialDelay > .zero ? now + initialDelay : nil
    phase = .preparing
    phaseDeadline = now + (members.values.map(\.rebalanceTimeout).max() ?? .zero)
  }

  private mutating func completeIfAllJoined(now: Instant) {
    guard phase == .preparing, allHaveJoined else { return }
    if let earliestCompletion, now < earliestCompletion, !members.isEmpty { return }
    completeJoin(now: now)
  }

  private mutating func completeJoin(now: Instant) {
    generation &+= 1
    earliestCompletion = nil
    guard !members.isEmpty else {
      phase = .empty
      phaseDeadline = nil
      leader = nil
      protocolName = nil
      protocolType = nil
      return
    }
    if leader.flatMap({ members[$0] }) == nil { leader = membersInOrder[0].id }
    protocolName = chosenProtocol()
    phase = .completing
    phaseDeadline = now + (members.values.map(\.rebalanceTimeout).max() ?? .zero)
    for member in membersInOrder {
      guard let token = member.waitingJoin else { continue }
      members[member.id]?.waitingJoin = nil
      members[member.id]?.assignment = Bytes()
      members[member.id]?.deadline = now + member.sessionTimeout
      actions.append(.answerJoin(token, joinAnswer(for: member.id)))
    }
  }

  /// Each member votes for the first of its protocols that all know; among equals the leader's order decides.
  private func chosenProtocol() -> String? {
    let members = membersInOrder
    let common = (leader.flatMap { self.members[$0] } ?? members[0]).protocols.map(\.name).filter { name in
      members.allSatisfy { $0.protocols.contains { $0.name == name } }
    }
    var votes: [String: Int] = [:]
    for member in members {
      if let vote = member.protocols.first(where: { common.contains($0.name) }) { votes[vote.name, default: 0] += 1 }
    }
    return common.max { (votes[$0] ?? 0, -common.firstIndex(of: $0)!) < (votes[$1] ?? 0, -common.firstIndex(of: $1)!) }
  }

  private mutating func distribute(_ assignments: [String: Bytes], now: Instant) {
    phase = .stable
    phaseDeadline = nil
    for member in membersInOrder {
      let assignment = assignments[member.id] ?? Bytes()
      members[member.id]?.assignment = assignment
      guard let token = member.waitingSync else { continue }
      members[member.id]?.waitingSync = nil
      members[member.id]?.deadline = now + member.sessionTimeout
      actions.append(.answerSync(token, syncAnswer(assignment)))
    }
  }

  private func joinAnswer(for memberID: String) -> JoinAnswer {
    var answer = JoinAnswer(
      generation: generation, protocolType: protocolType, protocolName: protocolName, leader: leader ?? "",
      memberID: memberID)
    if memberID == leader {
      answer.members = membersInOrder.map { member in
        let metadata = member.protocols.first { $0.name == protocolName }?.metadata ?? Bytes()
        return JoinedMember(id: member.id, instanceID: member.instanceID, metadata: metadata)
      }
    }
    return answer
  }

  private func syncAnswer(_ assignment: Bytes) -> SyncAnswer {
    SyncAnswer(protocolType: protocolType, protocolName: protocolName, assignment: assignment)
  }
}

/// Names a call that waits for an answer.
struct CallToken: Hashable { var rawValue: UInt64 }
