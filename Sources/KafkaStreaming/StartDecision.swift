import Groundwork

/// Whose offsets stand where the job's own log and its consumer group do not agree: `sluice.kafka.offsetsFrom`.
public enum OffsetAuthority: String, Sendable {
  /// The log's; a group that is ahead of it stops the start.
  case log
  /// The group's: somebody has reset it, and means it.
  case group

  /// Reads the setting: `checkpoint`, which `log` is another word for, or `group`; nil for anything else.
  public init?(text: String) {
    switch text {
    case "checkpoint", "log": self = .log
    case "group": self = .group
    default: return nil
    }
  }
}

/// Where one partition begins, decided from what a start has read. Pure; every outcome is a case.
///
/// The job's log decides; the group is beside it so that every Kafka tool sees the lag, and comes after it. So a group
/// that is behind, or has nothing, was cut off by a crash or has expired; one that is ahead was reset from outside.
public enum StartDecision: Sendable, Equatable {
  /// Nobody knows the partition, and the stream is new to its topic: the start policy says where.
  case policy
  /// The stream has read its topic before, but not this partition: it was added meanwhile and is read from its log start.
  case foundSince
  /// The group's offset; there is no log of the job.
  case group(Offset)
  /// The log's and the group's, which agree.
  case agreed(Offset)
  /// The log's; the group has none.
  case logAlone(Offset)
  /// The log's; the group is behind, or the log is one that a power loss may set back.
  case logAhead(Offset, group: Offset)
  /// The group's, which was reset to another place and is to be followed.
  case groupReset(Offset, log: Offset)
  /// The group is ahead of the log, and nobody said to follow it: the start fails with both values.
  case conflict(log: Offset, group: Offset)

  /// - Parameters:
  ///   - logged: where the log's last batch ended in the partition; nil where the log does not know it.
  ///   - committed: what the group has; nil for nothing.
  ///   - isTopicKnown: whether log or group know another partition of the topic (for a pattern: any topic).
  ///   - isLogDurable: whether the log outlives a power loss. One that does not falls behind the group then, and the state
  ///     with it: the log stands, and what lies between is read again.
  public init(
    logged: Offset?, committed: Offset?, isTopicKnown: Bool, authority: OffsetAuthority, isLogDurable: Bool = true
  ) {
    self =
      switch (logged, committed) {
      case (nil, nil): isTopicKnown ? .foundSince : .policy
      case (nil, let group?): .group(group)
      case (let log?, nil): .logAlone(log)
      case (let log?, let group?) where log == group: .agreed(log)
      case (let log?, let group?):
        switch authority {
        case .group: .groupReset(group, log: log)
        case .log: group < log || !isLogDurable ? .logAhead(log, group: group) : .conflict(log: log, group: group)
        }
      }
  }

  /// The offset to go on from; nil where it must be asked for, or there is none.
  public var offset: Offset? {
    switch self {
    case .policy, .foundSince, .conflict: nil
    case .group(let offset), .agreed(let offset), .logAlone(let offset), .logAhead(let offset, _),
      .groupReset(let offset, _):
      offset
    }
  }

  /// What is worth a line in the log; nil where all is as it should be.
  public func note(_ partition: TopicPartition, group name: String) -> String? {
    switch self {
    case .policy, .agreed, .group, .conflict: nil
    case .foundSince: "\(partition) is new: it is read from its first record"
    case .logAlone(let offset):
      "group \(name) has no offset of \(partition): going on from \(offset), where the job's log ends"
    case .logAhead(let offset, let group):
      "group \(name) has offset \(group) of \(partition): going on from \(offset), where the job's log ends"
    case .groupReset(let offset, let log):
      "group \(name) was set to offset \(offset) of \(partition), and is followed; the job's log ends at \(log)"
    }
  }
}

/// The group and the job's log do not agree.
struct OffsetsInConflict: DiagnosableError {
  var partition: TopicPartition
  var log: Offset
  var committed: Offset
  var group: String
  var fault: Fault { .user }
  var isRetriable: Bool { false }
  var leavesUsable: Bool { false }
  var description: String {
    "group \(group) has offset \(committed) of \(partition), but the last batch in the job's log ended at \(log): the group "
      + "was reset from outside, or the log is not this job's; start with --offsets-from group to follow the group, or reset "
      + "the group to \(log)"
  }
}
