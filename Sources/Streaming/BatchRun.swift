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
  private let outputs: [OutputOperation]
  private let environment: StreamingEnvironment
  private let listeners: [any StreamingListener]
  private let ended: @Sendable (Result<BatchInfo, any Error>) -> Void
  private let coordinator: OutputCoordinator
  private var job: JobID?
  private var isCancelled = false

  init(
    _ frame: BatchFrame, _ info: BatchInfo, _ outputs: [OutputOperation], _ environment: StreamingEnvironment,
    _ listeners: [any StreamingListener], ended: @escaping @Sendable (Result<BatchInfo, any Error>) -> Void
  ) {
    self.frame = frame
    self.info = info
    self.outputs = outputs
    self.environment = environment
    self.listeners = listeners
    self.ended = ended
    coordinator = OutputCoordinator(
      batch: frame.identity, loop: environment.loop, randomness: environment.world.randomness)
  }

  func start() {
    for listener in listeners { listener.onBatchSubmitted(info) }
    info.processingStartTime = environment.world.clock.now
    for listener in listeners { listener.onBatchStarted(info) }
    environment.scheduler.batchOfActions = frame.identity
    run(output: 0)
  }

  /// Stops at the next step; what was prepared is dropped.
  func cancel() {
    isCancelled = true
    if let job { environment.scheduler.cancel(job, reason: "the job is being stopped") }
  }

  // MARK: Compute

  private func run(output index: Int) {
    guard index < outputs.count else { return commit() }
    if isCancelled { return fail(index - 1, "the job is being stopped") }
    let output = outputs[index]
    info.outputOperations.append(
      OutputOperationInfo(id: index, name: output.name, startTime: environment.world.clock.now))
    for listener in listeners {
      listener.onOutputOperationStarted(info.outputOperations[index], of: frame.number)
    }
    switch output.kind {
    case .action(let action):
      do {
        try action(frame)
        completed(index)
      } catch {
        fail(index, "\(error)")
      }
    case .sink(let sink, let makeJob):
      guard let sinkJob = makeJob(frame) else { return completed(index) }
      job = environment.scheduler.submit(
        JobSpec(
          dataset: sinkJob.dataset, batch: frame.identity, operation: index, label: output.name,
          onDiscard: { if let output = $0 as? TaskOutput { sink.discard(output) } },
          work: { partition, task in
            let output = try sinkJob.task(partition, task)
            task.recordsWritten += output.records
            return output
          },
          onComplete: { [self] end in
            job = nil
            info.counters.merge(end.metrics.counters) { $0 + $1 }
            switch end.outcome {
            case .failure(let failure): fail(index, "\(failure)")
            case .success(let results):
              let written = results.compactMap { $0 as? TaskOutput }
              info.outputOperations[index].recordsWritten = written.reduce(0) { $0 + $1.records }
              coordinator.add(sink, outputs: written)
              completed(index)
            }
          }))
    }
  }

  private func completed(_ index: Int) {
    info.outputOperations[index].endTime = environment.world.clock.now
    for listener in listeners {
      listener.onOutputOperationCompleted(info.outputOperations[index], of: frame.number)
    }
    run(output: index + 1)
  }

  // MARK: Commit

  private func commit() {
    coordinator.commit { [self] error in
      if let error { return finish(.failure(failure("its outputs", "\(error)"))) }
      info.processingEndTime = environment.world.clock.now
      finish(.success(info))
    }
  }

  private func fail(_ index: Int, _ reason: String) {
    let name = index >= 0 ? outputs[index].name : "its start"
    if index >= 0 {
      info.outputOperations[index].endTime = environment.world.clock.now
      info.outputOperations[index].failureReason = reason
      for listener in listeners {
        listener.onOutputOperationCompleted(info.outputOperations[index], of: frame.number)
      }
    }
    coordinator.abort()
    info.failureReason = reason
    info.processingEndTime = environment.world.clock.now
    for listener in listeners { listener.onBatchCompleted(info) }
    finish(.failure(failure(name, reason)))
  }

  private func failure(_ output: String, _ reason: String) -> StreamingError {
    .batchFailed(batch: frame.number, output: output, reason: reason)
  }

  private func finish(_ result: Result<BatchInfo, any Error>) {
    environment.scheduler.batchOfActions = nil
    ended(result)
  }
}
