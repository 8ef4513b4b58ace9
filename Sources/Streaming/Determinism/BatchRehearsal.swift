import Datasets
import Groundwork
import JobScheduling

/// Computes a batch without any effect outside: what its outputs would hand to their sinks is discarded, and no action
/// runs. The driver then takes the batch back, as after a failure, and runs it for good.
///
/// Sendable: confined to the environment's loop.
final class BatchRehearsal: @unchecked Sendable {
  private struct Step {
    var label: String
    var operation: Int
    var dataset: AnyRDD
    var sink: (any Sink)?
    var work: JobSpec.Work
  }
  private let frame: BatchFrame
  private let context: StreamingContext
  private let ended: @Sendable (_ digest: BatchDigest?) -> Void
  private var probes: [(name: String, probe: OutputProbe)] = []
  private var job: JobID?
  private var isCancelled = false

  /// - Parameter ended: called once, with what the batch gave; nil where it failed, which is for the real run to say.
  init(_ frame: BatchFrame, _ context: StreamingContext, ended: @escaping @Sendable (BatchDigest?) -> Void) {
    self.frame = frame
    self.context = context
    self.ended = ended
  }

  func start() {
    var steps: [Step] = []
    for (index, output) in context.outputs.enumerated() {
      guard case .sink(let sink, let makeJob) = output.kind else { continue }
      let probe = OutputProbe()
      guard let job = makeJob(frame.probed(by: probe)) else { continue }
      probes.append((output.name, probe))
      steps.append(
        Step(label: output.name, operation: index, dataset: job.dataset, sink: sink) { partition, task in
          try job.task(partition, task)
        })
    }
    run(steps, thenCompletions: true)
  }

  private func run(_ steps: [Step], thenCompletions: Bool) {
    guard let step = steps.first else {
      guard thenCompletions else { return finish() }
      return run(
        context.participants.flatMap { $0.completions(frame) }.map { job in
          Step(label: job.label, operation: context.outputs.count, dataset: job.dataset, sink: nil) { partition, task in
            try job.work(partition, task)
            return true
          }
        }, thenCompletions: false)
    }
    let discard: @Sendable (any Sendable) -> Void = { result in
      if let output = result as? TaskOutput { step.sink?.discard(output) }
    }
    var spec = JobSpec(
      dataset: step.dataset, batch: frame.identity, operation: step.operation, label: "check \(step.label)",
      properties: context.environment.scheduler.localProperties, onDiscard: discard, work: step.work
    ) { [self] end in
      job = nil
      guard case .success(let results) = end.outcome else { return isCancelled ? () : ended(nil) }
      for result in results { discard(result) }
      if !isCancelled { run(Array(steps.dropFirst()), thenCompletions: thenCompletions) }
    }
    spec.countsAccumulations = false
    job = context.environment.scheduler.submit(spec)
  }

  private func finish() { ended(BatchDigest(probes, context, frame.number)) }

  /// Stops it; `ended` is not called any more.
  func cancel() {
    isCancelled = true
    if let job { context.environment.scheduler.cancel(job, reason: "the batch was stopped") }
  }
}

extension BatchDigest {
  /// What the outputs' tasks have told their probes, and what the batch would change of the job's state.
  init(_ probes: [(name: String, probe: OutputProbe)], _ context: StreamingContext, _ batch: BatchNumber) {
    for (name, probe) in probes { parts["output \(name)"] = probe.partitions }
    for case let state as StateCoordinator in context.participants {
      for (name, partitions) in state.digests(of: batch) {
        parts["state of '\(name)'"] = Dictionary(uniqueKeysWithValues: partitions.enumerated().map { ($0, $1) })
      }
    }
  }
}

extension BatchFrame {
  func probed(by probe: OutputProbe?) -> BatchFrame {
    var frame = self
    frame.probe = probe
    return frame
  }
}
