import Groundwork
import KafkaProtocol
import LogStorage

// Produce (0), versions 0 to 11. Each partition succeeds or fails by itself.
// acks 1 and -1 mean the same here: the answer comes after the append and, under flush policy `sync`, after a sync.
// acks 0 gets no answer; where such a request fails its connection is closed, as with Kafka.
// Deviations: record formats 0 and 1 (versions 0 to 2) get UNSUPPORTED_FOR_MESSAGE_FORMAT; records inside a batch are
// not opened (its header and checksum are checked); transactions get INVALID_TXN_STATE.

extension BrokerState {
  private typealias TopicAnswer = ProduceResponse.TopicProduceResponse
  private typealias PartitionAnswer = ProduceResponse.TopicProduceResponse.PartitionProduceResponse

  func produce(_ call: Call, _ request: ProduceRequest) {
    let now = loop.wallTime
    let acksAreValid = (-1...1).contains(request.acks)
    var answers: [TopicAnswer] = []
    var appended: [(log: PartitionLog, bytes: Int, topic: Int, partition: Int)] = []
    for topicData in request.topicData {
      var topicAnswer = TopicAnswer()
      topicAnswer.name = topicData.name
      let topic = topics[topicData.name]
      for data in topicData.partitionData {
        var answer = PartitionAnswer()
        answer.index = data.index
        answer.baseOffset = -1
        if !acksAreValid {
          answer.errorCode = .invalidRequiredAcks
        } else if request.transactionalID != nil {
          answer.errorCode = .invalidTxnState
          answer.errorMessage = "transactions are not supported by this broker yet"
        } else if let log = topic?.log(data.index) {
          let hasAppended = append(data.records ?? Bytes(), to: log, call, now: now, &answer)
          if hasAppended {
            appended.append((log, data.records?.count ?? 0, answers.count, topicAnswer.partitionResponses.count))
          }
        } else {
          answer.errorCode = .unknownTopicOrPartition
        }
        topicAnswer.partitionResponses.append(answer)
      }
      answers.append(topicAnswer)
    }
    let acks = request.acks
    whenDurable(appended.map(\.log)) { [self] errors in
      for place in appended {
        guard let error = errors[ObjectIdentifier(place.log)] else { continue }
        answers[place.topic].partitionResponses[place.partition].errorCode = KafkaErrorCode(error)
        answers[place.topic].partitionResponses[place.partition].errorMessage = error.description
        answers[place.topic].partitionResponses[place.partition].baseOffset = -1
      }
      finish(call, acks: acks, answers)
      for place in appended where errors[ObjectIdentifier(place.log)] == nil {
        logAdvanced(place.log, by: place.bytes)
      }
    }
  }

  /// Appends one partition's batch and fills its answer.
  /// - Returns: whether the answer must wait until the log is durable.
  private func append(
    _ records: Bytes, to log: PartitionLog, _ call: Call, now: Timestamp, _ answer: inout PartitionAnswer
  ) -> Bool {
    do throws(LogError) {
      let result = try log.append(records, sharedMemory: call.frameSize, now: now)
      answer.baseOffset = result.firstOffset.rawValue
      answer.logAppendTimeMilliseconds = result.logAppendTime.milliseconds
      answer.logStartOffset = log.startOffset.rawValue
      return true
    } catch {
      answer.errorCode = KafkaErrorCode(error)
      answer.errorMessage = error.description
      if answer.errorCode == .kafkaStorageError { storageFailed(error) }
      return false
    }
  }

  private func finish(_ call: Call, acks: Int16, _ answers: [TopicAnswer]) {
    guard acks == 0 else {
      var response = ProduceResponse()
      response.responses = answers
      return call.answer(response)
    }
    let failed = answers.flatMap(\.partitionResponses).first { $0.errorCode.isError }
    if let failed {
      call.connection.fail("a produce request with acks=0 failed with \(failed.errorCode.name)")
    } else {
      call.answerNothing()
    }
  }
}
