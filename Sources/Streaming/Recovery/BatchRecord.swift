import Datasets
import Groundwork

/// What one source gave to one batch, under the name by which a restart finds the source again.
package struct SourceRecord: Sendable, Equatable {
  /// The source's name, unique in the job.
  package var name: String
  /// What the batch took of it.
  package var plan: SourcePlan

  /// - Parameters:
  ///   - name: unique in the job.
  ///   - plan: what the batch took.
  package init(name: String, plan: SourcePlan) {
    self.name = name
    self.plan = plan
  }
}

/// One batch as the plan log (before it runs) and the commit log (after it) keep it: data only, written as text.
package struct BatchRecord: Sendable, Equatable {
  /// How a batch ended.
  package enum Outcome: String, Sendable {
    /// Its output and its state are there.
    case committed
    /// It failed and was passed over, as the job's failure policy asked for: its records are in no output.
    case skipped
    /// In the plan log, beside the plan: everything is prepared, and a decider was asked to decide it. What the record says
    /// holds where the decider says that it did.
    case prepared
  }

  /// The batch's number and time.
  package var batch: BatchIdentity
  /// The time of the batch before; nil in a first run's first batch.
  package var previousTime: Timestamp?
  /// The batch interval of the run that planned it.
  package var interval: Duration
  /// Records of its input.
  package var records: Int
  /// nil in a plan.
  package var outcome: Outcome?
  /// What each source gave, in the order of definition.
  package var sources: [SourceRecord]
  /// What the engine's parts keep (rates, watermarks, state versions): by their keys, sorted.
  package var notes: [BatchNote]

  /// - Parameters:
  ///   - batch: its identity.
  ///   - previousTime: the time of the batch before.
  ///   - interval: the batch interval.
  ///   - outcome: nil for a plan.
  ///   - sources: in the order of definition.
  ///   - notes: in any order.
  package init(
    batch: BatchIdentity, previousTime: Timestamp?, interval: Duration, records: Int, outcome: Outcome? = nil,
    sources: [SourceRecord], notes: [BatchNote] = []
  ) {
    self.batch = batch
    self.previousTime = previousTime
    self.interval = interval
    self.records = records
    self.outcome = outcome
    self.sources = sources
    self.notes = notes.sorted { $0.key < $1.key }
  }

  /// All offset ranges, source by source.
  package var ranges: [OffsetRange] { sources.flatMap(\.plan.ranges) }

  /// What a participant noted, nil where it noted nothing.
  package func note(_ key: String) -> String? { notes.first { $0.key == key }?.text }
}

/// A few words that a part of the engine keeps with a batch.
package struct BatchNote: Sendable, Equatable {
  /// Who keeps it: `rate topics flights`.
  package var key: String
  /// One or more lines.
  package var text: String

  /// - Parameters:
  ///   - key: who keeps it.
  ///   - text: what is kept.
  package init(key: String, text: String) {
    self.key = key
    self.text = text
  }
}
