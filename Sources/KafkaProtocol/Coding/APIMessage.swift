import Groundwork
import WireFormat

/// A request or a response of the Kafka protocol. Its fields bear the names of Kafka's own message definitions.
public protocol KafkaMessage: WireValue, Equatable {
  /// The call it belongs to; a request and its response have the same.
  static var apiKey: APIKey { get }
  /// The versions whose fields are defined here.
  static var versions: ClosedRange<Int16> { get }
  /// The first version with compact lengths and tagged fields (KIP-482).
  static var firstFlexibleVersion: Int16 { get }
}

extension KafkaMessage {
  /// Whether this version has compact lengths and tagged fields.
  public static func isFlexible(_ version: Int16) -> Bool { version >= firstFlexibleVersion }
}

/// What a client sends: `encodeRequest` makes a frame of it, `RequestHeader` stands before its body.
public protocol KafkaRequest: KafkaMessage {
  /// What a broker answers it with, in the same version.
  associatedtype Response: KafkaResponse
}

/// What a broker sends back: `encodeResponse` makes a frame of it.
public protocol KafkaResponse: KafkaMessage {}

/// What stands before the body of every request.
///
/// Header versions (kafka.apache.org/protocol): 1 = key, version, correlation id, client id; 2 adds tagged
/// fields and comes with flexible bodies. Version 0, without a client id, exists only for ControlledShutdown 0.
public struct RequestHeader: Sendable, Equatable {
  /// The API key as it came: it may be one that is not known here.
  public var rawAPIKey: Int16
  /// The version of the body, in which the answer is expected as well; it may be one that is not defined here.
  public var version: Int16
  /// Chosen by the client; the answer repeats it.
  public var correlationID: Int32
  /// `client.id`; nil where the client sent none.
  public var clientID: String?
  /// Where the body starts in the frame.
  public var bodyPosition: Int

  /// - Parameter bodyPosition: where the body starts in the frame, in bytes.
  public init(rawAPIKey: Int16, version: Int16, correlationID: Int32, clientID: String?, bodyPosition: Int) {
    self.rawAPIKey = rawAPIKey
    self.version = version
    self.correlationID = correlationID
    self.clientID = clientID
    self.bodyPosition = bodyPosition
  }

  public var apiKey: APIKey? { APIKey(rawValue: rawAPIKey) }
}

/// Encodes a request as a frame, its 4-byte length in front, ready to send.
/// - Returns: the frame in parts; long byte fields are parts of their own, not copied.
/// - Throws: when a text or an array is too long for the protocol, or `version` is not one of the request's.
public func encodeRequest<Request: KafkaRequest>(
  _ request: Request, version: Int16, correlationID: Int32, clientID: String?
) throws(DecodeError) -> [Bytes] {
  guard Request.versions.contains(version) else {
    throw DecodeError(.invalid("a version that this request does not have"), at: 0)
  }
  let isFlexible = Request.isFlexible(version)
  var encoder = FieldEncoder(version: version, isFlexible: isFlexible)
  encoder.writer.append(bigEndian: Int32(0))
  encoder.writer.append(bigEndian: Request.apiKey.rawValue)
  encoder.writer.append(bigEndian: version)
  encoder.writer.append(bigEndian: correlationID)
  // The client id keeps its 16-bit length in flexible headers too, so that any broker can read it.
  try encoder.appendShortText(clientID)
  try encoder.endOfFields()
  var request = request
  try request.code(&encoder)
  return try finishFrame(encoder)
}

/// Encodes a response as a frame, its 4-byte length in front, ready to send.
///
/// Response header versions: 0 = correlation id; 1 adds tagged fields and comes with flexible bodies, except for
/// ApiVersions, whose header is always 0 (KIP-511: a client must read it before it knows the broker's versions).
/// - Returns: the frame in parts; long byte fields are parts of their own, not copied.
/// - Throws: when a text or an array is too long for the protocol, or `version` is not one of the response's.
public func encodeResponse<Response: KafkaResponse>(
  _ response: Response, version: Int16, correlationID: Int32
) throws(DecodeError) -> [Bytes] {
  guard Response.versions.contains(version) else {
    throw DecodeError(.invalid("a version that this response does not have"), at: 0)
  }
  let isFlexible = Response.isFlexible(version)
  var encoder = FieldEncoder(version: version, isFlexible: isFlexible)
  encoder.writer.append(bigEndian: Int32(0))
  encoder.writer.append(bigEndian: correlationID)
  if isFlexible, Response.apiKey != .apiVersions { encoder.writer.append(0) }
  var response = response
  try response.code(&encoder)
  return try finishFrame(encoder)
}

