import Groundwork
import KafkaProtocol
import LogBroker
import LogStorage
import Simulation
import SystemInterfaces
import Testing

/// Topics: made, described, grown, deleted, found again after a restart; offsets by time.
struct TopicTests {
  private func metadata(
    _ client: TestClient, _ names: [String]?, mayCreate: Bool = true, version: Int16 = 12
  ) throws -> MetadataResponse {
    var request = MetadataRequest()
    request.allowAutoTopicCreation = mayCreate
    request.topics = names?.map {
      var topic = MetadataRequest.MetadataRequestTopic()
      topic.name = $0
      return topic
    }
    return try client.call(request, version: version)
  }

  @Test func metadataNamesThisBrokerAndMakesTopicsOnDemand() throws {
    let bench = try BrokerBench {
      $0.listenAddress = Address(host: "127.0.0.1", port: 0)
      $0.advertisedHost = "broker.example"
      $0.defaultPartitionCount = 2
    }
    let client = try bench.client(at: "127.0.0.1")
    for version in Int16(0)...12 {
      let response = try metadata(client, ["made\(version)"], version: version)
      #expect(response.brokers.map(\.host) == ["broker.example"])
      #expect(response.brokers.first?.port == Int32(bench.address.port))
      let topic = try #require(response.topics.first)
      #expect(topic.errorCode == .none, "version \(version)")
      #expect(topic.partitions.map(\.partitionIndex) == [0, 1])
      #expect(topic.partitions.allSatisfy { $0.leaderID == 1 && $0.isrNodes == [1] && $0.replicaNodes == [1] })
      if version >= 2 { #expect(response.clusterID?.count == 22) }
    }
    #expect(try metadata(client, ["no"], mayCreate: false).topics.first?.errorCode == .unknownTopicOrPartition)
    #expect(try metadata(client, ["a/b"]).topics.first?.errorCode == .invalidTopicException)
    #expect(try metadata(client, [".."]).topics.first?.errorCode == .invalidTopicException)
    #expect(try metadata(client, []).topics.isEmpty)
    #expect(try metadata(client, nil).topics.count == 13)
    #expect(try metadata(client, [], version: 0).topics.count == 13)
    var byID = MetadataRequest()
    byID.topics = [MetadataRequest.MetadataRequestTopic()]
    byID.topics![0].topicID = try #require(metadata(client, ["made3"]).topics.first?.topicID)
    #expect(try client.call(byID).topics.first?.name == "made3")
    byID.topics![0].topicID = UUID128(high: 9, low: 9)
    #expect(try client.call(byID).topics.first?.errorCode == .unknownTopicID)
  }

  @Test func topicsOnDemandCanBeOff() throws {
    let bench = try BrokerBench { $0.createsTopicsOnDemand = false }
    let client = try bench.client()
    #expect(try metadata(client, ["t"]).topics.first?.errorCode == .unknownTopicOrPartition)
  }

  @Test func creatingRefusesByName() throws {
    let bench = try BrokerBench { $0.partitionCountMax = 20 }
    let client = try bench.client()
    let made = try client.makeTopic("t", partitions: 3, configs: ["retention.ms": "1000"])
    #expect(made.errorCode == .none)
    #expect(made.numPartitions == 3)
    #expect(made.configs?.first { $0.name == "retention.ms" }?.value == "1000")
    #expect(made.configs?.first { $0.name == "retention.ms" }?.configSource == 1)
    #expect(try client.makeTopic("t").errorCode == .topicAlreadyExists)
    #expect(try client.makeTopic("bad name").errorCode == .invalidTopicException)
    #expect(try client.makeTopic(String(repeating: "n", count: 250)).errorCode == .invalidTopicException)
    #expect(try client.makeTopic("u", partitions: 0).errorCode == .invalidPartitions)
    #expect(try client.makeTopic("u", partitions: Int32.max).errorCode == .invalidPartitions)
    let compact = try client.makeTopic("u", configs: ["cleanup.policy": "compact"])
    #expect(compact.errorCode == .invalidConfig)
    #expect(compact.errorMessage?.contains("compaction is not supported") == true)
    #expect(try client.makeTopic("u", configs: ["no.such": "1"]).errorCode == .invalidConfig)
    #expect(try client.makeTopic("defaults", partitions: -1).numPartitions == 1)
    var request = CreateTopicsRequest()
    var topic = CreateTopicsRequest.CreatableTopic()
    topic.name = "v"
    topic.numPartitions = 1
    topic.replicationFactor = 3
    request.topics = [topic]
    #expect(try client.call(request).topics.first?.errorCode == .invalidReplicationFactor)
    topic.replicationFactor = -1
    request.topics = [topic]
    request.validateOnly = true
    #expect(try client.call(request).topics.first?.errorCode == KafkaErrorCode.none)
    #expect(try metadata(client, ["v"], mayCreate: false).topics.first?.errorCode == .unknownTopicOrPartition)
    request.validateOnly = false
    request.topics = [topic, topic]
    #expect(try client.call(request).topics.map(\.errorCode) == [.invalidRequest, .invalidRequest])
    var assigned = topic
    assigned.numPartitions = -1
    assigned.assignments = ([0, 1] as [Int32]).map {
      var one = CreateTopicsRequest.CreatableTopic.CreatableReplicaAssignment()
      one.partitionIndex = $0
      one.brokerIDs = [1]
      return one
    }
    request.topics = [assigned]
    #expect(try client.call(request).topics.first?.numPartitions == 2)
    assigned.name = "w"
    assigned.assignments[1].brokerIDs = [2]
    request.topics = [assigned]
    #expect(try client.call(request).topics.first?.errorCode == .invalidReplicaAssignment)
  }

  @Test func topicsAndTheirDataSurviveStopAndDeath() throws {
    let bench = try BrokerBench()
    var client = try bench.client()
    let id = try client.makeTopic("t", partitions: 2, configs: ["segment.bytes": "5000"]).topicID
    _ = try client.produce("t", partition: 1, batch("kept"))
    try bench.stop()
    #expect(BrokerHolder.read(ofFolder: "/data", in: bench.files) == nil)
    try bench.restart()
    client = try bench.client()
    let topic = try #require(metadata(client, ["t"]).topics.first)
    #expect(topic.topicID == id)
    #expect(topic.partitions.count == 2)
    #expect(try values(client.fetch("t", partition: 1, from: 0).records).map(\.value) == ["kept"])
    try bench.killAndRestart()
    client = try bench.client()
    #expect(try metadata(client, nil).topics.map(\.topicID) == [id])
    #expect(try values(client.fetch("t", partition: 1, from: 0).records).map(\.value) == ["kept"])
  }

  @Test func aTopicMadeAgainIsEmptyAndAnother() throws {
    let bench = try BrokerBench()
    var client = try bench.client()
    let first = try client.makeTopic("t").topicID
    _ = try client.produce("t", batch("old"))
    var request = DeleteTopicsRequest()
    var wanted = DeleteTopicsRequest.DeleteTopicState()
    wanted.topicID = first
    request.topics = [wanted]
    #expect(try client.call(request).responses.map(\.errorCode) == [.none])
    #expect(try client.call(request).responses.map(\.errorCode) == [.unknownTopicID])
    #expect(try client.produce("t", batch("x")).errorCode == .unknownTopicOrPartition)
    #expect(try bench.files.list("/data/topics").isEmpty)
    let second = try client.makeTopic("t").topicID
    #expect(second != first)
    #expect(try client.listOffset("t", at: -1).offset == 0)
    try bench.killAndRestart()
    client = try bench.client()
    #expect(try client.listOffset("t", at: -1).offset == 0)
  }

  @Test func partitionsCanBeAdded() throws {
    let bench = try BrokerBench()
    var client = try bench.client()
    try client.makeTopic("t", partitions: 2)
    func grow(_ name: String, _ count: Int32) throws -> KafkaErrorCode? {
      var topic = CreatePartitionsRequest.CreatePartitionsTopic()
      topic.name = name
      topic.count = count
      var request = CreatePartitionsRequest()
      request.topics = [topic]
      return try client.call(request).results.first?.errorCode
    }
    #expect(try grow("t", 2) == .invalidPartitions)
    #expect(try grow("t", 1) == .invalidPartitions)
    #expect(try grow("u", 5) == .unknownTopicOrPartition)
    #expect(try grow("t", 4) == KafkaErrorCode.none)
    #expect(try client.produce("t", partition: 3, batch("x")).errorCode == .none)
    try bench.killAndRestart()
    client = try bench.client()
    #expect(try metadata(client, ["t"]).topics.first?.partitions.count == 4)
    #expect(try client.listOffset("t", partition: 3, at: -1).offset == 1)
  }

  @Test func settingsAreDescribed() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    try client.makeTopic("t", configs: ["retention.ms": "1000"])
    var request = DescribeConfigsRequest()
    func describe(_ type: Int8, _ name: String, _ keys: [String]? = nil) throws
      -> DescribeConfigsResponse.DescribeConfigsResult
    {
      var resource = DescribeConfigsRequest.DescribeConfigsResource()
      resource.resourceType = type
      resource.resourceName = name
      resource.configurationKeys = keys
      request.resources = [resource]
      return try #require(client.call(request).results.first)
    }
    let topic = try describe(2, "t")
    #expect(topic.configs.count == LogConfiguration.settings.count)
    #expect(topic.configs.first { $0.name == "retention.ms" }?.value == "1000")
    #expect(topic.configs.first { $0.name == "retention.ms" }?.configSource == 1)
    #expect(topic.configs.first { $0.name == "segment.bytes" }?.configSource == 5)
    #expect(try describe(2, "t", ["retention.ms"]).configs.map(\.name) == ["retention.ms"])
    #expect(try describe(2, "u").errorCode == .unknownTopicOrPartition)
    #expect(try describe(4, "1").configs.contains { $0.name == "node.id" && $0.value == "1" })
    #expect(try describe(4, "2").errorCode == .invalidRequest)
    #expect(try describe(8, "x").errorCode == .invalidRequest)
  }

