import Groundwork
import KafkaProtocol
import LogStorage

// DeleteTopics (20), versions 0 to 6, by name or by id. The data and what groups have committed for the topic go at once;
// who waits for the topic is answered that it is unknown.

extension BrokerState {
  private typealias TopicAnswer = DeleteTopicsResponse.DeletableTopicResult

  func deleteTopics(_ call: Call, _ request: DeleteTopicsRequest) {
    var response = DeleteTopicsResponse()
    if call.version >= 6 {
      response.responses = request.topics.map { wanted in
        var answer = TopicAnswer()
        answer.name = wanted.name
        answer.topicID = wanted.topicID
        if let name = wanted.name {
          delete(topics[name], orElse: .unknownTopicOrPartition, &answer)
        } else {
          delete(topics[wanted.topicID], orElse: .unknownTopicID, &answer)
        }
        return answer
      }
    } else {
      response.responses = request.topicNames.map { name in
        var answer = TopicAnswer()
        answer.name = name
        delete(topics[name], orElse: .unknownTopicOrPartition, &answer)
        return answer
      }
    }
    call.answer(response)
  }

  private func delete(_ topic: Topic?, orElse unknown: KafkaErrorCode, _ answer: inout TopicAnswer) {
    guard let topic else {
      answer.errorCode = unknown
      return
    }
    answer.name = topic.name
    answer.topicID = topic.id
    do throws(LogError) {
      try topics.delete(topic)
      try offsets.removeTopic(topic.name)
      report(.info, "removed topic \(topic.name)")
    } catch {
      answer.errorCode = KafkaErrorCode(error)
      answer.errorMessage = error.description
      report(.warning, "topic \(topic.name) could not be removed: \(error)")
    }
    // Who waits finds the log gone.
    for log in topic.logs { logAdvanced(log, by: WaitingFetch.everything) }
  }
}