private func finishFrame(_ encoder: consuming FieldEncoder) throws(DecodeError) -> [Bytes] {
  let size = encoder.count - 4
  guard let length = Int32(exactly: size) else {
    throw DecodeError(.invalid("a message of more than 2 GiB"), at: 0)
  }
  encoder.writer.patch(bigEndian: length, at: 0)
  return encoder.finish()
}

/// Reads the header of a request frame (without its length). For an API key that is not known here, or a version beyond
/// those defined here, the header is read as far as it is the same in all versions.
public func decodeRequestHeader(_ frame: Bytes) throws(DecodeError) -> RequestHeader {
  var decoder = FieldDecoder(frame, version: 1, isFlexible: false)
  var header = RequestHeader(rawAPIKey: 0, version: 0, correlationID: 0, clientID: nil, bodyPosition: 0)
  try decoder.code(&header.rawAPIKey)
  try decoder.code(&header.version)
  try decoder.code(&header.correlationID)
  header.clientID = try decoder.shortText()
  header.bodyPosition = decoder.position
  if let flexible = header.apiKey?.firstFlexibleRequestVersion, header.version >= flexible {
    var tags = FieldDecoder(frame, position: decoder.position, version: header.version, isFlexible: true)
    try tags.endOfFields()
    header.bodyPosition = tags.position
  }
  return header
}

/// Reads the body of a request whose header was read.
/// - Parameter ignoringRest: whether bytes behind the request are passed over. Kafka's brokers do so, and librdkafka
///   2.16 counts on it: where it asks Metadata 12 for no topics its empty array takes four bytes in place of one.
/// - Throws: when the bytes are no such request, when some are left over, or `header.version` is not one of the
///   request's.
public func decodeRequest<Request: KafkaRequest>(
  _ type: Request.Type = Request.self, _ frame: Bytes, _ header: RequestHeader, ignoringRest: Bool = false
) throws(DecodeError) -> Request {
  try decodeBody(
    Request.self, frame, position: header.bodyPosition, version: header.version, ignoringRest: ignoringRest)
}

/// The correlation id of a response frame (without its length): says which request it answers.
public func decodeCorrelationID(_ frame: Bytes) throws(DecodeError) -> Int32 {
  var decoder = FieldDecoder(frame, version: 0, isFlexible: false)
  var id: Int32 = 0
  try decoder.code(&id)
  return id
}

/// Reads a response frame (without its length).
/// - Throws: when the bytes are no such response, when some are left over, or `version` is not one of the response's.
public func decodeResponse<Response: KafkaResponse>(
  _ type: Response.Type = Response.self, _ frame: Bytes, version: Int16
) throws(DecodeError) -> Response {
  var position = 4
  if Response.isFlexible(version), Response.apiKey != .apiVersions {
    var header = FieldDecoder(frame, position: 4, version: version, isFlexible: true)
    try header.endOfFields()
    position = header.position
  }
  return try decodeBody(Response.self, frame, position: position, version: version)
}

private func decodeBody<Message: KafkaMessage>(
  _ type: Message.Type, _ frame: Bytes, position: Int, version: Int16, ignoringRest: Bool = false
) throws(DecodeError) -> Message {
  guard Message.versions.contains(version) else {
    throw DecodeError(.invalid("a version that is not known here"), at: 0)
  }
  guard position <= frame.count else { throw DecodeError(.truncated(wanted: position, remaining: frame.count), at: 0) }
  var decoder = FieldDecoder(frame, position: position, version: version, isFlexible: Message.isFlexible(version))
  var message = Message()
  try message.code(&decoder)
  if !ignoringRest { try decoder.finish() }
  return message
}

/// The highest version that both sides have, nil where there is none.
public func negotiate(ours: ClosedRange<Int16>, theirs: ClosedRange<Int16>) -> Int16? {
  let version = min(ours.upperBound, theirs.upperBound)
  return version >= max(ours.lowerBound, theirs.lowerBound) ? version : nil
}
