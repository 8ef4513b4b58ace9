import Groundwork

/// Hears of batches, in order, on the driver's loop: keep it short. Names and events are Spark's.
public protocol StreamingListener: Sendable {
  func onStreamingStarted(_ time: Timestamp)
  func onBatchSubmitted(_ batch: BatchInfo)
  func onBatchStarted(_ batch: BatchInfo)
  func onOutputOperationStarted(_ operation: OutputOperationInfo, of batch: BatchNumber)
  func onOutputOperationCompleted(_ operation: OutputOperationInfo, of batch: BatchNumber)
  func onBatchCompleted(_ batch: BatchInfo)
}

extension StreamingListener {
  public func onStreamingStarted(_ time: Timestamp) {}
  public func onBatchSubmitted(_ batch: BatchInfo) {}
  public func onBatchStarted(_ batch: BatchInfo) {}
  public func onOutputOperationStarted(_ operation: OutputOperationInfo, of batch: BatchNumber) {}
  public func onOutputOperationCompleted(_ operation: OutputOperationInfo, of batch: BatchNumber) {}
  public func onBatchCompleted(_ batch: BatchInfo) {}
}

/// One batch, as far as it has come.
public struct BatchInfo: Sendable {
  public var number: BatchNumber
  public var batchTime: Timestamp
  /// What each source gave, by the source's name, in the order of definition.
  public var inputs: [(source: String, plan: SourcePlan)]
  /// When the batch was due; scheduling delay counts from here.
  public var submissionTime: Instant
  public var processingStartTime: Instant?
  public var processingEndTime: Instant?
  public var outputOperations: [OutputOperationInfo] = []
  /// What the tasks counted by name, such as malformed records, over all output operations.
  public var counters: [String: Int64] = [:]
  /// Ticks that the batches before ran over and that this batch stands for.
  public var skippedTicks: Int
  /// Records that could be read and are in no batch yet, when the batch was planned.
  public var lag: Int64
  public var failureReason: String?

  /// Records of the batch's input.
  public var numRecords: Int { inputs.reduce(0) { $0 + $1.plan.records } }
  /// From when the batch was due until it was started.
  public var schedulingDelay: Duration? { processingStartTime.map { $0 - submissionTime } }
  /// From start to commit.
  public var processingDelay: Duration? {
    processingStartTime.flatMap { start in processingEndTime.map { $0 - start } }
  }
  public var totalDelay: Duration? { processingEndTime.map { $0 - submissionTime } }
}

public struct OutputOperationInfo: Sendable {
  /// The number of the operation in the order of definition.
  public var id: Int
  public var name: String
  public var startTime: Instant
  public var endTime: Instant?
  public var recordsWritten = 0
  public var failureReason: String?
}