  @Test func offsetsAreFoundByTimeAndEnds() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    try client.makeTopic("t")
    for (time, value) in [(1000, "a"), (3000, "b"), (2000, "c"), (5000, "d")] {
      _ = try client.produce("t", batch(value, timestamp: Int64(time)))
    }
    #expect(try client.listOffset("t", at: -1).offset == 4)
    #expect(try client.listOffset("t", at: -2).offset == 0)
    let newest = try client.listOffset("t", at: -3)
    #expect(newest.offset == 3)
    #expect(newest.timestamp == 5000)
    #expect(try client.listOffset("t", at: 0).offset == 0)
    #expect(try client.listOffset("t", at: 1001).offset == 1)
    #expect(try client.listOffset("t", at: 3001).offset == 3)
    #expect(try client.listOffset("t", at: 5001).offset == -1)
    #expect(try client.listOffset("t", partition: 4, at: -1).errorCode == .unknownTopicOrPartition)
    var old = ListOffsetsRequest()
    old.topics = [ListOffsetsRequest.ListOffsetsTopic()]
    old.topics[0].name = "t"
    old.topics[0].partitions = [.init()]
    old.topics[0].partitions[0].timestamp = -1
    #expect(try client.call(old, version: 0).topics[0].partitions[0].oldStyleOffsets == [4])
  }

  @Test func retentionRunsByItself() throws {
    let bench = try BrokerBench()
    let client = try bench.client()
    try client.makeTopic("t", configs: ["retention.ms": "60000", "segment.bytes": "200"])
    let began = bench.simulation.wallTime.milliseconds
    for _ in 0..<5 { _ = try client.produce("t", batch("x", timestamp: began)) }
    try bench.simulation.run(for: .seconds(250))
    #expect(try client.listOffset("t", at: -2).offset == 0)
    try bench.simulation.run(for: .seconds(100))
    #expect(try client.listOffset("t", at: -2).offset == 5)
    #expect(try client.fetch("t", from: 0).errorCode == .offsetOutOfRange)
    #expect(bench.lines.contains("retention removed"))
  }
}
