import Groundwork
import WireFormat

// WriteTxnMarkers, API key 27, versions 0 and 1, flexible from 1 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/WriteTxnMarkers{Request,Response}.json.
// Coordinators send it to partition leaders; an administrator sends it to end a transaction whose coordinator has
// forgotten it (KIP-664).

/// Asks the leaders of partitions to write down how transactions ended.
///
/// WriteTxnMarkers, API key 27, versions 0 to 1. Source: `WriteTxnMarkersRequest.json` of Apache Kafka.
public struct WriteTxnMarkersRequest: KafkaRequest {
  public typealias Response = WriteTxnMarkersResponse
  public static var apiKey: APIKey { .writeTxnMarkers }
  public static var versions: ClosedRange<Int16> { 0...1 }
  public static var firstFlexibleVersion: Int16 { 1 }

  public var markers: [WritableTxnMarker] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&markers)
    try coder.endOfFields()
  }

  /// The end of one transaction.
  public struct WritableTxnMarker: WireValue, Equatable {
    public var producerID: Int64 = 0
    public var producerEpoch: Int16 = 0
    /// true: committed, false: aborted.
    public var transactionResult = false
    public var topics: [WritableTxnMarkerTopic] = []
    /// An older one than a partition has seen is refused.
    public var coordinatorEpoch: Int32 = 0

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&producerID)
      try coder.code(&producerEpoch)
      try coder.code(&transactionResult)
      try coder.code(&topics)
      try coder.code(&coordinatorEpoch)
      try coder.endOfFields()
    }

    /// A topic to write the marker to.
    public struct WritableTxnMarkerTopic: WireValue, Equatable {
      public var name = ""
      public var partitionIndexes: [Int32] = []

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&name)
        try coder.code(&partitionIndexes)
        try coder.endOfFields()
      }
    }
  }
}

/// What became of the markers.
///
/// WriteTxnMarkers, API key 27, versions 0 to 1. Source: `WriteTxnMarkersResponse.json` of Apache Kafka.
public struct WriteTxnMarkersResponse: KafkaResponse {
  public static var apiKey: APIKey { .writeTxnMarkers }
  public static var versions: ClosedRange<Int16> { 0...1 }
  public static var firstFlexibleVersion: Int16 { 1 }

  public var markers: [WritableTxnMarkerResult] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&markers)
    try coder.endOfFields()
  }

  /// The outcome for one transaction.
  public struct WritableTxnMarkerResult: WireValue, Equatable {
    public var producerID: Int64 = 0
    public var topics: [WritableTxnMarkerTopicResult] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&producerID)
      try coder.code(&topics)
      try coder.endOfFields()
    }

    /// The outcome for one topic.
    public struct WritableTxnMarkerTopicResult: WireValue, Equatable {
      public var name = ""
      public var partitions: [WritableTxnMarkerPartitionResult] = []

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        try coder.code(&name)
        try coder.code(&partitions)
        try coder.endOfFields()
      }

      /// The outcome for one partition.
      public struct WritableTxnMarkerPartitionResult: WireValue, Equatable {
        public var partitionIndex: Int32 = 0
        public var errorCode: KafkaErrorCode = .none

        public init() {}

        public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
          try coder.code(&partitionIndex)
          try errorCode.code(&coder)
          try coder.endOfFields()
        }
      }
    }
  }
}
