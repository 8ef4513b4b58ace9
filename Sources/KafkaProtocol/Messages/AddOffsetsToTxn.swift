import Groundwork
import WireFormat

// AddOffsetsToTxn, API key 25, versions 0 to 4, flexible from 3 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/AddOffsetsToTxn{Request,Response}.json.
// Version 2 may answer PRODUCER_FENCED (KIP-588), 4 TRANSACTION_ABORTABLE (KIP-890).

/// Tells the coordinator that a transaction is about to commit offsets of a group.
///
/// AddOffsetsToTxn, API key 25, versions 0 to 4. Source: `AddOffsetsToTxnRequest.json` of Apache Kafka.
public struct AddOffsetsToTxnRequest: KafkaRequest {
  public typealias Response = AddOffsetsToTxnResponse
  public static var apiKey: APIKey { .addOffsetsToTxn }
  public static var versions: ClosedRange<Int16> { 0...4 }
  public static var firstFlexibleVersion: Int16 { 3 }

  public var transactionalID = ""
  /// The producer id that belongs to the transactional id.
  public var producerID: Int64 = 0
  /// The producer's epoch; an older one is fenced off.
  public var producerEpoch: Int16 = 0
  public var groupID = ""

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&transactionalID)
    try coder.code(&producerID)
    try coder.code(&producerEpoch)
    try coder.code(&groupID)
    try coder.endOfFields()
  }
}

/// Whether the group's offsets belong to the transaction now.
///
/// AddOffsetsToTxn, API key 25, versions 0 to 4. Source: `AddOffsetsToTxnResponse.json` of Apache Kafka.
public struct AddOffsetsToTxnResponse: KafkaResponse {
  public static var apiKey: APIKey { .addOffsetsToTxn }
  public static var versions: ClosedRange<Int16> { 0...4 }
  public static var firstFlexibleVersion: Int16 { 3 }

  public var throttleTimeMilliseconds: Int32 = 0
  public var errorCode: KafkaErrorCode = .none

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&throttleTimeMilliseconds)
    try errorCode.code(&coder)
    try coder.endOfFields()
  }
}
