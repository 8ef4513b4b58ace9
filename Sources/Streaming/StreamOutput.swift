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
  package var name: String
  package var kind: Kind
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

extension DStream {
  /// Calls `body` with each batch's dataset and time (for windows the window's end), on the
  /// driver. What it does outside is repeated when a batch is:
  /// at-least-once.
  public func foreachRDD(_ body: @escaping @Sendable (RDD<Element>, Timestamp) throws -> Void) {
    context.addOutput(label: "foreachRDD") { [self] frame in
      if let dataset = dataset(frame) { try body(dataset, time(frame)) }
    }
  }

  /// Calls `body` with each batch's dataset.
  public func foreachRDD(_ body: @escaping @Sendable (RDD<Element>) throws -> Void) {
    foreachRDD { dataset, _ in try body(dataset) }
  }

  /// Hands each batch to a sink; `encode` runs in tasks and turns a partition into what the sink takes.
  public func write(
    to sink: any Sink, label: String,
    _ encode: @escaping @Sendable (RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> TaskOutput
  ) {
    context.addOutput(label: label, sink: sink) { [self] frame in
      dataset(frame).map { dataset in
        SinkJob(dataset: dataset) { partition, task in try encode(dataset, partition, task) }
      }
    }
  }
}

extension DStream where Element: Sendable {
  /// Prints the first elements of each batch, under a header with the batch's time, as Spark does.
  /// - Parameter count: how many elements.
  public func print(_ count: Int = 10) {
    let write = context.environment.print
    context.addOutput(label: "print") { [self] frame in
      guard let dataset = dataset(frame) else { return }
      let first = try dataset.take(count + 1)
      var text = "-------------------------------------------\nTime: \(time(frame).milliseconds) ms\n"
      text += "-------------------------------------------\n"
      for element in first.prefix(count) { text += "\(element)\n" }
      if first.count > count { text += "...\n" }
      write(text + "\n")
    }
  }
}
