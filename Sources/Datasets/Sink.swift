import Groundwork

/// What a task of an output operation hands over: encoded results, never effects that others can see.
public struct TaskOutput: Sendable {
  /// Records in the output.
  public var records: Int
  /// Bytes of the output, encoded.
  public var bytes: Int
  /// What the sink knows how to commit: encoded record batches, the path of an attempt file.
  public var payload: any Sendable
  /// Puts together what a task of an output operation returns.
  public init(records: Int, bytes: Int, payload: any Sendable) {
    self.records = records
    self.bytes = bytes
    self.payload = payload
  }
}

/// Where the results of an output operation go.
///
/// Of each partition the first successful attempt counts; the output coordinator hands those, and only those, to the sink.
/// The sink then goes through `prepare` (durable or held, invisible) and `commit` (visible), or `abort`. All calls come on
/// the driver's loop, and `then` is called on it once.
public protocol Sink: AnyObject, Sendable {
  /// For people: `topic delays`, `files out/flights`.
  var name: String { get }
  /// What is promised for what goes here.
  var guarantee: OutputGuarantee { get }
  /// Who can decide a batch together with this sink's output; nil where its output cannot be part of a decision. Sinks
  /// may share one: all topics of a cluster are one transaction.
  var decider: (any Decider)? { get }
  /// Whether what `prepare` has made is durable and found again by `recover` after the process has died. Such a sink commits
  /// after the decision, and any other before it: rather twice than never.
  var keepsPrepared: Bool { get }
  /// Gets ready, once, before the first batch; `then` hears why it cannot.
  func open(_ opening: SinkOpening, then: @escaping @Sendable ((any Error)?) -> Void)
  /// Settles what an earlier run left prepared, once, after `open` and before the first batch: what is prepared for
  /// batches up to and including `decided` is committed, what is prepared for later ones is dropped. Idempotent.
  /// - Parameter decided: the last decided batch; nil where there is none.
  func recover(through decided: BatchNumber?, then: @escaping @Sendable ((any Error)?) -> Void)
  /// The number of the last batch whose commit is known to this sink, nil where it keeps none.
  func lastCommitted(then: @escaping @Sendable (Result<BatchNumber?, any Error>) -> Void)
  /// Makes the batch's output durable or holds it; nobody sees it yet. `outputs` are in the order of the partitions.
  func prepare(
    _ batch: BatchIdentity, _ outputs: [TaskOutput],
    then: @escaping @Sendable (Result<any PreparedOutput, any Error>) -> Void)
  /// Makes it visible. Called again for the same prepared output after a failure that may be retried. Not called for the
  /// sinks of the job's decider where that decided the batch: its `decide` has made their output visible. Where none of
  /// them had a record in the batch, the commit log decides it, and this is called afterwards with nothing to show.
  func commit(_ prepared: any PreparedOutput, then: @escaping @Sendable ((any Error)?) -> Void)
  /// Drops what was prepared.
  func abort(_ prepared: any PreparedOutput)
  /// Drops what an attempt left that lost against another, or whose batch failed.
  func discard(_ output: TaskOutput)
}

extension Sink {
  /// A sink that needs nothing before its first batch: succeeds inside the call.
  public func open(_ opening: SinkOpening, then: @escaping @Sendable ((any Error)?) -> Void) { then(nil) }
  /// A sink that decides nothing.
  public var decider: (any Decider)? { nil }
  /// A sink whose prepared output dies with the process.
  public var keepsPrepared: Bool { false }
  /// A sink that keeps nothing prepared from one run to the next: succeeds inside the call.
  public func recover(through decided: BatchNumber?, then: @escaping @Sendable ((any Error)?) -> Void) { then(nil) }
}

/// What a sink keeps between `prepare` and `commit`.
public protocol PreparedOutput: Sendable {
  /// The batch whose output was prepared.
  var batch: BatchIdentity { get }
}

/// What is promised for an output, with the reason: printed when the job starts.
public struct OutputGuarantee: Sendable, Equatable {
  /// How often a record of the input shows in the output after failures.
  public enum Level: String, Sendable, Comparable {
    /// Each record at most once: a failure may lose some.
    case atMostOnce = "at-most-once"
    /// Each record at least once: a failure may repeat some.
    case atLeastOnce = "at-least-once"
    /// Each record exactly once, whatever fails.
    case exactlyOnce = "exactly-once"
    private var rank: Int {
      switch self {
      case .atMostOnce: 0
      case .atLeastOnce: 1
      case .exactlyOnce: 2
      }
    }
    /// A weaker promise comes before a stronger one.
    public static func < (a: Level, b: Level) -> Bool { a.rank < b.rank }
  }
  /// What is promised.
  public var level: Level
  /// Why it is this and not more, in words for the one who runs the job.
  public var reason: String
  /// A promise and its reason.
  public init(_ level: Level, reason: String) {
    self.level = level
    self.reason = reason
  }
}
