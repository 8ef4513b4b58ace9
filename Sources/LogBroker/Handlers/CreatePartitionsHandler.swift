import Groundwork
import KafkaProtocol
import LogStorage

// CreatePartitions (37), versions 0 to 3: more partitions for a topic, never fewer.

extension BrokerState {
  func createPartitions(_ call: Call, _ request: CreatePartitionsRequest) {
    var response = CreatePartitionsResponse()
    response.results = request.topics.map { wanted in
      var answer = CreatePartitionsResponse.CreatePartitionsTopicResult()
      answer.name = wanted.name
      do throws(Refusal) {
        try grow(wanted, validateOnly: request.validateOnly)
      } catch {
        answer.errorCode = error.code
        answer.errorMessage = error.message
      }
      return answer
    }
    call.answer(response)
  }

  private func grow(
    _ wanted: CreatePartitionsRequest.CreatePartitionsTopic, validateOnly: Bool
  ) throws(Refusal) {
    guard let topic = topics[wanted.name] else {
      throw Refusal(.unknownTopicOrPartition, "there is no topic '\(wanted.name)'")
    }
    let count = Int(wanted.count)
    guard count > topic.logs.count else {
      throw Refusal(
        .invalidPartitions, "topic '\(topic.name)' has \(topic.logs.count) partitions, which cannot become \(count)")
    }
    if let assignments = wanted.assignments {
      guard assignments.count == count - topic.logs.count,
        assignments.allSatisfy({ $0.brokerIDs == [configuration.nodeID] })
      else {
        throw Refusal(
          .invalidReplicaAssignment,
          "one assignment for each new partition, to broker \(configuration.nodeID), the only one there is")
      }
    }
    try requireRoom(for: count - topic.logs.count)
    guard !validateOnly else { return }
    do throws(LogError) {
      try topics.grow(topic, to: count, now: loop.wallTime)
      report(.info, "topic \(topic.name) has \(count) partitions now")
    } catch {
      throw Refusal(error)
    }
  }
}
