import Groundwork
import WireFormat

// CreatePartitions, API key 37, versions 0 to 3, flexible from 2 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/CreatePartitions{Request,Response}.json.
// Version 3 may answer THROTTLING_QUOTA_EXCEEDED (KIP-599).

/// Raises the number of partitions of topics.
///
/// CreatePartitions, API key 37, versions 0 to 3. Source: `CreatePartitionsRequest.json` of Apache Kafka.
public struct CreatePartitionsRequest: KafkaRequest {
  public typealias Response = CreatePartitionsResponse
  public static var apiKey: APIKey { .createPartitions }
  public static var versions: ClosedRange<Int16> { 0...3 }
  public static var firstFlexibleVersion: Int16 { 2 }

  public var topics: [CreatePartitionsTopic] = []
  /// How long the broker may wait until the partitions exist.
  public var timeoutMilliseconds: Int32 = 0
  /// Check everything, make nothing.
  public var validateOnly = false

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&topics)
    try coder.code(&timeoutMilliseconds)
    try coder.code(&validateOnly)
    try coder.endOfFields()
  }

  /// A topic to enlarge.
  public struct CreatePartitionsTopic: WireValue, Equatable {
    public var name = ""
    /// The number of partitions to have afterwards.
    public var count: Int32 = 0
    /// Brokers for each new partition, in order; nil: the cluster chooses.
    public var assignments: [CreatePartitionsAssignment]?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&count)
      try coder.code(&assignments)
      try coder.endOfFields()
    }

    /// The replicas of one new partition.
    public struct CreatePartitionsAssignment: WireValue, Equatable {
      /// The preferred leader first.
      public var brokerIDs: [Int32] = []

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&brokerIDs)
        try coder.endOfFields()
      }
    }
  }
}

/// The outcome for each topic.
///
/// CreatePartitions, API key 37, versions 0 to 3. Source: `CreatePartitionsResponse.json` of Apache Kafka.
public struct CreatePartitionsResponse: KafkaResponse {
  public static var apiKey: APIKey { .createPartitions }
  public static var versions: ClosedRange<Int16> { 0...3 }
  public static var firstFlexibleVersion: Int16 { 2 }

  public var throttleTimeMilliseconds: Int32 = 0
  public var results: [CreatePartitionsTopicResult] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&throttleTimeMilliseconds)
    try coder.code(&results)
    try coder.endOfFields()
  }

  /// What became of one topic.
  public struct CreatePartitionsTopicResult: WireValue, Equatable {
    public var name = ""
    public var errorCode: KafkaErrorCode = .none
    /// nil where the broker adds nothing to the code.
    public var errorMessage: String?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try errorCode.code(&coder)
      try coder.code(&errorMessage)
      try coder.endOfFields()
    }
  }
}
