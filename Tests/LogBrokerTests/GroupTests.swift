import Groundwork
import KafkaProtocol
import LogBroker
import LogStorage
import Simulation
import SystemInterfaces
import Testing

/// Groups over the wire: join, sync, heartbeat, leave, expire; committed offsets that last.
struct GroupTests {
  private func join(_ member: String = "", protocols: [String] = ["range"]) -> JoinGroupRequest {
    var request = JoinGroupRequest()
    request.groupID = "g"
    request.sessionTimeoutMilliseconds = 10_000
    request.rebalanceTimeoutMilliseconds = 30_000
    request.memberID = member
    request.protocolType = "consumer"
    request.protocols = protocols.map {
      var entry = JoinGroupRequest.JoinGroupRequestProtocol()
      entry.name = $0
      entry.metadata = "subscription"
      return entry
    }
    return request
  }

  private func sync(_ member: String, _ generation: Int32, _ assignments: [(String, Bytes)] = []) -> SyncGroupRequest {
    var request = SyncGroupRequest()
    request.groupID = "g"
    request.memberID = member
    request.generationID = generation
    request.assignments = assignments.map {
      var entry = SyncGroupRequest.SyncGroupRequestAssignment()
      entry.memberID = $0.0
      entry.assignment = $0.1
      return entry
    }
    return request
  }

  private func heartbeat(_ client: TestClient, _ member: String, _ generation: Int32) throws -> KafkaErrorCode {
    var request = HeartbeatRequest()
    request.groupID = "g"
    request.memberID = member
    request.generationID = generation
    return try client.call(request).errorCode
  }

  private func commit(
    _ client: TestClient, _ offset: Int64, topic: String = "t", member: String = "", generation: Int32 = -1,
    metadata: String? = nil, version: Int16 = 8
  ) throws -> KafkaErrorCode {
    var request = OffsetCommitRequest()
    request.groupID = "g"
    request.memberID = member
    request.generationIDOrMemberEpoch = generation
    request.topics = [OffsetCommitRequest.OffsetCommitRequestTopic()]
    request.topics[0].name = topic
    request.topics[0].partitions = [.init()]
    request.topics[0].partitions[0].committedOffset = offset
    request.topics[0].partitions[0].committedMetadata = metadata
    return try #require(client.call(request, version: version).topics.first?.partitions.first).errorCode
  }

  private func committed(_ client: TestClient, topic: String = "t", version: Int16 = 7) throws -> Int64 {
    var request = OffsetFetchRequest()
    request.groupID = "g"
    request.topics = [OffsetFetchRequest.OffsetFetchRequestTopic()]
    request.topics![0].name = topic
    request.topics![0].partitionIndexes = [0]
    return try #require(client.call(request, version: version).topics.first?.partitions.first).committedOffset
  }

  @Test func twoMembersShareAndOneTakesOver() throws {
    let bench = try BrokerBench()
    let one = try bench.client()
    let two = try bench.client()
    let given = try one.call(join())
    #expect(given.errorCode == .memberIDRequired)
    let first = given.memberID
    #expect(first.hasPrefix("test-"))
    let alone = try one.call(join(first))
    #expect(alone.errorCode == .none)
    #expect(alone.leader == first)
    #expect(alone.members.map(\.metadata) == ["subscription"])
    #expect(try one.call(sync(first, 1, [(first, "everything")])).assignment == "everything")

    let second = try two.call(join()).memberID
    let waiting = try two.send(join(second), version: 9)
    try bench.simulation.run(for: .seconds(1))
    #expect(!two.has(waiting))
    #expect(try heartbeat(one, first, 1) == .rebalanceInProgress)
    let again = try one.call(join(first))
    #expect(again.generationID == 2)
    #expect(Set(again.members.map(\.memberID)) == [first, second])
    try bench.simulation.run(within: .seconds(1)) { two.has(waiting) }
    #expect(try two.response(JoinGroupResponse.self, waiting, version: 9).generationID == 2)

    let follower = try two.send(sync(second, 2), version: 5)
    let shared = try one.call(sync(first, 2, [(first, "half"), (second, "other half")]))
    #expect(shared.assignment == "half")
    try bench.simulation.run(within: .seconds(1)) { two.has(follower) }
    #expect(try two.response(SyncGroupResponse.self, follower, version: 5).assignment == "other half")

    var describe = DescribeGroupsRequest()
    describe.groups = ["g", "unknown"]
    let described = try one.call(describe).groups
    #expect(described.map(\.groupState) == ["Stable", "Dead"])
    #expect(described[0].members.count == 2)
    #expect(described[0].members.first { $0.memberID == second }?.memberAssignment == "other half")
    #expect(try one.call(ListGroupsRequest()).groups.map(\.groupID) == ["g"])
    var delete = DeleteGroupsRequest()
    delete.groupsNames = ["g", "unknown"]
    #expect(try one.call(delete).results.map(\.errorCode) == [.nonEmptyGroup, .groupIDNotFound])

    // The first falls silent; the second, which lives on, is told to join again and gets everything.
    for _ in 0..<4 {
      try bench.simulation.run(for: .seconds(3))
      _ = try heartbeat(two, second, 2)
    }
    #expect(try heartbeat(two, second, 2) == .rebalanceInProgress)
    let heir = try two.call(join(second))
    #expect(heir.leader == second)
    #expect(heir.members.map(\.memberID) == [second])
    #expect(try heartbeat(one, first, 2) == .unknownMemberID)
    var leave = LeaveGroupRequest()
    leave.groupID = "g"
    leave.members = [LeaveGroupRequest.MemberIdentity()]
    leave.members[0].memberID = second
    #expect(try two.call(leave).members.map(\.errorCode) == [.none])
    #expect(try two.call(describe).groups[0].groupState == "Dead")
  }

