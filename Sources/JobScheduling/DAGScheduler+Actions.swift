import Datasets
import Groundwork
import SystemInterfaces

extension DAGScheduler: JobRunner {
  /// Runs a job and waits for it, handling the loop's other work meanwhile.
  /// - Throws: `JobFailure`; also where the caller is not on the loop, or is a task.
  public func run<Element, Output: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int], label: String,
    _ task: @escaping @Sendable (_ dataset: RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> Output
  ) throws -> [Output] {
    guard loop.isCurrent, !isSubmitting else {
      throw JobFailure(.notOnTheLoop, label: label, batch: BatchIdentity(number: 0, time: loop.wallTime))
    }
    let batch = batchOfActions ?? BatchIdentity(number: 0, time: loop.wallTime)
    let answer = Answer()
    let spec = JobSpec(
      dataset: dataset, partitions: partitions, batch: batch, label: label, properties: localProperties
    ) { partition, context in
      try task(dataset, partition, context)
    } onComplete: {
      answer.end = $0
    }
    let job = submit(spec)
    loop.pump { answer.end != nil }
    guard let end = answer.end else {
      cancel(job, reason: "the loop was stopped")
      throw JobFailure(.stopped, label: label, batch: batch)
    }
    metricsOfActions.add(end.metrics)
    return try end.outcome.get().map { result in
      guard let result = result as? Output else { preconditionFailure("a task gave \(type(of: result))") }
      return result
    }
  }

  /// Runs a job and returns at once; `then` hears of its end on the loop, never inside this call.
  public func submit<Element, Output: Sendable>(
    _ dataset: RDD<Element>, partitions: [Int], label: String,
    _ task: @escaping @Sendable (_ dataset: RDD<Element>, _ partition: Int, _ task: TaskContext) throws -> Output,
    then: @escaping @Sendable (Result<[Output], any Error>) -> Void
  ) -> @Sendable (String) -> Void {
    // What belongs to the loop is asked only there; from elsewhere the job stands outside of any batch.
    let batch = (loop.isCurrent ? batchOfActions : nil) ?? BatchIdentity(number: 0, time: loop.wallTime)
    let spec = JobSpec(
      dataset: dataset, partitions: partitions, batch: batch, label: label, properties: localProperties
    ) { partition, context in
      try task(dataset, partition, context)
    } onComplete: { end in
      switch end.outcome {
      case .failure(let failure): then(.failure(failure))
      case .success(let results): then(.success(results.compactMap { $0 as? Output }))
      }
    }
    let job = submit(spec)
    return { [self] reason in cancel(job, reason: reason) }
  }
}

/// Where a waiting caller finds the end of its job.
///
/// Sendable: written and read on the scheduler's loop only.
private final class Answer: @unchecked Sendable {
  var end: JobEnd?
}
