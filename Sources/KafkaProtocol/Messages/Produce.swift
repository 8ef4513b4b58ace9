import Groundwork
import WireFormat

// Produce, API key 0, versions 0 to 12, flexible from 9 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/Produce{Request,Response}.json.
// Versions 0 to 2 carry the record formats that came before v2; librdkafka up to 2.x infers a broker's codec support
// from their presence in ApiVersions. Version 3 adds the transactional id, 7 allows zstd (KIP-110), 8 adds record
// errors (KIP-467), 10 leader hints (KIP-951), 11 TRANSACTION_ABORTABLE; with 12 a transactional produce adds its
// partitions to the transaction by itself (both KIP-890), which only a producer may use that ends its transactions with
// EndTxn 5.

/// Record batches for partitions that the addressed broker leads.
///
/// Produce, API key 0, versions 0 to 12. Source: `ProduceRequest.json` of Apache Kafka.
public struct ProduceRequest: KafkaRequest {
  public typealias Response = ProduceResponse
  public static var apiKey: APIKey { .produce }
  public static var versions: ClosedRange<Int16> { 0...12 }
  public static var firstFlexibleVersion: Int16 { 9 }

  /// nil: not transactional. From version 3 on.
  public var transactionalID: String?
  /// 0: no answer; 1: the leader has it; -1: all in-sync replicas have it.
  public var acks: Int16 = 0
  /// How long the leader may wait for the other replicas, with acks -1.
  public var timeoutMilliseconds: Int32 = 0
  public var topicData: [TopicProduceData] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 3 { try coder.code(&transactionalID) }
    try coder.code(&acks)
    try coder.code(&timeoutMilliseconds)
    try coder.code(&topicData)
    try coder.endOfFields()
  }

  /// The batches for one topic.
  public struct TopicProduceData: WireValue, Equatable {
    public var name = ""
    public var partitionData: [PartitionProduceData] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitionData)
      try coder.endOfFields()
    }

    /// The batches for one partition.
    public struct PartitionProduceData: WireValue, Equatable {
      public var index: Int32 = 0
      /// One record batch; versions 0 to 2 carry message sets of older formats.
      public var records: Bytes?

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&index)
        try coder.code(&records)
        try coder.endOfFields()
      }
    }
  }
}

/// What became of each partition's batches. With `acks` 0 a broker sends none.
///
/// Produce, API key 0, versions 0 to 12. Source: `ProduceResponse.json` of Apache Kafka.
public struct ProduceResponse: KafkaResponse, TaggedFields {
  public static var apiKey: APIKey { .produce }
  public static var versions: ClosedRange<Int16> { 0...12 }
  public static var firstFlexibleVersion: Int16 { 9 }

  public var responses: [TopicProduceResponse] = []
  /// From version 1 on.
  public var throttleTimeMilliseconds: Int32 = 0
  /// From version 10 on. Tagged.
  public var nodeEndpoints: [NodeEndpoint] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&responses)
    if version >= 1 { try coder.code(&throttleTimeMilliseconds) }
    try coder.endOfFields(of: &self)
  }

  public static func tags(_ version: Int16) -> [UInt32] {
    version >= 10 ? [0] : []
  }

  public func isDefault(tag: UInt32) -> Bool {
    switch tag {
    case 0: nodeEndpoints.isEmpty
    default: true
    }
  }

  public mutating func code<C: FieldCoder & ~Copyable>(tag: UInt32, _ coder: inout C) throws(DecodeError) {
    switch tag {
    case 0: try coder.code(&nodeEndpoints)
    default: break
    }
  }

  /// The outcome for one topic.
  public struct TopicProduceResponse: WireValue, Equatable {
    public var name = ""
    public var partitionResponses: [PartitionProduceResponse] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitionResponses)
      try coder.endOfFields()
    }

    /// The outcome for one partition.
    public struct PartitionProduceResponse: WireValue, Equatable, TaggedFields {
      public var index: Int32 = 0
      public var errorCode: KafkaErrorCode = .none
      /// The offset that the batch's first record was given; -1 where there is an error.
      public var baseOffset: Int64 = 0
      /// From version 2 on.
      public var logAppendTimeMilliseconds: Int64 = -1
      /// From version 5 on.
      public var logStartOffset: Int64 = -1
      /// From version 8 on.
      public var recordErrors: [BatchIndexAndErrorMessage] = []
      /// From version 8 on.
      public var errorMessage: String?
      /// From version 10 on. Tagged.
      public var currentLeader = LeaderIDAndEpoch()

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try coder.code(&index)
        try errorCode.code(&coder)
        try coder.code(&baseOffset)
        if version >= 2 { try coder.code(&logAppendTimeMilliseconds) }
        if version >= 5 { try coder.code(&logStartOffset) }
        if version >= 8 {
          try coder.code(&recordErrors)
          try coder.code(&errorMessage)
        }
        try coder.endOfFields(of: &self)
      }

      public static func tags(_ version: Int16) -> [UInt32] {
        version >= 10 ? [0] : []
      }

      public func isDefault(tag: UInt32) -> Bool {
        switch tag {
        case 0: currentLeader == LeaderIDAndEpoch()
        default: true
        }
      }

      public mutating func code<C: FieldCoder & ~Copyable>(tag: UInt32, _ coder: inout C) throws(DecodeError) {
        switch tag {
        case 0: try currentLeader.code(&coder)
        default: break
        }
      }

      /// A record that was refused, and the whole batch with it (KIP-467).
      public struct BatchIndexAndErrorMessage: WireValue, Equatable {
        /// The record's place in its batch, from 0.
        public var batchIndex: Int32 = 0
        /// nil: the message for the whole partition holds.
        public var batchIndexErrorMessage: String?

        public init() {}

        public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
          try coder.code(&batchIndex)
          try coder.code(&batchIndexErrorMessage)
          try coder.endOfFields()
        }
      }

      /// Who leads now, where the addressed broker does not (KIP-951).
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
    }
  }

  /// Where the new leaders are reached (KIP-951).
  public struct NodeEndpoint: WireValue, Equatable {
    public var nodeID: Int32 = 0
    public var host = ""
    public var port: Int32 = 0
    public var rack: String?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&nodeID)
      try coder.code(&host)
      try coder.code(&port)
      try coder.code(&rack)
      try coder.endOfFields()
    }
  }
}
