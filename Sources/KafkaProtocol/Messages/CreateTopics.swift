import Groundwork
import WireFormat

// CreateTopics, API key 19, versions 0 to 7, flexible from 5 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/CreateTopics{Request,Response}.json.
// Version 1 adds validateOnly, 4 lets the broker choose partitions and replication (-1, KIP-464), 5 answers with the
// topic's settings (KIP-525), 7 with its id (KIP-516).

/// Makes topics.
///
/// CreateTopics, API key 19, versions 0 to 7. Source: `CreateTopicsRequest.json` of Apache Kafka.
public struct CreateTopicsRequest: KafkaRequest {
  public typealias Response = CreateTopicsResponse
  public static var apiKey: APIKey { .createTopics }
  public static var versions: ClosedRange<Int16> { 0...7 }
  public static var firstFlexibleVersion: Int16 { 5 }

  public var topics: [CreatableTopic] = []
  /// How long the broker may wait until the topics exist.
  public var timeoutMilliseconds: Int32 = 60000
  /// From version 1 on.
  public var validateOnly = false

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&topics)
    try coder.code(&timeoutMilliseconds)
    if version >= 1 { try coder.code(&validateOnly) }
    try coder.endOfFields()
  }

  /// A topic to make.
  public struct CreatableTopic: WireValue, Equatable {
    public var name = ""
    /// -1: with manual assignments, or the broker's default from version 4 on.
    public var numPartitions: Int32 = 0
    /// -1: with manual assignments, or the broker's default from version 4 on.
    public var replicationFactor: Int16 = 0
    /// Brokers for each partition; empty: the cluster chooses.
    public var assignments: [CreatableReplicaAssignment] = []
    /// Settings that differ from the broker's defaults.
    public var configs: [CreatableTopicConfig] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&numPartitions)
      try coder.code(&replicationFactor)
      try coder.code(&assignments)
      try coder.code(&configs)
      try coder.endOfFields()
    }

    /// The replicas of one partition.
    public struct CreatableReplicaAssignment: WireValue, Equatable {
      public var partitionIndex: Int32 = 0
      /// The preferred leader first.
      public var brokerIDs: [Int32] = []

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&partitionIndex)
        try coder.code(&brokerIDs)
        try coder.endOfFields()
      }
    }

    /// A setting of the new topic.
    public struct CreatableTopicConfig: WireValue, Equatable {
      public var name = ""
      /// nil: the default.
      public var value: String?

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&name)
        try coder.code(&value)
        try coder.endOfFields()
      }
    }
  }
}

/// The outcome for each topic.
///
/// CreateTopics, API key 19, versions 0 to 7. Source: `CreateTopicsResponse.json` of Apache Kafka.
public struct CreateTopicsResponse: KafkaResponse {
  public static var apiKey: APIKey { .createTopics }
  public static var versions: ClosedRange<Int16> { 0...7 }
  public static var firstFlexibleVersion: Int16 { 5 }

  /// From version 2 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var topics: [CreatableTopicResult] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 2 { try coder.code(&throttleTimeMilliseconds) }
    try coder.code(&topics)
    try coder.endOfFields()
  }

  /// What became of one topic.
  public struct CreatableTopicResult: WireValue, Equatable, TaggedFields {
    public var name = ""
    /// From version 7 on.
    public var topicID = UUID128.zero
    public var errorCode: KafkaErrorCode = .none
    /// From version 1 on.
    public var errorMessage: String?
    /// Why `configs` is nil, where it may not be seen. From version 5 on. Tagged.
    public var topicConfigErrorCode: KafkaErrorCode = .none
    /// From version 5 on.
    public var numPartitions: Int32 = -1
    /// From version 5 on.
    public var replicationFactor: Int16 = -1
    /// From version 5 on.
    public var configs: [CreatableTopicConfigs]?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      try coder.code(&name)
      if version >= 7 { try coder.code(&topicID) }
      try errorCode.code(&coder)
      if version >= 1 { try coder.code(&errorMessage) }
      if version >= 5 {
        try coder.code(&numPartitions)
        try coder.code(&replicationFactor)
        try coder.code(&configs)
      }
      try coder.endOfFields(of: &self)
    }

    public static func tags(_ version: Int16) -> [UInt32] {
      version >= 5 ? [0] : []
    }

    public func isDefault(tag: UInt32) -> Bool {
      switch tag {
      case 0: topicConfigErrorCode == .none
      default: true
      }
    }

    public mutating func code<C: FieldCoder & ~Copyable>(tag: UInt32, _ coder: inout C) throws(DecodeError) {
      switch tag {
      case 0: try topicConfigErrorCode.code(&coder)
      default: break
      }
    }

    /// A setting of the topic as it was made.
    public struct CreatableTopicConfigs: WireValue, Equatable {
      public var name = ""
      /// nil where it is secret.
      public var value: String?
      public var readOnly = false
      /// 1: of the topic, 4: the broker's configuration file, 5: the default (`ConfigSource` of Kafka).
      public var configSource: Int8 = -1
      public var isSensitive = false

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&name)
        try coder.code(&value)
        try coder.code(&readOnly)
        try coder.code(&configSource)
        try coder.code(&isSensitive)
        try coder.endOfFields()
      }
    }
  }
}