  @Test func oldClientsJoinWithoutAnID() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    for version in Int16(0)...3 {
      let answer = try client.call(join(), version: version)
      #expect(answer.errorCode == .none, "version \(version)")
      var leave = LeaveGroupRequest()
      leave.groupID = "g"
      leave.memberID = answer.memberID
      #expect(try client.call(leave, version: 1).errorCode == .none)
    }
    var invalid = join()
    invalid.sessionTimeoutMilliseconds = 10
    #expect(try client.call(invalid).errorCode == .invalidSessionTimeout)
    invalid = join()
    invalid.groupID = ""
    #expect(try client.call(invalid).errorCode == .invalidGroupID)
  }

  @Test func membersAreUnknownAfterARestartAndJoinAgain() throws {
    let bench = try BrokerBench()
    var client = try bench.client()
    try client.makeTopic("t")
    let member = try client.call(join(), version: 3).memberID
    #expect(try client.call(sync(member, 1, [(member, "all")])).errorCode == .none)
    #expect(try commit(client, 5, member: member, generation: 1) == .none)
    try bench.killAndRestart()
    client = try bench.client()
    #expect(try heartbeat(client, member, 1) == .unknownMemberID)
    #expect(try commit(client, 9, member: member, generation: 1) == .illegalGeneration)
    #expect(try committed(client) == 5)
    #expect(try client.call(join(), version: 3).generationID == 1)
  }

  @Test func committedOffsetsSurvive() throws {
    for flushPolicy in [FlushPolicy.os, .sync] {
      let bench = try BrokerBench { $0.flushPolicy = flushPolicy }
      var client = try bench.client()
      try client.makeTopic("t")
      #expect(try committed(client) == -1)
      for offset in Int64(0)..<20 { #expect(try commit(client, offset) == .none) }
      if flushPolicy == .sync { try bench.losePowerAndRestart() } else { try bench.killAndRestart() }
      client = try bench.client()
      for version in Int16(1)...7 { #expect(try committed(client, version: version) == 19) }
      try bench.stop()
      try bench.restart()
      client = try bench.client()
      #expect(try committed(client) == 19)
      var all = OffsetFetchRequest()
      all.groups = [OffsetFetchRequest.OffsetFetchRequestGroup()]
      all.groups[0].groupID = "g"
      all.groups[0].topics = nil
      let group = try #require(client.call(all, version: 8).groups.first)
      #expect(group.topics.map(\.name) == ["t"])
      #expect(group.topics.first?.partitions.map(\.committedOffset) == [19])
    }
  }

  @Test func badCommitsAreRefused() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    try client.makeTopic("t")
    #expect(try commit(client, 1, topic: "u") == .unknownTopicOrPartition)
    #expect(try commit(client, 1, metadata: String(repeating: "m", count: 5000)) == .offsetMetadataTooLarge)
    #expect(try commit(client, 1, member: "x", generation: 4) == .illegalGeneration)
    #expect(try commit(client, 3, version: 1) == .none)
    #expect(try committed(client) == 3)
    let member = try client.call(join(), version: 3).memberID
    #expect(try client.call(sync(member, 1, [])).errorCode == .none)
    #expect(try commit(client, 4) == .unknownMemberID)
    #expect(try commit(client, 4, member: member, generation: 1) == .none)
    // The topic goes, and with it what was committed for it.
    var delete = DeleteTopicsRequest()
    delete.topicNames = ["t"]
    #expect(try client.call(delete, version: 1).responses[0].errorCode == .none)
    try client.makeTopic("t")
    #expect(try committed(client) == -1)
  }

  @Test func groupsAreDeletedWithTheirOffsets() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    try client.makeTopic("t")
    _ = try commit(client, 7)
    #expect(try client.call(ListGroupsRequest()).groups.map(\.groupState) == ["Empty"])
    var delete = DeleteGroupsRequest()
    delete.groupsNames = ["g"]
    #expect(try client.call(delete).results.map(\.errorCode) == [.none])
    #expect(try committed(client) == -1)
    #expect(try client.call(ListGroupsRequest()).groups.isEmpty)
  }

  @Test func thisBrokerCoordinates() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    for version in Int16(0)...5 {
      var request = FindCoordinatorRequest()
      request.key = "g"
      request.coordinatorKeys = ["g", "h"]
      let answer = try client.call(request, version: version)
      if version >= 4 {
        #expect(answer.coordinators.map(\.key) == ["g", "h"])
        #expect(answer.coordinators.allSatisfy { $0.port == Int32(bench.address.port) && $0.nodeID == 1 })
      } else {
        #expect(answer.errorCode == .none)
        #expect(answer.port == Int32(bench.address.port))
      }
    }
    var other = FindCoordinatorRequest()
    other.keyType = 1
    other.coordinatorKeys = ["tx"]
    #expect(try client.call(other).coordinators.map(\.nodeID) == [1])
    other.keyType = 2
    let refused = try client.call(other)
    #expect(refused.coordinators.map(\.errorCode) == [.invalidRequest])
    #expect(refused.coordinators[0].errorMessage?.contains("groups (0) and transactions (1)") == true)
  }
}
