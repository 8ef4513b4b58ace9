import Datasets
import Groundwork
import Synchronization

/// A source of datasets that somebody puts into a queue: for tests and first tries. Each batch takes one of them.
///
/// Sendable: the queue guards itself; the rest is touched on the driver's loop.
public final class QueueSource<Element: Sendable>: StreamSource, @unchecked Sendable {
  private let queue = Mutex<[[Element]]>([])
  private let takesOne: Bool
  private var taken: [BatchNumber: [Element]] = [:]
  private var isLimited = false
  private var allowed = 0

  /// - Parameter oneAtATime: each batch takes one array, else all that are there.
  public init(oneAtATime: Bool = true) { takesOne = oneAtATime }

  /// Puts elements for one batch into the queue; callable from anywhere.
  public func append(_ elements: [Element]) { queue.withLock { $0.append(elements) } }

  /// `queue`, whatever is put into it.
  public var name: String { "queue" }
  /// False: what a batch took is in memory only, and lost with the process.
  public var isReplayable: Bool { false }

  /// Is ready inside the call: there is nothing to connect to.
  public func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
    ready(.success(()))
  }

  /// Takes the first array, or all of them, off the queue and keeps the elements for the batch. O(elements taken).
  public func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
    let elements: [Element] = queue.withLock { queue in
      let available = isLimited ? min(allowed, queue.count) : queue.count
      let count = takesOne ? min(1, available) : available
      defer { queue.removeFirst(count) }
      if isLimited { allowed -= count }
      return Array(queue.prefix(count).joined())
    }
    taken[batch.number] = elements
    return SourcePlan(records: elements.count)
  }

  /// The elements that the batch took.
  func elements(of batch: BatchNumber) -> [Element] { taken[batch] ?? [] }

  /// Succeeds inside the call: there is no position to store.
  public func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
    then(nil)
  }
  /// Releases the elements of this batch and of those before. O(batches kept).
  public func forget(through batch: BatchNumber) { taken = taken.filter { $0.key > batch } }
  /// Lets further plans take as many arrays as are in the queue now.
  public func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) {
    isLimited = true
    allowed = queue.withLock { $0.count }
    then(nil)
  }
  /// Whether an array with elements is in the queue and may still be taken. O(arrays).
  public var hasData: Bool { !isExhausted && queue.withLock { $0.contains { !$0.isEmpty } } }
  /// After `limitToPresent`: whether all the arrays of that moment were taken.
  public var isExhausted: Bool { isLimited && allowed == 0 }
  /// Elements in the queue. O(arrays).
  public var lag: SourceLag { SourceLag(records: Int64(queue.withLock { $0.reduce(0) { $0 + $1.count } })) }
  /// Ends inside the call: there is nothing to close.
  public func stop(then: @escaping @Sendable () -> Void) { then() }
}

extension StreamingContext {
  /// A stream of what is put into the queue.
  public func queueStream<Element: Sendable>(
    _ queue: QueueSource<Element>, partitions: Int? = nil
  ) -> DStream<Element> {
    inputStream(queue, label: "queue") { [sluice] batch, _ in
      sluice.parallelize(queue.elements(of: batch.number), partitionCount: partitions)
    }
  }
}
