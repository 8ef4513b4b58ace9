import Groundwork
import WireFormat

// DescribeGroups, API key 15, versions 0 to 5, flexible from 5 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/DescribeGroups{Request,Response}.json.
// Version 3 adds authorized operations (KIP-430), 4 static members (KIP-345).

/// Asks for the state and members of groups.
///
/// DescribeGroups, API key 15, versions 0 to 5. Source: `DescribeGroupsRequest.json` of Apache Kafka.
public struct DescribeGroupsRequest: KafkaRequest {
  public typealias Response = DescribeGroupsResponse
  public static var apiKey: APIKey { .describeGroups }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 5 }

  /// Group ids.
  public var groups: [String] = []
  /// From version 3 on.
  public var includeAuthorizedOperations = false

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&groups)
    if version >= 3 { try coder.code(&includeAuthorizedOperations) }
    try coder.endOfFields()
  }
}

/// Groups with their members.
///
/// DescribeGroups, API key 15, versions 0 to 5. Source: `DescribeGroupsResponse.json` of Apache Kafka.
public struct DescribeGroupsResponse: KafkaResponse {
  public static var apiKey: APIKey { .describeGroups }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 5 }

  /// From version 1 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var groups: [DescribedGroup] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 1 { try coder.code(&throttleTimeMilliseconds) }
    try coder.code(&groups)
    try coder.endOfFields()
  }

  /// One group.
  public struct DescribedGroup: WireValue, Equatable {
    public var errorCode: KafkaErrorCode = .none
    public var groupID = ""
    /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable` or `Dead`.
    public var groupState = ""
    /// `consumer` for consumer groups.
    public var protocolType = ""
    /// The assignment strategy that was agreed on; empty while none is.
    public var protocolData = ""
    /// Empty where the group has none, or is not known.
    public var members: [DescribedGroupMember] = []
    /// A bit field of Kafka's `AclOperation`; the least number: not asked for. From version 3 on.
    public var authorizedOperations: Int32 = -2147483648

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      try errorCode.code(&coder)
      try coder.code(&groupID)
      try coder.code(&groupState)
      try coder.code(&protocolType)
      try coder.code(&protocolData)
      try coder.code(&members)
      if version >= 3 { try coder.code(&authorizedOperations) }
      try coder.endOfFields()
    }

    /// One member of the group.
    public struct DescribedGroupMember: WireValue, Equatable {
      public var memberID = ""
      /// The id of a static member, which outlives its restarts (KIP-345); nil: none. From version 4 on.
      public var groupInstanceID: String?
      /// `client.id`.
      public var clientID = ""
      /// The address it connected from.
      public var clientHost = ""
      /// What it subscribed to, in the form of the protocol type.
      public var memberMetadata = Bytes()
      /// What it was assigned, in the form of the protocol type; empty before that.
      public var memberAssignment = Bytes()

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try coder.code(&memberID)
        if version >= 4 { try coder.code(&groupInstanceID) }
        try coder.code(&clientID)
        try coder.code(&clientHost)
        try coder.code(&memberMetadata)
        try coder.code(&memberAssignment)
        try coder.endOfFields()
      }
    }
  }
}
