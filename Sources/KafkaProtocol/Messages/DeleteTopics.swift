import Groundwork
import WireFormat

// DeleteTopics, API key 20, versions 0 to 6, flexible from 4 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/DeleteTopics{Request,Response}.json.
// Version 5 adds error messages, 6 deletes by name or id (KIP-516).

/// Deletes topics: by name (to version 5), by name or id (version 6).
///
/// DeleteTopics, API key 20, versions 0 to 6. Source: `DeleteTopicsRequest.json` of Apache Kafka.
public struct DeleteTopicsRequest: KafkaRequest {
  public typealias Response = DeleteTopicsResponse
  public static var apiKey: APIKey { .deleteTopics }
  public static var versions: ClosedRange<Int16> { 0...6 }
  public static var firstFlexibleVersion: Int16 { 4 }

  /// From version 6 on.
  public var topics: [DeleteTopicState] = []
  /// Versions 0 to 5.
  public var topicNames: [String] = []
  /// How long the broker may wait until the topics are gone.
  public var timeoutMilliseconds: Int32 = 0

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 6 { try coder.code(&topics) }
    if version <= 5 { try coder.code(&topicNames) }
    try coder.code(&timeoutMilliseconds)
    try coder.endOfFields()
  }

  /// A topic to delete, by its name or its id.
  public struct DeleteTopicState: WireValue, Equatable {
    /// nil: by id.
    public var name: String?
    /// Zero: by name.
    public var topicID = UUID128.zero

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&topicID)
      try coder.endOfFields()
    }
  }
}

/// The outcome for each topic.
///
/// DeleteTopics, API key 20, versions 0 to 6. Source: `DeleteTopicsResponse.json` of Apache Kafka.
public struct DeleteTopicsResponse: KafkaResponse {
  public static var apiKey: APIKey { .deleteTopics }
  public static var versions: ClosedRange<Int16> { 0...6 }
  public static var firstFlexibleVersion: Int16 { 4 }

  /// From version 1 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var responses: [DeletableTopicResult] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 1 { try coder.code(&throttleTimeMilliseconds) }
    try coder.code(&responses)
    try coder.endOfFields()
  }

  /// What became of one topic.
  public struct DeletableTopicResult: WireValue, Equatable {
    /// nil where it was named by an id that is not known.
    public var name: String?
    /// From version 6 on.
    public var topicID = UUID128.zero
    public var errorCode: KafkaErrorCode = .none
    /// From version 5 on.
    public var errorMessage: String?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      if version >= 6 { try coder.code(&name) } else { try coder.codeNonNull(&name) }
      if version >= 6 { try coder.code(&topicID) }
      try errorCode.code(&coder)
      if version >= 5 { try coder.code(&errorMessage) }
      try coder.endOfFields()
    }
  }
}
