/// A position in one topic partition's log: the number of the record there, counted from 0.
public struct Offset: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// The position; negative where Kafka's wire says that there is none.
  public var rawValue: Int64
  /// Takes any value: nothing is checked.
  @inlinable public init(_ rawValue: Int64) { self.rawValue = rawValue }
  /// An offset from a literal.
  @inlinable public init(integerLiteral value: Int64) { rawValue = value }
  /// Whether `a` comes earlier in the log.
  @inlinable public static func < (a: Offset, b: Offset) -> Bool { a.rawValue < b.rawValue }
  /// The offset `count` positions on; traps where 64 bits do not hold it.
  @inlinable public static func + (a: Offset, count: Int64) -> Offset { Offset(a.rawValue + count) }
  /// How many offsets lie between two positions; not a number of records, since compaction and transaction markers
  /// leave gaps.
  @inlinable public static func - (a: Offset, b: Offset) -> Int64 { a.rawValue - b.rawValue }
  /// The number in decimal.
  public var description: String { String(rawValue) }
}

/// The number of a partition within its topic, counted from 0.
public struct PartitionIndex: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// The number, as Kafka's wire has it.
  public var rawValue: Int32
  /// Takes any value: nothing is checked.
  @inlinable public init(_ rawValue: Int32) { self.rawValue = rawValue }
  /// A partition from a literal.
  @inlinable public init(integerLiteral value: Int32) { rawValue = value }
  /// By number.
  @inlinable public static func < (a: PartitionIndex, b: PartitionIndex) -> Bool { a.rawValue < b.rawValue }
  /// The number in decimal.
  public var description: String { String(rawValue) }
}

/// One partition of one topic.
public struct TopicPartition: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The topic's name.
  public var topic: String
  /// The partition's number.
  public var partition: PartitionIndex
  /// Takes any name and number: whether such a partition exists is for the broker to say.
  public init(_ topic: String, _ partition: PartitionIndex) {
    self.topic = topic
    self.partition = partition
  }
  /// By topic name, then by partition number.
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
  /// Takes any bounds: a range whose end is not after its beginning is empty.
  public init(_ topicPartition: TopicPartition, from: Offset, until: Offset) {
    self.topicPartition = topicPartition
    self.from = from
    self.until = until
  }
  /// The name of the topic of `topicPartition`.
  public var topic: String { topicPartition.topic }
  /// The partition number of `topicPartition`.
  public var partition: PartitionIndex { topicPartition.partition }
  /// Whether the range holds no offset.
  public var isEmpty: Bool { until <= from }
  /// `topic-partition[from,until)`.
  public var description: String { "\(topicPartition)[\(from),\(until))" }
}

/// The number of a batch of a job, counted from 1 and never used twice: a batch's identity, which its time is not.
public struct BatchNumber: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// 1 for a job's first batch; 0 stands for work outside of a stream.
  public var rawValue: Int64
  /// Takes any value: nothing is checked.
  @inlinable public init(_ rawValue: Int64) { self.rawValue = rawValue }
  /// A batch number from a literal.
  @inlinable public init(integerLiteral value: Int64) { rawValue = value }
  /// Whether `a` was planned before `b`.
  @inlinable public static func < (a: BatchNumber, b: BatchNumber) -> Bool { a.rawValue < b.rawValue }
  /// The number of the batch that follows.
  public var next: BatchNumber { BatchNumber(rawValue + 1) }
  /// The number in decimal.
  public var description: String { String(rawValue) }
}
