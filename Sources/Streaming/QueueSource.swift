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

  public var name: String { "queue" }
  public var isReplayable: Bool { false }

  public func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
    ready(.success(()))
  }

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

  public func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
    then(nil)
  }
  public func forget(through batch: BatchNumber) { taken = taken.filter { $0.key > batch } }
  public func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) {
    isLimited = true
    allowed = queue.withLock { $0.count }
    then(nil)
  }
  public var hasData: Bool { !isExhausted && queue.withLock { $0.contains { !$0.isEmpty } } }
  public var isExhausted: Bool { isLimited && allowed == 0 }
  public var lag: SourceLag { SourceLag(records: Int64(queue.withLock { $0.reduce(0) { $0 + $1.count } })) }
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
