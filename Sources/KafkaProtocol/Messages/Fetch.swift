import Groundwork
import WireFormat

// Fetch, API key 1, versions 0 to 13, flexible from 12 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/Fetch{Request,Response}.json.
// Version 4 adds read committed, 5 the log start, 7 incremental sessions (KIP-227), 9 leader epochs (KIP-320), 10
// allows zstd, 11 preferred replicas (KIP-392), 12 is flexible with divergence by epoch (KIP-595), 13 names topics by
// id (KIP-516).

/// Asks for record batches from given offsets on, waiting up to `maxWaitMilliseconds` for `minBytes` of them.
///
/// Fetch, API key 1, versions 0 to 13. Source: `FetchRequest.json` of Apache Kafka.
public struct FetchRequest: KafkaRequest, TaggedFields {
  public typealias Response = FetchResponse
  public static var apiKey: APIKey { .fetch }
  public static var versions: ClosedRange<Int16> { 0...13 }
  public static var firstFlexibleVersion: Int16 { 12 }

  /// nil: not checked. From version 12 on. Tagged.
  public var clusterID: String?
  /// -1: a consumer.
  public var replicaID: Int32 = -1
  /// How long the broker may wait for `minBytes`.
  public var maxWaitMilliseconds: Int32 = 0
  /// Bytes to wait for.
  public var minBytes: Int32 = 0
  /// Bytes; a single larger batch comes all the same. From version 3 on.
  public var maxBytes: Int32 = Int32.max
  /// 0: read uncommitted, 1: read committed. From version 4 on.
  public var isolationLevel: Int8 = 0
  /// The incremental session (KIP-227); 0: none. From version 7 on.
  public var sessionID: Int32 = 0
  /// -1: no session, 0: a new one. From version 7 on.
  public var sessionEpoch: Int32 = -1
  public var topics: [FetchTopic] = []
  /// What the session is to leave out from now on. From version 7 on.
  public var forgottenTopicsData: [ForgottenTopic] = []
  /// Where the client stands, for a replica near it (KIP-392). From version 11 on.
  public var rackID = ""

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&replicaID)
    try coder.code(&maxWaitMilliseconds)
    try coder.code(&minBytes)
    if version >= 3 { try coder.code(&maxBytes) }
    if version >= 4 { try coder.code(&isolationLevel) }
    if version >= 7 {
      try coder.code(&sessionID)
      try coder.code(&sessionEpoch)
    }
    try coder.code(&topics)
    if version >= 7 { try coder.code(&forgottenTopicsData) }
    if version >= 11 { try coder.code(&rackID) }
    try coder.endOfFields(of: &self)
  }

  public static func tags(_ version: Int16) -> [UInt32] {
    version >= 12 ? [0] : []
  }

  public func isDefault(tag: UInt32) -> Bool {
    switch tag {
    case 0: clusterID == nil
    default: true
    }
  }

  public mutating func code<C: FieldCoder & ~Copyable>(tag: UInt32, _ coder: inout C) throws(DecodeError) {
    switch tag {
    case 0: try coder.code(&clusterID)
    default: break
    }
  }

  /// A topic to read from.
  public struct FetchTopic: WireValue, Equatable {
    /// Versions 0 to 12.
    public var topic = ""
    /// From version 13 on.
    public var topicID = UUID128.zero
    public var partitions: [FetchPartition] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      if version <= 12 { try coder.code(&topic) }
      if version >= 13 { try coder.code(&topicID) }
      try coder.code(&partitions)
      try coder.endOfFields()
    }

    /// A partition to read from.
    public struct FetchPartition: WireValue, Equatable {
      /// The partition's number.
      public var partition: Int32 = 0
      /// The leader epoch the client knows, for the broker to compare; -1: not known. From version 9 on.
      public var currentLeaderEpoch: Int32 = -1
      /// The first offset wanted.
      public var fetchOffset: Int64 = 0
      /// The epoch of the last record the client has; -1: not known. From version 12 on.
      public var lastFetchedEpoch: Int32 = -1
      /// From version 5 on.
      public var logStartOffset: Int64 = -1
      /// Bytes; a single larger batch comes all the same.
      public var partitionMaxBytes: Int32 = 0

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try coder.code(&partition)
        if version >= 9 { try coder.code(&currentLeaderEpoch) }
        try coder.code(&fetchOffset)
        if version >= 12 { try coder.code(&lastFetchedEpoch) }
        if version >= 5 { try coder.code(&logStartOffset) }
        try coder.code(&partitionMaxBytes)
        try coder.endOfFields()
      }
    }
  }

  /// Partitions to leave out of the session from now on.
  public struct ForgottenTopic: WireValue, Equatable {
    /// Versions 7 to 12.
    public var topic = ""
    /// From version 13 on.
    public var topicID = UUID128.zero
    public var partitions: [Int32] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      if version <= 12 { try coder.code(&topic) }
      if version >= 13 { try coder.code(&topicID) }
      try coder.code(&partitions)
      try coder.endOfFields()
    }
  }
}

