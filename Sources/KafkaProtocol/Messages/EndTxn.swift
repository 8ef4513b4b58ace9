import Groundwork
import WireFormat

// EndTxn, API key 26, versions 0 to 5, flexible from 3 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/EndTxn{Request,Response}.json.
// Version 2 may answer PRODUCER_FENCED (KIP-588), 4 TRANSACTION_ABORTABLE; with 5 every end of a transaction raises the
// epoch, and the answer says what the producer goes on with (KIP-890).

/// Commits or aborts a transaction.
///
/// EndTxn, API key 26, versions 0 to 5. Source: `EndTxnRequest.json` of Apache Kafka.
public struct EndTxnRequest: KafkaRequest {
  public typealias Response = EndTxnResponse
  public static var apiKey: APIKey { .endTxn }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 3 }

  public var transactionalID = ""
  /// The producer id that belongs to the transactional id.
  public var producerID: Int64 = 0
  /// The producer's epoch; an older one is fenced off.
  public var producerEpoch: Int16 = 0
  /// true: commit, false: abort.
  public var committed = false

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&transactionalID)
    try coder.code(&producerID)
    try coder.code(&producerEpoch)
    try coder.code(&committed)
    try coder.endOfFields()
  }
}

/// Whether the outcome is decided, and what the producer's next transaction is written with.
///
/// EndTxn, API key 26, versions 0 to 5. Source: `EndTxnResponse.json` of Apache Kafka.
public struct EndTxnResponse: KafkaResponse {
  public static var apiKey: APIKey { .endTxn }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 3 }

  public var throttleTimeMilliseconds: Int32 = 0
  public var errorCode: KafkaErrorCode = .none
  /// What to go on with: another one than before where the epochs are used up; -1 where there is an error. From
  /// version 5 on.
  public var producerID: Int64 = -1
  /// To go on with; -1 where there is an error. From version 5 on.
  public var producerEpoch: Int16 = -1

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&throttleTimeMilliseconds)
    try errorCode.code(&coder)
    if version >= 5 {
      try coder.code(&producerID)
      try coder.code(&producerEpoch)
    }
    try coder.endOfFields()
  }
}
