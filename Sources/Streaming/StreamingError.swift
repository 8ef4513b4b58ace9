import Groundwork

/// Why a streaming job cannot be defined, started or carried on.
public enum StreamingError: DiagnosableError {
  /// The definition asks for what cannot be; the text says what, and what to write instead.
  case invalidDefinition(String)
  /// A context that was started cannot be changed or started again.
  case alreadyStarted
  case noOutputOperation
  case batchFailed(batch: BatchNumber, reason: String)
  case checkpoint(String)

  public var fault: Fault {
    switch self {
    case .invalidDefinition, .alreadyStarted, .noOutputOperation, .checkpoint: .user
    case .batchFailed: .machine
    }
  }
  public var isRetriable: Bool { if case .batchFailed = self { true } else { false } }
  public var leavesUsable: Bool { false }

  public var description: String {
    switch self {
    case .invalidDefinition(let text): text
    case .alreadyStarted: "the streaming context was started already: define everything before start, and start once"
    case .noOutputOperation:
      "the job has no output operation, so nothing would be computed: add print(), foreachRDD, saveAsTextFiles or "
        + "saveToTopic"
    case .batchFailed(_, let reason): "the job stops: \(reason)"
    case .checkpoint(let text): text
    }
  }
}
