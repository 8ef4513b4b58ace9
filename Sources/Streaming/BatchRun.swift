import Datasets
import Groundwork
import JobScheduling
import SystemInterfaces

/// One batch on its way: its output operations run one after the other, in the order of definition; then what the sinks
/// got is prepared and committed, all or none.
///
/// Sendable: confined to the environment's loop.
final class BatchRun: @unchecked Sendable {
  let frame: BatchFrame
  private var info: BatchInfo
  private let environment: StreamingEnvironment
  private let listeners: [any StreamingListener]
  private let ended: @Sendable (Result<BatchInfo, any Error>) -> Void
  private var output: BatchOutput?

  init(
    _ frame: BatchFrame, _ info: BatchInfo, _ environment: StreamingEnvironment,
    _ listeners: [any StreamingListener], ended: @escaping @Sendable (Result<BatchInfo, any Error>) -> Void
  ) {
    self.frame = frame
    self.info = info
    self.environment = environment
    self.listeners = listeners
    self.ended = ended
  }

  func start(_ outputs: [StreamOutput], _ coordinator: OutputCoordinator) {
    for listener in listeners { listener.onBatchSubmitted(info) }
    info.processingStartTime = environment.world.clock.now
    for listener in listeners { listener.onBatchStarted(info) }
    let frame = frame
    let operations = outputs.compactMap { output -> OutputOperation? in
      switch output.kind {
      case .action(let action): OutputOperation(name: output.name, kind: .action { _ in try action(frame) })
      case .sink(let sink, let makeJob):
        makeJob(frame).map { job in
          OutputOperation(name: output.name, kind: .sink(sink, dataset: job.dataset, work: job.task))
        }
      }
    }
    let output = coordinator.begin(frame.identity, operations)
    self.output = output
    output.operationStarted = { [self] index in operationStarted(index, operations[index].name) }
    output.operationCompleted = { [self] index, report, error in operationCompleted(index, report, error) }
    output.run { [self] _, result in
      switch result {
      case .failure(let failure): fail(failure)
      case .success(.undecided(let failure)): fail(failure)
      case .success(.decided(let late)) where !late.isEmpty: fail(late[0])
      case .success:
        info.processingEndTime = environment.world.clock.now
        finish(.success(info))
      }
    }
  }

  /// Stops the batch; what was prepared is dropped. Once its commit has begun it goes on to its end.
  func cancel() {
    guard let output, !output.isEnded else { return }
    output.abort()
    if output.isEnded { finish(.failure(failure("the job was stopped"))) }
  }

  private func operationStarted(_ index: Int, _ name: String) {
    info.outputOperations.append(OutputOperationInfo(id: index, name: name, startTime: environment.world.clock.now))
    for listener in listeners { listener.onOutputOperationStarted(info.outputOperations[index], of: frame.number) }
  }

  private func operationCompleted(_ index: Int, _ report: OutputReport, _ error: (any Error)?) {
    info.counters.merge(report.metrics.counters) { $0 + $1 }
    info.outputOperations[index].endTime = environment.world.clock.now
    info.outputOperations[index].recordsWritten = report.records
    info.outputOperations[index].failureReason = error.map { "\($0)" }
    for listener in listeners { listener.onOutputOperationCompleted(info.outputOperations[index], of: frame.number) }
  }

  private func fail(_ error: OutputFailure) {
    info.failureReason = "\(error)"
    info.processingEndTime = environment.world.clock.now
    for listener in listeners { listener.onBatchCompleted(info) }
    finish(.failure(failure("\(error)")))
  }

  private func failure(_ reason: String) -> StreamingError { .batchFailed(batch: frame.number, reason: reason) }

  private func finish(_ result: Result<BatchInfo, any Error>) {
    // The output's callbacks hold this object: without this the two would keep each other.
    output?.operationStarted = nil
    output?.operationCompleted = nil
    output = nil
    ended(result)
  }
}
