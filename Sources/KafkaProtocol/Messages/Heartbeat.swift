import Groundwork
import WireFormat

// Heartbeat, API key 12, versions 0 to 4, flexible from 4 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/Heartbeat{Request,Response}.json.
// Version 3 adds static members (KIP-345).

/// Says that a member lives.
///
/// Heartbeat, API key 12, versions 0 to 4. Source: `HeartbeatRequest.json` of Apache Kafka.
public struct HeartbeatRequest: KafkaRequest {
  public typealias Response = HeartbeatResponse
  public static var apiKey: APIKey { .heartbeat }
  public static var versions: ClosedRange<Int16> { 0...4 }
  public static var firstFlexibleVersion: Int16 { 4 }

  public var groupID = ""
  /// The generation the member takes itself to be in.
  public var generationID: Int32 = 0
  public var memberID = ""
  /// The id of a static member, which outlives its restarts (KIP-345); nil: none. From version 3 on.
  public var groupInstanceID: String?

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&groupID)
    try coder.code(&generationID)
    try coder.code(&memberID)
    if version >= 3 { try coder.code(&groupInstanceID) }
    try coder.endOfFields()
  }
}

/// Whether the member's generation still stands.
///
/// Heartbeat, API key 12, versions 0 to 4. Source: `HeartbeatResponse.json` of Apache Kafka.
public struct HeartbeatResponse: KafkaResponse {
  public static var apiKey: APIKey { .heartbeat }
  public static var versions: ClosedRange<Int16> { 0...4 }
  public static var firstFlexibleVersion: Int16 { 4 }

  /// From version 1 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var errorCode: KafkaErrorCode = .none

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 1 { try coder.code(&throttleTimeMilliseconds) }
    try errorCode.code(&coder)
    try coder.endOfFields()
  }
}
