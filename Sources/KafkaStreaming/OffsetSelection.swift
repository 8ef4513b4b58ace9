import Groundwork
import Streaming

/// Which offset of every partition is meant: where a stream begins, or where `--available-now` ends.
public struct OffsetSelection: Sendable, Equatable {
  /// A place in one partition.
  public enum Position: Sendable, Equatable {
    /// The first record that is still there.
    case earliest
    /// The end, as it is when it is asked for.
    case latest
    /// This offset.
    case offset(Offset)
    /// The first record at least as young as this.
    case timestamp(Timestamp)
  }

  /// What to do in a partition that has no record as young as the timestamp asked for.
  public enum WhenNone: String, Sendable {
    /// The job does not start; the error names the partition.
    case error
    /// The end is taken.
    case latest
  }

  /// Partitions that are named one by one.
  public var partitions: [TopicPartition: Position]
  /// All the others.
  public var others: Position
  /// For timestamps without a record.
  public var whenNone: WhenNone

  /// - Parameters:
  ///   - partitions: named one by one.
  ///   - others: for partitions that are not.
  ///   - whenNone: for timestamps without a record.
  public init(_ partitions: [TopicPartition: Position] = [:], others: Position, whenNone: WhenNone = .error) {
    self.partitions = partitions
    self.others = others
    self.whenNone = whenNone
  }

  /// At the first record that is still there.
  public static let earliest = OffsetSelection(others: .earliest)
  /// At the end: a start with what arrives from then on.
  public static let latest = OffsetSelection(others: .latest)
  /// At the first record at least as young as this, in every partition.
  public static func timestamp(_ time: Timestamp, whenNone: WhenNone = .error) -> OffsetSelection {
    OffsetSelection(others: .timestamp(time), whenNone: whenNone)
  }
  /// At these offsets, and elsewhere at the one given.
  public static func offsets(
    _ offsets: [TopicPartition: Offset], others: Position = .earliest
  ) -> OffsetSelection {
    OffsetSelection(offsets.mapValues { .offset($0) }, others: others)
  }
  /// At the first records at least as young as these, and elsewhere at the place given.
  public static func timestamps(
    _ times: [TopicPartition: Timestamp], others: Position = .earliest, whenNone: WhenNone = .error
  ) -> OffsetSelection {
    OffsetSelection(times.mapValues { .timestamp($0) }, others: others, whenNone: whenNone)
  }

  /// The place in a partition.
  public subscript(_ partition: TopicPartition) -> Position { partitions[partition] ?? others }

  /// Reads a setting's text: `earliest`, `latest`, `@1357002000000` (milliseconds since 1970), or places by partition:
  /// `lines-0:120,lines-1:latest,others:earliest`.
  ///
  /// Partitions that are not named and no `others`: the earliest.
  public init?(text: String, whenNone: WhenNone = .error) {
    if let position = Position(text: text[...]) {
      self.init(others: position, whenNone: whenNone)
      return
    }
    var named: [TopicPartition: Position] = [:]
    var others = Position.earliest
    for item in text.split(separator: ",") {
      guard let colon = item.lastIndex(of: ":"), let position = Position(text: item[item.index(after: colon)...]) else {
        return nil
      }
      let place = item[..<colon]
      if place == "others" {
        others = position
        continue
      }
      guard let partition = TopicPartition(text: place), named[partition] == nil else { return nil }
      named[partition] = position
    }
    guard !named.isEmpty else { return nil }
    self.init(named, others: others, whenNone: whenNone)
  }
}

/// Where a stream begins in partitions for which the job's consumer group has committed nothing.
public typealias StartingOffsets = OffsetSelection
/// Where a stream ends that works through what is there.
public typealias EndingOffsets = OffsetSelection

extension OffsetSelection.Position {
  /// `earliest`, `latest`, an offset, or `@` and milliseconds since 1970.
  init?(text: Substring) {
    switch text {
    case "earliest": self = .earliest
    case "latest": self = .latest
    default:
      if text.hasPrefix("@") {
        guard let time = Int64(text.dropFirst()), time >= 0 else { return nil }
        self = .timestamp(Timestamp(milliseconds: time))
      } else {
        guard let offset = Int64(text), offset >= 0 else { return nil }
        self = .offset(Offset(offset))
      }
    }
  }
}

extension TopicPartition {
  /// Reads `topic-3`; the topic's name may have dashes of its own.
  init?(text: Substring) {
    guard let dash = text.lastIndex(of: "-"), dash > text.startIndex,
      let partition = Int32(text[text.index(after: dash)...]), partition >= 0
    else { return nil }
    self.init(String(text[..<dash]), PartitionIndex(partition))
  }
}
