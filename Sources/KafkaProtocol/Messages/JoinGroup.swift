import Groundwork
import WireFormat

// JoinGroup, API key 11, versions 0 to 9, flexible from 6 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/JoinGroup{Request,Response}.json.
// Version 1 adds the rebalance timeout, 4 answers MEMBER_ID_REQUIRED to the first join (KIP-394), 5 static members
// (KIP-345), 7 the protocol type in the answer, 8 a reason (KIP-800), 9 skipAssignment (KIP-814).

/// Joins a group, or stays in it through a rebalance.
///
/// JoinGroup, API key 11, versions 0 to 9. Source: `JoinGroupRequest.json` of Apache Kafka.
public struct JoinGroupRequest: KafkaRequest {
  public typealias Response = JoinGroupResponse
  public static var apiKey: APIKey { .joinGroup }
  public static var versions: ClosedRange<Int16> { 0...9 }
  public static var firstFlexibleVersion: Int16 { 6 }

  public var groupID = ""
  /// Without a heartbeat for this long the member counts as gone.
  public var sessionTimeoutMilliseconds: Int32 = 0
  /// How long members have to join again when the group rebalances. From version 1 on.
  public var rebalanceTimeoutMilliseconds: Int32 = -1
  /// Empty: a new member, which is given an id.
  public var memberID = ""
  /// The id of a static member, which outlives its restarts (KIP-345); nil: none. From version 5 on.
  public var groupInstanceID: String?
  /// `consumer` for consumer groups; all members have the same.
  public var protocolType = ""
  /// What the member can do, the most wanted first; the coordinator picks one that all members have.
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

  /// An assignment strategy that the member knows, with what it says about itself under it.
  public struct JoinGroupRequestProtocol: WireValue, Equatable {
    public var name = ""
    /// For consumers: version, subscribed topics and user data.
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
///
/// JoinGroup, API key 11, versions 0 to 9. Source: `JoinGroupResponse.json` of Apache Kafka.
public struct JoinGroupResponse: KafkaResponse {
  public static var apiKey: APIKey { .joinGroup }
  public static var versions: ClosedRange<Int16> { 0...9 }
  public static var firstFlexibleVersion: Int16 { 6 }

  /// From version 2 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var errorCode: KafkaErrorCode = .none
  /// Counts rebalances; -1 where there is an error.
  public var generationID: Int32 = -1
  /// From version 7 on.
  public var protocolType: String?
  /// The strategy that was picked.
  public var protocolName: String?
  /// The leader's member id: that member assigns for all.
  public var leader = ""
  /// The leader need not assign: the old assignment holds (KIP-814). From version 9 on.
  public var skipAssignment = false
  /// The member's own id, new or as sent.
  public var memberID = ""
  /// All members, for the leader; empty for the others.
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

  /// A member as the leader sees it.
  public struct JoinGroupResponseMember: WireValue, Equatable {
    public var memberID = ""
    /// The id of a static member, which outlives its restarts (KIP-345); nil: none. From version 5 on.
    public var groupInstanceID: String?
    /// What the member said about itself under the strategy picked.
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
