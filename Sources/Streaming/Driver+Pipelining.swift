import Datasets
import Groundwork
import SystemInterfaces

extension Driver {
  // A batch that is computed while the one before it is committed: it goes by what that one left, though nobody knows yet
  // whether that happens. It hands nothing to a sink and writes no state before its turn; where the one before does not
  // happen, it is given up with its plan. Its ranges stay its own: it is planned anew, over the same input and by what is
  // true then, as soon as there is room, and before any other batch. Actions wait for their batch's turn, with all that
  // is defined behind them.

  /// Whether batches overlap, by the setting `sluice.streaming.pipelining` and by what the job is made of.
  /// - Throws: for a setting that is none.
  func choosePipelining() throws(StreamingError) -> Bool {
    let key = "sluice.streaming.pipelining"
    switch context.setting(key) ?? "false" {
    case "true": return concurrency == 1 && context.mayOverlap(goingOnAfterFailures: policy != .stop)
    case "false": return false
    case let other: throw .invalidDefinition("\(key): `\(other)` is not true or false")
    }
  }

  /// Has the next batch, which is about to be planned, go by the one that is being committed.
  func lendComputed() {
    guard overlaps, let entry = running.first, let run = entry.run, entry.isComputed, !entry.isLent else { return }
    entry.isLent = true
    for participant in context.participants { participant.computed(entry.frame.identity, run.metrics) }
  }

  /// Gives up what was computed on a batch that does not happen, or that is not waited for.
  /// - Parameter kept: how many of the batches that run are not given up.
  func discardFollowers(_ reason: String, behind kept: Int = 1) {
    guard overlaps else { return }
    while running.count > kept {
      let entry = running.removeLast()
      if let run = entry.run {
        if run.isDefining { entry.left = run }
        run.discard(reason)
      }
      (entry.run, entry.goOn, entry.failure) = (nil, nil, nil)
      (entry.hasFailed, entry.isComputed, entry.isLent) = (false, false, false)
      forgetComputation(of: entry)
      entry.info.attempts += 1
      waiting.insert(entry, at: 0)
    }
  }

  private func forgetComputation(of entry: RunningBatch) {
    for stream in context.streams { stream.discard(entry.frame.number) }
    for participant in context.participants { participant.aborted(entry.frame.identity) }
  }

  /// Whether the datasets of a batch that was given up are still being made, further up the stack.
  var isLeaving: Bool { waiting.contains { $0.left?.isDefining == true } }

  /// Begins the first of the batches that were given up.
  func beginWaiting() {
    guard isReady, !waiting.isEmpty else { return }
    let entry = waiting.removeFirst()
    entry.left = nil
    // What was still made of it after it had been given up.
    forgetComputation(of: entry)
    lendComputed()
    do throws(StreamingError) {
      try planAnew(entry)
    } catch {
      return fail(error)
    }
    run(entry)
  }

  /// Plans a batch again, over the same input: by what the batches before it have left now.
  func planAnew(_ entry: RunningBatch) throws(StreamingError) {
    let frame = entry.frame
    for participant in context.participants { participant.willPlan() }
    entry.record.notes = notes(frame.identity, frame.plans)
    // Behind the plan that was given up: of two plans with one number the later counts.
    try checkpoint?.planned(entry.record)
  }

  /// What the participants must find again where the batch is run again.
  func notes(_ batch: BatchIdentity, _ plans: [SourcePlan]) -> [BatchNote] {
    context.participants.compactMap { participant in
      participant.plan(batch, plans).map { BatchNote(key: participant.key, text: $0) }
    }
  }
}

extension StreamingContext {
  /// Whether a batch may be computed while the one before is committed: not where there is nothing to compute, because its
  /// first output is an action, which has effects of its own and waits; nor where a batch that is tried again would not
  /// find what the one behind it has already dropped.
  func mayOverlap(goingOnAfterFailures: Bool) -> Bool {
    guard case .sink? = outputs.first?.kind else { return false }
    return !goingOnAfterFailures
      || !streams.contains { $0.windowCount > 0 } && !participants.contains { $0 is BatchReduction }
  }
}
