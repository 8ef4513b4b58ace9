import Groundwork
import KafkaProtocol

// FindCoordinator (10), versions 0 to 5. This broker coordinates every group and every transactional id; there are no
// share groups (key type 2): INVALID_REQUEST.

extension BrokerState {
  func findCoordinator(_ call: Call, _ request: FindCoordinatorRequest) {
    var response = FindCoordinatorResponse()
    let isKnown = request.keyType == 0 || request.keyType == 1
    let error: KafkaErrorCode = isKnown ? .none : .invalidRequest
    let message = isKnown ? nil : "key type \(request.keyType): this broker coordinates groups (0) and transactions (1)"
    let address = advertised
    response.errorCode = error
    response.errorMessage = message
    response.nodeID = isKnown ? configuration.nodeID : -1
    response.host = isKnown ? address.host : ""
    response.port = isKnown ? Int32(address.port) : -1
    response.coordinators = request.coordinatorKeys.map { key in
      var coordinator = FindCoordinatorResponse.Coordinator()
      coordinator.key = key
      coordinator.nodeID = response.nodeID
      coordinator.host = response.host
      coordinator.port = response.port
      coordinator.errorCode = error
      coordinator.errorMessage = message
      return coordinator
    }
    call.answer(response)
  }
}
