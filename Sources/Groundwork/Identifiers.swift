/// A position in one topic partition's log: the number of the record there, counted from 0.
public struct Offset: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  public var rawValue: Int64
  @inlinable public init(_ rawValue: Int64) { self.rawValue = rawValue }
  @inlinable public init(integerLiteral value: Int64) { rawValue = value }
  @inlinable public static func < (a: Offset, b: Offset) -> Bool { a.rawValue < b.rawValue }
  @inlinable public static func + (a: Offset, count: Int64) -> Offset { Offset(a.rawValue + count) }
  /// How many offsets lie between two positions; not a number of records, since compaction and transaction markers
  /// leave gaps.
  @inlinable public static func - (a: Offset, b: Offset) -> Int64 { a.rawValue - b.rawValue }
  public var description: String { String(rawValue) }
}

/// The number of a partition within its topic, counted from 0.
public struct PartitionIndex: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  public var rawValue: Int32
  @inlinable public init(_ rawValue: Int32) { self.rawValue = rawValue }
  @inlinable public init(integerLiteral value: Int32) { rawValue = value }
  @inlinable public static func < (a: PartitionIndex, b: PartitionIndex) -> Bool { a.rawValue < b.rawValue }
  public var description: String { String(rawValue) }
}

/// One partition of one topic.
public struct TopicPartition: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The topic's name.
  public var topic: String
  /// The partition's number.
  public var partition: PartitionIndex
  public init(_ topic: String, _ partition: PartitionIndex) {
    self.topic = topic
    self.partition = partition
  }
  public static func < (a: TopicPartition, b: TopicPartition) -> Bool {
    a.topic != b.topic ? a.topic < b.topic : a.partition < b.partition
  }
  /// `topic-partition`, as Kafka's own tools print it.
  public var description: String { "\(topic)-\(partition)" }
}

/// A half-open range of offsets of one topic partition, `[from, until)`.
///
/// It counts offsets, never records: compaction and transaction markers leave gaps.
public struct OffsetRange: Hashable, Sendable, CustomStringConvertible {
  /// Where the offsets count.
  public var topicPartition: TopicPartition
  /// The first offset of the range.
  public var from: Offset
  /// The offset after the last.
  public var until: Offset
  public init(_ topicPartition: TopicPartition, from: Offset, until: Offset) {
    self.topicPartition = topicPartition
    self.from = from
    self.until = until
  }
  public var topic: String { topicPartition.topic }
  public var partition: PartitionIndex { topicPartition.partition }
  /// Whether the range holds no offset.
  public var isEmpty: Bool { until <= from }
  public var description: String { "\(topicPartition)[\(from),\(until))" }
}

/// The number of a batch of a job, counted from 1 and never used twice: a batch's identity, which its time is not.
public struct BatchNumber: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  public var rawValue: Int64
  @inlinable public init(_ rawValue: Int64) { self.rawValue = rawValue }
  @inlinable public init(integerLiteral value: Int64) { rawValue = value }
  @inlinable public static func < (a: BatchNumber, b: BatchNumber) -> Bool { a.rawValue < b.rawValue }
  public var next: BatchNumber { BatchNumber(rawValue + 1) }
  public var description: String { String(rawValue) }
}
