import Groundwork
import WireFormat

// ListGroups, API key 16, versions 0 to 4, flexible from 3 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/ListGroups{Request,Response}.json.
// Version 4 filters by state (KIP-518).

/// Asks for the groups that the addressed broker coordinates.
///
/// ListGroups, API key 16, versions 0 to 4. Source: `ListGroupsRequest.json` of Apache Kafka.
public struct ListGroupsRequest: KafkaRequest {
  public typealias Response = ListGroupsResponse
  public static var apiKey: APIKey { .listGroups }
  public static var versions: ClosedRange<Int16> { 0...4 }
  public static var firstFlexibleVersion: Int16 { 3 }

  /// From version 4 on.
  public var statesFilter: [String] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 4 { try coder.code(&statesFilter) }
    try coder.endOfFields()
  }
}

/// Groups by name.
///
/// ListGroups, API key 16, versions 0 to 4. Source: `ListGroupsResponse.json` of Apache Kafka.
public struct ListGroupsResponse: KafkaResponse {
  public static var apiKey: APIKey { .listGroups }
  public static var versions: ClosedRange<Int16> { 0...4 }
  public static var firstFlexibleVersion: Int16 { 3 }

  /// From version 1 on.
  public var throttleTimeMilliseconds: Int32 = 0
  public var errorCode: KafkaErrorCode = .none
  public var groups: [ListedGroup] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 1 { try coder.code(&throttleTimeMilliseconds) }
    try errorCode.code(&coder)
    try coder.code(&groups)
    try coder.endOfFields()
  }

  /// One group.
  public struct ListedGroup: WireValue, Equatable {
    public var groupID = ""
    /// `consumer` for consumer groups; empty where only offsets are kept.
    public var protocolType = ""
    /// From version 4 on.
    public var groupState = ""

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      let version = coder.version
      try coder.code(&groupID)
      try coder.code(&protocolType)
      if version >= 4 { try coder.code(&groupState) }
      try coder.endOfFields()
    }
  }
}
