import Datasets
import Groundwork
import Synchronization
import SystemInterfaces

extension Driver {
  // The end: every wait is bounded by `gracefulStopTimeout`, for the batch, for its commit, for the offsets' commit.

  /// Something cannot go on: a source, a preparation.
  func fail(_ error: any Error) {
    guard phase != .stopped, failure == nil else { return }
    failure = error
    if running.first?.run == nil { finish(error) }
  }

  /// Something that the batch which runs waits for will not come: ends the job without it.
  func abandon(_ error: any Error) {
    guard phase != .stopped else { return }
    failure = failure ?? error
    cancelAll()
    finish(failure)
  }

  func stop(gracefully: Bool) {
    switch phase {
    case .stopped: if !gracefully { stopSources() }
    case .starting, .running, .stopping:
      phase = .stopping
      if let tickTimer { environment.loop.cancel(tickTimer) }
      // None runs, or the first one waits to be tried again.
      guard running.first?.run != nil else {
        finish(failure)
        if !gracefully { stopSources() }
        return
      }
      stopTimers.append(environment.loop.after(gracefulStopTimeout) { [self] in giveUp() })
      if !gracefully { cancelAll() }
    }
  }

  /// Stops after a while, where the job has not ended by then.
  func stop(gracefully: Bool, after wait: Duration) {
    stopTimers.append(environment.loop.after(wait) { [self] in stop(gracefully: gracefully) })
  }

  /// Ends the job without the batch, where it still runs.
  private func giveUp() {
    guard phase != .stopped, let number = running.first?.frame.number else { return }
    environment.log("batch \(number) did not end within \(gracefulStopTimeout.text): it is dropped")
    cancelAll()
    // A commit that has begun cannot be taken back, but whoever stops the job need not wait for it either.
    if phase != .stopped {
      finish(
        StreamingError.batchFailed(
          batch: number,
          reason:
            "the commit of batch \(number) did not end within \(gracefulStopTimeout.text) after the stop; a restart "
            + "repeats the batch"))
    }
  }

  /// Stops the batches that run, the last one first: the end of the first is the end of the job.
  private func cancelAll() {
    discardFollowers("the job was stopped")
    for entry in running.reversed() { entry.run?.cancel() }
  }

  var gracefulStopTimeout: Duration {
    context.setting("sluice.streaming.gracefulStopTimeout").flatMap { Duration(text: $0) } ?? .seconds(30)
  }

  func stopAtPresentEnd() {
    guard phase == .running || phase == .starting, !isDraining else { return }
    if phase == .starting {
      isDraining = true
      return
    }
    limitSources { [self] in
      isDraining = true
      scheduleTick()
    }
  }

  func finish(_ error: (any Error)?) {
    guard phase != .stopped else { return }
    phase = .stopped
    if let tickTimer { environment.loop.cancel(tickTimer) }
    // Those behind the one that ended the job, which may be among them still; a commit that has begun goes on.
    let isFirstComputing = running.first.map { $0.run != nil && !$0.isComputed } ?? false
    discardFollowers("the job has ended before it", behind: isFirstComputing ? 0 : 1)
    for entry in running { entry.run?.cancel() }
    outcome = .some(error)
    stopSourcesIfQuiet()
    guard !areSourcesStopping else { return }
    stopTimers.append(
      environment.loop.after(gracefulStopTimeout) { [self] in
        guard !areSourcesStopping else { return }
        environment.log(
          "the offsets of the last batch were not committed within \(gracefulStopTimeout.text): a restart repeats it")
        stopSources()
      })
  }

  /// Sources stop only when the offsets of the last batch are stored.
  func stopSourcesIfQuiet() {
    if phase == .stopped, offsetCommitsInFlight == 0 { stopSources() }
  }

  private func stopSources() {
    guard !areSourcesStopping, let outcome else { return }
    areSourcesStopping = true
    let pending = Countdown(context.sources.count)
    let terminated = terminated
    let closings = context.closings
    let end: @Sendable () -> Void = { [self] in
      checkpoint?.close()
      for closing in closings { closing() }
      terminated?(outcome)
    }
    if context.sources.isEmpty { return end() }
    for source in context.sources {
      source.stop { if pending.countDown() { end() } }
    }
  }
}

/// Counts answers; the last one says so.
package final class Countdown: Sendable {
  private let remaining: Mutex<Int>
  /// - Parameter count: of the answers.
  package init(_ count: Int) { remaining = Mutex(count) }
  /// - Returns: whether this was the last.
  package func countDown() -> Bool {
    remaining.withLock { remaining in
      remaining -= 1
      return remaining == 0
    }
  }
}
