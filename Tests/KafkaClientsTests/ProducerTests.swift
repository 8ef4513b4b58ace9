import Codecs
import Groundwork
import KafkaProtocol
import Simulation
import SystemInterfaces
import Testing

@testable import KafkaClients

@Suite struct ProducerTests {
  private func flush(_ harness: Harness, _ producer: Producer) throws -> ClientError? {
    let box = Box<ClientError?>()
    harness.loop.post { producer.flush { box.value = .some($0) } }
    try harness.simulation.run { box.value != nil }
    return box.value!
  }

  /// A producer whose calls are made on its loop.
  private func producer(
    _ client: KafkaClient, _ deliveries: Collected<Delivery> = Collected(),
    _ adjust: (inout ProducerConfiguration) -> Void = { _ in }
  ) -> Producer {
    var configuration = ProducerConfiguration()
    adjust(&configuration)
    return Producer(client, configuration: configuration) { deliveries.values.append($0) }
  }

  @Test(arguments: CompressionCodec.allCases)
  func recordsArriveInOrderInEachCodec(codec: CompressionCodec) throws {
    let harness = try Harness(brokers: 2)
    harness.cluster.makeTopic("t", leaders: [0, 1])
    let producer = producer(harness.client()) {
      $0.codec = codec
      $0.batchSize = 500
    }
    try harness.onLoop {
      for n in 0..<200 {
        try! producer.send(topic: "t", partition: PartitionIndex(Int32(n % 2)), key: nil, value: Bytes("v\(n)"))
      }
    }
    #expect(try flush(harness, producer) == nil)
    #expect(harness.cluster.values("t", 0) == (0..<100).map { "v\($0 * 2)" })
    #expect(harness.cluster.values("t", 1) == (0..<100).map { "v\($0 * 2 + 1)" })
    let stored = try RecordBatchHeader.parse(
      Array(harness.cluster.partition("t", 0)!.batches[0].bytes).withBytes { $0 })
    #expect(try stored.codec == codec)
    #expect(stored.producerID == 1000)
    #expect(producer.bufferedBytes == 0)
  }

