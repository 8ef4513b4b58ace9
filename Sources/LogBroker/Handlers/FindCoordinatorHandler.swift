import Groundwork
import KafkaProtocol

// FindCoordinator (10), versions 0 to 5. This broker coordinates every group; of transactions (key type 1) there are none
// yet: INVALID_REQUEST, with the reason.

extension BrokerState {
  func findCoordinator(_ call: Call, _ request: FindCoordinatorRequest) {
    var response = FindCoordinatorResponse()
    let isGroup = request.keyType == 0
    let error: KafkaErrorCode = isGroup ? .none : .invalidRequest
    let message = isGroup ? nil : "transactions are not supported by this broker yet"
    let address = advertised
    response.errorCode = error
    response.errorMessage = message
    response.nodeID = isGroup ? configuration.nodeID : -1
    response.host = isGroup ? address.host : ""
    response.port = isGroup ? Int32(address.port) : -1
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
