import KafkaProtocol

// Heartbeat (12), versions 0 to 4: keeps a member's session alive; REBALANCE_IN_PROGRESS tells it to join again.

extension BrokerState {
  func heartbeat(_ call: Call, _ request: HeartbeatRequest) {
    var response = HeartbeatResponse()
    response.errorCode = groups.heartbeat(
      request.groupID, memberID: request.memberID, generation: request.generationID)
    call.answer(response)
  }
}