  @Test func keysGoWhereKafkasClientsPutThem() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0, 0, 0])
    let producer = producer(harness.client())
    try harness.onLoop {
      // Before the topic's partitions are known, and after.
      try! producer.send(topic: "t", key: "abc", value: "first")
    }
    #expect(try flush(harness, producer) == nil)
    try harness.onLoop { try! producer.send(topic: "t", key: "abc", value: "second") }
    #expect(try flush(harness, producer) == nil)
    #expect(harness.cluster.values("t", 479_470_107 % 3) == ["first", "second"])
  }

  @Test func lingerCollectsAndALargerBatchGoesAtOnce() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    let deliveries = Collected<Delivery>()
    let producer = producer(harness.client(), deliveries) {
      $0.linger = .milliseconds(500)
      $0.batchSize = 2_000
    }
    try harness.onLoop {
      for n in 0..<3 { try! producer.send(topic: "t", partition: 0, key: nil, value: Bytes("v\(n)")) }
    }
    try harness.simulation.run(for: .milliseconds(400))
    #expect(deliveries.values.isEmpty)
    try harness.simulation.run(for: .milliseconds(300))
    #expect(deliveries.values.map(\.recordCount) == [3])
    #expect(deliveries.values.map(\.baseOffset) == [0])
    try harness.onLoop {
      try! producer.send(topic: "t", partition: 0, key: nil, value: Bytes(String(repeating: "x", count: 3_000)))
    }
    try harness.simulation.run(for: .milliseconds(50))
    #expect(deliveries.values.count == 2)
  }

  @Test func recordsCollectWhileABatchWaitsForItsTurn() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    let deliveries = Collected<Delivery>()
    let producer = producer(harness.client(), deliveries)
    try harness.onLoop { try! producer.send(topic: "t", partition: 0, key: nil, value: "first") }
    #expect(try flush(harness, producer) == nil)
    harness.cluster.errors[.produce] = [.notEnoughReplicas]
    for n in 0..<100 {
      try harness.onLoop { try! producer.send(topic: "t", partition: 0, key: nil, value: Bytes("v\(n)")) }
    }
    #expect(try flush(harness, producer) == nil)
    #expect(harness.cluster.values("t", 0) == ["first"] + (0..<100).map { "v\($0)" })
    #expect(deliveries.values.count < 10)
  }

  @Test func encodedBatchesAreStampedAndCompleteOneByOne() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    let producer = producer(harness.client())
    let deliveries = Collected<Delivery>()
    let batches = [EncodedBatch(recordBatch(["a", "b"])), EncodedBatch(recordBatch(["c"]))]
    try harness.onLoop {
      try! producer.sendBatches(TopicPartition("t", 0), batches) { deliveries.values.append($0) }
      #expect(throws: ClientError.self) {
        try producer.sendBatches(TopicPartition("t", 0), [EncodedBatch("not a batch")]) { _ in }
      }
    }
    #expect(try flush(harness, producer) == nil)
    #expect(deliveries.values.map(\.baseOffset) == [0, 2])
    #expect(harness.cluster.values("t", 0) == ["a", "b", "c"])
  }

  @Test func withoutAcknowledgementRecordsStillGoOut() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    let producer = producer(harness.client()) { $0.acks = .none }
    try harness.onLoop {
      for n in 0..<10 { try! producer.send(topic: "t", partition: 0, key: nil, value: Bytes("v\(n)")) }
    }
    #expect(try flush(harness, producer) == nil)
    try harness.simulation.run(for: .seconds(1))
    #expect(harness.cluster.values("t", 0) == (0..<10).map { "v\($0)" })
  }

  @Test func theBufferIsBoundedAndSaysWhenItHasRoom() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    let producer = producer(harness.client()) { $0.bufferMemory = 10_000 }
    let woken = Collected<Bool>()
    try harness.onLoop {
      var accepted = 0
      do {
        while accepted < 100 {
          try producer.send(topic: "t", partition: 0, key: nil, value: Bytes(String(repeating: "x", count: 1_000)))
          accepted += 1
        }
      } catch {
        #expect(error as? ClientError == ClientError(.bufferFull(limit: 10_000)))
      }
      #expect((8...10).contains(accepted))
      #expect(!producer.canAccept(5_000))
      producer.whenAccepting { woken.values.append(producer.canAccept(5_000)) }
    }
    try harness.simulation.run(for: .seconds(1))
    #expect(woken.values == [true])
    try harness.onLoop {
      #expect(throws: ClientError(.recordTooLarge(2_000_036, limit: 1 << 20))) {
        try producer.send(topic: "t", key: nil, value: Bytes(String(repeating: "x", count: 2_000_000)))
      }
    }
  }

  @Test func errorsOfTheBrokerReachTheRecordsTheyConcern() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    let deliveries = Collected<Delivery>()
    let producer = producer(harness.client(), deliveries) { $0.batchSize = 100 }
    harness.cluster.errors[.produce] = [.none, .invalidRecord, .none, .none]
    try harness.onLoop {
      for n in 0..<4 {
        try! producer.send(topic: "t", partition: 0, key: nil, value: Bytes("\(n)" + String(repeating: "x", count: 90)))
      }
    }
    let error = try flush(harness, producer)
    #expect(error?.kafkaCode == .invalidRecord)
    // The second is refused; those behind it arrive all the same, in order.
    #expect(harness.cluster.values("t", 0).map { $0.prefix(1) } == ["0", "2", "3"])
    #expect(deliveries.values.filter { $0.error != nil }.count == 1)
    try harness.onLoop { try! producer.send(topic: "none", key: nil, value: "v") }
    #expect(try flush(harness, producer)?.code == .unknownTopic("none"))
    try harness.onLoop { try! producer.send(topic: "t", partition: 8, key: nil, value: "v") }
    #expect(try flush(harness, producer)?.code == .unknownPartition(TopicPartition("t", 8)))
  }

  @Test func aLossOnTheBrokersSideEndsTheProducerClearly() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    let producer = producer(harness.client())
    try harness.onLoop { try! producer.send(topic: "t", partition: 0, key: nil, value: "a") }
    #expect(try flush(harness, producer) == nil)
    // The log loses its end, and the broker with it the producer's last sequence.
    harness.cluster.partition("t", 0)!.producers = [:]
    try harness.onLoop { try! producer.send(topic: "t", partition: 0, key: nil, value: "b") }
    let error = try flush(harness, producer)
    #expect(error?.code == .sequenceLost(TopicPartition("t", 0), .outOfOrderSequenceNumber))
    #expect(error?.leavesUsable == false)
    try harness.onLoop {
      #expect(throws: ClientError.self) { try producer.send(topic: "t", partition: 0, key: nil, value: "c") }
    }
  }

  @Test func anUnreachableClusterFailsTheRecordsInTime() throws {
    let harness = try Harness(brokers: 0)
    let producer = producer(harness.client())
    try harness.onLoop { try! producer.send(topic: "t", key: nil, value: "v") }
    let began = harness.simulation.now
    let error = try flush(harness, producer)
    #expect(
      error?.description.hasPrefix("cannot reach a Kafka broker at kafka:9092 after 10s") == true,
      "\(String(describing: error))")
    #expect(harness.simulation.now - began < .seconds(12))
    #expect(producer.bufferedBytes == 0)
  }

  @Test func deliveryHasADeadline() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    let producer = producer(harness.client()) { $0.deliveryTimeout = .seconds(5) }
    harness.cluster.errors[.produce] = Array(repeating: .notEnoughReplicas, count: 1000)
    try harness.onLoop { try! producer.send(topic: "t", partition: 0, key: nil, value: "a") }
    let error = try flush(harness, producer)
    #expect(
      error?.description
        == "records for t-0 were not delivered within 5s: writing to t-0: fewer replicas are in sync than "
        + "min.insync.replicas asks for (NOT_ENOUGH_REPLICAS)")
  }

  @Test func afterABatchWhoseFateIsUnknownTheEpochIsRaised() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0, 0])
    let client = harness.client { $0.requestTimeout = .seconds(2) }
    let producer = producer(client) { $0.deliveryTimeout = .seconds(5) }
    for partition in [PartitionIndex(0), 1] {
      try harness.onLoop { try! producer.send(topic: "t", partition: partition, key: nil, value: "a") }
    }
    #expect(try flush(harness, producer) == nil)
    harness.cluster.disposition = { _, header in header.apiKey == .produce ? .ignore : .answer }
    try harness.onLoop { try! producer.send(topic: "t", partition: 0, key: nil, value: "b") }
    guard case .deliveryTimedOut = try flush(harness, producer)?.code else {
      Issue.record("delivered")
      return
    }
    harness.cluster.disposition = { _, _ in .answer }
    for partition in [PartitionIndex(0), 1] {
      try harness.onLoop { try! producer.send(topic: "t", partition: partition, key: nil, value: "c") }
    }
    #expect(try flush(harness, producer) == nil)
    #expect(harness.cluster.values("t", 0) == ["a", "c"])
    #expect(harness.cluster.values("t", 1) == ["a", "c"])
    #expect(producer.producerIdentity == ProducerIdentity(id: 1000, epoch: 1))
  }

  @Test(arguments: [CompressionCodec.none, .lz4]) func aBatchTooLargeForTheTopicIsSplit(codec: CompressionCodec) throws
  {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    harness.cluster.batchSizeMax = 400
    let deliveries = Collected<Delivery>()
    let producer = producer(harness.client(), deliveries) {
      $0.batchSize = 4_000
      $0.codec = codec
    }
    var random = SeededRandom(seed: 3)
    let values = (0..<200).map { "\($0)-\(random.next())" }
    try harness.onLoop {
      for value in values { try! producer.send(topic: "t", partition: 0, key: nil, value: Bytes(value)) }
    }
    #expect(try flush(harness, producer) == nil)
    #expect(harness.cluster.values("t", 0) == values)
    #expect(deliveries.values.reduce(0) { $0 + Int($1.recordCount) } == 200)
    #expect(deliveries.values.allSatisfy { $0.error == nil })
    #expect(producer.bufferedBytes == 0)
  }

  @Test func aBrokerThatThrottlesIsLeftAlone() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    let producer = producer(harness.client())
    harness.cluster.throttles = [400]
    try harness.onLoop { try! producer.send(topic: "t", partition: 0, key: nil, value: "a") }
    #expect(try flush(harness, producer) == nil)
    let requests = harness.cluster.log.count
    try harness.onLoop { try! producer.send(topic: "t", partition: 0, key: nil, value: "b") }
    try harness.simulation.run(for: .milliseconds(350))
    #expect(harness.cluster.log.count == requests)
    try harness.simulation.run(for: .milliseconds(100))
    #expect(harness.cluster.values("t", 0) == ["a", "b"])
  }

  /// Goal: what is confirmed is in the log once, in the order of sending, whatever the network and the leaders do.
  /// Strategy: cuts, late and doubled frames, lost answers, leaders that move, brokers killed and restarted.
  @Test(arguments: 1...60) func nothingIsDoubledLostOrReordered(seed: UInt64) throws {
    let harness = try Harness(seed: seed, brokers: 3, conditions: .hostile(0.02))
    harness.cluster.makeTopic("t", leaders: [0, 1, 2, 0])
    var random = SeededRandom(seed: seed)
    let dice = Collected<UInt64>()
    dice.values = (0..<4000).map { _ in random.next() }
    harness.cluster.disposition = { _, header in
      guard header.apiKey == .produce, let roll = dice.values.popLast() else { return .answer }
      return roll % 20 == 0 ? .doThenClose : roll % 20 == 1 ? .closeConnection : .answer
    }
    let deliveries = Collected<Delivery>()
    let client = harness.client(bootstrap: (0..<3).map { FakeCluster.address($0) }) { $0.requestTimeout = .seconds(5) }
    let producer = producer(client, deliveries) { $0.batchSize = 200 }
    for round in 0..<20 {
      harness.simulation.after(.milliseconds(Int64(round) * 150)) {
        harness.loop.post {
          for n in 0..<20 {
            let value = Bytes("\(round * 20 + n)")
            try! producer.send(topic: "t", partition: PartitionIndex(Int32(n % 4)), key: nil, value: value)
          }
        }
      }
    }
    for move in 0..<4 {
      harness.simulation.after(.milliseconds(Int64(random.next() % 3000))) {
        harness.cluster.moveLeader("t", move, to: Int32(move + 1) % 3)
      }
    }
    harness.simulation.after(.milliseconds(800)) { harness.cluster.brokers[1]!.kill() }
    harness.simulation.after(.milliseconds(1900)) { try! harness.cluster.brokers[1]!.restart() }
    try harness.simulation.run(for: .seconds(4))
    let error = try flush(harness, producer)
    #expect(error == nil, "\(harness.simulation.report())")
    for partition in Int32(0)..<4 {
      let expected = (0..<100).map { "\($0 / 5 * 20 + $0 % 5 * 4 + Int(partition))" }
      #expect(harness.cluster.values("t", partition) == expected, "seed \(seed) partition \(partition)")
    }
    #expect(deliveries.values.reduce(0) { $0 + Int($1.recordCount) } == 400)
  }
}

extension [UInt8] {
  fileprivate func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { withUnsafeBytes { body($0) } }
}
