import Groundwork

/// Why a streaming job cannot be defined, started or carried on.
public enum StreamingError: DiagnosableError {
  /// The definition asks for what cannot be; the text says what, and what to write instead.
  case invalidDefinition(String)
  /// A context that was started cannot be changed or started again.
  case alreadyStarted
  /// A context that was stopped cannot be started again.
  case alreadyStopped
  /// Nothing would be computed: thrown when the context starts.
  case noOutputOperation
  /// A batch was not computed or not committed, and the job stops; the reason names the batch.
  case batchFailed(batch: BatchNumber, reason: String)
  /// The checkpoint folder cannot be used or its log cannot be written; the text says why.
  case checkpoint(String)
  /// Another instance of the job has the checkpoint folder now; the text names it.
  case takenOver(String)
  /// A receiver cannot go on, or was given what it cannot read; the text says why.
  case receiver(String)

  /// The machine's for a failed batch, else the user's.
  public var fault: Fault {
    switch self {
    case .invalidDefinition, .alreadyStarted, .alreadyStopped, .noOutputOperation, .checkpoint, .takenOver: .user
    case .batchFailed: .machine
    case .receiver: .peer
    }
  }
  /// True for a failed batch alone: the job takes it up again when it is started again.
  public var isRetriable: Bool { if case .batchFailed = self { true } else { false } }
  /// False: a context that failed is not started again, a new one is.
  public var leavesUsable: Bool { false }
  /// True where another instance of the job has the checkpoint folder now.
  public var needsRestart: Bool { if case .takenOver = self { true } else { false } }

  /// What is wrong, with what to write instead where the definition is at fault.
  public var description: String {
    switch self {
    case .invalidDefinition(let text): text
    case .alreadyStarted: "the streaming context was started already: define everything before start, and start once"
    case .alreadyStopped:
      "the streaming context was stopped: make a new one for a restart; with the same checkpoint folder it goes on "
        + "where this one left off"
    case .noOutputOperation:
      "the job has no output operation, so nothing would be computed: add print(), foreachRDD, saveAsTextFiles or "
        + "saveToTopic"
    case .batchFailed(_, let reason): "the job stops: \(reason)"
    case .checkpoint(let text), .takenOver(let text), .receiver(let text): text
    }
  }
}
