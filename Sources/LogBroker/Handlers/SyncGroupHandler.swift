import Groundwork
import KafkaProtocol

// SyncGroup (14), versions 0 to 5: the leader brings the assignments, everybody gets theirs once it has.

extension BrokerState {
  func syncGroup(_ call: Call, _ request: SyncGroupRequest) {
    var assignments: [String: Bytes] = [:]
    for entry in request.assignments { assignments[entry.memberID] = entry.assignment.copied }
    groups.sync(
      request.groupID, memberID: request.memberID, generation: request.generationID,
      protocolType: request.protocolType, protocolName: request.protocolName, assignments: assignments
    ) { answer in
      var response = SyncGroupResponse()
      response.errorCode = answer.error
      response.protocolType = answer.protocolType
      response.protocolName = answer.protocolName
      response.assignment = answer.assignment
      call.answer(response)
    }
  }
}
