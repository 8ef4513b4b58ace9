import Groundwork
import WireFormat

// OffsetFetch, API key 9, versions 0 to 9, flexible from 6 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/OffsetFetch{Request,Response}.json.
// Version 2 can ask for all topics and has a top-level error, 5 adds leader epochs, 7 requireStable (KIP-447), 8 asks
// for several groups at once, 9 adds members of the new group protocol (KIP-848).

/// Asks for the committed offsets of one group (to version 7) or of several (from 8 on).
///
/// OffsetFetch, API key 9, versions 0 to 9. Source: `OffsetFetchRequest.json` of Apache Kafka.
public struct OffsetFetchRequest: KafkaRequest {
  public typealias Response = OffsetFetchResponse
  public static var apiKey: APIKey { .offsetFetch }
  public static var versions: ClosedRange<Int16> { 0...9 }
  public static var firstFlexibleVersion: Int16 { 6 }

  /// Versions 0 to 7.
  public var groupID = ""
  /// nil: all topics. Versions 0 to 7.
  public var topics: [OffsetFetchRequestTopic]?
  /// From version 8 on.
  public var groups: [OffsetFetchRequestGroup] = []
  /// Wait until transactions have settled the offsets (KIP-447). From version 7 on.
  public var requireStable = false

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version <= 7 {
      try coder.code(&groupID)
      if version >= 2 { try coder.code(&topics) } else { try coder.codeNonNull(&topics) }
    }
    if version >= 8 { try coder.code(&groups) }
    if version >= 7 { try coder.code(&requireStable) }
    try coder.endOfFields()
  }

  /// A topic asked for (versions 0 to 7).
  public struct OffsetFetchRequestTopic: WireValue, Equatable {
    public var name = ""
    public var partitionIndexes: [Int32] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitionIndexes)
      try coder.endOfFields()
    }
  }

  /// A group asked for (from version 8 on).
  public struct OffsetFetchRequestGroup: WireValue, Equatable {
    public var groupID = ""
    /// From version 9 on.
    public var memberID: String?
    /// From version 9 on.
    public var memberEpoch: Int32 = -1
    /// nil: all topics.
    public var topics: [OffsetFetchRequestTopics]?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      try coder.code(&groupID)
      if version >= 9 {
        try coder.code(&memberID)
        try coder.code(&memberEpoch)
      }
      try coder.code(&topics)
      try coder.endOfFields()
    }

    /// A topic asked for, of one group.
    public struct OffsetFetchRequestTopics: WireValue, Equatable {
      public var name = ""
      public var partitionIndexes: [Int32] = []

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&name)
        try coder.code(&partitionIndexes)
        try coder.endOfFields()
      }
    }
  }
}

/// Committed offsets; -1 where a partition has none.
///
/// OffsetFetch, API key 9, versions 0 to 9. Source: `OffsetFetchResponse.json` of Apache Kafka.
public struct OffsetFetchResponse: KafkaResponse {
  public static var apiKey: APIKey { .offsetFetch }
  public static var versions: ClosedRange<Int16> { 0...9 }
  public static var firstFlexibleVersion: Int16 { 6 }

  /// From version 3 on.
  public var throttleTimeMilliseconds: Int32 = 0
  /// Versions 0 to 7.
  public var topics: [OffsetFetchResponseTopic] = []
  /// Versions 2 to 7.
  public var errorCode: KafkaErrorCode = .none
  /// From version 8 on.
  public var groups: [OffsetFetchResponseGroup] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 3 { try coder.code(&throttleTimeMilliseconds) }
    if version <= 7 { try coder.code(&topics) }
    if (2...7).contains(version) { try errorCode.code(&coder) }
    if version >= 8 { try coder.code(&groups) }
    try coder.endOfFields()
  }

  /// The offsets of one topic (versions 0 to 7).
  public struct OffsetFetchResponseTopic: WireValue, Equatable {
    public var name = ""
    public var partitions: [OffsetFetchResponsePartition] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitions)
      try coder.endOfFields()
    }

    /// The offset of one partition (versions 0 to 7).
    public struct OffsetFetchResponsePartition: WireValue, Equatable {
      public var partitionIndex: Int32 = 0
      /// The next offset to read; -1: none was committed.
      public var committedOffset: Int64 = 0
      /// From version 5 on.
      public var committedLeaderEpoch: Int32 = -1
      /// Free text of whoever committed.
      public var metadata: String?
      public var errorCode: KafkaErrorCode = .none

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try coder.code(&partitionIndex)
        try coder.code(&committedOffset)
        if version >= 5 { try coder.code(&committedLeaderEpoch) }
        try coder.code(&metadata)
        try errorCode.code(&coder)
        try coder.endOfFields()
      }
    }
  }

  /// The offsets of one group (from version 8 on).
  public struct OffsetFetchResponseGroup: WireValue, Equatable {
    public var groupID = ""
    public var topics: [OffsetFetchResponseTopics] = []
    /// Concerns the whole group.
    public var errorCode: KafkaErrorCode = .none

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&groupID)
      try coder.code(&topics)
      try errorCode.code(&coder)
      try coder.endOfFields()
    }

    /// The offsets of one topic.
    public struct OffsetFetchResponseTopics: WireValue, Equatable {
      public var name = ""
      public var partitions: [OffsetFetchResponsePartitions] = []

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&name)
        try coder.code(&partitions)
        try coder.endOfFields()
      }

      /// The offset of one partition.
      public struct OffsetFetchResponsePartitions: WireValue, Equatable {
        public var partitionIndex: Int32 = 0
        /// The next offset to read; -1: none was committed.
        public var committedOffset: Int64 = 0
        /// That of the record before; -1: not known.
        public var committedLeaderEpoch: Int32 = -1
        /// Free text of whoever committed.
        public var metadata: String?
        public var errorCode: KafkaErrorCode = .none

        public init() {}

        public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
          try coder.code(&partitionIndex)
          try coder.code(&committedOffset)
          try coder.code(&committedLeaderEpoch)
          try coder.code(&metadata)
          try errorCode.code(&coder)
          try coder.endOfFields()
        }
      }
    }
  }
}
