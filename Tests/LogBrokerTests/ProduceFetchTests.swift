import Groundwork
import KafkaProtocol
import LogBroker
import LogStorage
import Simulation
import SystemInterfaces
import Testing

/// What is produced is fetched, in every version, by long polls too, and nothing acknowledged is lost.
struct ProduceFetchTests {
  @Test func everyVersionCarriesRecordsThereAndBack() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    let id = try client.makeTopic("t").topicID
    var end: Int64 = 0
    for version in Int16(3)...11 {
      let answer = try client.produce("t", try batch("v\(version)", "w"), version: version)
      #expect(answer.errorCode == .none)
      #expect(answer.baseOffset == end)
      if version >= 5 { #expect(answer.logStartOffset == 0) }
      end += 2
    }
    for version in Int16(4)...13 {
      var request = client.fetchRequest("t", from: 4)
      request.topics[0].topicID = id
      let response = try client.call(request, version: version)
      let data = try #require(response.responses.first?.partitions.first)
      #expect(data.errorCode == .none, "version \(version)")
      #expect(data.highWatermark == end, "version \(version)")
      #expect(data.lastStableOffset == end, "version \(version)")
      let found = try values(data.records)
      #expect(found.map(\.offset) == Array(4..<18), "version \(version)")
      #expect(found.first?.value == "v5", "version \(version)")
      #expect(response.sessionID == 0)
      if version >= 13 { #expect(response.responses[0].topicID == id) }
    }
  }

  @Test func oldRecordFormatsAreRefusedByName() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    try client.makeTopic("t")
    var old = Array(try batch("x"))
    old[16] = 1
    #expect(try client.produce("t", Bytes(old), version: 2).errorCode == .unsupportedForMessageFormat)
    #expect(try client.fetch("t", from: 0, version: 3).errorCode == .unsupportedForMessageFormat)
  }

