import Groundwork
import WireFormat

// FindCoordinator, API key 10, versions 0 to 5, flexible from 3 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/FindCoordinator{Request,Response}.json.
// Version 1 adds transaction coordinators, 4 asks for several keys at once (KIP-699), 5 may answer
// TRANSACTION_ABORTABLE.

/// Asks which broker coordinates a group (keyType 0) or a transactional id (keyType 1).
///
/// FindCoordinator, API key 10, versions 0 to 5. Source: `FindCoordinatorRequest.json` of Apache Kafka.
public struct FindCoordinatorRequest: KafkaRequest {
  public typealias Response = FindCoordinatorResponse
  public static var apiKey: APIKey { .findCoordinator }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 3 }

  /// Versions 0 to 3.
  public var key = ""
  /// 0: a group, 1: a transactional id. From version 1 on.
  public var keyType: Int8 = 0
  /// Group or transactional ids. From version 4 on.
  public var coordinatorKeys: [String] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version <= 3 { try coder.code(&key) }
    if version >= 1 { try coder.code(&keyType) }
    if version >= 4 { try coder.code(&coordinatorKeys) }
    try coder.endOfFields()
  }
}

/// The coordinators.
///
/// FindCoordinator, API key 10, versions 0 to 5. Source: `FindCoordinatorResponse.json` of Apache Kafka.
public struct FindCoordinatorResponse: KafkaResponse {
  public static var apiKey: APIKey { .findCoordinator }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 3 }

  /// From version 1 on.
  public var throttleTimeMilliseconds: Int32 = 0
  /// Versions 0 to 3.
  public var errorCode: KafkaErrorCode = .none
  /// Versions 1 to 3.
  public var errorMessage: String?
  /// Versions 0 to 3.
  public var nodeID: Int32 = 0
  /// Versions 0 to 3.
  public var host = ""
  /// Versions 0 to 3.
  public var port: Int32 = 0
  /// From version 4 on.
  public var coordinators: [Coordinator] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 1 { try coder.code(&throttleTimeMilliseconds) }
    if version <= 3 { try errorCode.code(&coder) }
    if (1...3).contains(version) { try coder.code(&errorMessage) }
    if version <= 3 {
      try coder.code(&nodeID)
      try coder.code(&host)
      try coder.code(&port)
    }
    if version >= 4 { try coder.code(&coordinators) }
    try coder.endOfFields()
  }

  /// The coordinator of one of the keys asked for.
  public struct Coordinator: WireValue, Equatable {
    /// The group or transactional id.
    public var key = ""
    /// The broker's number; -1 where there is an error.
    public var nodeID: Int32 = 0
    public var host = ""
    public var port: Int32 = 0
    public var errorCode: KafkaErrorCode = .none
    public var errorMessage: String?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&key)
      try coder.code(&nodeID)
      try coder.code(&host)
      try coder.code(&port)
      try errorCode.code(&coder)
      try coder.code(&errorMessage)
      try coder.endOfFields()
    }
  }
}
