import Datasets
import Groundwork

extension DStream {
  /// Calls `body` with each batch's dataset and time (for windows the window's end), on the driver. What it does outside
  /// is repeated when a batch is: at-least-once.
  ///
  /// Outputs run one after the other, in the order of definition. Write to the outside world from tasks, with
  /// `foreachPartition` and a connection a partition, or one that `TaskContext.locals` keeps from batch to batch; a
  /// connection made here, on the driver, cannot go along.
  @discardableResult
  public func foreachRDD(
    _ body: @escaping @Sendable (RDD<Element>, Timestamp) throws -> Void
  ) -> OutputDefinition {
    context.addOutput(label: "foreachRDD") { [self] frame in
      if let dataset = dataset(frame) { try body(dataset, time(frame)) }
    }
  }

  /// Calls `body` with each batch's dataset.
  @discardableResult
  public func foreachRDD(_ body: @escaping @Sendable (RDD<Element>) throws -> Void) -> OutputDefinition {
    foreachRDD { dataset, _ in try body(dataset) }
  }

  /// Hands each batch to a sink; `encode` runs in tasks and turns a partition into what the sink takes.
  ///
  /// Outputs of this kind are compared where `sluice.streaming.checkDeterminism` has a batch computed twice: the elements
  /// that `encode` asks for, one by one, not what it makes of them.
  @discardableResult
  public func write(
    to sink: any Sink, label: String,
    _ encode: @escaping @Sendable (RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> TaskOutput
  ) -> OutputDefinition {
    context.addOutput(label: label, sink: sink) { [self] frame in
      dataset(frame).map { dataset in
        guard let probe = frame.probe else {
          return SinkJob(dataset: dataset) { partition, task in try encode(dataset, partition, task) }
        }
        let digest = ElementDigest<Element>()
        return SinkJob(dataset: dataset) { partition, task in
          var records: [UInt64] = []
          let output = try encode(dataset.watched { records.append(digest($0)) }, partition, task)
          probe.take(partition, records)
          return output
        }
      }
    }
  }
}

extension DStream where Element: Sendable {
  /// Prints the first elements of each batch, under a header with the batch's time, as Spark does.
  /// - Parameter count: how many elements.
  @discardableResult
  public func print(_ count: Int = 10) -> OutputDefinition {
    let write = context.environment.print
    return context.addOutput(label: "print") { [self] frame in
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
