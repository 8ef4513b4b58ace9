import Groundwork

/// Hears of batches, in order, on the driver's loop: keep it short. Names and events are Spark's.
public protocol StreamingListener: Sendable {
  /// Sources are ready; the first batch is yet to come.
  func onStreamingStarted(_ time: Timestamp)
  /// A batch was planned.
  func onBatchSubmitted(_ batch: BatchInfo)
  /// Its output operations begin.
  func onBatchStarted(_ batch: BatchInfo)
  /// One of them begins.
  func onOutputOperationStarted(_ operation: OutputOperationInfo, of batch: BatchNumber)
  /// One of them was computed, or has failed.
  func onOutputOperationCompleted(_ operation: OutputOperationInfo, of batch: BatchNumber)
  /// The batch is committed, or has failed, or is given up because the one before it failed: see `failureReason` and
  /// `isDiscarded`. What was given up is submitted again, as another attempt.
  func onBatchCompleted(_ batch: BatchInfo)
  /// A receiver begins to receive, also after each restart.
  func onReceiverStarted(_ receiver: ReceiverInfo)
  /// Something went wrong: see `lastError`; where the receiver is not active it is started anew after a while.
  func onReceiverError(_ receiver: ReceiverInfo)
  /// A receiver was stopped for good.
  func onReceiverStopped(_ receiver: ReceiverInfo, reason: String)
}

extension StreamingListener {
  /// Does nothing.
  public func onStreamingStarted(_ time: Timestamp) {}
  /// Does nothing.
  public func onBatchSubmitted(_ batch: BatchInfo) {}
  /// Does nothing.
  public func onBatchStarted(_ batch: BatchInfo) {}
  /// Does nothing.
  public func onOutputOperationStarted(_ operation: OutputOperationInfo, of batch: BatchNumber) {}
  /// Does nothing.
  public func onOutputOperationCompleted(_ operation: OutputOperationInfo, of batch: BatchNumber) {}
  /// Does nothing.
  public func onBatchCompleted(_ batch: BatchInfo) {}
  /// Does nothing.
  public func onReceiverStarted(_ receiver: ReceiverInfo) {}
  /// Does nothing.
  public func onReceiverError(_ receiver: ReceiverInfo) {}
  /// Does nothing.
  public func onReceiverStopped(_ receiver: ReceiverInfo, reason: String) {}
}

/// One batch, as far as it has come.
public struct BatchInfo: Sendable {
  /// What identifies the batch.
  public var number: BatchNumber
  /// The batch's time.
  public var batchTime: Timestamp
  /// What each source gave, by the source's name, in the order of definition.
  public var inputs: [(source: String, plan: SourcePlan)]
  /// When the batch was due; scheduling delay counts from here.
  public var submissionTime: Instant
  /// When its first output operation began.
  public var processingStartTime: Instant?
  /// When all of it was computed.
  public var computedTime: Instant?
  /// When its commit began: as soon as it was computed and the batches before it had ended.
  public var commitStartTime: Instant?
  /// When its commit was done.
  public var processingEndTime: Instant?
  /// Those that have begun, in the order of definition.
  public var outputOperations: [OutputOperationInfo] = []
  /// What the tasks counted by name, such as malformed records, over all output operations.
  public var counters: [String: Int64] = [:]
  /// Ticks that the batches before ran over and that this batch stands for.
  public var skippedTicks: Int
  /// Records that could be read and are in no batch yet, when the batch was planned.
  public var lag: Int64
  /// How far each source was behind when the batch was planned, by the source's name, what it took not counted.
  public var lags: [String: SourceLag] = [:]
  /// How much the batch could take of each source whose rate is controlled, by the source's name.
  public var rates: [String: RateDecision] = [:]
  /// What differed where the batch was computed twice: see `sluice.streaming.checkDeterminism`. In `counters` under
  /// `nondeterministic` as well.
  public var differences: [BatchDifference] = []
  /// Whether it was planned by an earlier run of the job and is run again.
  public var isReplay = false
  /// Attempts so far, this one included: more than 1 where the failure policy retries it, or a batch before it.
  public var attempts = 1
  /// Why it failed; nil where it did not.
  public var failureReason: String?
  /// Whether it has not failed itself: it was computed on what the batch before it left, which did not happen.
  public var isDiscarded = false
  /// Whether batches are computed while the one before is committed.
  package var overlaps = false

  /// Records of the batch's input.
  public var numRecords: Int { inputs.reduce(0) { $0 + $1.plan.records } }
  /// From when the batch was due until it was started.
  public var schedulingDelay: Duration? { processingStartTime.map { $0 - submissionTime } }
  /// From start to commit.
  public var processingDelay: Duration? {
    processingStartTime.flatMap { start in processingEndTime.map { $0 - start } }
  }
  /// The shortest interval at which batches like this one could follow each other: from start to commit; but where one is
  /// computed while the one before is committed (`sluice.streaming.pipelining`), the longer of the two.
  public var cadence: Duration? {
    guard overlaps, let start = processingStartTime, let computed = computedTime, let commit = commitStartTime,
      let end = processingEndTime
    else { return processingDelay }
    return max(computed - start, end - commit)
  }
  /// From when the batch was due until it was committed.
  public var totalDelay: Duration? { processingEndTime.map { $0 - submissionTime } }
}

/// One output operation of a batch, as far as it has come.
public struct OutputOperationInfo: Sendable {
  /// The number of the operation in the order of definition.
  public var id: Int
  /// As derived or given: `saveToTopic-1`.
  public var name: String
  /// When it began.
  public var startTime: Instant
  /// When it was computed.
  public var endTime: Instant?
  /// Records handed to the sink.
  public var recordsWritten = 0
  /// Why it failed; nil where it did not.
  public var failureReason: String?
}
