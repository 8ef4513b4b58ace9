import Groundwork
import KafkaProtocol
import LogStorage
import SystemInterfaces

// Fetch (1), versions 0 to 13. Whole batches below the high watermark, from memory where they are still there, else as
// ranges of segment files. A request that finds fewer than min_bytes waits, without a thread, until enough has been
// appended or max_wait is over; errors are answered at once. The first partition that has data gives at least one
// batch, however large, so that every consumer makes progress.
// A reader of committed records gets what lies below the last stable offset, with the aborted transactions it touches;
// while it waits, what is appended counts once the last stable offset moves.
// Deviations: no fetch sessions (session id 0 is answered, which tells clients to send full requests, KIP-227); versions
// 0 to 3, whose clients expect older record formats, get UNSUPPORTED_FOR_MESSAGE_FORMAT; replicas are consumers like any.

extension BrokerState {
  private typealias TopicAnswer = FetchResponse.FetchableTopicResponse
  private typealias PartitionAnswer = FetchResponse.FetchableTopicResponse.PartitionData

  /// What is asked of one partition, found or not.
  struct FetchedPartition {
    var index: Int32
    var offset: Offset
    var bytesMax: Int
    var log: PartitionLog?
    var error: KafkaErrorCode
  }

  struct FetchedTopic {
    var name: String
    var id: UUID128
    var partitions: [FetchedPartition]
  }

  func fetch(_ call: Call, _ request: FetchRequest) {
    if request.sessionID != 0, request.sessionEpoch > 0 {
      var response = FetchResponse()
      response.errorCode = .fetchSessionIDNotFound
      return call.answer(response)
    }
    let wanted = request.topics.map { resolve($0, call.version) }
    let limit = min(Int(max(request.maxBytes, 0)), configuration.fetchBytesMax)
    let isCommitted = request.isolationLevel != 0
    let (answers, slices, hasError) = read(wanted, bytesMax: limit, isCommitted: isCommitted)
    let found = slices.reduce(0) { $0 + $1.byteCount }
    let logs = wanted.flatMap { $0.partitions.compactMap(\.log) }
    if found >= Int(request.minBytes) || hasError || logs.isEmpty || request.maxWaitMilliseconds <= 0
      || found >= limit
    {
      return send(call, answers, slices)
    }
    let deadline = loop.now + .milliseconds(Int64(request.maxWaitMilliseconds))
    var unique: [PartitionLog] = []
    for log in logs where !unique.contains(where: { $0 === log }) { unique.append(log) }
    park(
      WaitingFetch(
        call, deadline: deadline, logs: unique, bytesMissing: Int(request.minBytes) - found, isCommitted: isCommitted
      ) { [self] in
        // Resolved anew: a topic may have been deleted meanwhile.
        let wanted = request.topics.map { resolve($0, call.version) }
        let (answers, slices, _) = read(wanted, bytesMax: limit, isCommitted: isCommitted)
        send(call, answers, slices)
      })
  }

  private func resolve(_ topic: FetchRequest.FetchTopic, _ version: Int16) -> FetchedTopic {
    let known = version >= 13 ? topics[topic.topicID] : topics[topic.topic]
    let unknown: KafkaErrorCode = version >= 13 ? .unknownTopicID : .unknownTopicOrPartition
    let partitions = topic.partitions.map { partition in
      var wanted = FetchedPartition(
        index: partition.partition, offset: Offset(partition.fetchOffset),
        bytesMax: Int(max(partition.partitionMaxBytes, 0)), log: known?.log(partition.partition), error: .none)
      if wanted.log == nil {
        wanted.error = known == nil ? unknown : .unknownTopicOrPartition
      } else if version < 4 {
        wanted.error = .unsupportedForMessageFormat
      } else if partition.currentLeaderEpoch > PartitionLog.leaderEpoch {
        wanted.error = .unknownLeaderEpoch
      }
      return wanted
    }
    return FetchedTopic(name: topic.topic, id: topic.topicID, partitions: partitions)
  }

  private func read(
    _ wanted: [FetchedTopic], bytesMax: Int, isCommitted: Bool
  ) -> (answers: [TopicAnswer], slices: [LogSlice], hasError: Bool) {
    var slices: [LogSlice] = []
    var remaining = bytesMax
    var isEmpty = true
    var hasError = false
    let answers = wanted.map { topic in
      var answer = TopicAnswer()
      answer.topic = topic.name
      answer.topicID = topic.id
      answer.partitions = topic.partitions.map { partition in
        var result = PartitionAnswer()
        result.partitionIndex = partition.index
        result.abortedTransactions = isCommitted ? [] : nil
        var slice = LogSlice.empty
        result.errorCode = partition.error
        if let log = partition.log, !partition.error.isError {
          do throws(LogError) {
            slice = try log.read(
              from: partition.offset, until: isCommitted ? log.lastStableOffset : nil,
              bytesMax: max(min(partition.bytesMax, remaining), 0), atLeastOneBatch: isEmpty)
          } catch {
            result.errorCode = KafkaErrorCode(error)
          }
          result.highWatermark = log.highWatermark.rawValue
          result.lastStableOffset = log.lastStableOffset.rawValue
          if isCommitted, let end = slice.endOffset {
            result.abortedTransactions = log.abortedTransactions(from: partition.offset, until: end).map {
              var aborted = PartitionAnswer.AbortedTransaction()
              aborted.producerID = $0.producerID
              aborted.firstOffset = $0.firstOffset.rawValue
              return aborted
            }
          }
          result.logStartOffset = log.startOffset.rawValue
        }
        if result.errorCode.isError {
          hasError = true
          result.highWatermark = -1
          result.lastStableOffset = -1
        }
        if slice.byteCount > 0 { isEmpty = false }
        remaining -= slice.byteCount
        slices.append(slice)
        return result
      }
      return answer
    }
    return (answers, slices, hasError)
  }

  private func send(_ call: Call, _ answers: [TopicAnswer], _ slices: [LogSlice]) {
    var response = FetchResponse()
    response.responses = answers
    do {
      let pieces = try encodeFetchResponse(
        response, recordSizes: slices.map(\.byteCount), version: call.version,
        correlationID: call.header.correlationID)
      var parts: [SendPart] = []
      for (index, piece) in pieces.enumerated() {
        if !piece.isEmpty { parts.append(.bytes(piece)) }
        if index < slices.count { parts += slices[index].parts }
      }
      call.send(parts)
    } catch {
      call.connection.fail("the answer to fetch \(call.version) cannot be encoded: \(error)")
    }
  }
}