/// Record batches as they stand in the log; the last one of a partition may be cut off.
///
/// Fetch, API key 1, versions 0 to 13. Source: `FetchResponse.json` of Apache Kafka.
public struct FetchResponse: KafkaResponse {
  public static var apiKey: APIKey { .fetch }
  public static var versions: ClosedRange<Int16> { 0...13 }
  public static var firstFlexibleVersion: Int16 { 12 }

  /// From version 1 on.
  public var throttleTimeMilliseconds: Int32 = 0
  /// From version 7 on.
  public var errorCode: KafkaErrorCode = .none
  /// The incremental session (KIP-227); 0: none. From version 7 on.
  public var sessionID: Int32 = 0
  public var responses: [FetchableTopicResponse] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 1 { try coder.code(&throttleTimeMilliseconds) }
    if version >= 7 {
      try errorCode.code(&coder)
      try coder.code(&sessionID)
    }
    try coder.code(&responses)
    try coder.endOfFields()
  }

  /// The answers for one topic.
  public struct FetchableTopicResponse: WireValue, Equatable {
    /// Versions 0 to 12.
    public var topic = ""
    /// From version 13 on.
    public var topicID = UUID128.zero
    public var partitions: [PartitionData] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      if version <= 12 { try coder.code(&topic) }
      if version >= 13 { try coder.code(&topicID) }
      try coder.code(&partitions)
      try coder.endOfFields()
    }

    /// The answer for one partition.
    public struct PartitionData: WireValue, Equatable, TaggedFields {
      public var partitionIndex: Int32 = 0
      public var errorCode: KafkaErrorCode = .none
      /// Records at or beyond it are not given to consumers.
      public var highWatermark: Int64 = 0
      /// Below it no transaction is open. From version 4 on.
      public var lastStableOffset: Int64 = -1
      /// From version 5 on.
      public var logStartOffset: Int64 = -1
      /// From version 12 on. Tagged.
      public var divergingEpoch = EpochEndOffset()
      /// From version 12 on. Tagged.
      public var currentLeader = LeaderIDAndEpoch()
      /// From version 12 on. Tagged.
      public var snapshotID = SnapshotID()
      /// From version 4 on.
      public var abortedTransactions: [AbortedTransaction]?
      /// The broker to read from instead, near the client (KIP-392); -1: none. From version 11 on.
      public var preferredReadReplica: Int32 = -1
      /// Whole batches one after the other, the last one perhaps cut off; nil or empty where there is nothing.
      public var records: Bytes?

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try coder.code(&partitionIndex)
        try errorCode.code(&coder)
        try coder.code(&highWatermark)
        if version >= 4 { try coder.code(&lastStableOffset) }
        if version >= 5 { try coder.code(&logStartOffset) }
        if version >= 4 { try coder.code(&abortedTransactions) }
        if version >= 11 { try coder.code(&preferredReadReplica) }
        try coder.code(&records)
        try coder.endOfFields(of: &self)
      }

      public static func tags(_ version: Int16) -> [UInt32] {
        version >= 12 ? [0, 1, 2] : []
      }

      public func isDefault(tag: UInt32) -> Bool {
        switch tag {
        case 0: divergingEpoch == EpochEndOffset()
        case 1: currentLeader == LeaderIDAndEpoch()
        case 2: snapshotID == SnapshotID()
        default: true
        }
      }

      public mutating func code<C: FieldCoder & ~Copyable>(tag: UInt32, _ coder: inout C) throws(DecodeError) {
        switch tag {
        case 0: try divergingEpoch.code(&coder)
        case 1: try currentLeader.code(&coder)
        case 2: try snapshotID.code(&coder)
        default: break
        }
      }

      /// Where the reader's log parts from the leader's (KIP-595).
      public struct EpochEndOffset: WireValue, Equatable {
        /// The largest epoch behind whose end the logs are known to differ.
        public var epoch: Int32 = -1
        /// Where that epoch ends in the leader's log.
        public var endOffset: Int64 = -1

        public init() {}

        public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
          try coder.code(&epoch)
          try coder.code(&endOffset)
          try coder.endOfFields()
        }
      }

      /// Who leads now, where the addressed broker does not (KIP-595).
      public struct LeaderIDAndEpoch: WireValue, Equatable {
        /// -1: none.
        public var leaderID: Int32 = -1
        public var leaderEpoch: Int32 = -1

        public init() {}

        public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
          try coder.code(&leaderID)
          try coder.code(&leaderEpoch)
          try coder.endOfFields()
        }
      }

      /// The snapshot to read first, where the log no longer reaches back to the offset (KIP-630).
      public struct SnapshotID: WireValue, Equatable {
        /// The first offset behind the snapshot.
        public var endOffset: Int64 = -1
        /// The epoch of the last record in it.
        public var epoch: Int32 = -1

        public init() {}

        public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
          try coder.code(&endOffset)
          try coder.code(&epoch)
          try coder.endOfFields()
        }
      }

      /// A transaction that was aborted: records of the producer from the offset on, up to its marker, are to be left
      /// out.
      public struct AbortedTransaction: WireValue, Equatable {
        public var producerID: Int64 = 0
        /// The transaction's first record in this partition.
        public var firstOffset: Int64 = 0

        public init() {}

        public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
          try coder.code(&producerID)
          try coder.code(&firstOffset)
          try coder.endOfFields()
        }
      }
    }
  }
}
