import Groundwork
import KafkaProtocol
import LogStorage

// ListOffsets (2), versions 0 to 8. -1: the high watermark; -2 and -4: the log's start; -3: the record with the highest
// timestamp; else the first record at or after a time, or offset -1 where there is none. For a reader of committed records
// the last stable offset stands in the place of the high watermark, and records beyond it are not found.
// Version 0 answers with at most one offset rather than one a segment.

extension BrokerState {
  private typealias PartitionAnswer = ListOffsetsResponse.ListOffsetsTopicResponse.ListOffsetsPartitionResponse

  func listOffsets(_ call: Call, _ request: ListOffsetsRequest) {
    var response = ListOffsetsResponse()
    response.topics = request.topics.map { wanted in
      var answer = ListOffsetsResponse.ListOffsetsTopicResponse()
      answer.name = wanted.name
      let topic = topics[wanted.name]
      answer.partitions = wanted.partitions.map { partition in
        var result = PartitionAnswer()
        result.partitionIndex = partition.partitionIndex
        guard let log = topic?.log(partition.partitionIndex) else {
          result.errorCode = .unknownTopicOrPartition
          return result
        }
        guard partition.currentLeaderEpoch <= PartitionLog.leaderEpoch else {
          result.errorCode = .unknownLeaderEpoch
          return result
        }
        do throws(LogError) {
          let end = request.isolationLevel == 0 ? log.highWatermark : log.lastStableOffset
          try find(partition.timestamp, in: log, end: end, &result)
        } catch {
          result.errorCode = KafkaErrorCode(error)
        }
        return result
      }
      return answer
    }
    call.answer(response)
  }

  private func find(
    _ timestamp: Int64, in log: PartitionLog, end: Offset, _ result: inout PartitionAnswer
  ) throws(LogError) {
    switch timestamp {
    case -1: result.offset = end.rawValue
    case -2, -4: result.offset = log.startOffset.rawValue
    case ..<(-3):
      result.errorCode = .unsupportedVersion
      return
    default:
      let found =
        timestamp == -3
        ? try log.offsetOfMaxTimestamp() : try log.offset(for: Timestamp(milliseconds: timestamp))
      if let found, found.offset < end {
        result.offset = found.offset.rawValue
        result.timestamp = found.timestamp.milliseconds
      }
    }
    if result.offset >= 0 {
      result.leaderEpoch = PartitionLog.leaderEpoch
      result.oldStyleOffsets = [result.offset]
    }
  }
}
