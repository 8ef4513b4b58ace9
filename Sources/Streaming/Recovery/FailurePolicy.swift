import Groundwork

/// What happens when a batch fails after its tasks' retries. Whatever it says, the job ends where only a restart helps: a
/// newer instance has its place.
package enum FailurePolicy: Sendable, Equatable {
  /// The job ends with the failure; nothing later commits.
  case stop
  /// The same batch runs again, after a wait that doubles from `backoff` up to a minute, for as long as it takes.
  case retry(backoff: Duration)
  /// The batch is passed over: no sink is asked to commit anything of it, and the ledger of skipped batches names its
  /// ranges. A batch whose commit has begun is not passed over: the job ends, and its next run repeats the batch.
  case skip

  /// From the settings `sluice.streaming.onBatchFailure` and `sluice.streaming.onBatchFailure.backoff`.
  /// - Throws: `StreamingError.invalidDefinition` for a value that is none.
  package init(setting: (String) -> String?) throws(StreamingError) {
    let key = "sluice.streaming.onBatchFailure"
    switch setting(key) ?? "stop" {
    case "stop": self = .stop
    case "skip": self = .skip
    case "retry":
      let text = setting("\(key).backoff") ?? "1s"
      guard let backoff = Duration(text: text), backoff > .zero else {
        throw .invalidDefinition("\(key).backoff: `\(text)` is not a duration such as 500ms or 5s")
      }
      self = .retry(backoff: backoff)
    case let other:
      throw .invalidDefinition("\(key): `\(other)` is not known; choose stop, retry or skip")
    }
  }

  /// The wait before the next attempt; nil where there is none.
  /// - Parameter failures: how often the batch has failed, 1 or more.
  package func wait(after failures: Int) -> Duration? {
    guard case .retry(let backoff) = self else { return nil }
    var wait = backoff
    for _ in 1..<max(1, failures) where wait < .seconds(60) { wait = wait * 2 }
    return min(wait, max(backoff, .seconds(60)))
  }
}
