import Groundwork
import KafkaProtocol
import Testing

/// Bytes that kafka-python wrote for every message and version, against ours.
@Suite struct GoldenMessageTests {
  @Test func everyMessageAndVersionEqualsKafkaPythons() throws {
    let golden = try goldenLines()
    var mismatches: [String] = []
    var compared = 0
    func check<Message: KafkaMessage>(_ type: Message.Type) throws {
      for version in Message.versions {
        let name = "\(Message.self)".replacingID()
        guard let expected = golden["\(name) \(version)"] else {
          mismatches.append("no golden bytes for \(name) \(version)")
          continue
        }
        var message = Message()
        var filler = GoldenFiller(version: version, isFlexible: Message.isFlexible(version))
        try message.code(&filler)
        let bytes = try encodedBody(message, version)
        if bytes != expected { mismatches.append("\(name) \(version): \(hex(bytes)) is not \(hex(expected))") }
        if try decodedBody(Message.self, expected, version) != message {
          mismatches.append("\(name) \(version) decodes to other fields")
        }
        compared += 1
      }
    }
    for type in MessageCatalogue.all { try check(type) }
    #expect(mismatches.isEmpty, "\(mismatches.prefix(3).joined(separator: "\n"))")
    #expect(compared == golden.count)
  }

  @Test func headersEqualKafkaPythons() throws {
    // MetadataRequest(topics=[], version=N).with_header(correlation_id=7, client_id="sluice"), framed.
    var request = MetadataRequest()
    request.topics = []
    let old = try encodeRequest(request, version: 1, correlationID: 7, clientID: "sluice")
    #expect(hex(joined(old)) == "0000001400030001000000070006736c7569636500000000")
    let flexible = try encodeRequest(request, version: 9, correlationID: 7, clientID: "sluice")
    #expect(hex(joined(flexible)) == "0000001600030009000000070006736c75696365000101000000")
    // ApiVersionsResponse 3 keeps header version 0: no tagged fields after the correlation id.
    let versions = try encodeResponse(ApiVersionsResponse(), version: 3, correlationID: 7)
    #expect(hex(joined(versions)) == "0000000c00000007000001000000000" + "0")
  }
}

private func hex(_ bytes: Bytes) -> String {
  bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}

extension String {
  /// Kafka writes InitProducerId where Swift's guidelines want InitProducerID.
  fileprivate func replacingID() -> String {
    hasPrefix("InitProducerID") ? "InitProducerId" + dropFirst("InitProducerID".count) : self
  }
}

/// name and version → body.
private func goldenLines() throws -> [String: Bytes] {
  var lines: [String: Bytes] = [:]
  for line in try goldenText("Messages/messages.txt").split(separator: "\n") {
    let words = line.split(separator: " ", omittingEmptySubsequences: false)
    let digits = Array(words[2].utf8).map { UInt8($0 < 58 ? $0 - 48 : $0 - 87) }
    lines["\(words[0]) \(words[1])"] = Bytes(
      stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
  }
  return lines
}
