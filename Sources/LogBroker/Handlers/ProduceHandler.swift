import Groundwork
import KafkaProtocol
import LogStorage

// Produce (0), versions 0 to 12. Each partition succeeds or fails by itself.
// acks 1 and -1 mean the same here: the answer comes after the append and, under flush policy `sync`, after a sync.
// acks 0 gets no answer; where such a request fails its connection is closed, as with Kafka.
// Deviations: record formats 0 and 1 (versions 0 to 2) get UNSUPPORTED_FOR_MESSAGE_FORMAT; records inside a batch are
// not opened (its header and checksum are checked).
// A transactional batch is taken if the coordinator has its partition in the producer's open transaction; up to version
// 11 the producer has announced it, from 12 on the produce itself does (KIP-890). So a late batch of a transaction that
// has ended, or of a producer that was shut out, is never written.

extension BrokerState {
  private typealias TopicAnswer = ProduceResponse.TopicProduceResponse
  private typealias PartitionAnswer = ProduceResponse.TopicProduceResponse.PartitionProduceResponse

  func produce(_ call: Call, _ request: ProduceRequest) {
    let now = loop.wallTime
    let acksAreValid = (-1...1).contains(request.acks)
    var answers: [TopicAnswer] = []
    var appended: [(log: PartitionLog, bytes: Int, topic: Int, partition: Int)] = []
    let isImplicit =
      request.transactionalID != nil && call.version >= 12 && configuration.transactionVersion >= 2
    let refusals = acksAreValid ? refused(request, call.version, isImplicit: isImplicit) : [:]
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
        } else if let refusal = refusals[TopicPartition(topicData.name, PartitionIndex(data.index))] {
          answer.errorCode = refusal
        } else if let log = topic?.log(data.index) {
          let hasAppended = append(data.records ?? Bytes(), to: log, call, isImplicit: isImplicit, now: now, &answer)
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

  /// The partitions whose transactional batches must not be written, with the reason. Adds the others to the transaction
  /// where the version asks for it, all of a producer's at once.
  private func refused(
    _ request: ProduceRequest, _ version: Int16, isImplicit: Bool
  ) -> [TopicPartition: KafkaErrorCode] {
    var refusals: [TopicPartition: KafkaErrorCode] = [:]
    var wanted: [(producer: Producer, partitions: [TopicPartition])] = []
    for topicData in request.topicData {
      guard let topic = topics[topicData.name] else { continue }
      for data in topicData.partitionData {
        guard topic.log(data.index) != nil, let records = data.records,
          let header = records.withUnsafeBytes({ try? RecordBatchHeader.parse($0) }), header.isTransactional
        else { continue }
        let partition = TopicPartition(topicData.name, PartitionIndex(data.index))
        guard request.transactionalID != nil else {
          refusals[partition] = .invalidTxnState
          continue
        }
        let producer = Producer(id: header.producerID, epoch: header.producerEpoch)
        if let known = wanted.firstIndex(where: { $0.producer == producer }) {
          wanted[known].partitions.append(partition)
        } else {
          wanted.append((producer, [partition]))
        }
      }
    }
    guard let id = request.transactionalID else { return refusals }
    for (producer, partitions) in wanted {
      let verdicts = admit(id, producer, partitions, isImplicit: isImplicit)
      for (partition, verdict) in zip(partitions, verdicts) where verdict.isError {
        refusals[partition] = verdict.forProduce(version)
      }
    }
    return refusals
  }

  /// Appends one partition's batch and fills its answer.
  /// - Returns: whether the answer must wait until the log is durable.
  private func append(
    _ records: Bytes, to log: PartitionLog, _ call: Call, isImplicit: Bool, now: Timestamp,
    _ answer: inout PartitionAnswer
  ) -> Bool {
    do throws(LogError) {
      let result = try log.append(
        records, sharedMemory: call.frameSize, beginsAtZero: isImplicit, now: now)
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

extension KafkaErrorCode {
  /// What the coordinator says, in the words a Produce is answered with.
  fileprivate func forProduce(_ version: Int16) -> KafkaErrorCode {
    switch self {
    // PRODUCER_FENCED is for the coordinator's own calls (KIP-588).
    case .producerFenced: .invalidProducerEpoch
    case .transactionAbortable where version < 11: .invalidTxnState
    // Producers of before KIP-890 do not expect these here; this one makes them try again.
    case .concurrentTransactions where version < 12, .coordinatorNotAvailable: .notEnoughReplicas
    default: self
    }
  }
}
