import Groundwork
import WireFormat

// DeleteGroups, API key 42, versions 0 to 2, flexible from 2 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/DeleteGroups{Request,Response}.json.
// Defined by KIP-229.

/// Deletes groups that have no members, with their offsets.
///
/// DeleteGroups, API key 42, versions 0 to 2. Source: `DeleteGroupsRequest.json` of Apache Kafka.
public struct DeleteGroupsRequest: KafkaRequest {
  public typealias Response = DeleteGroupsResponse
  public static var apiKey: APIKey { .deleteGroups }
  public static var versions: ClosedRange<Int16> { 0...2 }
  public static var firstFlexibleVersion: Int16 { 2 }

  /// The groups to delete.
  public var groupsNames: [String] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&groupsNames)
    try coder.endOfFields()
  }
}

/// The outcome for each group.
///
/// DeleteGroups, API key 42, versions 0 to 2. Source: `DeleteGroupsResponse.json` of Apache Kafka.
public struct DeleteGroupsResponse: KafkaResponse {
  public static var apiKey: APIKey { .deleteGroups }
  public static var versions: ClosedRange<Int16> { 0...2 }
  public static var firstFlexibleVersion: Int16 { 2 }

  public var throttleTimeMilliseconds: Int32 = 0
  public var results: [DeletableGroupResult] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&throttleTimeMilliseconds)
    try coder.code(&results)
    try coder.endOfFields()
  }

  /// What became of one group.
  public struct DeletableGroupResult: WireValue, Equatable {
    public var groupID = ""
    public var errorCode: KafkaErrorCode = .none

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&groupID)
      try errorCode.code(&coder)
      try coder.endOfFields()
    }
  }
}
