import Groundwork
import KafkaProtocol
import SystemInterfaces

// JoinGroup (11), versions 0 to 9: the classic protocol. The answer waits until all members have joined or the rebalance
// timeout is over. From version 4 on a new member is first given its id (KIP-394).
// Static members (KIP-345): a member that comes again without an id but with a known instance id replaces the old one,
// which is fenced; unlike Kafka, this rebalances the group.

extension BrokerState {
  func joinGroup(_ call: Call, _ request: JoinGroupRequest) {
    func refuse(_ error: KafkaErrorCode) {
      var response = JoinGroupResponse()
      response.errorCode = error
      response.memberID = request.memberID
      response.protocolName = call.version >= 7 ? nil : ""
      call.answer(response)
    }
    guard !request.groupID.isEmpty else { return refuse(.invalidGroupID) }
    let sessionTimeout = Duration.milliseconds(Int64(request.sessionTimeoutMilliseconds))
    guard configuration.groupSessionTimeouts.contains(sessionTimeout) else { return refuse(.invalidSessionTimeout) }
    let rebalanceTimeout =
      request.rebalanceTimeoutMilliseconds < 0
      ? sessionTimeout : Duration.milliseconds(Int64(request.rebalanceTimeoutMilliseconds))
    let join = GroupMachine.JoinRequest(
      token: groups.makeToken(), memberID: request.memberID,
      newMemberID: groups.makeMemberID(request.groupInstanceID ?? call.header.clientID ?? "member"),
      instanceID: request.groupInstanceID, clientID: call.header.clientID ?? "",
      clientHost: "/" + call.connection.peer.host, sessionTimeout: sessionTimeout, rebalanceTimeout: rebalanceTimeout,
      protocolType: request.protocolType,
      protocols: request.protocols.map { .init(name: $0.name, metadata: $0.metadata.copied) },
      requiresKnownID: call.version >= 4)
    groups.join(request.groupID, join) { answer in
      var response = JoinGroupResponse()
      response.errorCode = answer.error
      response.generationID = answer.generation
      response.protocolType = answer.protocolType
      response.protocolName = answer.protocolName ?? (call.version >= 7 ? nil : "")
      response.leader = answer.leader
      response.memberID = answer.memberID
      response.members = answer.members.map { member in
        var entry = JoinGroupResponse.JoinGroupResponseMember()
        entry.memberID = member.id
        entry.groupInstanceID = member.instanceID
        entry.metadata = member.metadata
        return entry
      }
      call.answer(response)
    }
  }
}
