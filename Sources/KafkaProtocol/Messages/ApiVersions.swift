import Groundwork
import WireFormat

// ApiVersions, API key 18, versions 0 to 4, flexible from 3 on.
// Source: Apache Kafka, clients/src/main/resources/common/message/ApiVersions{Request,Response}.json.
// The response's header is version 0 whatever the body's, and a broker answers a version it does not know with a
// version 0 body and UNSUPPORTED_VERSION (KIP-511). Version 3 adds the client's name and, tagged, features (KIP-584).

/// Asks which calls a broker has, and in which versions.
///
/// ApiVersions, API key 18, versions 0 to 4. Source: `ApiVersionsRequest.json` of Apache Kafka.
public struct ApiVersionsRequest: KafkaRequest {
  public typealias Response = ApiVersionsResponse
  public static var apiKey: APIKey { .apiVersions }
  public static var versions: ClosedRange<Int16> { 0...4 }
  public static var firstFlexibleVersion: Int16 { 3 }

  /// From version 3 on.
  public var clientSoftwareName = ""
  /// From version 3 on.
  public var clientSoftwareVersion = ""

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    if version >= 3 {
      try coder.code(&clientSoftwareName)
      try coder.code(&clientSoftwareVersion)
    }
    try coder.endOfFields()
  }
}

/// A broker's calls with their version ranges.
///
/// ApiVersions, API key 18, versions 0 to 4. Source: `ApiVersionsResponse.json` of Apache Kafka.
public struct ApiVersionsResponse: KafkaResponse, TaggedFields {
  public static var apiKey: APIKey { .apiVersions }
  public static var versions: ClosedRange<Int16> { 0...4 }
  public static var firstFlexibleVersion: Int16 { 3 }

  public var errorCode: KafkaErrorCode = .none
  /// One entry per call, in no order that matters.
  public var apiKeys: [ApiVersion] = []
  /// From version 1 on.
  public var throttleTimeMilliseconds: Int32 = 0
  /// From version 3 on. Tagged.
  public var supportedFeatures: [SupportedFeatureKey] = []
  /// Grows with each change of the features switched on; -1: not known. From version 3 on. Tagged.
  public var finalizedFeaturesEpoch: Int64 = -1
  /// From version 3 on. Tagged.
  public var finalizedFeatures: [FinalizedFeatureKey] = []
  /// From version 3 on. Tagged.
  public var zkMigrationReady = false

  public init() {}

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    let version = coder.version
    try errorCode.code(&coder)
    try coder.code(&apiKeys)
    if version >= 1 { try coder.code(&throttleTimeMilliseconds) }
    try coder.endOfFields(of: &self)
  }

  public static func tags(_ version: Int16) -> [UInt32] {
    version >= 3 ? [0, 1, 2, 3] : []
  }

  public func isDefault(tag: UInt32) -> Bool {
    switch tag {
    case 0: supportedFeatures.isEmpty
    case 1: finalizedFeaturesEpoch == -1
    case 2: finalizedFeatures.isEmpty
    case 3: !zkMigrationReady
    default: true
    }
  }

  public mutating func code<C: FieldCoder & ~Copyable>(tag: UInt32, _ coder: inout C) throws(DecodeError) {
    switch tag {
    case 0: try coder.code(&supportedFeatures)
    case 1: try coder.code(&finalizedFeaturesEpoch)
    case 2: try coder.code(&finalizedFeatures)
    case 3: try coder.code(&zkMigrationReady)
    default: break
    }
  }

  /// A call and the versions of it that the broker has.
  public struct ApiVersion: WireValue, Equatable {
    /// A raw `APIKey`: brokers also name calls that are not known here.
    public var apiKey: Int16 = 0
    public var minVersion: Int16 = 0
    public var maxVersion: Int16 = 0

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&apiKey)
      try coder.code(&minVersion)
      try coder.code(&maxVersion)
      try coder.endOfFields()
    }
  }

  /// A feature and the levels of it that the broker supports (KIP-584).
  public struct SupportedFeatureKey: WireValue, Equatable {
    /// Such as `metadata.version`.
    public var name = ""
    public var minVersion: Int16 = 0
    public var maxVersion: Int16 = 0

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&minVersion)
      try coder.code(&maxVersion)
      try coder.endOfFields()
    }
  }

  /// A feature and the levels of it that the cluster has switched on (KIP-584).
  public struct FinalizedFeatureKey: WireValue, Equatable {
    /// Such as `metadata.version`.
    public var name = ""
    public var maxVersionLevel: Int16 = 0
    public var minVersionLevel: Int16 = 0

    public init() {}

    public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
      try coder.code(&name)
      try coder.code(&maxVersionLevel)
      try coder.code(&minVersionLevel)
      try coder.endOfFields()
    }
  }
}
