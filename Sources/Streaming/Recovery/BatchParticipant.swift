import Datasets
import Groundwork
import JobScheduling
import SystemInterfaces

/// A part of the engine that takes part in every batch and must survive a restart: the rate controller, watermarks, state.
///
/// The driver calls each in the order of registration (`StreamingContext.add(participant:)`), on its loop. For one batch:
/// `willPlan` and `plan`, or `replan`, then (while its output is computed) `completions`, `prepare`, and after the decision
/// `committed`, or `aborted` where the batch failed. The batch after it is planned after that, or, where the job's batches
/// overlap, after `computed`; its `completions` may then come before the end of the batch before, its `prepare` never
/// does, and where both are aborted it is the first to be. Each has a default that does nothing.
package protocol BatchParticipant: AnyObject, Sendable {
  /// Under which its notes are kept; unique in a job and the same after a restart: `rate topics flights`.
  var key: String { get }
  /// Whether a restart must have what was noted with the last batch; false where it can do with less.
  var isNoteEssential: Bool { get }
  /// Called once before the first batch.
  /// - Parameter last: the last decided batch and this participant's note with it; nil in a first run. The note is nil
  ///   where the participant is new.
  /// - Throws: where what was kept does not fit the job any more; the text says how to go on.
  func restore(_ last: RestorePoint?) throws(StreamingError)
  /// The sources are about to plan a batch.
  func willPlan()
  /// A batch is being planned, after its sources.
  /// - Parameter plans: what the sources gave, in the order of definition.
  /// - Returns: what must be the same when the batch is run again.
  func plan(_ batch: BatchIdentity, _ plans: [SourcePlan]) -> String?
  /// A recorded batch is run again: as `plan`, but with what was returned then.
  func replan(_ batch: BatchIdentity, _ plans: [SourcePlan], note: String?)
  /// What must be computed in the batch, whether or not an output asks for it; run after the outputs.
  func completions(_ frame: BatchFrame) -> [CompletionJob]
  /// Everything of the batch has been computed, and the next one is about to be planned, though this one is not decided:
  /// what the next one is told is what it would be told if this one were. Before or after `prepare`.
  /// - Parameter metrics: what the batch's tasks did, added up.
  func computed(_ batch: BatchIdentity, _ metrics: JobMetrics)
  /// Makes the batch's changes durable without deciding anything, but for a sync of `unsynced`; after the sinks have
  /// prepared.
  /// - Parameter then: called once on the loop.
  func prepare(_ batch: BatchIdentity, then: @escaping @Sendable ((any Error)?) -> Void)
  /// What `prepare` has written and not synced: the driver does so before the decision, at the same time as for what else
  /// must be durable then. Where that fails the job ends.
  var unsynced: (any File)? { get }
  /// Whether the decision must be past a power loss before `committed` is called, whatever the job asks of its logs.
  var needsDurableDecision: Bool { get }
  /// Whether a failed batch left something that could not be taken back: only a restart does, which must not find that
  /// the batch was passed over.
  var hasRemains: Bool { get }
  /// What the commit log keeps with the batch. Called after `prepare`, before the decision.
  /// - Parameter metrics: what the batch's tasks did, added up.
  func note(for batch: BatchIdentity, _ metrics: JobMetrics) -> String?
  /// The batch is decided and recorded.
  func committed(_ info: BatchInfo)
  /// The batch failed or was skipped: nothing of it may remain. It may be run again under the same number.
  func aborted(_ batch: BatchIdentity)
}

/// Where a restart goes on.
package struct RestorePoint: Sendable {
  /// The last decided batch.
  package var batch: BatchIdentity
  /// What the participant noted with it.
  package var note: String?

  /// - Parameters:
  ///   - batch: the last decided batch.
  ///   - note: what the participant noted with it.
  package init(batch: BatchIdentity, note: String?) {
    self.batch = batch
    self.note = note
  }
}

/// A job that a batch runs for a participant.
package struct CompletionJob: Sendable {
  /// For people: the operator's name.
  package var label: String
  /// All of whose partitions are computed.
  package var dataset: AnyRDD
  /// What a task does.
  package var work: @Sendable (_ partition: Int, _ task: TaskContext) throws -> Void

  /// - Parameters:
  ///   - label: for people.
  ///   - dataset: all of whose partitions are computed.
  ///   - work: what a task does.
  package init(
    label: String, dataset: AnyRDD, work: @escaping @Sendable (_ partition: Int, _ task: TaskContext) throws -> Void
  ) {
    self.label = label
    self.dataset = dataset
    self.work = work
  }
}

extension BatchParticipant {
  package var isNoteEssential: Bool { true }
  package func restore(_ last: RestorePoint?) throws(StreamingError) {}
  package func willPlan() {}
  package func plan(_ batch: BatchIdentity, _ plans: [SourcePlan]) -> String? { nil }
  package func replan(_ batch: BatchIdentity, _ plans: [SourcePlan], note: String?) {}
  package func completions(_ frame: BatchFrame) -> [CompletionJob] { [] }
  package func computed(_ batch: BatchIdentity, _ metrics: JobMetrics) {}
  package func prepare(_ batch: BatchIdentity, then: @escaping @Sendable ((any Error)?) -> Void) { then(nil) }
  package var unsynced: (any File)? { nil }
  package var needsDurableDecision: Bool { false }
  package var hasRemains: Bool { false }
  package func note(for batch: BatchIdentity, _ metrics: JobMetrics) -> String? { nil }
  package func committed(_ info: BatchInfo) {}
  package func aborted(_ batch: BatchIdentity) {}
}
