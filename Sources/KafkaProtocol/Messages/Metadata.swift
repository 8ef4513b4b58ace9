import Groundwork
import WireFormat

// Metadata, API key 3, versions 0 to 12, flexible from 9 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/Metadata{Request,Response}.json.
// Version 4 adds allowAutoTopicCreation, 5 offline replicas, 7 leader epochs, 8 authorized operations (KIP-430), 10
// topic ids (KIP-516), 12 lookup by id alone (then the name is null).

/// Asks for the brokers and for topics with their leaders: some, or all of them.
///
/// Metadata, API key 3, versions 0 to 12. Source: `MetadataRequest.json` of Apache Kafka.
public struct MetadataRequest: KafkaRequest {
  public typealias Response = MetadataResponse
  public static var apiKey: APIKey { .metadata }
  public static var versions: ClosedRange<Int16> { 0...12 }
  public static var firstFlexibleVersion: Int16 { 9 }

  /// nil: all topics (in version 0: none means all).
  public var topics: [MetadataRequestTopic]?
  /// From version 4 on.
  public var allowAutoTopicCreation = true
  /// Versions 8 to 10.
  public var includeClusterAuthorizedOperations = false
  /// From version 8 on.
  public var includeTopicAuthorizedOperations = false

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 1 { try coder.code(&topics) } else { try coder.codeNonNull(&topics) }
    if version >= 4 { try coder.code(&allowAutoTopicCreation) }
    if (8...10).contains(version) { try coder.code(&includeClusterAuthorizedOperations) }
    if version >= 8 { try coder.code(&includeTopicAuthorizedOperations) }
    try coder.endOfFields()
  }

  /// A topic asked for, by its name or its id.
  public struct MetadataRequestTopic: WireValue, Equatable {
    /// From version 10 on.
    public var topicID = UUID128.zero
    /// nil: by id (from version 12 on).
    public var name: String?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      if version >= 10 { try coder.code(&topicID) }
      if version >= 10 { try coder.code(&name) } else { try coder.codeNonNull(&name) }
      try coder.endOfFields()
    }
  }
}

/// The cluster as the addressed broker knows it.
///
/// Metadata, API key 3, versions 0 to 12. Source: `MetadataResponse.json` of Apache Kafka.
public struct MetadataResponse: KafkaResponse {
  public static var apiKey: APIKey { .metadata }
  public static var versions: ClosedRange<Int16> { 0...12 }
  public static var firstFlexibleVersion: Int16 { 9 }

  /// From version 3 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var brokers: [MetadataResponseBroker] = []
  /// From version 2 on.
  public var clusterID: String?
  /// -1: none known. From version 1 on.
  public var controllerID: Int32 = -1
  public var topics: [MetadataResponseTopic] = []
  /// A bit field of Kafka's `AclOperation`; the least number: not asked for. Versions 8 to 10.
  public var clusterAuthorizedOperations: Int32 = -2147483648

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 3 { try coder.code(&throttleTimeMilliseconds) }
    try coder.code(&brokers)
    if version >= 2 { try coder.code(&clusterID) }
    if version >= 1 { try coder.code(&controllerID) }
    try coder.code(&topics)
    if (8...10).contains(version) { try coder.code(&clusterAuthorizedOperations) }
    try coder.endOfFields()
  }

  /// A broker and where clients reach it.
  public struct MetadataResponseBroker: WireValue, Equatable {
    public var nodeID: Int32 = 0
    /// The host it advertises.
    public var host = ""
    public var port: Int32 = 0
    /// From version 1 on.
    public var rack: String?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      try coder.code(&nodeID)
      try coder.code(&host)
      try coder.code(&port)
      if version >= 1 { try coder.code(&rack) }
      try coder.endOfFields()
    }
  }

  /// A topic as the broker knows it.
  public struct MetadataResponseTopic: WireValue, Equatable {
    public var errorCode: KafkaErrorCode = .none
    /// nil where it was asked for by an id that is not known.
    public var name: String?
    /// From version 10 on.
    public var topicID = UUID128.zero
    /// From version 1 on.
    public var isInternal = false
    public var partitions: [MetadataResponsePartition] = []
    /// A bit field of Kafka's `AclOperation`; the least number: not asked for. From version 8 on.
    public var topicAuthorizedOperations: Int32 = -2147483648

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      try errorCode.code(&coder)
      if version >= 12 { try coder.code(&name) } else { try coder.codeNonNull(&name) }
      if version >= 10 { try coder.code(&topicID) }
      if version >= 1 { try coder.code(&isInternal) }
      try coder.code(&partitions)
      if version >= 8 { try coder.code(&topicAuthorizedOperations) }
      try coder.endOfFields()
    }

    /// A partition and who has it.
    public struct MetadataResponsePartition: WireValue, Equatable {
      public var errorCode: KafkaErrorCode = .none
      public var partitionIndex: Int32 = 0
      /// -1: none.
      public var leaderID: Int32 = 0
      /// From version 7 on.
      public var leaderEpoch: Int32 = -1
      /// Brokers that have a copy, the preferred leader first.
      public var replicaNodes: [Int32] = []
      /// Those of them that keep up with the leader.
      public var isrNodes: [Int32] = []
      /// From version 5 on.
      public var offlineReplicas: [Int32] = []

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try errorCode.code(&coder)
        try coder.code(&partitionIndex)
        try coder.code(&leaderID)
        if version >= 7 { try coder.code(&leaderEpoch) }
        try coder.code(&replicaNodes)
        try coder.code(&isrNodes)
        if version >= 5 { try coder.code(&offlineReplicas) }
        try coder.endOfFields()
      }
    }
  }
}
