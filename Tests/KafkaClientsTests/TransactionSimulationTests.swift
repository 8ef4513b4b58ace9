import Groundwork
import KafkaProtocol
import Simulation
import SystemInterfaces
import Testing

@testable import KafkaClients

/// Goal: each batch's records and its input offset are committed once, in order, whatever the network, the brokers and a
/// second instance of the job do.
/// Strategy: drivers with one transactional id, begun and revived at random, on a network that cuts, delays and doubles,
/// while brokers die; a driver that is shut out gives way to a new one. Before Kafka 4.0 an epoch serves many
/// transactions, and a request that arrives after its answer was given up may end the wrong one (KIP-890): there the
/// network only cuts.
@Suite struct TransactionSimulationTests {
  private static let outputs = (0..<4).map { TopicPartition("out", PartitionIndex(Int32($0))) }

  @Test(arguments: 1...60) func everyBatchCountsOnce(seed: UInt64) throws {
    let version: Int16 = seed % 2 == 0 ? 2 : 1
    var conditions = NetworkConditions.hostile(0.01)
    if version == 1 {
      conditions.lateDeliveryProbability = 0
      conditions.replayProbability = 0
    }
    let harness = try Harness(seed: seed, brokers: 3, conditions: conditions)
    let cluster = harness.cluster
    cluster.transactions.version = version
    cluster.transactions.firstEpoch = 32_755
    cluster.makeTopic("out", leaders: [0, 1, 2, 0])
    var random = SeededRandom(seed: seed)
    let dice = Collected<UInt64>()
    dice.values = (0..<6000).map { _ in random.next() }
    cluster.disposition = { _, _ in
      guard let roll = dice.values.popLast() else { return .answer }
      return roll % 40 == 0 ? .doThenClose : roll % 40 == 1 ? .closeConnection : .answer
    }
    let total = 12
    func begin(_ name: String) -> TransactionDriver {
      let client = harness.client(bootstrap: (0..<3).map { FakeCluster.address($0) }) {
        $0.requestTimeout = .seconds(5)
      }
      let driver = TransactionDriver(client, name: name, partitions: Self.outputs, total: total)
      driver.abortsFirst = { ($0 + Int(seed)) % 4 == 0 }
      driver.start()
      return driver
    }
    for broker in Int32(0)..<3 {
      let dies = Duration.milliseconds(Int64(random.next() % 2000))
      harness.simulation.after(dies) { cluster.brokers[broker]!.kill() }
      harness.simulation.after(dies + .milliseconds(Int64(random.next() % 800) + 1)) {
        try! cluster.brokers[broker]!.restart()
      }
    }
    for move in 0..<3 {
      harness.simulation.after(.milliseconds(Int64(random.next() % 2500))) {
        cluster.moveLeader("out", move, to: Int32(move + 1) % 3)
        cluster.coordinator = Int32(move)
      }
    }
    var drivers = [begin("first")]
    let second = Int64(random.next() % 1500)
    drivers[0].pauses = { place, batch in batch == Int(seed % 7) && place.rawValue == Int(seed / 2 % 7) }
    try harness.simulation.run(for: .milliseconds(second))
    drivers.append(begin("second"))
    try harness.simulation.run(for: .milliseconds(Int64(random.next() % 1500)))
    drivers[0].resume()
    var wrong: [String] = []
    while !drivers.contains(where: \.isDone), drivers.count < 12 {
      try harness.simulation.run(within: .seconds(1200)) {
        drivers.allSatisfy(\.hasStopped) || drivers.contains(where: \.isDone)
      }
      if !drivers.contains(where: \.isDone) { drivers.append(begin("number \(drivers.count)")) }
    }
    for driver in drivers {
      switch driver.ended?.code {
      case nil, .producerFenced, .transactionOutcomeUnknown: break
      case let other?: wrong.append("\(driver.name) ended: \(ClientError(other))")
      }
    }
    if !drivers.contains(where: \.isDone) { wrong.append("nobody finished") }
    for partition in Self.outputs {
      let values = cluster.committedValues("out", partition.partition.rawValue)
      if values != TransactionDriver.model(partition, batches: total) { wrong.append("\(partition): \(values)") }
    }
    let offset = cluster.committed[TransactionDriver.group]?[TransactionDriver.input]?.offset
    if offset != Int64(total) { wrong.append("offset \(String(describing: offset))") }
    #expect(wrong == [], "seed \(seed)")
  }
}
