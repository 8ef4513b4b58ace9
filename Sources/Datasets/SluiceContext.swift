import Groundwork

/// Where datasets live: what Spark calls SparkContext. It runs jobs over them.
///
/// Sendable: its properties are constant.
public final class SluiceContext: Sendable {
  /// Runs the jobs of actions.
  public let runner: any JobRunner
  /// The number of partitions that shuffles use where none is given.
  public let defaultParallelism: Int
  /// Where persisted datasets are kept.
  public let blocks: BlockStore
  /// What floors above hang onto this context.
  package let attachments = ContextAttachments()

  /// - Parameter blocks: where persisted datasets are kept; 256 MiB where nil.
  public init(runner: any JobRunner, defaultParallelism: Int, blocks: BlockStore? = nil) {
    precondition(defaultParallelism > 0)
    self.runner = runner
    self.defaultParallelism = defaultParallelism
    self.blocks = blocks ?? BlockStore(capacity: 256 << 20)
  }

  /// A dataset of elements in memory, cut into `partitionCount` parts of equal size, in order.
  public func parallelize<Element: Sendable>(
    _ elements: some Collection<Element>, partitionCount: Int? = nil
  ) -> RDD<Element> {
    let all = ContiguousArray(elements)
    let count = max(1, partitionCount ?? defaultParallelism)
    return RDD(self, label: "parallelize", partitionCount: count, dependencies: []) { partition, task, emit in
      let start = all.count * partition / count
      let end = all.count * (partition + 1) / count
      task.recordsRead += end - start
      try all.withUnsafeBufferPointer { whole in
        for position in stride(from: start, to: end, by: Chunk<Element>.usualCapacity) {
          let upTo = min(position + Chunk<Element>.usualCapacity, end)
          try task.checkCancellation()
          try emit(UnsafeBufferPointer(rebasing: whole[position..<upTo]))
        }
      }
    }
  }

  /// The elements of several datasets: their partitions one after the other. A context of no datasets is not possible.
  public func union<Element>(_ datasets: [RDD<Element>]) -> RDD<Element> {
    precondition(!datasets.isEmpty, "a union of no datasets")
    if datasets.count == 1 { return datasets[0] }
    // owners[p] is the dataset that partition p belongs to and its number there.
    let owners = datasets.indices.flatMap { index in
      (0..<datasets[index].partitionCount).map { (dataset: index, partition: $0) }
    }
    return RDD(
      self, label: "union", partitionCount: owners.count, dependencies: datasets.map { .narrow($0) },
      weight: { datasets[owners[$0].dataset].weight(of: owners[$0].partition) }
    ) { partition, task, emit in
      try datasets[owners[partition].dataset].compute(owners[partition].partition, task, emit)
    }
  }

  /// A dataset without elements and with one partition.
  public func empty<Element>(of type: Element.Type = Element.self) -> RDD<Element> {
    RDD(self, label: "empty", partitionCount: 1, dependencies: []) { _, _, _ in }
  }
}

/// Runs jobs: implemented by the scheduler.
public protocol JobRunner: Sendable {
  /// Properties that jobs take along which are submitted from now on.
  var localProperties: LocalProperties { get nonmutating set }

  /// Computes `partitions` of a dataset, each by `task`, and gives the results in that order.
  ///
  /// Waits on the driver's loop, handling its events meanwhile; only for the driver's loop.
  func run<Element, Result: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int], label: String,
    _ task: @escaping @Sendable (_ dataset: RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> Result
  ) throws -> [Result]
}
