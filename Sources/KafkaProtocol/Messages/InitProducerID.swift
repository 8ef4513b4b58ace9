import Groundwork
import WireFormat

// InitProducerId, API key 22, versions 0 to 5, flexible from 2 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/InitProducerId{Request,Response}.json.
// Version 3 lets a producer keep its id and ask for the next epoch (KIP-360), 4 may answer PRODUCER_FENCED, 5 is for
// TRANSACTION_ABORTABLE (KIP-890).

/// Asks for a producer id and epoch, for an idempotent or a transactional producer.
///
/// InitProducerId, API key 22, versions 0 to 5. Source: `InitProducerIdRequest.json` of Apache Kafka.
public struct InitProducerIDRequest: KafkaRequest {
  public typealias Response = InitProducerIDResponse
  public static var apiKey: APIKey { .initProducerID }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 2 }

  /// nil: not transactional.
  public var transactionalID: String?
  /// How long a transaction may stay open before the coordinator aborts it; without meaning where not transactional.
  public var transactionTimeoutMilliseconds: Int32 = 0
  /// From version 3 on.
  public var producerID: Int64 = -1
  /// From version 3 on.
  public var producerEpoch: Int16 = -1

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&transactionalID)
    try coder.code(&transactionTimeoutMilliseconds)
    if version >= 3 {
      try coder.code(&producerID)
      try coder.code(&producerEpoch)
    }
    try coder.endOfFields()
  }
}

/// The producer id and epoch to put into record batches.
///
/// InitProducerId, API key 22, versions 0 to 5. Source: `InitProducerIdResponse.json` of Apache Kafka.
public struct InitProducerIDResponse: KafkaResponse {
  public static var apiKey: APIKey { .initProducerID }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 2 }

  public var throttleTimeMilliseconds: Int32 = 0
  public var errorCode: KafkaErrorCode = .none
  public var producerID: Int64 = -1
  /// To put beside the id; a higher one fences off earlier incarnations.
  public var producerEpoch: Int16 = 0

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&throttleTimeMilliseconds)
    try errorCode.code(&coder)
    try coder.code(&producerID)
    try coder.code(&producerEpoch)
    try coder.endOfFields()
  }
}
