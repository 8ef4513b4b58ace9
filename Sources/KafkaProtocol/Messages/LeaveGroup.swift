import Groundwork
import WireFormat

// LeaveGroup, API key 13, versions 0 to 5, flexible from 4 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/LeaveGroup{Request,Response}.json.
// Version 3 removes several members at once (KIP-345), 5 adds a reason (KIP-800).

/// Leaves a group: one member (to version 2) or several (from 3 on).
///
/// LeaveGroup, API key 13, versions 0 to 5. Source: `LeaveGroupRequest.json` of Apache Kafka.
public struct LeaveGroupRequest: KafkaRequest {
  public typealias Response = LeaveGroupResponse
  public static var apiKey: APIKey { .leaveGroup }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 4 }

  public var groupID = ""
  /// Versions 0 to 2.
  public var memberID = ""
  /// From version 3 on.
  public var members: [MemberIdentity] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&groupID)
    if version <= 2 { try coder.code(&memberID) }
    if version >= 3 { try coder.code(&members) }
    try coder.endOfFields()
  }

  /// A member that leaves: by member id, or by instance id where that is empty.
  public struct MemberIdentity: WireValue, Equatable {
    public var memberID = ""
    /// The id of a static member (KIP-345); nil: none.
    public var groupInstanceID: String?
    /// From version 5 on.
    public var reason: String?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      try coder.code(&memberID)
      try coder.code(&groupInstanceID)
      if version >= 5 { try coder.code(&reason) }
      try coder.endOfFields()
    }
  }
}

/// The outcome for each member.
///
/// LeaveGroup, API key 13, versions 0 to 5. Source: `LeaveGroupResponse.json` of Apache Kafka.
public struct LeaveGroupResponse: KafkaResponse {
  public static var apiKey: APIKey { .leaveGroup }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 4 }

  /// From version 1 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var errorCode: KafkaErrorCode = .none
  /// From version 3 on.
  public var members: [MemberResponse] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 1 { try coder.code(&throttleTimeMilliseconds) }
    try errorCode.code(&coder)
    if version >= 3 { try coder.code(&members) }
    try coder.endOfFields()
  }

  /// What became of one member.
  public struct MemberResponse: WireValue, Equatable {
    public var memberID = ""
    public var groupInstanceID: String?
    public var errorCode: KafkaErrorCode = .none

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&memberID)
      try coder.code(&groupInstanceID)
      try errorCode.code(&coder)
      try coder.endOfFields()
    }
  }
}