  @Test func eachPartitionSucceedsOrFailsByItself() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    try client.makeTopic("t", partitions: 3, configs: ["max.message.bytes": "300"])
    var request = client.produceRequest("t", try batch("fine"))
    func add(_ partition: Int32, _ records: Bytes?) {
      var data = ProduceRequest.TopicProduceData.PartitionProduceData()
      data.index = partition
      data.records = records
      request.topicData[0].partitionData.append(data)
    }
    var corrupt = Array(try batch("corrupt"))
    corrupt[corrupt.count - 1] ^= 1
    add(1, Bytes(corrupt))
    add(2, try batch(String(repeating: "x", count: 400)))
    add(7, try batch("nowhere"))
    add(2, nil)
    var other = ProduceRequest.TopicProduceData()
    other.name = "unknown"
    other.partitionData = request.topicData[0].partitionData
    request.topicData.append(other)
    let response = try client.call(request)
    #expect(
      response.responses[0].partitionResponses.map(\.errorCode)
        == [.none, .corruptMessage, .messageTooLarge, .unknownTopicOrPartition, .corruptMessage])
    #expect(response.responses[0].partitionResponses[2].errorMessage?.contains("max.message.bytes = 300") == true)
    #expect(Set(response.responses[1].partitionResponses.map(\.errorCode)) == [.unknownTopicOrPartition])
    request.acks = 2
    #expect(try client.call(request).responses[0].partitionResponses[0].errorCode == .invalidRequiredAcks)
    #expect(try client.listOffset("t", at: -1).offset == 1)
  }

  @Test func acksZeroGetsNoAnswerAndAnErrorCloses() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    try client.makeTopic("t")
    let first = try client.send(client.produceRequest("t", try batch("quiet"), acks: 0))
    #expect(try values(client.fetch("t", from: 0).records).map(\.value) == ["quiet"])
    #expect(!client.has(first))
    try client.send(client.produceRequest("unknown", try batch("lost"), acks: 0))
    #expect(try client.waitForClose() == .closedByPeer)
    #expect(bench.lines.contains("acks=0"))
  }

  @Test func idempotentProducersAreCheckedAcrossADeath() throws {
    let bench = try BrokerBench()
    var client = try bench.client()
    try client.makeTopic("t")
    let id = try client.call(InitProducerIDRequest()).producerID
    #expect(try client.call(InitProducerIDRequest()).producerID == id + 1)
    #expect(try client.produce("t", try batch("a", producerID: id, sequence: 0)).baseOffset == 0)
    #expect(try client.produce("t", try batch("b", producerID: id, sequence: 1)).baseOffset == 1)
    try bench.killAndRestart()
    client = try bench.client()
    let again = try client.produce("t", try batch("b", producerID: id, sequence: 1))
    #expect(again.errorCode == .none)
    #expect(again.baseOffset == 1)
    #expect(
      try client.produce("t", try batch("d", producerID: id, sequence: 3)).errorCode == .outOfOrderSequenceNumber)
    #expect(try client.produce("t", try batch("c", producerID: id, sequence: 2)).baseOffset == 2)
    // No id is given twice, whatever the death.
    #expect(try client.call(InitProducerIDRequest()).producerID > id + 1)
  }

  @Test func aLongPollWakesOnProduce() throws {
    let bench = try BrokerBench()
    let reader = try bench.client()
    let writer = try bench.client()
    try writer.makeTopic("t")
    let began = bench.simulation.now
    let waiting = try reader.send(reader.fetchRequest("t", from: 0, maxWait: 30_000), version: 12)
    try bench.simulation.run(for: .seconds(5))
    #expect(!reader.has(waiting))
    _ = try writer.produce("t", try batch("news"))
    try bench.simulation.run(within: .milliseconds(50)) { reader.has(waiting) }
    #expect(bench.simulation.now - began < .seconds(6))
    let response = try reader.response(FetchResponse.self, waiting, version: 12)
    #expect(try values(response.responses[0].partitions[0].records).map(\.value) == ["news"])
  }

  @Test func aLongPollEndsWithItsTimeAndWaitsForItsBytes() throws {
    let bench = try BrokerBench()
    let reader = try bench.client()
    let writer = try bench.client()
    try writer.makeTopic("t")
    let one = try batch("some")
    _ = try writer.produce("t", one)
    let began = bench.simulation.now
    let enough = Int32(one.count * 3)
    let waiting = try reader.send(reader.fetchRequest("t", from: 0, minBytes: enough, maxWait: 2000), version: 12)
    try bench.simulation.run(for: .seconds(1))
    _ = try writer.produce("t", one)
    try bench.simulation.run(within: .seconds(10)) { reader.has(waiting) }
    // Two of three batches were there when the time was over.
    #expect(bench.simulation.now - began >= .seconds(2))
    #expect(bench.simulation.now - began < .milliseconds(2100))
    let late = try reader.response(FetchResponse.self, waiting, version: 12)
    #expect(try values(late.responses[0].partitions[0].records).count == 2)
    let next = try reader.send(reader.fetchRequest("t", from: 0, minBytes: enough, maxWait: 60_000), version: 12)
    try bench.simulation.run(for: .seconds(1))
    #expect(!reader.has(next))
    _ = try writer.produce("t", one)
    try bench.simulation.run(within: .milliseconds(50)) { reader.has(next) }
  }

  @Test func answersKeepTheOrderOfRequests() throws {
    let bench = try BrokerBench()
    let reader = try bench.client()
    let writer = try bench.client()
    try writer.makeTopic("t")
    let first = try reader.send(reader.fetchRequest("t", from: 0, maxWait: 10_000), version: 12)
    let second = try reader.send(ApiVersionsRequest(), version: 3)
    try bench.simulation.run(for: .seconds(1))
    #expect(!reader.has(second))
    _ = try writer.produce("t", try batch("x"))
    try bench.simulation.run(within: .seconds(1)) { reader.has(second) }
    #expect(try reader.frames.map { try decodeCorrelationID($0) } == [first, second])
  }

  @Test func fetchHonoursItsLimitsAndMakesProgress() throws {
    let bench = try BrokerBench { $0.hotTailBytes = 0 }
    let client = try bench.client()
    try client.makeTopic("t", partitions: 2)
    let one = try batch(String(repeating: "x", count: 1000))
    for _ in 0..<10 {
      _ = try client.produce("t", one)
      _ = try client.produce("t", partition: 1, one)
    }
    #expect(try values(client.fetch("t", from: 0, partitionBytes: 1).records).count == 1)
    #expect(try values(client.fetch("t", from: 0, partitionBytes: Int32(one.count * 3 + 1)).records).count == 3)
    var request = client.fetchRequest("t", from: 0)
    var second = request.topics[0].partitions[0]
    second.partition = 1
    request.topics[0].partitions.append(second)
    request.maxBytes = Int32(one.count * 12)
    let response = try client.call(request, version: 12)
    #expect(try response.responses[0].partitions.map { try values($0.records).count } == [10, 2])
    request.maxBytes = 1
    let small = try client.call(request, version: 12)
    #expect(try small.responses[0].partitions.map { try values($0.records).count } == [1, 0])
  }

  @Test func outOfRangeAndUnknownAreAnsweredAtOnce() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    try client.makeTopic("t")
    _ = try client.produce("t", try batch("x"))
    func error(_ request: FetchRequest, version: Int16 = 12) throws -> KafkaErrorCode? {
      let began = bench.simulation.now
      let response = try client.call(request, version: version)
      #expect(bench.simulation.now - began < .seconds(1))
      return response.responses.first?.partitions.first?.errorCode
    }
    #expect(try error(client.fetchRequest("t", from: 2, maxWait: 30_000)) == .offsetOutOfRange)
    #expect(try error(client.fetchRequest("t", from: -5, maxWait: 30_000)) == .offsetOutOfRange)
    #expect(try error(client.fetchRequest("t", partition: 9, from: 0, maxWait: 30_000)) == .unknownTopicOrPartition)
    #expect(try error(client.fetchRequest("u", from: 0, maxWait: 30_000)) == .unknownTopicOrPartition)
    #expect(try error(client.fetchRequest("t", from: 0, maxWait: 30_000), version: 13) == .unknownTopicID)
    var ahead = client.fetchRequest("t", from: 0)
    ahead.topics[0].partitions[0].currentLeaderEpoch = 4
    #expect(try error(ahead) == .unknownLeaderEpoch)
    var session = client.fetchRequest("t", from: 0)
    session.sessionID = 77
    session.sessionEpoch = 3
    #expect(try client.call(session).errorCode == .fetchSessionIDNotFound)
  }

  @Test func whoWaitsForADeletedTopicIsTold() throws {
    let bench = try BrokerBench()
    let reader = try bench.client()
    let other = try bench.client()
    try other.makeTopic("t")
    let waiting = try reader.send(reader.fetchRequest("t", from: 0, maxWait: 60_000), version: 12)
    try bench.simulation.run(for: .seconds(1))
    var request = DeleteTopicsRequest()
    request.topicNames = ["t"]
    #expect(try other.call(request, version: 5).responses[0].errorCode == .none)
    try bench.simulation.run(within: .seconds(1)) { reader.has(waiting) }
    let response = try reader.response(FetchResponse.self, waiting, version: 12)
    #expect(response.responses[0].partitions[0].errorCode == .unknownTopicOrPartition)
  }

  /// Acknowledged records are there after a death (or, under `sync`, a power loss), once, in order.
  @Test(arguments: 0..<30) func acknowledgedRecordsSurvive(seed: UInt64) throws {
    let flushPolicy: FlushPolicy = seed % 2 == 0 ? .os : .sync
    let bench = try BrokerBench(seed: seed) {
      $0.flushPolicy = flushPolicy
      $0.hotTailBytes = seed % 3 == 0 ? 0 : 2000
    }
    var random = SeededRandom(seed: seed)
    var client = try bench.client()
    try client.makeTopic("t", configs: ["segment.bytes": "1500"])
    let id = try client.call(InitProducerIDRequest()).producerID
    var acknowledged: [String] = []
    var sequence: Int32 = 0
    for round in 0..<40 {
      let value = "\(seed)-\(round)-" + String(repeating: "y", count: Int.random(in: 0..<200, using: &random))
      let records = try batch(value, producerID: id, sequence: sequence)
      let correlation = try client.send(client.produceRequest("t", records), version: 9)
      if Int.random(in: 0..<4, using: &random) == 0 {
        // It dies while the request is under way; the client asks again until it is answered.
        try bench.simulation.run(for: .microseconds(Int64.random(in: 0..<600, using: &random)))
        if flushPolicy == .sync { try bench.losePowerAndRestart() } else { try bench.killAndRestart() }
        client = try bench.client()
        let answer = try client.produce("t", records, version: 9)
        #expect(answer.errorCode == .none, "seed \(seed) round \(round)")
        #expect(answer.baseOffset == Int64(round), "seed \(seed) round \(round)")
      } else {
        try bench.simulation.run(within: .seconds(5)) { client.has(correlation) }
      }
      sequence += 1
      acknowledged.append(value)
    }
    var found: [String] = []
    while found.count < acknowledged.count {
      let part = try values(client.fetch("t", from: Int64(found.count)).records)
      if part.isEmpty { break }
      #expect(part.first?.offset == Int64(found.count), "seed \(seed)")
      found += part.map(\.value)
    }
    #expect(found == acknowledged, "seed \(seed)")
  }
}
