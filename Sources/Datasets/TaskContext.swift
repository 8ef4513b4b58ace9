import Groundwork

/// What a task knows of itself: handed to every computation, so that nothing depends on which thread runs it.
///
/// Used by one task attempt, on one thread at a time.
public final class TaskContext {
  /// The batch, and its time; number 0 and the submission's time outside of a stream.
  public let batch: BatchIdentity
  /// The stage's number within its scheduler, for people.
  public let stage: Int
  /// The partition of the stage that this task computes.
  public let partition: Int
  /// 0 for the first attempt.
  public let attempt: Int
  /// What the executor keeps from task to task.
  public let locals: ExecutorLocals
  /// Drawn from the batch, stage and partition: the same in every attempt and every replay.
  public private(set) var random: SeededRandom
  /// Counters that the task's code raises by name, such as `malformed`; they count once per successful task.
  public private(set) var counters: [String: Int64] = [:]
  /// The largest values that the task's code saw, by name, such as event times; of all tasks of a batch the largest counts.
  public private(set) var maxima: [String: Int64] = [:]
  /// Records read from the source, and written by the output.
  public var recordsRead = 0
  /// Records handed to the output.
  public var recordsWritten = 0
  /// What the task moved to disk because its memory was full.
  public var spills = SpillCounts()
  /// What the task added to accumulators.
  package internal(set) var accumulated: [PendingAccumulation] = []
  /// Where the task stands in its input, such as `flights-0 at offset 1234`: set by a source, asked only if the task fails,
  /// and then put into the message. What it captures must outlive the source's own computation.
  public var inputPosition: (() -> String)?
  /// The operator whose function threw first, for the message; nil where the task does not know.
  public private(set) var failedOperator: String?
  /// Whether that operator looks at elements one by one: given the same element alone, its function would throw again.
  package private(set) var hasFailedAtElement = false
  /// What the driver said of the job when it was submitted; see `SluiceContext.setLocalProperty`.
  public let localProperties: LocalProperties
  /// Whether the attempt has ended.
  public internal(set) var isCompleted = false
  /// Why the attempt failed; nil while it runs and where it succeeded.
  public internal(set) var failure: (any Error)?
  var completionListeners: [(TaskContext) -> Void] = []
  var failureListeners: [(TaskContext, any Error) -> Void] = []
  @usableFromInline let cancellation: TaskCancellation?

  /// - Parameters:
  ///   - seed: what the stage's random numbers are drawn from, beside the batch and the partition: the same in every
  ///     replay; the stage's number where nil.
  ///   - cancellation: how the task hears that nobody waits for it any more; never where nil.
  ///   - localProperties: what the driver said of the job.
  public init(
    batch: BatchIdentity, stage: Int, partition: Int, attempt: Int, locals: ExecutorLocals,
    seed stageSeed: UInt64? = nil, cancellation: TaskCancellation? = nil,
    localProperties: LocalProperties = LocalProperties()
  ) {
    self.batch = batch
    self.stage = stage
    self.partition = partition
    self.attempt = attempt
    self.locals = locals
    self.cancellation = cancellation
    self.localProperties = localProperties
    var seed = SeededRandom(seed: UInt64(bitPattern: batch.number.rawValue))
    let stageSeed = stageSeed ?? UInt64(truncatingIfNeeded: stage) << 32
    random = SeededRandom(seed: Hash64.fold(seed.next() ^ stageSeed, UInt64(truncatingIfNeeded: partition) &+ 1))
  }

  /// A random number that a replay of the batch draws again.
  public func nextRandom() -> UInt64 { random.next() }

  /// What the driver said of the job under this name when it was submitted; nil where nothing.
  public func localProperty(_ key: String) -> String? { localProperties[key] }

  /// Adds to the counter of that name, making it where there is none; only those of a task's successful attempt count.
  public func count(_ name: String, _ amount: Int64 = 1) { counters[name, default: 0] += amount }

  /// Raises the maximum of that name to `value`, where it is lower. Call it once a chunk, not once a record.
  public func raise(_ name: String, to value: Int64) { maxima[name] = max(maxima[name] ?? value, value) }

  /// Does an operator's work; where it throws, the operator is noted unless one before it in the lineage was.
  /// - Parameter byElement: whether it looks at each element by itself.
  @inlinable package func naming<Output: ~Copyable>(
    _ label: String, byElement: Bool = true, _ work: () throws -> Output
  ) throws -> Output {
    do { return try work() } catch {
      noteFailure(in: label, byElement: byElement)
      throw error
    }
  }

  /// Notes which operator's function threw; the first one counts, those around it only pass the error on.
  /// - Parameter byElement: whether it looks at each element by itself.
  public func noteFailure(in label: String, byElement: Bool = true) {
    guard failedOperator == nil else { return }
    failedOperator = label
    hasFailedAtElement = byElement
  }
}

/// A batch's number, its identity, and its time.
public struct BatchIdentity: Hashable, Sendable {
  /// What identifies the batch.
  public var number: BatchNumber
  /// Aligned to the interval, and greater than that of the batch before.
  public var time: Timestamp
  /// Takes any number and time; number 0 for work outside of a stream.
  public init(number: BatchNumber, time: Timestamp) {
    self.number = number
    self.time = time
  }
}

/// Objects that an executor keeps from task to task, one of a type: decompression contexts, scratch buffers.
///
/// Belongs to one executor; only the task that runs there touches it.
public final class ExecutorLocals {
  private var objects: [ObjectIdentifier: AnyObject] = [:]
  /// Keeps nothing yet.
  public init() {}

  /// The executor's object of this type, made at the first call.
  public func object<T: AnyObject>(_ type: T.Type, make: () -> T) -> T {
    if let object = objects[ObjectIdentifier(type)] { return unsafeDowncast(object, to: type) }
    let object = make()
    objects[ObjectIdentifier(type)] = object
    return object
  }
}

/// Input that a task needs and that is not in memory (a retry, a replay, bytes that were evicted): tasks never block, so
/// the task throws `InputMissing`, the driver fetches, and the task is submitted again.
public protocol FetchableInput: Sendable {
  /// What is missing, for people.
  var summary: String { get }
  /// Fetches; `then` is called once, on any thread, nil for success.
  func fetch(then: @escaping @Sendable ((any Error)?) -> Void)
}

/// Thrown by a task whose input is not in memory.
public struct InputMissing: Error, Sendable {
  /// What to fetch before the task is run again.
  public var input: any FetchableInput
  /// Names what to fetch.
  public init(_ input: any FetchableInput) { self.input = input }
}
