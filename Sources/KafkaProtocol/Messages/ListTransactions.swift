import Groundwork
import WireFormat

// ListTransactions, API key 66, versions 0 and 1, both flexible.
// Source: Apache Kafka, clients/src/main/resources/common/message/ListTransactions{Request,Response}.json.
// Version 1 can ask for those that have been open for long (KIP-994). The call came with KIP-664.

/// Asks which transactional ids a coordinator knows.
///
/// ListTransactions, API key 66, versions 0 to 1. Source: `ListTransactionsRequest.json` of Apache Kafka.
public struct ListTransactionsRequest: KafkaRequest {
  public typealias Response = ListTransactionsResponse
  public static var apiKey: APIKey { .listTransactions }
  public static var versions: ClosedRange<Int16> { 0...1 }
  public static var firstFlexibleVersion: Int16 { 0 }

  /// States as in the answer; empty: all.
  public var stateFilters: [String] = []
  /// Empty: all.
  public var producerIDFilters: [Int64] = []
  /// Only those open for longer than this, in milliseconds; below 0: all. From version 1 on.
  public var durationFilter: Int64 = -1

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&stateFilters)
    try coder.code(&producerIDFilters)
    if version >= 1 { try coder.code(&durationFilter) }
    try coder.endOfFields()
  }
}

/// The transactional ids a coordinator knows.
///
/// ListTransactions, API key 66, versions 0 to 1. Source: `ListTransactionsResponse.json` of Apache Kafka.
public struct ListTransactionsResponse: KafkaResponse {
  public static var apiKey: APIKey { .listTransactions }
  public static var versions: ClosedRange<Int16> { 0...1 }
  public static var firstFlexibleVersion: Int16 { 0 }

  public var throttleTimeMilliseconds: Int32 = 0
  public var errorCode: KafkaErrorCode = .none
  /// What was asked for and is no state.
  public var unknownStateFilters: [String] = []
  public var transactionStates: [TransactionState] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&throttleTimeMilliseconds)
    try errorCode.code(&coder)
    try coder.code(&unknownStateFilters)
    try coder.code(&transactionStates)
    try coder.endOfFields()
  }

  /// One transactional id.
  public struct TransactionState: WireValue, Equatable {
    public var transactionalID = ""
    public var producerID: Int64 = 0
    /// `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit`, `CompleteAbort` or `PrepareEpochFence`.
    public var transactionState = ""

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&transactionalID)
      try coder.code(&producerID)
      try coder.code(&transactionState)
      try coder.endOfFields()
    }
  }
}
