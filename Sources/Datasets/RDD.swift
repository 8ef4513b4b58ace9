import Groundwork
import Synchronization

/// What the scheduler sees of a dataset: its partitions and its lineage, without the element type.
///
/// Sendable: everything here is constant from the dataset's definition to its end, but `persistence`, which guards itself
/// and, where a checkpoint cuts the lineage, the lineage and the computation; `label` and `partitioning` are set while the dataset is defined, before any task sees it, and the lineage is taken
/// apart by the last owner.
public class AnyRDD: @unchecked Sendable {
  /// Where the dataset lives.
  public let context: SluiceContext
  /// How many partitions there are.
  public let partitionCount: Int
  /// The parents, in the order in which the operator takes them; none for a dataset that reads from outside or that is
  /// checkpointed.
  public var dependencies: [Dependency] {
    if !persistence.isKept { return lineage }
    return persistence.locked { _ in persistence.isCut ? [] : lineage }
  }
  private var lineage: [Dependency]
  /// The operator that made it, for people: `map`, `reduceByKey`, `kafka`.
  public internal(set) var label: String
  /// How the elements were placed by key; nil where nothing placed them. Two datasets of equal placement need no shuffle
  /// between them.
  public internal(set) var partitioning: Placement?
  /// The offset ranges that the partitions were read from, in their order, where the dataset is a batch of topics as its
  /// source made it (Spark's HasOffsetRanges); empty for anything else, what is computed from such a dataset included.
  /// A task finds its own by its partition's number. Set while the dataset is defined.
  public package(set) var offsetRanges: [OffsetRange] = []
  @usableFromInline let persistence = Persistence()
  /// The nearest dataset up a chain of single narrow dependencies that knows its weight by itself, and what the operators
  /// between add: so that `weight(of:)` neither recurses nor walks along a long chain. nil: this dataset knows by itself.
  private let weightSource: AnyRDD?
  private let weightAdded: Int64
  /// Whether one of the dependencies is a shuffle.
  private let readsShuffles: Bool

  init(
    _ context: SluiceContext, partitionCount: Int, dependencies: [Dependency], label: String, hasOwnWeight: Bool
  ) {
    self.context = context
    self.partitionCount = partitionCount
    lineage = dependencies
    self.label = label
    readsShuffles = dependencies.contains { dependency in
      if case .shuffle = dependency { return true }
      return false
    }
    if !hasOwnWeight, dependencies.count == 1, case .narrow(let parent) = dependencies[0] {
      weightSource = parent.weightSource ?? parent
      weightAdded = parent.weightAdded + AnyRDD.operatorWeight
    } else {
      weightSource = nil
      weightAdded = 0
    }
  }

  deinit { dismantleLineage() }

  /// What an operator is taken to cost where nobody says it, in nanoseconds a partition.
  private static var operatorWeight: Int64 { 10_000 }

  /// The weight that the dataset was defined with, nil where it follows from the dependencies.
  func ownWeight(of partition: Int) -> Int64? { nil }

  /// The partitions that one partition reads, nil where they are the narrow parents' of the same number.
  func partitionsRead(by partition: Int) -> [PartitionReference]? { nil }

  /// Expected work of one partition in nanoseconds, by which the runner decides where it runs. O(1) along a chain of
  /// narrow operators; where a lineage branches, at most `weighedMax` of its datasets are looked at and the others taken
  /// to be like them.
  public final func weight(of partition: Int) -> Int64 {
    if let weightSource, let own = weightSource.ownWeight(of: partition) { return weightAdded + own }
    var pending = [PartitionReference(self, partition)]
    var sum: Int64 = 0
    var looked: Int64 = 0
    while let reference = pending.popLast() {
      if looked == AnyRDD.weighedMax {
        let others = Int64(pending.count + 1).multipliedReportingOverflow(by: Swift.max(1, sum / looked))
        return others.overflow ? .max : Int64(clamping: UInt64(sum) + UInt64(others.partialValue))
      }
      looked += 1
      sum &+= Swift.min(reference.dataset.weigh(reference.partition, &pending), 1 << 50)
    }
    return sum
  }

  /// How many datasets `weight(of:)` looks at for one partition: with 2^50 ns each, the sum stays below 2^63.
  private static var weighedMax: Int64 { 256 }

