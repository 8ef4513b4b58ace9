import Groundwork

/// What the scheduler sees of a dataset: its partitions and its lineage, without the element type.
public class AnyRDD: @unchecked Sendable {
  // Sendable: everything here is constant but `label`, which is set while the dataset is defined, before any task sees it.
  public let context: SluiceContext
  /// How many partitions there are.
  public let partitionCount: Int
  public let dependencies: [Dependency]
  /// The operator that made it, for people: `map`, `reduceByKey`, `kafka`.
  public internal(set) var label: String

  init(_ context: SluiceContext, partitionCount: Int, dependencies: [Dependency], label: String) {
    self.context = context
    self.partitionCount = partitionCount
    self.dependencies = dependencies
    self.label = label
  }

  /// How a partition is computed where the element type does not matter: runs the computation and drops the elements.
  package func run(_ partition: Int, _ task: TaskContext) throws { preconditionFailure("an abstract dataset") }

  /// Expected work of one partition in nanoseconds, by which the runner decides where it runs.
  public func weight(of partition: Int) -> Int64 {
    dependencies.reduce(10_000) { sum, dependency in
      switch dependency {
      case .narrow(let parent): sum + (partition < parent.partitionCount ? parent.weight(of: partition) : 0)
      case .shuffle(let shuffle): sum + shuffle.output.weight(ofReduce: partition)
      }
    }
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
  // Sendable: the stored properties are constant, and the computation is a @Sendable function.
  public typealias Emit = (UnsafeBufferPointer<Element>) throws -> Void
  /// Computes one partition, handing over its chunks in order; what is lent to `emit` is valid during that call.
  public typealias Compute = @Sendable (_ partition: Int, _ task: TaskContext, _ emit: Emit) throws -> Void

  public let compute: Compute
  private let weigh: (@Sendable (Int) -> Int64)?

  /// - Parameters:
  ///   - label: the operator's name, for people.
  ///   - weight: the expected work of a partition in nanoseconds; nil adds up the parents'.
  public init(
    _ context: SluiceContext, label: String, partitionCount: Int, dependencies: [Dependency],
    weight: (@Sendable (Int) -> Int64)? = nil, compute: @escaping Compute
  ) {
    self.compute = compute
    weigh = weight
    super.init(context, partitionCount: partitionCount, dependencies: dependencies, label: label)
  }

  package override func run(_ partition: Int, _ task: TaskContext) throws {
    try compute(partition, task) { _ in }
  }

  public override func weight(of partition: Int) -> Int64 { weigh?(partition) ?? super.weight(of: partition) }

  /// The dataset after a narrow operator.
  @inlinable public func apply<Output>(_ operation: ChunkOperator<Element, Output>, label: String) -> RDD<Output> {
    let parent = compute
    return RDD<Output>(context, label: label, partitionCount: partitionCount, dependencies: [.narrow(self)]) {
      partition, task, emit in
      var output = Chunk<Output>()
      try parent(partition, task) { view in
        try operation.body(view, &output, task)
        if output.count > 0 {
          try emit(output.view)
          output.clear()
        }
      }
    }
  }
}
