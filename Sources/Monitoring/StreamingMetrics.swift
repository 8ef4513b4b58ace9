import Groundwork
import Streaming
import Synchronization
import SystemInterfaces

/// Keeps the numbers of a streaming job, as Spark's StreamingSource has them, for a scraper to read at any time.
///
/// Sendable: its state stands under a lock, held for an update or while the page is copied out.
public final class StreamingMetrics: StreamingListener {
  struct State {
    var started: Timestamp?
    var completed = 0
    var failed = 0
    var discarded = 0
    var waiting = 0
    var running = 0
    var skippedTicks = 0
    var receivedRecords = 0
    var processedRecords = 0
    var lastReceived: BatchInfo?
    var lastCompleted: BatchInfo?
    var counters: [String: Int64] = [:]
    /// By the number of their streams.
    var receivers: [Int: ReceiverInfo] = [:]
    var receiverErrors: [Int: Int] = [:]
    var operationRecords: [String: Int] = [:]
    var operationFailures: [String: Int] = [:]
    var processing = Histogram()
    var scheduling = Histogram()
    var total = Histogram()
    var stability: StabilityRule
    var figures: JobFigures?
  }
  private let state: Mutex<State>
  let jobName: String
  let interval: Duration

  /// - Parameters:
  ///   - jobName: stands in `sluice_job_info`.
  ///   - interval: the batch interval.
  public init(jobName: String, interval: Duration) {
    self.jobName = jobName
    self.interval = interval
    state = Mutex(State(stability: StabilityRule(interval: interval)))
  }

  /// What is known now.
  var snapshot: State { state.withLock { $0 } }

  /// Takes what the engine's parts say of themselves; the page shows what was taken last.
  public func note(_ figures: JobFigures) { state.withLock { $0.figures = figures } }

  /// Asks a job's parts for their figures now and then, from its driver's loop, until the job has stopped. To be called
  /// once, on that loop, before the job starts.
  /// - Parameter interval: how old the figures of a page may be.
  public func follow(_ context: StreamingContext, every interval: Duration = .seconds(1)) {
    let loop = context.environment.loop
    let over = Following()
    context.atStop { over.end() }
    @Sendable func ask() {
      guard !over.hasEnded else { return }
      note(context.figures)
      loop.after(interval) { ask() }
    }
    ask()
  }

  /// Notes when the run started.
  public func onStreamingStarted(_ time: Timestamp) { state.withLock { $0.started = time } }

  /// Counts a planned batch and its records, once however often it is tried.
  public func onBatchSubmitted(_ batch: BatchInfo) {
    state.withLock { state in
      state.waiting += 1
      // A batch that is tried again was received before.
      guard batch.attempts == 1 else { return }
      state.receivedRecords += batch.numRecords
      state.skippedTicks += batch.skippedTicks
      state.lastReceived = batch
    }
  }

  /// One batch waits less and one more runs.
  public func onBatchStarted(_ batch: BatchInfo) {
    state.withLock { state in
      state.waiting = max(0, state.waiting - 1)
      state.running += 1
    }
  }

  /// Notes the receiver.
  public func onReceiverStarted(_ receiver: ReceiverInfo) { note(receiver) }

  /// Notes the receiver.
  public func onReceiverError(_ receiver: ReceiverInfo) {
    note(receiver)
    state.withLock { $0.receiverErrors[receiver.streamID, default: 0] += 1 }
  }

  /// Notes the receiver.
  public func onReceiverStopped(_ receiver: ReceiverInfo, reason: String) { note(receiver) }

  private func note(_ receiver: ReceiverInfo) { state.withLock { $0.receivers[receiver.streamID] = receiver } }

  /// Counts what an output operation wrote, or its failure.
  public func onOutputOperationCompleted(_ operation: OutputOperationInfo, of batch: BatchNumber) {
    state.withLock { state in
      state.operationRecords[operation.name, default: 0] += operation.recordsWritten
      if operation.failureReason != nil { state.operationFailures[operation.name, default: 0] += 1 }
    }
  }

  /// Counts the batch with its delays and counters, or its failure.
  public func onBatchCompleted(_ batch: BatchInfo) {
    state.withLock { state in
      state.running = max(0, state.running - 1)
      guard batch.failureReason == nil else {
        if batch.isDiscarded { state.discarded += 1 } else { state.failed += 1 }
        return
      }
      state.completed += 1
      state.processedRecords += batch.numRecords
      state.lastCompleted = batch
      state.counters.merge(batch.counters, uniquingKeysWith: &+)
      if let delay = batch.processingDelay {
        state.processing.add(delay.inSeconds)
      }
      if let cadence = batch.cadence { _ = state.stability.batchCompleted(cadence: cadence) }
      if let delay = batch.schedulingDelay { state.scheduling.add(delay.inSeconds) }
      if let delay = batch.totalDelay { state.total.add(delay.inSeconds) }
    }
  }
}

/// Whether a job is still to be asked.
private final class Following: Sendable {
  private let isOver = Atomic(false)
  var hasEnded: Bool { isOver.load(ordering: .relaxed) }
  func end() { isOver.store(true, ordering: .relaxed) }
}
