import Groundwork
import WireFormat

// SyncGroup, API key 14, versions 0 to 5, flexible from 4 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/SyncGroup{Request,Response}.json.
// Version 3 adds static members (KIP-345), 5 names the protocol (KIP-559).

/// Asks for the member's assignment; the leader's carries everybody's.
///
/// SyncGroup, API key 14, versions 0 to 5. Source: `SyncGroupRequest.json` of Apache Kafka.
public struct SyncGroupRequest: KafkaRequest {
  public typealias Response = SyncGroupResponse
  public static var apiKey: APIKey { .syncGroup }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 4 }

  public var groupID = ""
  /// From the answer to JoinGroup.
  public var generationID: Int32 = 0
  public var memberID = ""
  /// The id of a static member, which outlives its restarts (KIP-345); nil: none. From version 3 on.
  public var groupInstanceID: String?
  /// From version 5 on.
  public var protocolType: String?
  /// From version 5 on.
  public var protocolName: String?
  /// One per member from the leader, none from the others.
  public var assignments: [SyncGroupRequestAssignment] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&groupID)
    try coder.code(&generationID)
    try coder.code(&memberID)
    if version >= 3 { try coder.code(&groupInstanceID) }
    if version >= 5 {
      try coder.code(&protocolType)
      try coder.code(&protocolName)
    }
    try coder.code(&assignments)
    try coder.endOfFields()
  }

  /// What the leader assigns to one member.
  public struct SyncGroupRequestAssignment: WireValue, Equatable {
    public var memberID = ""
    /// In the form of the protocol type; the coordinator passes it on unread.
    public var assignment = Bytes()

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&memberID)
      try coder.code(&assignment)
      try coder.endOfFields()
    }
  }
}

/// The member's assignment.
///
/// SyncGroup, API key 14, versions 0 to 5. Source: `SyncGroupResponse.json` of Apache Kafka.
public struct SyncGroupResponse: KafkaResponse {
  public static var apiKey: APIKey { .syncGroup }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 4 }

  /// From version 1 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var errorCode: KafkaErrorCode = .none
  /// From version 5 on.
  public var protocolType: String?
  /// From version 5 on.
  public var protocolName: String?
  /// As the leader gave it; empty where there is an error.
  public var assignment = Bytes()

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 1 { try coder.code(&throttleTimeMilliseconds) }
    try errorCode.code(&coder)
    if version >= 5 {
      try coder.code(&protocolType)
      try coder.code(&protocolName)
    }
    try coder.code(&assignment)
    try coder.endOfFields()
  }
}
