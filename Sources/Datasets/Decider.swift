import Groundwork

/// What a decider keeps with a batch: enough for a restart to go on behind it, whatever else was lost.
public struct Decision: Sendable, Equatable {
  /// The decided batch.
  public var batch: BatchNumber
  /// The engine's record of the batch (offset ranges, state version, notes): text for the decider to keep as it is.
  /// Empty in what `takeOver` gives where the decider does not keep it: the plan log has it then.
  public var record: Bytes
  /// The batch's time, which every later batch is after; nil where that is not known beside the record.
  public var time: Timestamp?

  /// - Parameters:
  ///   - batch: the decided batch.
  ///   - record: the engine's record of it.
  ///   - time: the batch's time.
  public init(batch: BatchNumber, record: Bytes, time: Timestamp? = nil) {
    self.batch = batch
    self.record = record
    self.time = time
  }
}

/// The one place where it is decided whether a batch happened: a Kafka transaction, a file manifest, a SQL transaction.
///
/// A job has one. What its own sinks have prepared becomes visible in the same step that keeps the decision: both survive,
/// or neither. Every other sink rolls forward afterwards, and the commit log is a cache of the decision. Only where a batch
/// has neither input nor output for the decider's sinks, it is not asked: the commit log, synced, decides that batch.
///
/// All calls come on the driver's loop, and `then` is called on it once.
public protocol Decider: AnyObject, Sendable {
  /// For people: `the transactions of flights-1`.
  var name: String { get }
  /// Of several possible deciders the greatest decides.
  var rank: DeciderRank { get }
  /// Whether `Decision.record` is kept with the decision and given back by `takeOver`; false where the medium has no room.
  var keepsRecord: Bool { get }
  /// Keeps every predecessor out for good (a fencing epoch, a lock), settles what the last one left open, and says what was
  /// decided last; nil where nothing ever was. Called once, after its sinks were opened and before any batch.
  func takeOver(then: @escaping @Sendable (Result<Decision?, any Error>) -> Void)
  /// Commits what its sinks have prepared for the batch, together with the decision, in one atomic and durable step.
  ///
  /// Called once for a batch; what may be tried again is tried again in here.
  /// - Parameters:
  ///   - prepared: in the order in which the sinks' outputs were defined; empty where a batch with input gives none of
  ///     them a record.
  func decide(
    _ decision: Decision, _ prepared: [any PreparedOutput], then: @escaping @Sendable (DecisionOutcome) -> Void)
}

/// What became of a decision.
public enum DecisionOutcome: Sendable {
  /// The batch happened: its output is visible and the decision is durable.
  case decided
  /// The batch did not happen, for certain; it may run again.
  case aborted(any Error)
  /// Nobody knows: the job stops, and its next start finds out.
  case unknown(any Error)
}

/// Which of several deciders decides: the one that is hardest to roll forward.
public enum DeciderRank: Int, Sendable, Comparable {
  /// A SQL database: committed last where something greater is there.
  case database
  /// A manifest of files.
  case manifest
  /// A Kafka transaction: what it holds cannot wait for another's decision longer than its timeout.
  case transaction

  /// By weight.
  public static func < (a: DeciderRank, b: DeciderRank) -> Bool { a.rawValue < b.rawValue }
}

/// What a sink is told when the job starts.
public struct SinkOpening: Sendable {
  /// The job's name: the owner of locks and transactions.
  public var job: String
  /// Whether this sink's own decider decides the job's batches; false where it rolls forward after another's decision.
  public var isDeciding: Bool

  /// - Parameters:
  ///   - job: the job's name.
  ///   - isDeciding: whether the sink's own decider decides.
  public init(job: String, isDeciding: Bool) {
    self.job = job
    self.isDeciding = isDeciding
  }
}
