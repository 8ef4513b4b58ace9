import Datasets
import Groundwork

/// What a start does with what it finds on disk. Pure: plan log and commit log in, decision out.
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

  /// Decides.
  /// - Parameters:
  ///   - commits: what the commit log holds, oldest first; its last entry counts.
  ///   - plans: what the plan log holds, oldest first.
  package init(commits: [BatchRecord], plans: [BatchRecord]) {
    last = commits.last
    replay = []
    dropped = []
    numberFloor = last?.batch.number ?? 0
    timeFloor = last?.batch.time
    var reached = Reached(last)
    for plan in plans where plan.batch.number > numberFloor {
      numberFloor = plan.batch.number
      timeFloor = max(timeFloor ?? plan.batch.time, plan.batch.time)
      if dropped.isEmpty, reached.isFollowed(by: plan) {
        replay.append(plan)
        reached.take(plan)
      } else {
        dropped.append(plan)
      }
    }
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
