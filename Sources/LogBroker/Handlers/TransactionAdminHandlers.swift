import Groundwork
import KafkaProtocol
import LogStorage

// ListTransactions (66), versions 0 and 1; DescribeTransactions (65), version 0; DescribeProducers (61), version 0;
// WriteTxnMarkers (27), versions 0 and 1 (KIP-664). This broker coordinates every transactional id and leads every
// partition. A marker that an administrator asks for ends the producer's transaction in the partitions named; the
// coordinator hears nothing of it, as with Kafka.

extension BrokerState {
  func listTransactions(_ call: Call, _ request: ListTransactionsRequest) {
    var response = ListTransactionsResponse()
    let names = Set(TransactionRecord.Phase.allCases.map(\.name))
    response.unknownStateFilters = request.stateFilters.filter { !names.contains($0) }
    let now = loop.wallTime.milliseconds
    for (id, record) in transactions.log.records.sorted(by: { $0.key < $1.key }) {
      if !request.stateFilters.isEmpty, !request.stateFilters.contains(record.phase.name) { continue }
      if !request.producerIDFilters.isEmpty, !request.producerIDFilters.contains(record.producerID) { continue }
      if request.durationFilter >= 0 {
        guard record.started != .none, now - record.started.milliseconds > request.durationFilter else { continue }
      }
      var state = ListTransactionsResponse.TransactionState()
      state.transactionalID = id
      state.producerID = record.producerID
      state.transactionState = record.phase.name
      response.transactionStates.append(state)
    }
    call.answer(response)
  }

  func describeTransactions(_ call: Call, _ request: DescribeTransactionsRequest) {
    var response = DescribeTransactionsResponse()
    response.transactionStates = request.transactionalIDs.map { id in
      var state = DescribeTransactionsResponse.TransactionState()
      state.transactionalID = id
      guard let record = transactions.log.records[id] else {
        state.errorCode = id.isEmpty ? .invalidRequest : .transactionalIDNotFound
        return state
      }
      state.transactionState = record.phase.name
      state.transactionTimeoutMilliseconds = Int32(clamping: record.timeout.inMilliseconds)
      state.transactionStartTimeMilliseconds = record.started.milliseconds
      state.producerID = record.producerID
      state.producerEpoch = record.epoch
      let partitions = record.phase.isPrepared ? transactions.unmarked[id] ?? record.partitions : record.partitions
      for partition in partitions.sorted() {
        if state.topics.last?.topic != partition.topic {
          var topic = DescribeTransactionsResponse.TransactionState.TopicData()
          topic.topic = partition.topic
          state.topics.append(topic)
        }
        state.topics[state.topics.count - 1].partitions.append(partition.partition.rawValue)
      }
      return state
    }
    call.answer(response)
  }

  func describeProducers(_ call: Call, _ request: DescribeProducersRequest) {
    typealias TopicAnswer = DescribeProducersResponse.TopicResponse
    var response = DescribeProducersResponse()
    response.topics = request.topics.map { wanted in
      var answer = TopicAnswer()
      answer.name = wanted.name
      let topic = topics[wanted.name]
      answer.partitions = wanted.partitionIndexes.map { index in
        var result = TopicAnswer.PartitionResponse()
        result.partitionIndex = index
        guard let log = topic?.log(index) else {
          result.errorCode = .unknownTopicOrPartition
          return result
        }
        result.activeProducers = log.producerDescriptions.map { producer in
          var state = TopicAnswer.PartitionResponse.ProducerState()
          state.producerID = producer.producerID
          state.producerEpoch = Int32(producer.epoch)
          state.lastSequence = producer.lastSequence
          state.lastTimestamp = producer.lastTime.milliseconds
          state.coordinatorEpoch = producer.coordinatorEpoch
          state.currentTxnStartOffset = producer.transactionStart?.rawValue ?? -1
          return state
        }
        return result
      }
      return answer
    }
    call.answer(response)
  }

  func writeTxnMarkers(_ call: Call, _ request: WriteTxnMarkersRequest) {
    typealias Result = WriteTxnMarkersResponse.WritableTxnMarkerResult
    var marked: [(log: PartitionLog, size: Int, marker: Int, topic: Int, partition: Int)] = []
    var results: [Result] = []
    for wanted in request.markers {
      let marker = TransactionMarker(
        producerID: wanted.producerID, producerEpoch: wanted.producerEpoch,
        coordinatorEpoch: wanted.coordinatorEpoch, isCommitted: wanted.transactionResult)
      var result = Result()
      result.producerID = wanted.producerID
      for wantedTopic in wanted.topics {
        var topicResult = Result.WritableTxnMarkerTopicResult()
        topicResult.name = wantedTopic.name
        for index in wantedTopic.partitionIndexes {
          var answer = Result.WritableTxnMarkerTopicResult.WritableTxnMarkerPartitionResult()
          answer.partitionIndex = index
          if let log = topics[wantedTopic.name]?.log(index) {
            do throws(LogError) {
              let size = try log.append(marker, now: loop.wallTime).size
              marked.append((log, size, results.count, result.topics.count, topicResult.partitions.count))
              report(
                .info,
                "\(wantedTopic.name)-\(index): a client ended the transaction of producer \(wanted.producerID)")
            } catch {
              answer.errorCode = KafkaErrorCode(error)
            }
          } else {
            answer.errorCode = .unknownTopicOrPartition
          }
          topicResult.partitions.append(answer)
        }
        result.topics.append(topicResult)
      }
      results.append(result)
    }
    whenDurable(marked.map(\.log)) { [self] errors in
      for place in marked {
        if let error = errors[ObjectIdentifier(place.log)] {
          results[place.marker].topics[place.topic].partitions[place.partition].errorCode = KafkaErrorCode(error)
        } else {
          logAdvanced(place.log, by: place.size)
        }
      }
      var response = WriteTxnMarkersResponse()
      response.markers = results
      call.answer(response)
    }
  }
}
