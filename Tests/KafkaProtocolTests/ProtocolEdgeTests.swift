import Groundwork
import KafkaProtocol
import Testing
import WireFormat

@Suite struct ProtocolEdgeTests {
  @Test func aLengthThatLiesIsRefusedBeforeAnythingIsAllocated() {
    // A metadata request (version 1) that claims two billion topics.
    let old = Bytes([0x7F, 0xFF, 0xFF, 0xFF] as [UInt8])
    #expect(throws: DecodeError(.impossibleLength(0x7FFF_FFFF), at: 4)) {
      try decodedBody(MetadataRequest.self, old, 1)
    }
    // The flexible form claims 2^63 elements in a varint.
    let flexible = Bytes([UInt8](repeating: 0xFF, count: 9) + [0x01])
    #expect(throws: DecodeError(.impossibleLength(.max), at: 10)) {
      try decodedBody(MetadataRequest.self, flexible, 9)
    }
    // As many elements as there are bytes left, but each takes more than one: found out on the way.
    var claims = ByteWriter()
    claims.append(bigEndian: Int32(1000))
    for _ in 0..<1000 { claims.append(0xFF) }
    let many = claims.finish()
    #expect(throws: DecodeError.self) { try decodedBody(MetadataRequest.self, many, 1) }
  }

  @Test func unknownTaggedFieldsAreSkipped() throws {
    var request = HeartbeatRequest()
    request.groupID = "g"
    let plain = try encodedBody(request, 4)
    var writer = ByteWriter()
    writer.append(plain[0..<plain.count - 1])
    writer.append(2)  // two tagged fields: 0 of 3 bytes and 70,000 of none
    writer.append(Bytes([0, 3, 1, 2, 3] as [UInt8]))
    writer.append(unsignedVarint: 70_000)
    writer.append(0)
    #expect(try decodedBody(HeartbeatRequest.self, writer.finish(), 4) == request)
  }

  @Test func aTaggedFieldOfAnotherSizeIsRefused() {
    // FetchRequest 12's tag 0 is a nullable text: here its size says one byte more than the text takes.
    var request = FetchRequest()
    request.clusterID = "c"
    var bytes = Array((try? encodedBody(request, 12)) ?? Bytes())
    #expect(bytes.suffix(5) == [1, 0, 2, 2, UInt8(ascii: "c")])
    bytes[bytes.count - 3] = 3
    bytes.append(0)
    #expect(throws: DecodeError.self) { try decodedBody(FetchRequest.self, Bytes(bytes), 12) }
  }

  @Test func recordsAreSlicesOfTheFrame() throws {
    let records = Bytes((0..<5000).map { UInt8(truncatingIfNeeded: $0) })
    var request = ProduceRequest()
    var topic = ProduceRequest.TopicProduceData()
    var partition = ProduceRequest.TopicProduceData.PartitionProduceData()
    partition.records = records
    topic.partitionData = [partition]
    request.topicData = [topic]
    let parts = try encodeRequest(request, version: 9, correlationID: 1, clientID: nil)
    // The record batches are a part of their own: the same memory, not a copy.
    #expect(parts.count == 3)
    let address = { (bytes: Bytes) in bytes.withUnsafeBytes { $0.baseAddress } }
    #expect(address(parts[1]) == address(records))
    let frame = joined(parts)
    let body = frame[4..<frame.count]
    let back = try decodeRequest(ProduceRequest.self, body, try decodeRequestHeader(body))
    let slice = try #require(back.topicData[0].partitionData[0].records)
    #expect(slice == records)
    let offset = try #require(address(slice)) - #require(address(frame))
    #expect(offset > 0 && offset < frame.count)
  }

  @Test func valuesTooLongForTheirLengthAreThrownNotTrapped() {
    var request = HeartbeatRequest()
    request.groupID = String(repeating: "g", count: 40_000)
    #expect(throws: DecodeError.self) {
      try encodeRequest(request, version: 0, correlationID: 1, clientID: nil)
    }
    #expect(throws: DecodeError.self) {
      try encodeRequest(HeartbeatRequest(), version: 0, correlationID: 1, clientID: request.groupID)
    }
    #expect(throws: DecodeError.self) { try encodeRequest(request, version: 99, correlationID: 1, clientID: nil) }
  }

  @Test func headersOfUnknownCallsAreRead() throws {
    var writer = ByteWriter()
    writer.append(bigEndian: Int16(9999))
    writer.append(bigEndian: Int16(3))
    writer.append(bigEndian: Int32(42))
    writer.append(bigEndian: Int16(-1))
    writer.append(Bytes([1, 2, 3] as [UInt8]))
    let header = try decodeRequestHeader(writer.finish())
    #expect(header == RequestHeader(rawAPIKey: 9999, version: 3, correlationID: 42, clientID: nil, bodyPosition: 10))
    #expect(header.apiKey == nil)
    #expect(throws: DecodeError.self) { try decodeRequestHeader(Bytes([0, 3, 0] as [UInt8])) }
    #expect(APIKey.initProducerID.description == "InitProducerId")
    #expect(APIKey.allCases.map { Int($0.rawValue) } == Array(0..<APIKey.allCases.count))
  }

  @Test(
    arguments: [
      (0...5, 3...9, 5), (3...9, 0...5, 5), (0...11, 0...2, 2), (0...2, 3...4, nil), (4...8, 0...3, nil),
      (2...2, 2...2, 2),
    ] as [(ClosedRange<Int16>, ClosedRange<Int16>, Int16?)])
  func negotiationTakesTheHighestThatBothHave(
    ours: ClosedRange<Int16>, theirs: ClosedRange<Int16>, expected: Int16?
  ) {
    #expect(negotiate(ours: ours, theirs: theirs) == expected)
  }

  @Test func topicIDsPrintAsKafkasToolsPrintThem() {
    // java.util.UUID 4f1c7f2e-1d8a-4a7e-9f53-0123456789ab through org.apache.kafka.common.Uuid.
    let id = UUID128(high: 0x4f1c_7f2e_1d8a_4a7e, low: 0x9f53_0123_4567_89ab)
    #expect(id.description == "Txx_Lh2KSn6fUwEjRWeJqw")
    #expect(UUID128.zero.description == "AAAAAAAAAAAAAAAAAAAAAA")
  }
}
