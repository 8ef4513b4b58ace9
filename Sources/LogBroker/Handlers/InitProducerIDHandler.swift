import Groundwork
import KafkaProtocol
import LogStorage

// InitProducerId (22), versions 0 to 5. An idempotent producer gets an id that nobody has had, with epoch 0, also when it
// asks anew with its old one (KIP-360). A transactional id gets UNSUPPORTED_VERSION: there are no transactions yet.

extension BrokerState {
  func initProducerID(_ call: Call, _ request: InitProducerIDRequest) {
    var response = InitProducerIDResponse()
    response.producerEpoch = -1
    if let id = request.transactionalID {
      response.errorCode = .unsupportedVersion
      report(.warning, "transactional producer '\(id)' was refused: transactions are not supported by this broker yet")
    } else {
      do throws(LogError) {
        response.producerID = try producerIDs.next()
        response.producerEpoch = 0
      } catch {
        // Retriable for every client, whereas a storage error is no answer they expect here.
        response.errorCode = .coordinatorNotAvailable
        report(.warning, "no producer id could be given: \(error)")
      }
    }
    call.answer(response)
  }
}
