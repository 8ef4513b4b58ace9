import Groundwork
import KafkaProtocol
import SystemInterfaces
import Testing

@testable import LogBroker

/// The group machine alone: event, expected actions, event …
struct GroupMachineTests {
  private var machine = GroupMachine(initialDelay: .zero)

  private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

  private func request(
    _ token: UInt64, _ memberID: String = "", new: String = "new", instance: String? = nil,
    protocols: [String] = ["range"], requiresKnownID: Bool = false
  ) -> GroupMachine.JoinRequest {
    GroupMachine.JoinRequest(
      token: CallToken(rawValue: token), memberID: memberID, newMemberID: new, instanceID: instance, clientID: "c",
      clientHost: "/h", sessionTimeout: .seconds(10), rebalanceTimeout: .seconds(60), protocolType: "consumer",
      protocols: protocols.map { .init(name: $0, metadata: Bytes("\(new)\(memberID) \($0)")) },
      requiresKnownID: requiresKnownID)
  }

  private func sync(
    _ machine: inout GroupMachine, _ token: UInt64, _ member: String, _ generation: Int32,
    _ assignments: [String: Bytes] = [:], at time: Int64 = 0
  ) -> [GroupMachine.Action] {
    machine.sync(
      token: CallToken(rawValue: token), memberID: member, generation: generation, protocolType: "consumer",
      protocolName: nil, assignments: assignments, now: at(time))
  }

  private func joins(_ actions: [GroupMachine.Action]) -> [UInt64: GroupMachine.JoinAnswer] {
    var found: [UInt64: GroupMachine.JoinAnswer] = [:]
    for case .answerJoin(let token, let answer) in actions { found[token.rawValue] = answer }
    return found
  }

  private func syncs(_ actions: [GroupMachine.Action]) -> [UInt64: GroupMachine.SyncAnswer] {
    var found: [UInt64: GroupMachine.SyncAnswer] = [:]
    for case .answerSync(let token, let answer) in actions { found[token.rawValue] = answer }
    return found
  }

  /// A group of `a`, who leads, and `b`, stable in generation 2.
  private func stablePair() -> GroupMachine {
    var machine = machine
    _ = machine.join(request(1, new: "a"), now: at(0))
    _ = sync(&machine, 2, "a", 1, ["a": "all"])
    _ = machine.join(request(3, new: "b"), now: at(0))
    _ = machine.join(request(4, "a"), now: at(0))
    _ = sync(&machine, 5, "b", 2)
    _ = sync(&machine, 6, "a", 2, ["a": "one", "b": "two"])
    return machine
  }

  @Test func aFirstMemberLeadsAtOnce() {
    var machine = machine
    let answer = joins(machine.join(request(1, new: "a"), now: at(0)))[1]
    #expect(answer?.error == KafkaErrorCode.none)
    #expect(answer?.generation == 1)
    #expect(answer?.leader == "a")
    #expect(answer?.protocolName == "range")
    #expect(answer?.members.map(\.id) == ["a"])
    #expect(machine.phase == .completing)
    #expect(syncs(sync(&machine, 2, "a", 1, ["a": "all"]))[2]?.assignment == "all")
    #expect(machine.phase == .stable)
    #expect(machine.heartbeat(memberID: "a", generation: 1, now: at(1)) == .none)
  }

  @Test func aSecondMemberWaitsForTheFirstToJoinAgain() {
    var machine = machine
    _ = machine.join(request(1, new: "a"), now: at(0))
    _ = sync(&machine, 2, "a", 1, ["a": "all"])
    #expect(machine.join(request(3, new: "b"), now: at(1)).isEmpty)
    #expect(machine.phase == .preparing)
    #expect(machine.heartbeat(memberID: "a", generation: 1, now: at(2)) == .rebalanceInProgress)
    let answers = joins(machine.join(request(4, "a"), now: at(3)))
    #expect(answers[3]?.generation == 2)
    #expect(answers[3]?.members.isEmpty == true)
    #expect(answers[4]?.leader == "a")
    #expect(answers[4]?.members.map(\.id) == ["a", "b"])
    // The follower waits for the leader's assignments.
    #expect(sync(&machine, 5, "b", 2).isEmpty)
    let synced = syncs(sync(&machine, 6, "a", 2, ["a": "one", "b": "two"]))
    #expect(synced[5]?.assignment == "two")
    #expect(synced[6]?.assignment == "one")
    #expect(syncs(sync(&machine, 7, "b", 2))[7]?.assignment == "two")
    #expect(syncs(sync(&machine, 8, "b", 1))[8]?.error == .illegalGeneration)
    #expect(syncs(sync(&machine, 9, "x", 2))[9]?.error == .unknownMemberID)
  }

