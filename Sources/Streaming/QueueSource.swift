import Datasets
import Groundwork
import Synchronization

/// A source of datasets that somebody puts into a queue: for tests and first tries. Each batch takes one of them.
///
/// Sendable: the queue guards itself; the rest is touched on the driver's loop.
public final class QueueSource<Element: Sendable>: StreamSource, @unchecked Sendable {
  private enum Entry: Sendable {
    case elements([Element])
    case dataset(RDD<Element>)

    var count: Int { if case .elements(let elements) = self { elements.count } else { 0 } }
    var mayHaveElements: Bool { if case .elements(let elements) = self { !elements.isEmpty } else { true } }
  }
  private let queue = Mutex<[Entry]>([])
  private let takesOne: Bool
  private let standIn: RDD<Element>?
  private var taken: [BatchNumber: [Entry]] = [:]
  private var isLimited = false
  private var allowed = 0

  /// - Parameters:
  ///   - oneAtATime: each batch takes one entry, else all that are there.
  ///   - defaultDataset: what a batch takes that finds the queue empty; a dataset without elements where nil.
  public init(oneAtATime: Bool = true, defaultDataset: RDD<Element>? = nil) {
    takesOne = oneAtATime
    standIn = defaultDataset
  }

  /// Puts elements for one batch into the queue; callable from anywhere.
  public func append(_ elements: [Element]) { queue.withLock { $0.append(.elements(elements)) } }

  /// Puts a dataset for one batch into the queue; callable from anywhere. How many records it has is not known, so it
  /// counts as none in the batch's input.
  public func append(_ dataset: RDD<Element>) { queue.withLock { $0.append(.dataset(dataset)) } }

  /// `queue`, whatever is put into it.
  public var name: String { "queue" }
  /// False: what a batch took is in memory only, and lost with the process.
  public var isReplayable: Bool { false }

  /// Is ready inside the call: there is nothing to connect to.
  public func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
    ready(.success(()))
  }

  /// Takes the first entry, or all of them, off the queue and keeps them for the batch. O(entries).
  public func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
    let entries: [Entry] = queue.withLock { queue in
      let available = isLimited ? min(allowed, queue.count) : queue.count
      let count = takesOne ? min(1, available) : available
      defer { queue.removeFirst(count) }
      if isLimited { allowed -= count }
      return Array(queue.prefix(count))
    }
    taken[batch.number] = entries
    return SourcePlan(records: entries.reduce(0) { $0 + $1.count })
  }

  /// What the batch took, as one dataset.
  func dataset(of batch: BatchNumber, _ context: SluiceContext, partitions: Int?) -> RDD<Element> {
    let entries = taken[batch] ?? []
    if entries.isEmpty, let standIn { return standIn }
    // Elements that stand side by side are cut into partitions together.
    var parts: [RDD<Element>] = []
    var elements: [Element] = []
    func cut() {
      if !elements.isEmpty { parts.append(context.parallelize(elements, partitionCount: partitions)) }
      elements = []
    }
    for entry in entries {
      switch entry {
      case .elements(let more): elements += more
      case .dataset(let dataset):
        cut()
        parts.append(dataset)
      }
    }
    cut()
    return parts.isEmpty ? context.parallelize([], partitionCount: partitions) : context.union(parts)
  }

  /// Succeeds inside the call: there is no position to store.
  public func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
    then(nil)
  }
  /// Releases the elements of this batch and of those before. O(batches kept).
  public func forget(through batch: BatchNumber) { taken = taken.filter { $0.key > batch } }
  /// Lets further plans take as many entries as are in the queue now.
  public func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) {
    isLimited = true
    allowed = queue.withLock { $0.count }
    then(nil)
  }
  /// Whether something with elements is in the queue and may still be taken. O(entries).
  public var hasData: Bool { !isExhausted && queue.withLock { $0.contains(where: \.mayHaveElements) } }
  /// After `limitToPresent`: whether all the entries of that moment were taken.
  public var isExhausted: Bool { isLimited && allowed == 0 }
  /// Elements in the queue, without those of datasets. O(entries).
  public var lag: SourceLag { SourceLag(records: Int64(queue.withLock { $0.reduce(0) { $0 + $1.count } })) }
  /// Ends inside the call: there is nothing to close.
  public func stop(then: @escaping @Sendable () -> Void) { then() }
}

extension StreamingContext {
  /// A stream of what is put into the queue.
  /// - Parameter partitions: into how many parts elements are cut; the context's default parallelism where nil. Datasets
  ///   keep their own.
  public func queueStream<Element: Sendable>(
    _ queue: QueueSource<Element>, partitions: Int? = nil
  ) -> DStream<Element> {
    inputStream(queue, label: "queue") { [sluice] batch, _ in
      queue.dataset(of: batch.number, sluice, partitions: partitions)
    }
  }

  /// A stream of datasets, one a batch.
  /// - Parameters:
  ///   - datasets: in the order of the batches.
  ///   - oneAtATime: each batch takes one, else the first takes all.
  ///   - defaultDataset: what batches take when there are none left; a dataset without elements where nil.
  public func queueStream<Element: Sendable>(
    _ datasets: [RDD<Element>], oneAtATime: Bool = true, defaultDataset: RDD<Element>? = nil
  ) -> DStream<Element> {
    let queue = QueueSource<Element>(oneAtATime: oneAtATime, defaultDataset: defaultDataset)
    for dataset in datasets { queue.append(dataset) }
    return queueStream(queue)
  }
}
