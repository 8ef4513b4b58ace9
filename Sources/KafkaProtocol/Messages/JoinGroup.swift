import Groundwork
import WireFormat

// JoinGroup, API key 11, versions 0 to 9, flexible from 6 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/JoinGroup{Request,Response}.json.
// Version 1 adds the rebalance timeout, 4 answers MEMBER_ID_REQUIRED to the first join (KIP-394), 5 static members
// (KIP-345), 7 the protocol type in the answer, 8 a reason (KIP-800), 9 skipAssignment (KIP-814).

/// Joins a group, or stays in it through a rebalance.
public struct JoinGroupRequest: KafkaRequest {
  public typealias Response = JoinGroupResponse
  public static var apiKey: APIKey { .joinGroup }
  public static var versions: ClosedRange<Int16> { 0...9 }
  public static var firstFlexibleVersion: Int16 { 6 }

  public var groupID = ""
  public var sessionTimeoutMilliseconds: Int32 = 0
  /// From version 1 on.
  public var rebalanceTimeoutMilliseconds: Int32 = -1
  public var memberID = ""
  /// From version 5 on.
  public var groupInstanceID: String?
  public var protocolType = ""
  public var protocols: [JoinGroupRequestProtocol] = []
  /// From version 8 on.
  public var reason: String?

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&groupID)
    try coder.code(&sessionTimeoutMilliseconds)
    if version >= 1 { try coder.code(&rebalanceTimeoutMilliseconds) }
    try coder.code(&memberID)
    if version >= 5 { try coder.code(&groupInstanceID) }
    try coder.code(&protocolType)
    try coder.code(&protocols)
    if version >= 8 { try coder.code(&reason) }
    try coder.endOfFields()
  }

  public struct JoinGroupRequestProtocol: WireValue, Equatable {
    public var name = ""
    public var metadata = Bytes()

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&metadata)
      try coder.endOfFields()
    }
  }
}

/// The generation and who leads it; the leader also gets all members' metadata.
public struct JoinGroupResponse: KafkaResponse {
  public static var apiKey: APIKey { .joinGroup }
  public static var versions: ClosedRange<Int16> { 0...9 }
  public static var firstFlexibleVersion: Int16 { 6 }

  /// From version 2 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var errorCode: KafkaErrorCode = .none
  public var generationID: Int32 = -1
  /// From version 7 on.
  public var protocolType: String?
  public var protocolName: String?
  public var leader = ""
  /// From version 9 on.
  public var skipAssignment = false
  public var memberID = ""
  public var members: [JoinGroupResponseMember] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 2 { try coder.code(&throttleTimeMilliseconds) }
    try errorCode.code(&coder)
    try coder.code(&generationID)
    if version >= 7 { try coder.code(&protocolType) }
    if version >= 7 { try coder.code(&protocolName) } else { try coder.codeNonNull(&protocolName) }
    try coder.code(&leader)
    if version >= 9 { try coder.code(&skipAssignment) }
    try coder.code(&memberID)
    try coder.code(&members)
    try coder.endOfFields()
  }

  public struct JoinGroupResponseMember: WireValue, Equatable {
    public var memberID = ""
    /// From version 5 on.
    public var groupInstanceID: String?
    public var metadata = Bytes()

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      try coder.code(&memberID)
      if version >= 5 { try coder.code(&groupInstanceID) }
      try coder.code(&metadata)
      try coder.endOfFields()
    }
  }
}
