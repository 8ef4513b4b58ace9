import KafkaProtocol

// LeaveGroup (13), versions 0 to 5: one member up to version 2, several from 3 on (KIP-345).

extension BrokerState {
  func leaveGroup(_ call: Call, _ request: LeaveGroupRequest) {
    var response = LeaveGroupResponse()
    if call.version >= 3 {
      response.members = request.members.map { member in
        var answer = LeaveGroupResponse.MemberResponse()
        answer.memberID = member.memberID
        answer.groupInstanceID = member.groupInstanceID
        answer.errorCode = groups.leave(
          request.groupID, memberID: member.memberID, instanceID: member.groupInstanceID)
        return answer
      }
    } else {
      response.errorCode = groups.leave(request.groupID, memberID: request.memberID, instanceID: nil)
    }
    call.answer(response)
  }
}
