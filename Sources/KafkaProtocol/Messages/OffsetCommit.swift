import Groundwork
import WireFormat

// OffsetCommit, API key 8, versions 0 to 9, flexible from 8 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/OffsetCommit{Request,Response}.json.
// Version 1 adds generation and member, 2 to 4 carry a retention time, 6 leader epochs, 7 static members (KIP-345),
// 9 is the first that members of the new group protocol may use (KIP-848).

/// Commits offsets for a group; with generation -1 and no member for a group that has none.
///
/// OffsetCommit, API key 8, versions 0 to 9. Source: `OffsetCommitRequest.json` of Apache Kafka.
public struct OffsetCommitRequest: KafkaRequest {
  public typealias Response = OffsetCommitResponse
  public static var apiKey: APIKey { .offsetCommit }
  public static var versions: ClosedRange<Int16> { 0...9 }
  public static var firstFlexibleVersion: Int16 { 8 }

  public var groupID = ""
  /// The generation the member is in; -1: committed without a group membership. From version 1 on.
  public var generationIDOrMemberEpoch: Int32 = -1
  /// From version 1 on.
  public var memberID = ""
  /// The id of a static member, which outlives its restarts (KIP-345); nil: none. From version 7 on.
  public var groupInstanceID: String?
  /// How long the offset is kept; -1: as the broker is set up. Versions 2 to 4.
  public var retentionTimeMilliseconds: Int64 = -1
  public var topics: [OffsetCommitRequestTopic] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&groupID)
    if version >= 1 {
      try coder.code(&generationIDOrMemberEpoch)
      try coder.code(&memberID)
    }
    if version >= 7 { try coder.code(&groupInstanceID) }
    if (2...4).contains(version) { try coder.code(&retentionTimeMilliseconds) }
    try coder.code(&topics)
    try coder.endOfFields()
  }

  /// A topic to commit for.
  public struct OffsetCommitRequestTopic: WireValue, Equatable {
    public var name = ""
    public var partitions: [OffsetCommitRequestPartition] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitions)
      try coder.endOfFields()
    }

    /// A partition and the offset to commit.
    public struct OffsetCommitRequestPartition: WireValue, Equatable {
      public var partitionIndex: Int32 = 0
      /// The next offset to read, not the last one read.
      public var committedOffset: Int64 = 0
      /// From version 6 on.
      public var committedLeaderEpoch: Int32 = -1
      /// -1: the time of arrival. Version 1.
      public var commitTimestamp: Int64 = -1
      /// Free text, kept with the offset.
      public var committedMetadata: String?

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try coder.code(&partitionIndex)
        try coder.code(&committedOffset)
        if version >= 6 { try coder.code(&committedLeaderEpoch) }
        if version == 1 { try coder.code(&commitTimestamp) }
        try coder.code(&committedMetadata)
        try coder.endOfFields()
      }
    }
  }
}

/// The outcome of a commit for each partition.
///
/// OffsetCommit, API key 8, versions 0 to 9. Source: `OffsetCommitResponse.json` of Apache Kafka.
public struct OffsetCommitResponse: KafkaResponse {
  public static var apiKey: APIKey { .offsetCommit }
  public static var versions: ClosedRange<Int16> { 0...9 }
  public static var firstFlexibleVersion: Int16 { 8 }

  /// From version 3 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var topics: [OffsetCommitResponseTopic] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 3 { try coder.code(&throttleTimeMilliseconds) }
    try coder.code(&topics)
    try coder.endOfFields()
  }

  /// The outcome for one topic.
  public struct OffsetCommitResponseTopic: WireValue, Equatable {
    public var name = ""
    public var partitions: [OffsetCommitResponsePartition] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitions)
      try coder.endOfFields()
    }

    /// The outcome for one partition.
    public struct OffsetCommitResponsePartition: WireValue, Equatable {
      public var partitionIndex: Int32 = 0
      public var errorCode: KafkaErrorCode = .none

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&partitionIndex)
        try errorCode.code(&coder)
        try coder.endOfFields()
      }
    }
  }
}