  /// What this dataset adds to a partition's weight by itself; what it reads goes to `pending`.
  private func weigh(_ partition: Int, _ pending: inout [PartitionReference]) -> Int64 {
    let dataset = weightSource ?? self
    guard partition >= 0, partition < dataset.partitionCount else { return weightAdded }
    if let own = dataset.ownWeight(of: partition) { return weightAdded + Swift.max(0, own) }
    var sum = weightAdded + AnyRDD.operatorWeight
    let read = dataset.partitionsRead(by: partition)
    if let read { pending.append(contentsOf: read.reversed()) }
    // Of a wide union, each partition must not look at every member.
    if read != nil, !dataset.readsShuffles { return sum }
    for dependency in dataset.dependencies {
      switch dependency {
      case .narrow(let parent): if read == nil { pending.append(PartitionReference(parent, partition)) }
      case .shuffle(let shuffle): sum &+= shuffle.output.weight(ofReduce: partition)
      }
    }
    return sum
  }

  /// Drops the computation and the dependencies and hands over the parents; only for the dataset's last owner.
  func dismantle(into parents: inout [AnyRDD]) {
    for dependency in lineage {
      switch dependency {
      case .narrow(let parent): parents.append(parent)
      // Where the shuffle lives on, it keeps its parent, which is then not looked into.
      case .shuffle(let shuffle): parents.append(shuffle.parent)
      }
    }
    lineage = []
  }

  /// Takes the parents out; only under the lock of `persistence`.
  func takeLineage() -> [Dependency] {
    defer { lineage = [] }
    return lineage
  }

  /// Releases the ancestors one by one. Left to itself, releasing the end of a lineage of 100,000 operators would nest
  /// 100,000 releases on the stack.
  private func dismantleLineage() {
    var pending: [AnyRDD] = []
    dismantle(into: &pending)
    while var last = pending.popLast() {
      if isKnownUniquelyReferenced(&last) { last.dismantle(into: &pending) }
    }
  }
}

/// One partition of a dataset.
public struct PartitionReference: Sendable {
  /// The dataset.
  public let dataset: AnyRDD
  /// The partition's number in it.
  public let partition: Int

  /// - Parameters:
  ///   - dataset: the dataset.
  ///   - partition: the partition's number in it.
  public init(_ dataset: AnyRDD, _ partition: Int) {
    self.dataset = dataset
    self.partition = partition
  }
}

/// How a dataset depends on another: the scheduler cuts stages at shuffles and nowhere else.
public enum Dependency: Sendable {
  /// Each partition reads a bounded number of the parent's partitions, in the same task.
  case narrow(AnyRDD)
  /// Each partition reads a part of all the parent's partitions, which must have been written before.
  case shuffle(ShuffleDependency)
}

/// A partitioned, immutable, lazily computed dataset that remembers how it is made (Zaharia et al., "Resilient Distributed
/// Datasets", NSDI 2012).
///
/// Defining one does nothing; an action or an output operation computes it.
public final class RDD<Element>: AnyRDD, @unchecked Sendable {
  // Sendable: the computation is a @Sendable function, constant until the dataset's last owner takes it apart.
  /// Takes a chunk of elements, which are lent for the call.
  public typealias Emit = (UnsafeBufferPointer<Element>) throws -> Void
  /// Computes one partition, handing over its chunks in order; what is lent to `emit` is valid during that call.
  public typealias Compute = @Sendable (_ partition: Int, _ task: TaskContext, _ emit: Emit) throws -> Void

  /// Gives nothing once the dataset is taken apart. (Not an optional: a function inside one is called through thunks.)
  @usableFromInline var produce: Compute
  /// As `produce`, handing over chunks of its own, which the taker may empty; only where `ownsChunks`.
  @usableFromInline typealias Drain = (inout Chunk<Element>) throws -> Void
  @usableFromInline var produceOwned: @Sendable (Int, TaskContext, Drain) throws -> Void = { _, _, _ in }
  /// Whether the dataset is what a narrow operator gives, whose chunks nobody else sees.
  @usableFromInline private(set) var ownsChunks = false
  private var weighing: (@Sendable (Int) -> Int64)?
  private var reading: (@Sendable (Int) -> [PartitionReference])?
  /// What a union consists of, so that unions of unions are seen through.
  var union: UnionMembers<Element>?

