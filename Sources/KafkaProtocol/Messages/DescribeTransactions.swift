import Groundwork
import WireFormat

// DescribeTransactions, API key 65, version 0, flexible.
// Source: Apache Kafka, clients/src/main/resources/common/message/DescribeTransactions{Request,Response}.json.
// The call came with KIP-664.

/// Asks a coordinator for the state of transactional ids.
///
/// DescribeTransactions, API key 65, version 0. Source: `DescribeTransactionsRequest.json` of Apache Kafka.
public struct DescribeTransactionsRequest: KafkaRequest {
  public typealias Response = DescribeTransactionsResponse
  public static var apiKey: APIKey { .describeTransactions }
  public static var versions: ClosedRange<Int16> { 0...0 }
  public static var firstFlexibleVersion: Int16 { 0 }

  /// Empty: none.
  public var transactionalIDs: [String] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&transactionalIDs)
    try coder.endOfFields()
  }
}

/// The state of transactional ids.
///
/// DescribeTransactions, API key 65, version 0. Source: `DescribeTransactionsResponse.json` of Apache Kafka.
public struct DescribeTransactionsResponse: KafkaResponse {
  public static var apiKey: APIKey { .describeTransactions }
  public static var versions: ClosedRange<Int16> { 0...0 }
  public static var firstFlexibleVersion: Int16 { 0 }

  public var throttleTimeMilliseconds: Int32 = 0
  public var transactionStates: [TransactionState] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&throttleTimeMilliseconds)
    try coder.code(&transactionStates)
    try coder.endOfFields()
  }

  /// One transactional id.
  public struct TransactionState: WireValue, Equatable {
    public var errorCode: KafkaErrorCode = .none
    public var transactionalID = ""
    /// `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit`, `CompleteAbort` or `PrepareEpochFence`.
    public var transactionState = ""
    public var transactionTimeoutMilliseconds: Int32 = 0
    /// Since 1970; -1 where none is open.
    public var transactionStartTimeMilliseconds: Int64 = 0
    public var producerID: Int64 = 0
    public var producerEpoch: Int16 = 0
    /// The partitions of the open transaction; while it ends, those without a marker yet.
    public var topics: [TopicData] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try errorCode.code(&coder)
      try coder.code(&transactionalID)
      try coder.code(&transactionState)
      try coder.code(&transactionTimeoutMilliseconds)
      try coder.code(&transactionStartTimeMilliseconds)
      try coder.code(&producerID)
      try coder.code(&producerEpoch)
      try coder.code(&topics)
      try coder.endOfFields()
    }

    /// A topic of the transaction.
    public struct TopicData: WireValue, Equatable {
      public var topic = ""
      /// Partition indexes.
      public var partitions: [Int32] = []

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&topic)
        try coder.code(&partitions)
        try coder.endOfFields()
      }
    }
  }
}
