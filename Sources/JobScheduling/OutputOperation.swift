import Datasets
import Groundwork

/// One output operation of a batch: what is computed and where it goes.
public struct OutputOperation: Sendable {
  /// How the operation is computed and who takes what comes of it.
  public enum Kind: Sendable {
    /// A job whose tasks hand over encoded results, which go to the sink once the whole batch is computed.
    case sink(
      any Sink, dataset: AnyRDD,
      work: @Sendable (_ partition: Int, _ task: TaskContext) throws -> TaskOutput)
    /// A function of the driver, such as `foreachRDD`'s: it may run actions; what it does is outside of the commit.
    case action(@Sendable (_ batch: BatchIdentity) throws -> Void)
  }
  /// For people: `save delays`.
  public var name: String
  /// How it is computed.
  public var kind: Kind
  /// When its sink commits.
  public var place: CommitPlace

  /// Puts an operation together; the coordinator alone runs it.
  public init(name: String, kind: Kind, place: CommitPlace = .beforeDecision) {
    self.name = name
    self.kind = kind
    self.place = place
  }
}

/// Where in the commit of a batch a sink has its place.
public enum CommitPlace: Sendable {
  /// Before the decision: the sink keeps nothing from one run to the next, and a crash after the decision would lose its
  /// output. What a batch has committed this way is repeated where the batch is not decided after all.
  case beforeDecision
  /// In one step with it: the job's decider decides with the sink's output.
  case withDecision
  /// After it: the sink finds again what it has prepared.
  case afterDecision
}

/// What an output operation did, once its tasks have run.
public struct OutputReport: Sendable {
  /// The operation's name.
  public var name: String
  /// Records and bytes handed to the sink: of the first successful attempt of each partition.
  public var records = 0
  /// Bytes handed to the sink, encoded: of the same attempts.
  public var bytes = 0
  /// The job's metrics, or those of an action's jobs added up.
  public var metrics = JobMetrics()

  /// A report of nothing done yet.
  public init(name: String) { self.name = name }
}

/// How the commit of a batch ended.
public enum CommitOutcome: Sendable {
  /// Everything is visible.
  case committed
  /// The batch did not happen and may run again; what had not yet committed was aborted.
  case undecided(OutputFailure)
  /// Whether the batch happened is for the next start to find out: nothing was aborted.
  case unknown(OutputFailure)
  /// The batch is decided; these could not roll forward and do so at the restart.
  case decided(late: [OutputFailure])
}

/// Why a batch's output went no further.
public struct OutputFailure: DiagnosableError {
  /// How far the batch's output had come.
  public enum Step: Sendable, Equatable {
    /// An operation's job, or its function on the driver, failed.
    case compute
    /// A sink could not take an operation's output: nothing of the batch was committed.
    case prepare
    /// A sink did not commit, tried `attempts` times.
    case commit(attempts: Int)
    /// The decider, or the commit log in its stead, could not decide.
    case decide
    /// A call came before the step it needs was done, or twice.
    case order(String)
  }
  /// Where it stopped.
  public var step: Step
  /// The operation's name.
  public var operation: String
  /// The sink's name, empty for an action.
  public var sink: String
  /// The batch whose output stopped.
  public var batch: BatchIdentity
  /// What the job, the function or the sink threw; nil for a call out of order.
  public var cause: (any Error)?

  /// Ours for a call out of order; else as the cause says, and the user's where it says nothing.
  public var fault: Fault {
    if case .order = step { return .ours }
    return (cause as? any DiagnosableError)?.fault ?? .user
  }
  /// As the cause says; false where it says nothing.
  public var isRetriable: Bool { (cause as? any DiagnosableError)?.isRetriable ?? false }
  /// True: other batches can go on.
  public var leavesUsable: Bool { true }
  /// As the cause says; false where it says nothing.
  public var needsRestart: Bool { (cause as? any DiagnosableError)?.needsRestart ?? false }

  /// Names batch, operation and sink, and says whether anything was committed.
  public var description: String {
    let why = cause.map { ": \($0)" } ?? ""
    switch step {
    case .compute:
      // A job's failure names operation and batch itself.
      if let failure = cause as? JobFailure { return failure.description }
      return "'\(operation)' of batch \(batch.number) failed\(why)"
    case .prepare:
      return "batch \(batch.number): \(sink) could not take the output of '\(operation)'\(why); "
        + "nothing of the batch was committed"
    case .commit(let attempts):
      return "batch \(batch.number): \(sink) did not commit '\(operation)' in \(attempts) attempts\(why); "
        + "start again: the batch is then completed or run anew"
    case .decide:
      let what = sink.isEmpty ? "it" : "the output for \(sink)"
      return "batch \(batch.number): \(what) could not be committed\(why)"
    case .order(let call): return "batch \(batch.number): \(call) was called out of order"
    }
  }
}
