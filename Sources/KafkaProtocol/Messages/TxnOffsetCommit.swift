import Groundwork
import WireFormat

// TxnOffsetCommit, API key 28, versions 0 to 5, flexible from 3 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/TxnOffsetCommit{Request,Response}.json.
// Version 2 adds leader epochs, 3 generation and member (KIP-447), 4 may answer TRANSACTION_ABORTABLE; 5 adds the group
// to the transaction by itself, without AddOffsetsToTxn (KIP-890).

/// Commits offsets for a group that take effect with the transaction.
///
/// TxnOffsetCommit, API key 28, versions 0 to 5. Source: `TxnOffsetCommitRequest.json` of Apache Kafka.
public struct TxnOffsetCommitRequest: KafkaRequest {
  public typealias Response = TxnOffsetCommitResponse
  public static var apiKey: APIKey { .txnOffsetCommit }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 3 }

  public var transactionalID = ""
  public var groupID = ""
  /// The producer id that belongs to the transactional id.
  public var producerID: Int64 = 0
  /// The producer's epoch; an older one is fenced off.
  public var producerEpoch: Int16 = 0
  /// The generation the member is in; -1: committed without a group membership. From version 3 on.
  public var generationID: Int32 = -1
  /// From version 3 on.
  public var memberID = ""
  /// The id of a static member, which outlives its restarts (KIP-345); nil: none. From version 3 on.
  public var groupInstanceID: String?
  public var topics: [TxnOffsetCommitRequestTopic] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&transactionalID)
    try coder.code(&groupID)
    try coder.code(&producerID)
    try coder.code(&producerEpoch)
    if version >= 3 {
      try coder.code(&generationID)
      try coder.code(&memberID)
      try coder.code(&groupInstanceID)
    }
    try coder.code(&topics)
    try coder.endOfFields()
  }

  /// A topic to commit for.
  public struct TxnOffsetCommitRequestTopic: WireValue, Equatable {
    public var name = ""
    public var partitions: [TxnOffsetCommitRequestPartition] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitions)
      try coder.endOfFields()
    }

    /// A partition and the offset to commit.
    public struct TxnOffsetCommitRequestPartition: WireValue, Equatable {
      public var partitionIndex: Int32 = 0
      /// The next offset to read, not the last one read.
      public var committedOffset: Int64 = 0
      /// From version 2 on.
      public var committedLeaderEpoch: Int32 = -1
      /// Free text, kept with the offset.
      public var committedMetadata: String?

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try coder.code(&partitionIndex)
        try coder.code(&committedOffset)
        if version >= 2 { try coder.code(&committedLeaderEpoch) }
        try coder.code(&committedMetadata)
        try coder.endOfFields()
      }
    }
  }
}

/// The outcome for each partition; the offsets are pending until the transaction ends.
///
/// TxnOffsetCommit, API key 28, versions 0 to 5. Source: `TxnOffsetCommitResponse.json` of Apache Kafka.
public struct TxnOffsetCommitResponse: KafkaResponse {
  public static var apiKey: APIKey { .txnOffsetCommit }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 3 }

  public var throttleTimeMilliseconds: Int32 = 0
  public var topics: [TxnOffsetCommitResponseTopic] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&throttleTimeMilliseconds)
    try coder.code(&topics)
    try coder.endOfFields()
  }

  /// The outcome for one topic.
  public struct TxnOffsetCommitResponseTopic: WireValue, Equatable {
    public var name = ""
    public var partitions: [TxnOffsetCommitResponsePartition] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitions)
      try coder.endOfFields()
    }

    /// The outcome for one partition.
    public struct TxnOffsetCommitResponsePartition: WireValue, Equatable {
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
