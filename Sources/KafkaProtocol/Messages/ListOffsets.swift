import Groundwork
import WireFormat

// ListOffsets, API key 2, versions 0 to 8, flexible from 6 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/ListOffsets{Request,Response}.json.
// Version 0 answers with a list of segment offsets, 1 with one offset and its timestamp, 2 adds the isolation level,
// 4 leader epochs (KIP-320), 7 the offset of the highest timestamp, 8 the earliest local one (KIP-405).

/// Asks for the first offset whose record is at least as young as a timestamp, or for an end of the log.
///
/// ListOffsets, API key 2, versions 0 to 8. Source: `ListOffsetsRequest.json` of Apache Kafka.
public struct ListOffsetsRequest: KafkaRequest {
  public typealias Response = ListOffsetsResponse
  public static var apiKey: APIKey { .listOffsets }
  public static var versions: ClosedRange<Int16> { 0...8 }
  public static var firstFlexibleVersion: Int16 { 6 }

  /// -1: a consumer.
  public var replicaID: Int32 = 0
  /// 0: read uncommitted, 1: read committed. From version 2 on.
  public var isolationLevel: Int8 = 0
  public var topics: [ListOffsetsTopic] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&replicaID)
    if version >= 2 { try coder.code(&isolationLevel) }
    try coder.code(&topics)
    try coder.endOfFields()
  }

  /// A topic whose offsets are asked for.
  public struct ListOffsetsTopic: WireValue, Equatable {
    public var name = ""
    public var partitions: [ListOffsetsPartition] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitions)
      try coder.endOfFields()
    }

    /// A partition and what is asked of it.
    public struct ListOffsetsPartition: WireValue, Equatable {
      public var partitionIndex: Int32 = 0
      /// The leader epoch the client knows, for the broker to compare; -1: not known. From version 4 on.
      public var currentLeaderEpoch: Int32 = -1
      /// Milliseconds; -1: the end of the log, -2: its start, -3: the record with the highest timestamp.
      public var timestamp: Int64 = 0
      /// How many offsets are wanted. Version 0.
      public var maxNumOffsets: Int32 = 1

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try coder.code(&partitionIndex)
        if version >= 4 { try coder.code(&currentLeaderEpoch) }
        try coder.code(&timestamp)
        if version == 0 { try coder.code(&maxNumOffsets) }
        try coder.endOfFields()
      }
    }
  }
}

/// One offset for each partition asked for.
///
/// ListOffsets, API key 2, versions 0 to 8. Source: `ListOffsetsResponse.json` of Apache Kafka.
public struct ListOffsetsResponse: KafkaResponse {
  public static var apiKey: APIKey { .listOffsets }
  public static var versions: ClosedRange<Int16> { 0...8 }
  public static var firstFlexibleVersion: Int16 { 6 }

  /// From version 2 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var topics: [ListOffsetsTopicResponse] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 2 { try coder.code(&throttleTimeMilliseconds) }
    try coder.code(&topics)
    try coder.endOfFields()
  }

  /// The answers for one topic.
  public struct ListOffsetsTopicResponse: WireValue, Equatable {
    public var name = ""
    public var partitions: [ListOffsetsPartitionResponse] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitions)
      try coder.endOfFields()
    }

    /// The answer for one partition.
    public struct ListOffsetsPartitionResponse: WireValue, Equatable {
      public var partitionIndex: Int32 = 0
      public var errorCode: KafkaErrorCode = .none
      /// The offsets found, the highest first. Version 0.
      public var oldStyleOffsets: [Int64] = []
      /// From version 1 on.
      public var timestamp: Int64 = -1
      /// From version 1 on.
      public var offset: Int64 = -1
      /// From version 4 on.
      public var leaderEpoch: Int32 = -1

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try coder.code(&partitionIndex)
        try errorCode.code(&coder)
        if version == 0 { try coder.code(&oldStyleOffsets) }
        if version >= 1 {
          try coder.code(&timestamp)
          try coder.code(&offset)
        }
        if version >= 4 { try coder.code(&leaderEpoch) }
        try coder.endOfFields()
      }
    }
  }
}
