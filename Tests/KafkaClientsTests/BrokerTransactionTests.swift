import Groundwork
import KafkaProtocol
import Simulation
import SystemInterfaces
import Testing

@testable import KafkaClients

/// The transactional producer and the real broker on one thread in virtual time.
@Suite struct BrokerTransactionTests {
  private static let outputs = (0..<3).map { TopicPartition("out", PartitionIndex(Int32($0))) }

  private func driver(_ world: BrokerWorld, _ name: String, total: Int) -> TransactionDriver {
    let client = world.client { $0.requestTimeout = .seconds(5) }
    return TransactionDriver(client, name: name, partitions: Self.outputs, total: total)
  }

  private func differences(_ world: BrokerWorld, batches: Int) throws -> [String] {
    var wrong: [String] = []
    for partition in Self.outputs {
      let values = try world.committedValues(partition)
      if values != TransactionDriver.model(partition, batches: batches) { wrong.append("\(partition): \(values)") }
    }
    let offset = try world.committedOffset(TransactionDriver.group, TransactionDriver.input)
    if offset != Int64(batches) { wrong.append("offset \(String(describing: offset))") }
    return wrong
  }

  @Test(arguments: [Int16(1), 2]) func batchesAreCommittedWithTheirOffsets(version: Int16) throws {
    let world = try BrokerWorld(seed: 1, transactionVersion: version)
    try world.createTopic("in", partitions: 1)
    try world.createTopic("out", partitions: 3)
    let driver = driver(world, "driver", total: 20)
    driver.abortsFirst = { $0 % 3 == 1 }
    driver.start()
    try world.simulation.run(within: .seconds(100)) { driver.hasStopped }
    #expect(driver.ended == nil && driver.aborts == 7)
    #expect(try differences(world, batches: 20) == [])
    let id = "job-1"
    let listed: [Admin.TransactionListing] = try world.answer { client, then in
      Admin(client).listTransactions(then: then)
    }
    #expect(listed.map(\.transactionalID) == [id] && listed.map(\.state) == ["CompleteCommit"])
    let described: Admin.TransactionDescription = try world.answer { client, then in
      Admin(client).describeTransaction(id, then: then)
    }
    #expect(described.producer == driver.producer.producerIdentity && described.startedAt == nil)
    let producers: [Admin.ProducerDescription] = try world.answer { client, then in
      Admin(client).describeProducers(Self.outputs[0], then: then)
    }
    #expect(producers.map(\.producer.id) == [described.producer.id] && producers[0].transactionStart == nil)
  }

  @Test(arguments: [Int16(1), 2]) func whoWasTakenOverWritesNothingThatCounts(version: Int16) throws {
    var wrong: [String] = []
    for place in TransactionDriver.Place.allCases {
      let world = try BrokerWorld(seed: 1, transactionVersion: version)
      try world.createTopic("in", partitions: 1)
      try world.createTopic("out", partitions: 3)
      let early = driver(world, "early", total: 4)
      early.pauses = { at, batch in at == place && (batch == 1 || place.rawValue < 2) }
      early.start()
      try world.simulation.run(within: .seconds(100)) { early.isPaused }
      let late = driver(world, "late", total: 4)
      late.start()
      try world.simulation.run(within: .seconds(100)) { late.hasStopped }
      early.resume()
      try world.simulation.run(within: .seconds(100)) { early.hasStopped }
      wrong += try differences(world, batches: 4).map { "\(place): \($0)" }
      // Before it begins, all that it finds is that everything is done.
      if place.rawValue >= TransactionDriver.Place.begin.rawValue {
        guard case .producerFenced = early.ended?.code else {
          wrong.append("\(place): \(String(describing: early.ended))")
          continue
        }
      }
    }
    #expect(wrong == [])
  }

  @Test func anOperatorFencesAProducerAndItsTransactionIsAborted() throws {
    let world = try BrokerWorld(seed: 1, transactionVersion: 2)
    try world.createTopic("in", partitions: 1)
    try world.createTopic("out", partitions: 3)
    let early = driver(world, "early", total: 4)
    early.pauses = { place, batch in place == .commit && batch == 1 }
    early.start()
    try world.simulation.run(within: .seconds(100)) { early.isPaused }
    try world.simulation.run(for: .seconds(1))
    let before = early.producer.producerIdentity!
    let described: Admin.TransactionDescription = try world.answer { client, then in
      Admin(client).describeTransaction("job-1", then: then)
    }
    #expect(described.state == "Ongoing" && described.startedAt != nil)
    let after: ProducerIdentity = try world.answer { client, then in
      Admin(client).fenceProducer("job-1", then: then)
    }
    #expect(after.id == before.id && after.epoch > before.epoch)
    early.resume()
    try world.simulation.run(within: .seconds(100)) { early.hasStopped }
    guard case .producerFenced = early.ended?.code else {
      Issue.record("\(String(describing: early.ended))")
      return
    }
    #expect(try differences(world, batches: 1) == [])
  }

  /// Goal: each batch's records and its input offset are committed once, in order.
  /// Strategy: two drivers with one transactional id, the second begun while the first may be paused anywhere, on a network
  /// that cuts connections (with KIP-890 it also delays and doubles requests), while the broker is killed and started
  /// again on its disk; whoever is shut out gives way to a new one.
  @Test(arguments: 1...40) func everyBatchCountsOnce(seed: UInt64) throws {
    let version: Int16 = seed % 2 == 0 ? 2 : 1
    let world = try BrokerWorld(seed: seed, transactionVersion: version)
    try world.createTopic("in", partitions: 1)
    try world.createTopic("out", partitions: 3)
    var conditions = NetworkConditions.hostile(0.01)
    if version == 1 {
      conditions.lateDeliveryProbability = 0
      conditions.replayProbability = 0
    }
    world.simulation.network.conditions = conditions
    var random = SeededRandom(seed: seed)
    for round in 0..<3 {
      let dies = Duration.milliseconds(Int64(round) * 700 + Int64(random.next() % 600) + 1)
      world.simulation.after(dies) { world.killBroker() }
      world.simulation.after(dies + .milliseconds(Int64(random.next() % 90) + 1)) { try! world.startBroker() }
    }
    let total = 15
    func begin(_ name: String) -> TransactionDriver {
      let driver = driver(world, name, total: total)
      driver.abortsFirst = { ($0 + Int(seed)) % 4 == 0 }
      driver.start()
      return driver
    }
    var drivers = [begin("first")]
    let place = Int(seed / 2 % 7)
    drivers[0].pauses = { at, batch in batch == Int(seed % 9) && at.rawValue == place }
    try world.simulation.run(for: .milliseconds(Int64(random.next() % 1500)))
    drivers.append(begin("second"))
    try world.simulation.run(for: .milliseconds(Int64(random.next() % 1500)))
    drivers[0].resume()
    while !drivers.contains(where: \.isDone), drivers.count < 12 {
      try world.simulation.run(within: .seconds(1200)) {
        drivers.allSatisfy(\.hasStopped) || drivers.contains(where: \.isDone)
      }
      if !drivers.contains(where: \.isDone) { drivers.append(begin("number \(drivers.count)")) }
    }
    world.simulation.network.conditions = NetworkConditions()
    var wrong: [String] = []
    for driver in drivers {
      switch driver.ended?.code {
      case nil, .producerFenced, .transactionOutcomeUnknown: break
      case let other?: wrong.append("\(driver.name) ended: \(ClientError(other))")
      }
    }
    if !drivers.contains(where: \.isDone) { wrong.append("nobody finished") }
    wrong += try differences(world, batches: total)
    #expect(wrong == [], "seed \(seed)")
  }
}
