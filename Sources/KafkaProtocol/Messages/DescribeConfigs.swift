import Groundwork
import WireFormat

// DescribeConfigs, API key 32, versions 0 to 4, flexible from 4 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/DescribeConfigs{Request,Response}.json.
// Version 1 adds the settings' sources and synonyms (KIP-226), 3 types and documentation (KIP-569).

/// Asks for the settings of topics (resourceType 2) or brokers (4).
///
/// DescribeConfigs, API key 32, versions 0 to 4. Source: `DescribeConfigsRequest.json` of Apache Kafka.
public struct DescribeConfigsRequest: KafkaRequest {
  public typealias Response = DescribeConfigsResponse
  public static var apiKey: APIKey { .describeConfigs }
  public static var versions: ClosedRange<Int16> { 0...4 }
  public static var firstFlexibleVersion: Int16 { 4 }

  public var resources: [DescribeConfigsResource] = []
  /// From version 1 on.
  public var includeSynonyms = false
  /// From version 3 on.
  public var includeDocumentation = false

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try coder.code(&resources)
    if version >= 1 { try coder.code(&includeSynonyms) }
    if version >= 3 { try coder.code(&includeDocumentation) }
    try coder.endOfFields()
  }

  /// A topic or a broker whose settings are asked for.
  public struct DescribeConfigsResource: WireValue, Equatable {
    /// 2: a topic, 4: a broker.
    public var resourceType: Int8 = 0
    /// A topic's name, or a broker's number in digits.
    public var resourceName = ""
    /// nil: all settings.
    public var configurationKeys: [String]?

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&resourceType)
      try coder.code(&resourceName)
      try coder.code(&configurationKeys)
      try coder.endOfFields()
    }
  }
}

/// Settings with their values and where those come from.
///
/// DescribeConfigs, API key 32, versions 0 to 4. Source: `DescribeConfigsResponse.json` of Apache Kafka.
public struct DescribeConfigsResponse: KafkaResponse {
  public static var apiKey: APIKey { .describeConfigs }
  public static var versions: ClosedRange<Int16> { 0...4 }
  public static var firstFlexibleVersion: Int16 { 4 }

  public var throttleTimeMilliseconds: Int32 = 0
  public var results: [DescribeConfigsResult] = []

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&throttleTimeMilliseconds)
    try coder.code(&results)
    try coder.endOfFields()
  }

  /// The settings of one topic or broker.
  public struct DescribeConfigsResult: WireValue, Equatable {
    public var errorCode: KafkaErrorCode = .none
    public var errorMessage: String?
    /// As in the request.
    public var resourceType: Int8 = 0
    /// As in the request.
    public var resourceName = ""
    public var configs: [DescribeConfigsResourceResult] = []

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try errorCode.code(&coder)
      try coder.code(&errorMessage)
      try coder.code(&resourceType)
      try coder.code(&resourceName)
      try coder.code(&configs)
      try coder.endOfFields()
    }

    /// One setting.
    public struct DescribeConfigsResourceResult: WireValue, Equatable {
      public var name = ""
      /// nil where it is secret.
      public var value: String?
      /// Whether no request can change it.
      public var readOnly = false
      /// 1: the topic's own, 2 and 3: set on brokers at run time, 4: the broker's configuration file, 5: the default
      /// (`ConfigSource` of Kafka). From version 1 on.
      public var configSource: Int8 = -1
      /// Version 0.
      public var isDefault = false
      /// Whether its value is kept secret.
      public var isSensitive = false
      /// Where the value was looked up, in order. From version 1 on.
      public var synonyms: [DescribeConfigsSynonym] = []
      /// Kafka's `ConfigType`: 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
      /// From version 3 on.
      public var configType: Int8 = 0
      /// From version 3 on.
      public var documentation: String?

      public init() {}

      public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
        let version = coder.version
        try coder.code(&name)
        try coder.code(&value)
        try coder.code(&readOnly)
        if version >= 1 { try coder.code(&configSource) }
        if version == 0 { try coder.code(&isDefault) }
        try coder.code(&isSensitive)
        if version >= 1 { try coder.code(&synonyms) }
        if version >= 3 {
          try coder.code(&configType)
          try coder.code(&documentation)
        }
        try coder.endOfFields()
      }

      /// A place where the setting is looked up; the first that has it decides.
      public struct DescribeConfigsSynonym: WireValue, Equatable {
        /// The name it has there.
        public var name = ""
        public var value: String?
        /// As `configSource`.
        public var source: Int8 = 0

        public init() {}

        public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
          try coder.code(&name)
          try coder.code(&value)
          try coder.code(&source)
          try coder.endOfFields()
        }
      }
    }
  }
}
