import Datasets
import Groundwork

/// What happens with a stream's batches: without one nothing is computed.
package struct StreamOutput: Sendable {
  package enum Kind: Sendable {
    /// Runs on the driver's loop with what the batch gives; it may start jobs and wait for them there.
    case action(@Sendable (BatchFrame) throws -> Void)
    /// Tasks encode, and the sink takes what they hand over. nil: this batch has nothing for it.
    case sink(any Sink, @Sendable (BatchFrame) -> SinkJob?)
  }
  package var label: String
  /// Under which listeners and recovery know it.
  package var name: String
  /// Whether the name was derived from the operation's kind and place, not given.
  package var isDerived: Bool
  package var kind: Kind
}

/// An output operation as it was defined.
public struct OutputDefinition: Sendable {
  let context: StreamingContext
  /// nil where the definition was refused.
  let index: Int?

  /// What an operation returns that could not be defined: its problem is noted, so the context will not start.
  package static func none(_ context: StreamingContext) -> OutputDefinition {
    OutputDefinition(context: context, index: nil)
  }

  /// The operation's name: as given by `named`, else derived from its kind and place, such as `print-1`. Empty where the
  /// definition was refused.
  public var name: String { index.map { context.outputs[$0].name } ?? "" }

  /// Gives the operation a name, under which listeners hear of it and a restart finds it again after the code has
  /// changed. Names are unique in a job.
  @discardableResult
  public func named(_ name: String) -> OutputDefinition {
    if let index { context.rename(output: index, to: name) }
    return self
  }
}

/// The dataset of one batch for a sink, and how a partition becomes output.
public struct SinkJob: Sendable {
  /// Whose partitions are computed.
  public var dataset: AnyRDD
  /// Computes a partition and gives what the sink takes.
  public var task: @Sendable (_ partition: Int, _ task: TaskContext) throws -> TaskOutput
  /// A dataset to compute, and what its tasks do.
  public init(
    dataset: AnyRDD, task: @escaping @Sendable (_ partition: Int, _ task: TaskContext) throws -> TaskOutput
  ) {
    self.dataset = dataset
    self.task = task
  }
}
