import Groundwork
import WireFormat

// DescribeProducers, API key 61, version 0, flexible.
// Source: Apache Kafka, clients/src/main/resources/common/message/DescribeProducers{Request,Response}.json.
// The call came with KIP-664.

/// Asks the leaders of partitions for the producers that write to them.
///
/// DescribeProducers, API key 61, version 0. Source: `DescribeProducersRequest.json` of Apache Kafka.
public struct DescribeProducersRequest: KafkaRequest {
  public typealias Response = DescribeProducersResponse
  public static var apiKey: APIKey { .describeProducers }
  public static var versions: ClosedRange<Int16> { 0...0 }
  public static var firstFlexibleVersion: Int16 { 0 }

  public var topics: [TopicRequest] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&topics)
    try coder.endOfFields()
  }

  /// A topic asked for.
  public struct TopicRequest: WireValue, Equatable {
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

/// The idempotent and transactional producers that partitions remember.
///
/// DescribeProducers, API key 61, version 0. Source: `DescribeProducersResponse.json` of Apache Kafka.
public struct DescribeProducersResponse: KafkaResponse {
  public static var apiKey: APIKey { .describeProducers }
  public static var versions: ClosedRange<Int16> { 0...0 }
  public static var firstFlexibleVersion: Int16 { 0 }

  public var throttleTimeMilliseconds: Int32 = 0
  public var topics: [TopicResponse] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&throttleTimeMilliseconds)
    try coder.code(&topics)
    try coder.endOfFields()
  }

  /// The producers of one topic.
  public struct TopicResponse: WireValue, Equatable {
    public var name = ""
    public var partitions: [PartitionResponse] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitions)
      try coder.endOfFields()
    }

    /// The producers of one partition.
    public struct PartitionResponse: WireValue, Equatable {
      public var partitionIndex: Int32 = 0
      public var errorCode: KafkaErrorCode = .none
      public var errorMessage: String?
      public var activeProducers: [ProducerState] = []

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&partitionIndex)
        try errorCode.code(&coder)
        try coder.code(&errorMessage)
        try coder.code(&activeProducers)
        try coder.endOfFields()
      }

      /// What the partition remembers of a producer.
      public struct ProducerState: WireValue, Equatable {
        public var producerID: Int64 = 0
        public var producerEpoch: Int32 = 0
        /// The last record's; -1: none.
        public var lastSequence: Int32 = -1
        /// Of its last batch, in milliseconds since 1970; -1: none.
        public var lastTimestamp: Int64 = -1
        /// Of the last transaction marker; -1: none.
        public var coordinatorEpoch: Int32 = 0
        /// The first offset of its open transaction; -1: none is open.
        public var currentTxnStartOffset: Int64 = -1

        public init() {}

        public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
          try coder.code(&producerID)
          try coder.code(&producerEpoch)
          try coder.code(&lastSequence)
          try coder.code(&lastTimestamp)
          try coder.code(&coordinatorEpoch)
          try coder.code(&currentTxnStartOffset)
          try coder.endOfFields()
        }
      }
    }
  }
}
