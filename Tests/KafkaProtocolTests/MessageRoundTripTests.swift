import Groundwork
import KafkaProtocol
import Testing
import WireFormat

/// What must hold for every message in every version, whatever its fields.
@Suite struct MessageRoundTripTests {
  @Test func randomValuesComeBack() throws {
    var failures: [String] = []
    func check<Message: KafkaMessage>(_ type: Message.Type) throws {
      for version in Message.versions {
        for seed in UInt64(0)..<20 {
          let message = try RandomFiller.fill(Message.self, version, seed: seed)
          let bytes = try encodedBody(message, version)
          if try decodedBody(Message.self, bytes, version) != message {
            failures.append("\(Message.self) \(version) seed \(seed)")
          }
        }
      }
    }
    for type in MessageCatalogue.all { try check(type) }
    #expect(failures.isEmpty, "\(failures.prefix(5))")
  }

  @Test func everyPrefixThrows() throws {
    var failures: [String] = []
    func check<Message: KafkaMessage>(_ type: Message.Type) throws {
      for version in Message.versions {
        let bytes = try encodedBody(try RandomFiller.fill(Message.self, version, seed: 3), version)
        for count in 0..<bytes.count {
          // A copy of its own: what lies beyond the cut is not the rest of the message.
          if (try? decodedBody(Message.self, bytes[0..<count].copied, version)) != nil {
            failures.append("\(Message.self) \(version) cut at \(count) of \(bytes.count)")
          }
        }
      }
    }
    for type in MessageCatalogue.all { try check(type) }
    #expect(failures.isEmpty, "\(failures.prefix(5))")
  }

  /// A flipped bit may give another valid message, never a crash; what decodes must encode again.
  @Test func flippedBitsNeverCrash() throws {
    var failures: [String] = []
    var thrown = 0
    func check<Message: KafkaMessage>(_ type: Message.Type) throws {
      for version in Message.versions {
        let bytes = try encodedBody(try RandomFiller.fill(Message.self, version, seed: 11), version)
        var random = SeededRandom(seed: UInt64(version) + 1)
        for _ in 0..<min(300, bytes.count * 8) {
          var flipped = Array(bytes)
          let bit = Int.random(in: 0..<flipped.count * 8, using: &random)
          flipped[bit / 8] ^= 1 << UInt8(bit % 8)
          guard let message = try? decodedBody(Message.self, Bytes(flipped), version) else {
            thrown += 1
            continue
          }
          if (try? encodedBody(message, version)) == nil { failures.append("\(Message.self) \(version) bit \(bit)") }
        }
      }
    }
    for type in MessageCatalogue.all { try check(type) }
    #expect(failures.isEmpty, "\(failures.prefix(5))")
    #expect(thrown > 1000)
  }

  @Test func framesWithHeadersComeBack() throws {
    var failures: [String] = []
    func check<Request: KafkaRequest>(_ type: Request.Type) throws {
      for version in Request.versions {
        let request = try RandomFiller.fill(Request.self, version, seed: 5)
        let frame = joined(try encodeRequest(request, version: version, correlationID: 77, clientID: "me"))
        let length = frame[0..<4].reduce(0) { $0 << 8 | Int($1) }
        let body = frame[4..<frame.count]
        let header = try decodeRequestHeader(body)
        let back = try decodeRequest(Request.self, body, header)
        if back != request || length != body.count || header.correlationID != 77 || header.clientID != "me"
          || header.apiKey != Request.apiKey || header.version != version
        {
          failures.append("\(Request.self) \(version)")
        }
        let response = try RandomFiller.fill(Request.Response.self, version, seed: 6)
        let answer = joined(try encodeResponse(response, version: version, correlationID: 77))
        let answerBody = answer[4..<answer.count]
        if try decodeCorrelationID(answerBody) != 77
          || decodeResponse(Request.Response.self, answerBody, version: version) != response
        {
          failures.append("\(Request.Response.self) \(version)")
        }
      }
    }
    for type in MessageCatalogue.requests { try check(type) }
    #expect(failures.isEmpty, "\(failures)")
  }

  @Test func requestsAndResponsesAgree() {
    func check<Request: KafkaRequest>(_ type: Request.Type) {
      #expect(Request.apiKey == Request.Response.apiKey)
      #expect(Request.versions == Request.Response.versions)
      #expect(Request.firstFlexibleVersion == Request.Response.firstFlexibleVersion)
      #expect(Request.apiKey.firstFlexibleRequestVersion == Request.firstFlexibleVersion)
    }
    for type in MessageCatalogue.requests { check(type) }
    #expect(Set(MessageCatalogue.requests.map { $0.apiKey }).count == MessageCatalogue.requests.count)
  }
}