  /// - Parameters:
  ///   - context: where the dataset lives.
  ///   - label: the operator's name, for people.
  ///   - partitionCount: how many partitions there are.
  ///   - dependencies: what a partition is computed from.
  ///   - partitioning: how the elements were placed by key, where they were.
  ///   - weight: the expected work of a partition in nanoseconds; nil adds up that of what it reads.
  ///   - reads: the partitions of narrow parents that one partition reads; nil where they have its own number.
  ///   - compute: computes one partition.
  public init(
    _ context: SluiceContext, label: String, partitionCount: Int, dependencies: [Dependency],
    partitioning: Placement? = nil, weight: (@Sendable (Int) -> Int64)? = nil,
    reads: (@Sendable (Int) -> [PartitionReference])? = nil, compute: @escaping Compute
  ) {
    produce = compute
    weighing = weight
    reading = reads
    super.init(
      context, partitionCount: partitionCount, dependencies: dependencies, label: label,
      hasOwnWeight: weight != nil || reads != nil)
    self.partitioning = partitioning
  }

  deinit { forget() }

  /// Drops everything that may refer to ancestors.
  private func forget() {
    produce = { _, _, _ in }
    produceOwned = { _, _, _ in }
    weighing = nil
    reading = nil
    union = nil
  }

  override func dismantle(into parents: inout [AnyRDD]) {
    // The parents first: what is dropped then holds none of them alone.
    super.dismantle(into: &parents)
    forget()
  }

  /// Computes one partition, or takes it from where it is kept (`persist`, `checkpoint`), handing over its chunks in order.
  ///
  /// A chain of narrow operators is computed by nested calls, one inside the other: 350 bytes of stack an operator in an
  /// optimised build, 1,100 in a debug build. So a stage may be 20,000 operators long on a stack of 8 MiB and 1,400 on one
  /// of 512 KiB; a longer lineage needs a shuffle in between.
  @inlinable public func compute(_ partition: Int, _ task: TaskContext, _ emit: Emit) throws {
    if persistence.isPlain {
      try produce(partition, task, emit)
    } else {
      try computeKept(partition, task, emit)
    }
  }

  override func ownWeight(of partition: Int) -> Int64? { weighing?(partition) }

  override func partitionsRead(by partition: Int) -> [PartitionReference]? { reading?(partition) }

  /// The dataset after a narrow operator.
  /// - Parameter keepsPartitioning: whether equal keys stay where they are: the operator changes no key.
  @inlinable public func apply<Output>(
    _ operation: ChunkOperator<Element, Output>, label: String, keepsPartitioning: Bool = false
  ) -> RDD<Output> {
    let owned: @Sendable (Int, TaskContext, RDD<Output>.Drain) throws -> Void = { [self] partition, task, emit in
      var output = Chunk<Output>()
      if operation.drains, ownsChunks, persistence.isPlain {
        return try produceOwned(partition, task) { input in
          try task.checkCancellation()
          if output.count > 0 { output.clear() }  // as below
          try task.naming(label) { try operation.draining(&input, &output, task) }
          if output.count > 0 {
            try emit(&output)
            output.clear()
          }
        }
      }
      // At most so many at a time, however many come (a shuffle's block is one view) and whatever they give: what moves on
      // stays in the processor's cache.
      var step = Chunk<Output>.usualCapacity
      try compute(partition, task) { view in
        try task.checkCancellation()
        // Not empty where a chunk has failed and its source looks for the element that did.
        if output.count > 0 { output.clear() }
        var start = 0
        while start < view.count {
          let end = Swift.min(view.count, start &+ step)
          try task.naming(label) {
            try operation.body(UnsafeBufferPointer(rebasing: view[start..<end]), &output, task)
          }
          if output.count > 0 {
            if output.count > 2 &* Chunk<Output>.usualCapacity {
              step = Swift.max(1, (end &- start) &* Chunk<Output>.usualCapacity / output.count)
            }
            try emit(&output)
            output.clear()
          }
          start = end
        }
      }
    }
    let result = RDD<Output>(
      context, label: label, partitionCount: partitionCount, dependencies: [.narrow(self)],
      partitioning: keepsPartitioning ? partitioning : nil
    ) { partition, task, emit in
      try owned(partition, task) { try emit($0.view) }
    }
    result.own(owned)
    return result
  }

  /// Takes the computation that hands over chunks of its own. While the dataset is defined.
  @usableFromInline func own(_ computation: @escaping @Sendable (Int, TaskContext, Drain) throws -> Void) {
    produceOwned = computation
    ownsChunks = true
  }
}
