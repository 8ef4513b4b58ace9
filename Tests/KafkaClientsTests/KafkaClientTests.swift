import Groundwork
import KafkaProtocol
import Simulation
import SystemInterfaces
import Testing

@testable import KafkaClients

@Suite struct KafkaClientTests {
  @Test func anUnreachableBrokerIsReportedWithWhatToDo() throws {
    let harness = try Harness(brokers: 0)
    let client = harness.client()
    let began = harness.simulation.now
    let result = try harness.wait { Admin(client).listTopics(then: $0) }
    #expect(
      result.error?.description
        == "cannot reach a Kafka broker at kafka:9092 after 10s: connection refused: nothing listens there; start one "
        + "with `sluice broker` or check --bootstrap-server")
    #expect((9...11).contains((harness.simulation.now - began).inSeconds))
  }

  @Test func theNextBootstrapAddressIsTried() throws {
    let harness = try Harness(brokers: 2)
    harness.cluster.makeTopic("t", leaders: [0])
    harness.simulation.network.conditions.unresolvableHosts = ["nowhere"]
    let client = harness.client(bootstrap: [Address(host: "nowhere", port: 1), FakeCluster.address(1)])
    let topics = try harness.wait { Admin(client).listTopics(then: $0) }.get()
    #expect(topics.map(\.name) == ["t"])
  }

  @Test(arguments: [true, false]) func oldAndNewBrokersAreSpokenWith(isOld: Bool) throws {
    let harness = try Harness(brokers: 2)
    if isOld {
      harness.cluster.ranges = MessageRanges.kafka21
      harness.cluster.apiVersionsMax = 2
    }
    harness.cluster.coordinator = 1
    let client = harness.client()
    let admin = Admin(client)
    _ = try harness.wait { (done: @escaping @Sendable (Result<Void, ClientError>) -> Void) in
      admin.createTopics([Admin.NewTopic("t", partitions: 3, replicationFactor: 1)], then: done)
    }.get()
    _ = try harness.wait { (done: @escaping @Sendable (Result<Void, ClientError>) -> Void) in
      admin.createPartitions("t", count: 4, then: done)
    }.get()
    let described = try harness.wait { admin.describe(["t"], then: $0) }.get()
    #expect(described.map(\.partitions.count) == [4])
    let settings = try harness.wait { admin.describeConfigs(.topic("t"), then: $0) }.get()
    #expect(settings.map(\.name) == ["cleanup.policy"] && settings[0].isDefault)
    harness.cluster.write("t", 2, ["a", "b"])
    let p2 = TopicPartition("t", 2)
    let offsets = Offsets(client)
    let ends = try harness.wait { offsets.list([p2: .latest, TopicPartition("t", 0): .earliest], then: $0) }.get()
    #expect(ends[p2]?.offset == 2 && ends[TopicPartition("t", 0)]?.offset == 0)
    _ = try harness.wait { (done: @escaping @Sendable (Result<Void, ClientError>) -> Void) in
      offsets.commit(group: "g", [p2: Offsets.Committed(2, metadata: "note")], then: done)
    }.get()
    let some = try harness.wait { offsets.committed(group: "g", [p2, TopicPartition("t", 1)], then: $0) }.get()
    #expect(some == [p2: Offsets.Committed(2, metadata: "note")])
    let all = try harness.wait { offsets.committed(group: "g", then: $0) }.get()
    #expect(all == some)
    let fetched = try harness.wait { client.fetchRange(OffsetRange(p2, from: 1, until: 2), then: $0) }.get()
    #expect(fetched.batches.flatMap(recordValues) == ["a", "b"])
    _ = try harness.wait { (done: @escaping @Sendable (Result<Void, ClientError>) -> Void) in
      admin.deleteTopics(["t"], then: done)
    }.get()
    #expect(try harness.wait { admin.listTopics(then: $0) }.get().isEmpty)
  }

  @Test func mistakesOfTheUserAreNamedAtOnceOrSoon() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    let client = harness.client()
    let began = harness.simulation.now
    let unknown = try harness.wait { Offsets(client).list([TopicPartition("none", 0): .latest], then: $0) }
    #expect(unknown.error?.code == .unknownTopic("none"))
    #expect((harness.simulation.now - began) < .seconds(4))
    let beyond = try harness.wait { Offsets(client).list([TopicPartition("t", 9): .latest], then: $0) }
    #expect(beyond.error?.description == "topic t has no partition 9")
    let exists = try harness.wait { (done: @escaping @Sendable (Result<Void, ClientError>) -> Void) in
      Admin(client).createTopics([Admin.NewTopic("t", partitions: 1, replicationFactor: 1)], then: done)
    }
    #expect(
      exists.error?.description == "topic t: a topic of this name exists already (TOPIC_ALREADY_EXISTS)")
    let gone = try harness.wait { (done: @escaping @Sendable (Result<Void, ClientError>) -> Void) in
      Admin(client).deleteTopics(["none"], then: done)
    }
    #expect(gone.error?.code == .unknownTopic("none"))
  }

  @Test func coordinatorsAndLeadersThatMovedAreFoundAgain() throws {
    let harness = try Harness(brokers: 3)
    harness.cluster.makeTopic("t", leaders: [0])
    let client = harness.client()
    let partition = TopicPartition("t", 0)
    let offsets = Offsets(client)
    for coordinator in [Int32(1), 2, 0] {
      harness.cluster.coordinator = coordinator
      harness.cluster.moveLeader("t", 0, to: coordinator)
      harness.cluster.errors[.findCoordinator] = [.coordinatorNotAvailable]
      _ = try harness.wait { (done: @escaping @Sendable (Result<Void, ClientError>) -> Void) in
        offsets.commit(group: "g", [partition: Offsets.Committed(5)], then: done)
      }.get()
      let listed = try harness.wait { offsets.list([partition: .latest], then: $0) }.get()
      #expect(listed[partition]?.offset == 0)
    }
    harness.cluster.errors[.offsetFetch] = [.coordinatorLoadInProgress, .unstableOffsetCommit]
    let committed = try harness.wait { offsets.committed(group: "g", requiresStable: true, then: $0) }.get()
    #expect(committed[partition]?.offset == 5)
  }

  @Test func aBrokerThatFallsSilentIsLeftForAnother() throws {
    let harness = try Harness(brokers: 2)
    harness.cluster.makeTopic("t", leaders: [1])
    harness.cluster.disposition = { node, header in
      node == 0 && header.apiKey == .metadata ? .ignore : .answer
    }
    let client = harness.client(bootstrap: [FakeCluster.address(0), FakeCluster.address(1)]) {
      $0.requestTimeout = .seconds(2)
    }
    let topics = try harness.wait { Admin(client).listTopics(then: $0) }.get()
    #expect(topics.count == 1)
  }

  @Test func closingFailsWhatIsUnderWay() throws {
    let harness = try Harness()
    harness.cluster.disposition = { _, header in header.apiKey == .metadata ? .ignore : .answer }
    let client = harness.client()
    harness.simulation.after(.seconds(1)) { harness.loop.post { client.close() } }
    let result = try harness.wait { Admin(client).listTopics(then: $0) }
    #expect(result.error?.code == .closed)
    let after = try harness.wait { Admin(client).listTopics(then: $0) }
    #expect(after.error?.code == .closed)
  }
}
