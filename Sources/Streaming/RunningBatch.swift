import Groundwork

/// A batch between its plan and its end.
///
/// Sendable: belongs to the driver, on whose loop it stays.
final class RunningBatch: @unchecked Sendable {
  let frame: BatchFrame
  /// As it was planned.
  var record: BatchRecord
  /// As it begins, with the number of the attempt.
  var info: BatchInfo
  /// nil where it has failed, or waits to be tried again.
  var run: BatchRun?
  /// Whether everything of it is computed.
  var isComputed = false
  /// Whether the next batch goes by what it gave, although it is not decided.
  var isLent = false
  /// It is computed, and waits for the batches before it: goes on.
  var goOn: (@Sendable () -> Void)?
  /// The attempt that was given up while its datasets were being made.
  var left: BatchRun?
  /// How often it has failed itself.
  var failures = 0
  /// Whether it has failed, and has not been begun again: no further batch begins meanwhile.
  var hasFailed = false
  /// Why it failed, and whether something of it may be visible all the same, until the batches before it have ended.
  var failure: (error: StreamingError, mayBeVisible: Bool)?

  init(_ frame: BatchFrame, _ record: BatchRecord, _ info: BatchInfo) {
    self.frame = frame
    self.record = record
    self.info = info
  }
}
