import Groundwork

/// What to do where records that were to be read are gone: `sluice.kafka.onDataLoss`.
///
/// Spark's `failOnDataLoss=false` is `earliest`.
public enum DataLossPolicy: String, Sendable, CaseIterable {
  /// The job stops; the error names partition and offset.
  case fail
  /// It goes on with the first record that is still there.
  case earliest
  /// It goes on at the end.
  case latest
}

/// Why records cannot be read any more. What compaction removes and transaction markers are no loss: they leave holes in
/// the offsets that are read over, and never come here.
public enum GapReason: String, Sendable, CaseIterable {
  /// Retention, or somebody's deletion of records, has moved the log's start beyond the offset.
  case retention
  /// The topic was deleted and made again: offsets mean other records now.
  case recreated
  /// The log ends before the offset: it was cut after a leader without the newest records took over.
  case truncated
}

/// An entry of the gap ledger: what a batch did not get.
public struct Gap: Sendable, Equatable {
  /// Where the offsets count.
  public var partition: TopicPartition
  /// The offset that was to be read next.
  public var from: Offset
  /// Where reading goes on; in a log that was made anew or cut it may be a smaller one.
  public var until: Offset
  /// Why.
  public var reason: GapReason

  /// - Parameters:
  ///   - partition: where the offsets count.
  ///   - from: the offset that was to be read next.
  ///   - until: where reading goes on.
  ///   - reason: why.
  public init(_ partition: TopicPartition, from: Offset, until: Offset, reason: GapReason) {
    self.partition = partition
    self.from = from
    self.until = until
    self.reason = reason
  }

  /// Offsets passed over: the most records that can be lost; 0 where that cannot be told.
  public var offsetsLost: Int64 { max(0, until - from) }

  /// `partition=in-0 from=10 until=40 reason=retention`
  public var text: String { "partition=\(partition) from=\(from) until=\(until) reason=\(reason.rawValue)" }

  /// Reads `text`; nil where it is anything else. Other fields are passed over.
  public init?(text: String) {
    var fields: [Substring: Substring] = [:]
    for field in text.split(separator: " ") {
      guard let equals = field.firstIndex(of: "=") else { continue }
      fields[field[..<equals]] = field[field.index(after: equals)...]
    }
    guard let partition = fields["partition"].flatMap({ TopicPartition(text: $0) }),
      let from = fields["from"].flatMap({ Int64($0) }), let until = fields["until"].flatMap({ Int64($0) }),
      let reason = fields["reason"].flatMap({ GapReason(rawValue: String($0)) })
    else { return nil }
    self.init(partition, from: Offset(from), until: Offset(until), reason: reason)
  }
}

/// Where a partition goes on whose next offset is not in its log. Pure.
enum DataLossDecision: Equatable {
  /// Nothing is lost: the offset is there.
  case goOn
  case moved(Gap)
  case fail(GapReason)

  /// - Parameters:
  ///   - next: the offset that was to be read.
  ///   - start: the log's first offset.
  ///   - end: the offset after the log's last record.
  ///   - isRecreated: whether the topic is another one of the same name.
  ///   - isFenced: whether the offset was read under a leader epoch that this log has not reached.
  init(
    _ partition: TopicPartition, next: Offset, start: Offset, end: Offset, isRecreated: Bool, isFenced: Bool,
    policy: DataLossPolicy
  ) {
    let reason: GapReason
    if isRecreated {
      reason = .recreated
    } else if next < start {
      reason = .retention
    } else if next > end || isFenced {
      reason = .truncated
    } else {
      self = .goOn
      return
    }
    switch policy {
    case .fail: self = .fail(reason)
    case .earliest: self = .moved(Gap(partition, from: next, until: start, reason: reason))
    case .latest: self = .moved(Gap(partition, from: next, until: end, reason: reason))
    }
  }
}

/// The offset to go on from is no longer, or not yet, in the log: records may be lost.
struct OffsetsLost: DiagnosableError {
  var partition: TopicPartition
  var offset: Offset
  var reason: GapReason
  var group: String
  var fault: Fault { .peer }
  var isRetriable: Bool { false }
  var leavesUsable: Bool { false }
  var description: String {
    let why =
      switch reason {
      case .retention: "retention has removed it"
      case .recreated: "the topic was deleted and made again"
      case .truncated:
        "the log ends before it: the topic was made anew, or the newest records of a failed leader are lost"
      }
    return
      "offset \(offset) of \(partition) is not in the topic's log: \(why), and records may be lost; to go on anyway, "
      + "set sluice.kafka.onDataLoss to earliest or latest, reset the offsets of group \(group), or give the job another "
      + "--name"
  }
}