  @Test func whoLeavesMakesTheOthersRebalance() {
    var machine = stablePair()
    #expect(machine.leave(memberID: "a", instanceID: nil, now: at(1)).error == .none)
    #expect(machine.heartbeat(memberID: "b", generation: 2, now: at(1)) == .rebalanceInProgress)
    let answer = joins(machine.join(request(7, "b"), now: at(2)))[7]
    #expect(answer?.leader == "b")
    #expect(answer?.generation == 3)
    #expect(machine.leave(memberID: "a", instanceID: nil, now: at(2)).error == .unknownMemberID)
    #expect(machine.leave(memberID: "b", instanceID: nil, now: at(2)).error == .none)
    #expect(machine.phase == .empty)
    #expect(machine.isForgettable)
  }

  @Test func whoIsSilentExpires() {
    var machine = stablePair()
    #expect(machine.nextDeadline == at(10))
    #expect(machine.heartbeat(memberID: "b", generation: 2, now: at(8)) == .none)
    #expect(machine.timePassed(now: at(10)).isEmpty)
    #expect(machine.phase == .preparing)
    #expect(machine.members.keys.sorted() == ["b"])
    #expect(joins(machine.join(request(7, "b"), now: at(11)))[7]?.members.map(\.id) == ["b"])
  }

  @Test func whoDoesNotJoinAgainInTimeIsDropped() {
    var machine = stablePair()
    #expect(machine.join(request(7, new: "c"), now: at(1)).isEmpty)
    for time in stride(from: Int64(5), through: 60, by: 5) {
      #expect(machine.heartbeat(memberID: "a", generation: 2, now: at(time)) == .rebalanceInProgress)
      #expect(machine.heartbeat(memberID: "b", generation: 2, now: at(time)) == .rebalanceInProgress)
      #expect(machine.timePassed(now: at(time)).isEmpty)
    }
    // The rebalance timeout of 60 s began at 1 s; c has waited all along without a heartbeat.
    let answer = joins(machine.timePassed(now: at(61)))[7]
    #expect(answer?.members.map(\.id) == ["c"])
    #expect(answer?.generation == 3)
  }

  @Test func aLeaderThatDiesBeforeItsAssignmentsFreesTheFollowers() {
    var machine = machine
    _ = machine.join(request(1, new: "a"), now: at(0))
    _ = sync(&machine, 2, "a", 1, ["a": "all"])
    _ = machine.join(request(3, new: "b"), now: at(0))
    _ = machine.join(request(4, "a"), now: at(0))
    #expect(sync(&machine, 5, "b", 2).isEmpty)
    let freed = syncs(machine.timePassed(now: at(10)))
    #expect(freed[5]?.error == .rebalanceInProgress)
    #expect(machine.phase == .preparing)
    #expect(machine.members.keys.sorted() == ["b"])
  }

  @Test func idsAreGivenBeforeMembersJoin() {
    var machine = machine
    let first = joins(machine.join(request(1, new: "a", requiresKnownID: true), now: at(0)))[1]
    #expect(first?.error == .memberIDRequired)
    #expect(first?.memberID == "a")
    #expect(joins(machine.join(request(2, "a", requiresKnownID: true), now: at(1)))[2]?.generation == 1)
    #expect(joins(machine.join(request(3, "stranger"), now: at(1)))[3]?.error == .unknownMemberID)
    // One that never comes back is not waited for longer than its session.
    _ = machine.join(request(4, new: "ghost", requiresKnownID: true), now: at(2))
    #expect(machine.pendingIDs.count == 1)
    _ = machine.timePassed(now: at(12))
    #expect(machine.pendingIDs.isEmpty)
  }

