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

  /// A dataset of elements in memory, cut into parts of equal size, in order.
  /// - Parameters:
  ///   - elements: kept for as long as the dataset lives.
  ///   - partitionCount: how many parts; the default parallelism where nil, at least 1.
  @inlinable public func parallelize<Element: Sendable>(
    _ elements: some Collection<Element>, partitionCount: Int? = nil
  ) -> RDD<Element> {
    let all = ContiguousArray(elements)
    let count = max(1, partitionCount ?? defaultParallelism)
    return RDD(self, label: "parallelize", partitionCount: count, dependencies: []) { partition, task, emit in
      let part = SluiceContext.part(partition, of: count, whole: all.count)
      task.recordsRead += part.count
      try all.withUnsafeBufferPointer { whole in
        for position in stride(from: part.lowerBound, to: part.upperBound, by: Chunk<Element>.usualCapacity) {
          let upTo = min(position + Chunk<Element>.usualCapacity, part.upperBound)
          try task.checkCancellation()
          try emit(UnsafeBufferPointer(rebasing: whole[position..<upTo]))
        }
      }
    }
  }

  /// The numbers from `start` up to, not including, `end`, in steps of `step`; made where they are used, never stored.
  ///
  /// Empty where `end` does not lie in the direction of the step; a step of 0 is an error at the first action.
  /// - Parameters:
  ///   - start: the first number.
  ///   - end: the first number not in it.
  ///   - step: what each number is more than the one before; negative to count down.
  ///   - partitionCount: how many parts of equal size; the default parallelism where nil, at least 1.
  public func range(_ start: Int, _ end: Int, step: Int = 1, partitionCount: Int? = nil) -> RDD<Int> {
    guard step != 0 else {
      return .failing(self, DatasetError(.badArgument("the step must not be 0"), operation: "range"))
    }
    // In unsigned numbers nothing overflows: the distance between two Ints has at most 64 bits.
    let isAhead = step > 0 ? end > start : end < start
    let distance =
      step > 0 ? UInt(bitPattern: end) &- UInt(bitPattern: start) : UInt(bitPattern: start) &- UInt(bitPattern: end)
    let whole = isAhead ? Int(clamping: (distance - 1) / step.magnitude + 1) : 0
    let count = max(1, partitionCount ?? defaultParallelism)
    return RDD(self, label: "range", partitionCount: count, dependencies: []) { partition, task, emit in
      let part = SluiceContext.part(partition, of: count, whole: whole)
      task.recordsRead += part.count
      var chunk = Chunk<Int>()
      for position in part {
        chunk.append(start &+ position &* step)
        guard chunk.count == Chunk<Int>.usualCapacity else { continue }
        try task.checkCancellation()
        try emit(chunk.view)
        chunk.clear()
      }
      if chunk.count > 0 { try emit(chunk.view) }
    }
  }

  /// The numbers of a range of Int; see the other `range`.
  public func range(_ end: Int, partitionCount: Int? = nil) -> RDD<Int> {
    range(0, end, partitionCount: partitionCount)
  }

  /// The positions of one of `count` parts of equal size of `whole` elements.
  @usableFromInline static func part(_ partition: Int, of count: Int, whole: Int) -> Range<Int> {
    let (quotient, rest) = whole.quotientAndRemainder(dividingBy: count)
    func start(_ part: Int) -> Int { quotient * part + rest * part / count }
    return start(partition)..<start(partition + 1)
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

  /// As `run`, without waiting: `then` is called once with the results, on the driver's loop, never inside this call.
  /// - Returns: stops the job; to be called with a reason, for people.
  func submit<Element, Output: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int], label: String,
    _ task: @escaping @Sendable (_ dataset: RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> Output,
    then: @escaping @Sendable (Result<[Output], any Error>) -> Void
  ) -> @Sendable (String) -> Void
}
