import Datasets
import Groundwork

/// What a start does with what it finds. Pure: plan log, commit log and the decider's last decision in, outcome out.
package struct RecoveryDecision: Sendable, Equatable {
  /// The last decided batch; nil where there is none.
  package var last: BatchRecord?
  /// Planned, but not known to be decided: they run again over the same input, in this order, before anything else.
  package var replay: [BatchRecord]
  /// Plans that do not follow what was decided (a power loss took the decisions between): they are not run again, and
  /// their input is planned anew.
  package var dropped: [BatchRecord]
  /// No batch of a lower or equal number may be made again.
  package var numberFloor: BatchNumber
  /// Every later batch has a greater time.
  package var timeFloor: Timestamp?

  /// Decided before `last`, behind the commit log's end: a power loss took their records, what was prepared tells them.
  package var missed: [BatchRecord] = []

  /// What the decider has decided last, where a power loss took its record: sources go on from the offsets that the decider
  /// committed, and `last` is an older batch.
  package var lost: BatchNumber?

  /// Decides.
  /// - Parameters:
  ///   - commits: what the commit log holds, oldest first; its last entry counts.
  ///   - plans: what the plan log holds, oldest first: plans, and what was prepared for a decider.
  ///   - decided: the decider's last decision; nil where it has none or there is no decider.
  ///   - decider: the decider's name; nil where there is none, or it may forget.
  ///   - directory: of the checkpoint, for the error.
  /// - Throws: `StreamingError.checkpoint` where the decider knows less than the commit log says it decided, or its
  ///   decision cannot be read.
  package init(
    commits: [BatchRecord], plans: [BatchRecord], decided: Decision? = nil, decider: String? = nil,
    directory: String = ""
  ) throws(StreamingError) {
    last = commits.last
    replay = []
    dropped = []
    if let note = DeciderNote(last), let decider, note.decider == decider, decided?.batch ?? 0 < note.batch {
      let known = decided.map { "batch \($0.batch) as its last" } ?? "no batch"
      throw .checkpoint(
        "\(decider) knows \(known), but the checkpoint in \(directory) says that it has decided batch \(note.batch): one "
          + "of the two was put back from a copy or removed; put back both, or give the job a new checkpoint folder")
    }
    if let decided, decided.batch > last?.batch.number ?? 0 {
      if let record = try RecoveryDecision.record(of: decided, plans, directory) {
        missed = RecoveryDecision.missed(between: last, and: record, plans)
        last = record
      } else {
        lost = decided.batch
      }
    }
    numberFloor = max(last?.batch.number ?? 0, decided?.batch ?? 0)
    timeFloor = [last?.batch.time, decided?.time].compactMap { $0 }.max()
    var reached = Reached(last)
    for plan in RecoveryDecision.valid(plans) where plan.batch.number > numberFloor {
      numberFloor = plan.batch.number
      timeFloor = max(timeFloor ?? plan.batch.time, plan.batch.time)
      if dropped.isEmpty, lost == nil, reached.isFollowed(by: plan) {
        replay.append(plan)
        reached.take(plan)
      } else {
        dropped.append(plan)
      }
    }
  }

  /// The plans that count: one that is written behind others with its number, or greater ones, takes their place. A batch
  /// that was planned while the one before it was being committed is planned anew where that one does not happen.
  private static func valid(_ plans: [BatchRecord]) -> [BatchRecord] {
    var valid: [BatchRecord] = []
    for plan in plans where plan.outcome == nil {
      while let last = valid.last, last.batch.number >= plan.batch.number { valid.removeLast() }
      valid.append(plan)
    }
    return valid
  }

  /// The record of a decided batch: as the decider kept it, else what was prepared for its decision.
  private static func record(
    of decided: Decision, _ plans: [BatchRecord], _ directory: String
  ) throws(StreamingError) -> BatchRecord? {
    var record: BatchRecord?
    if decided.record.isEmpty {
      record = plans.last { $0.batch.number == decided.batch && $0.outcome == .prepared }
    } else {
      record = BatchRecord(text: String(decided.record))
      guard record?.batch.number == decided.batch else {
        throw .checkpoint(
          "the record of batch \(decided.batch), which its decider kept for \(directory), cannot be read: it was damaged, "
            + "or written by a newer version")
      }
    }
    record?.outcome = .committed
    return record
  }

  /// What was decided between two decided batches: what was prepared, and, by the commit log alone, what moves nothing.
  /// - Returns: nothing where that does not follow on without a gap.
  private static func missed(
    between last: BatchRecord?, and next: BatchRecord, _ plans: [BatchRecord]
  ) -> [BatchRecord] {
    var newest: [BatchNumber: BatchRecord] = [:]
    for plan in plans where plan.batch.number > last?.batch.number ?? 0 && plan.batch.number < next.batch.number {
      if plan.outcome == .prepared || plan.outcome == nil && plan.sources.allSatisfy(\.plan.isEmpty) {
        newest[plan.batch.number] = plan
      }
    }
    var reached = Reached(last)
    var missed: [BatchRecord] = []
    for var record in newest.values.sorted(by: { $0.batch.number < $1.batch.number }) {
      guard reached.isFollowed(by: record) else { return [] }
      reached.take(record)
      if record.outcome == nil { record.notes = (missed.last ?? last)?.notes ?? [] }
      record.outcome = .committed
      missed.append(record)
    }
    return reached.isFollowed(by: next) ? missed : []
  }

  /// How far each source has come.
  private struct Reached {
    private var until: [String: [TopicPartition: Offset]] = [:]

    init(_ last: BatchRecord?) {
      if let last { take(last) }
    }

    /// Whether the ranges begin where the batches before ended; partitions that were not seen before may begin anywhere.
    func isFollowed(by plan: BatchRecord) -> Bool {
      plan.sources.allSatisfy { source in
        source.plan.ranges.allSatisfy { range in
          until[source.name]?[range.topicPartition].map { $0 == range.from } ?? true
        }
      }
    }

    mutating func take(_ record: BatchRecord) {
      for source in record.sources {
        for range in source.plan.ranges { until[source.name, default: [:]][range.topicPartition] = range.until }
      }
    }
  }
}