  @Test func protocolsMustMeet() {
    var machine = machine
    _ = machine.join(request(1, new: "a", protocols: ["range", "sticky"]), now: at(0))
    _ = sync(&machine, 2, "a", 1, [:])
    #expect(
      joins(machine.join(request(3, new: "b", protocols: ["other"]), now: at(0)))[3]?.error
        == .inconsistentGroupProtocol)
    #expect(
      joins(machine.join(request(3, new: "b", protocols: []), now: at(0)))[3]?.error == .inconsistentGroupProtocol)
    #expect(machine.join(request(4, new: "b", protocols: ["sticky"]), now: at(0)).isEmpty)
    let answers = joins(machine.join(request(5, "a", protocols: ["range", "sticky"]), now: at(0)))
    #expect(answers[5]?.protocolName == "sticky")
  }

  @Test func aRepeatedJoinIsAnsweredAgain() {
    var machine = stablePair()
    let again = joins(machine.join(request(7, "b"), now: at(1)))[7]
    // The metadata differs from b's first, which had no id yet: this is a rebalance.
    #expect(again == nil)
    #expect(machine.phase == .preparing)
    _ = machine.join(request(8, "a"), now: at(1))
    #expect(machine.phase == .completing)
    #expect(joins(machine.join(request(9, "b"), now: at(1)))[9]?.generation == 3)
    #expect(machine.phase == .completing)
  }

  @Test func aStaticMemberReplacesItself() {
    var machine = machine
    _ = machine.join(request(1, new: "a", instance: "i"), now: at(0))
    _ = sync(&machine, 2, "a", 1, ["a": "all"])
    let answers = joins(machine.join(request(3, new: "a2", instance: "i"), now: at(1)))
    #expect(answers[3]?.members.map(\.id) == ["a2"])
    #expect(machine.heartbeat(memberID: "a", generation: 1, now: at(1)) == .unknownMemberID)
    #expect(joins(machine.join(request(4, "a", instance: "i"), now: at(1)))[4]?.error == .fencedInstanceID)
    #expect(machine.leave(memberID: "", instanceID: "i", now: at(1)).error == .none)
    #expect(machine.phase == .empty)
  }

  @Test func onlyMembersOfTheGenerationCommit() {
    var machine = stablePair()
    #expect(machine.mayCommit(memberID: "a", generation: 2, now: at(1)) == .none)
    #expect(machine.mayCommit(memberID: "a", generation: 1, now: at(1)) == .illegalGeneration)
    #expect(machine.mayCommit(memberID: "x", generation: 2, now: at(1)) == .unknownMemberID)
    #expect(machine.mayCommit(memberID: "", generation: -1, now: at(1)) == .unknownMemberID)
    var empty = GroupMachine(initialDelay: .zero)
    #expect(empty.mayCommit(memberID: "", generation: -1, now: at(1)) == .none)
    #expect(empty.mayCommit(memberID: "a", generation: 3, now: at(1)) == .unknownMemberID)
  }

  @Test func anInitialDelayGathersMembers() {
    var machine = GroupMachine(initialDelay: .seconds(3))
    #expect(machine.join(request(1, new: "a"), now: at(0)).isEmpty)
    #expect(machine.nextDeadline == at(3))
    #expect(machine.join(request(2, new: "b"), now: at(1)).isEmpty)
    let answers = joins(machine.timePassed(now: at(3)))
    #expect(answers[1]?.members.map(\.id) == ["a", "b"])
    #expect(answers[2]?.generation == 1)
  }

  /// Random events: the machine answers every waiting call in the end, and forgets everybody.
  @Test(arguments: 0..<300) func nobodyWaitsForEver(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var machine = GroupMachine(initialDelay: seed % 2 == 0 ? .zero : .seconds(2))
    var waiting = Set<UInt64>()
    var known = ["x"]
    var token: UInt64 = 0
    var time: Int64 = 0
    var problems: [String] = []
    func perform(_ actions: [GroupMachine.Action]) {
      for action in actions {
        let token: UInt64
        switch action {
        case .answerJoin(let name, let answer):
          token = name.rawValue
          if !answer.memberID.isEmpty, !known.contains(answer.memberID) { known.append(answer.memberID) }
        case .answerSync(let name, _): token = name.rawValue
        }
        if waiting.remove(token) == nil { problems.append("\(token) answered twice or unasked") }
      }
    }
    for _ in 0..<200 {
      time += Int64.random(in: 0...3, using: &random)
      perform(machine.timePassed(now: at(time)))
      let member = known.randomElement(using: &random)!
      token += 1
      switch Int.random(in: 0..<6, using: &random) {
      case 0:
        waiting.insert(token)
        perform(
          machine.join(request(token, new: "m\(token)", requiresKnownID: Bool.random(using: &random)), now: at(time)))
      case 1:
        waiting.insert(token)
        perform(machine.join(request(token, member), now: at(time)))
      case 2, 3:
        waiting.insert(token)
        perform(sync(&machine, token, member, machine.generation, [member: "x"], at: time))
      case 4: _ = machine.heartbeat(memberID: member, generation: machine.generation, now: at(time))
      default: perform(machine.leave(memberID: member, instanceID: nil, now: at(time)).actions)
      }
      let waitingInside = machine.members.values.reduce(0) {
        $0 + ($1.waitingJoin == nil ? 0 : 1) + ($1.waitingSync == nil ? 0 : 1)
      }
      if waitingInside != waiting.count { problems.append("\(waiting.count) wait, \(waitingInside) are known") }
    }
    for _ in 0..<500 {
      guard let deadline = machine.nextDeadline else { break }
      perform(machine.timePassed(now: deadline))
    }
    #expect(problems.isEmpty, "seed \(seed): \(problems.first ?? "")")
    #expect(waiting.isEmpty, "seed \(seed)")
    #expect(machine.isForgettable, "seed \(seed)")
  }
}
