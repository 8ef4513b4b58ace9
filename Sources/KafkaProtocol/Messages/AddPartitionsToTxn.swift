import Groundwork
import WireFormat

// AddPartitionsToTxn, API key 24, versions 0 to 5, flexible from 3 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/AddPartitionsToTxn{Request,Response}.json.
// Version 2 may answer PRODUCER_FENCED (KIP-588), 4 carries several transactions and a flag that only verifies, 5 may
// answer TRANSACTION_ABORTABLE (both KIP-890). Clients send versions up to 3, brokers among themselves 4 and 5.

/// Tells the coordinator which partitions a transaction is about to write to.
///
/// AddPartitionsToTxn, API key 24, versions 0 to 5. Source: `AddPartitionsToTxnRequest.json` of Apache Kafka.
public struct AddPartitionsToTxnRequest: KafkaRequest {
  public typealias Response = AddPartitionsToTxnResponse
  public static var apiKey: APIKey { .addPartitionsToTxn }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 3 }

  /// Several transactions. From version 4 on.
  public var transactions: [AddPartitionsToTxnTransaction] = []
  /// Versions 0 to 3.
  public var transactionalID = ""
  /// The producer id that belongs to the transactional id. Versions 0 to 3.
  public var producerID: Int64 = 0
  /// The producer's epoch; an older one is fenced off. Versions 0 to 3.
  public var producerEpoch: Int16 = 0
  /// The partitions to add. Versions 0 to 3.
  public var topics: [AddPartitionsToTxnTopic] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 4 { try coder.code(&transactions) }
    if version <= 3 {
      try coder.code(&transactionalID)
      try coder.code(&producerID)
      try coder.code(&producerEpoch)
      try coder.code(&topics)
    }
    try coder.endOfFields()
  }

  /// A transaction and the partitions to add (from version 4 on).
  public struct AddPartitionsToTxnTransaction: WireValue, Equatable {
    public var transactionalID = ""
    /// The producer id that belongs to the transactional id.
    public var producerID: Int64 = 0
    /// The producer's epoch; an older one is fenced off.
    public var producerEpoch: Int16 = 0
    /// Only ask whether the partitions are in the transaction.
    public var verifyOnly = false
    /// The partitions to add, or to ask for.
    public var topics: [AddPartitionsToTxnTopic] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&transactionalID)
      try coder.code(&producerID)
      try coder.code(&producerEpoch)
      try coder.code(&verifyOnly)
      try coder.code(&topics)
      try coder.endOfFields()
    }
  }

  /// A topic's partitions.
  public struct AddPartitionsToTxnTopic: WireValue, Equatable {
    public var name = ""
    /// Partition indexes.
    public var partitions: [Int32] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&partitions)
      try coder.endOfFields()
    }
  }
}

/// The outcome for each partition: all are added, or none.
///
/// AddPartitionsToTxn, API key 24, versions 0 to 5. Source: `AddPartitionsToTxnResponse.json` of Apache Kafka.
public struct AddPartitionsToTxnResponse: KafkaResponse {
  public static var apiKey: APIKey { .addPartitionsToTxn }
  public static var versions: ClosedRange<Int16> { 0...5 }
  public static var firstFlexibleVersion: Int16 { 3 }

  public var throttleTimeMilliseconds: Int32 = 0
  /// Concerns the whole request. From version 4 on.
  public var errorCode: KafkaErrorCode = .none
  /// From version 4 on.
  public var resultsByTransaction: [AddPartitionsToTxnResult] = []
  /// Versions 0 to 3.
  public var resultsByTopic: [AddPartitionsToTxnTopicResult] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&throttleTimeMilliseconds)
    if version >= 4 {
      try errorCode.code(&coder)
      try coder.code(&resultsByTransaction)
    }
    if version <= 3 { try coder.code(&resultsByTopic) }
    try coder.endOfFields()
  }

  /// The outcome for one transaction (from version 4 on).
  public struct AddPartitionsToTxnResult: WireValue, Equatable {
    public var transactionalID = ""
    public var topicResults: [AddPartitionsToTxnTopicResult] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&transactionalID)
      try coder.code(&topicResults)
      try coder.endOfFields()
    }
  }

  /// The outcome for one topic.
  public struct AddPartitionsToTxnTopicResult: WireValue, Equatable {
    public var name = ""
    public var resultsByPartition: [AddPartitionsToTxnPartitionResult] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&resultsByPartition)
      try coder.endOfFields()
    }
  }

  /// The outcome for one partition.
  public struct AddPartitionsToTxnPartitionResult: WireValue, Equatable {
    public var partitionIndex: Int32 = 0
    public var partitionErrorCode: KafkaErrorCode = .none

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&partitionIndex)
      try partitionErrorCode.code(&coder)
      try coder.endOfFields()
    }
  }
}
