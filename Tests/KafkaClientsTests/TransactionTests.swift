import Groundwork
import KafkaProtocol
import Simulation
import SystemInterfaces
import Testing

@testable import KafkaClients

/// The transactional producer against scripted brokers of both generations of the protocol.
@Suite struct TransactionTests {
  private static let outputs = (0..<3).map { TopicPartition("out", PartitionIndex(Int32($0))) }

  private func harness(_ version: Int16, brokers: Int32 = 1, seed: UInt64 = 1) throws -> Harness {
    let harness = try Harness(seed: seed, brokers: brokers)
    harness.cluster.transactions.version = version
    harness.cluster.makeTopic("out", leaders: (0..<3).map { $0 % brokers })
    return harness
  }

  private func driver(
    _ harness: Harness, name: String = "driver", total: Int = 4,
    _ adjust: (inout ProducerConfiguration) -> Void = { _ in }
  ) -> TransactionDriver {
    let client = harness.client { $0.requestTimeout = .seconds(3) }
    return TransactionDriver(client, name: name, partitions: Self.outputs, total: total, adjust)
  }

  /// What is wrong with what committed readers see; empty: nothing.
  private func differences(_ harness: Harness, batches: Int) -> [String] {
    var found: [String] = []
    for partition in Self.outputs {
      let values = harness.cluster.committedValues("out", partition.partition.rawValue)
      let model = TransactionDriver.model(partition, batches: batches)
      if values != model { found.append("\(partition): \(values), expected \(model)") }
      let open = harness.cluster.partition("out", partition.partition.rawValue)!.open
      if !open.isEmpty { found.append("\(partition) has an open transaction") }
    }
    let offset = harness.cluster.committed[TransactionDriver.group]?[TransactionDriver.input]?.offset ?? 0
    if offset != Int64(batches) { found.append("offset \(offset), expected \(batches)") }
    return found
  }

  @Test(arguments: [Int16(1), 2]) func batchesAreCommittedWithTheirOffsets(version: Int16) throws {
    let harness = try harness(version, brokers: 2)
    let driver = driver(harness, total: 10)
    driver.abortsFirst = { $0 % 3 == 1 }
    driver.start()
    try harness.simulation.run { driver.hasStopped }
    #expect(driver.ended == nil && driver.aborts == 3)
    #expect(differences(harness, batches: 10) == [])
    let cluster = harness.cluster
    // All partitions of a transaction are known together, and are added together; or by nobody at all. One of the aborts
    // came before anything had been sent.
    #expect(cluster.transactions.additions == (version == 1 ? Array(repeating: 3, count: 12) : []))
    #expect(cluster.count(.addOffsetsToTxn) == (version == 1 ? 10 : 0))
    #expect(cluster.count(.endTxn) == 12)
    // An abort that the caller asked for needs no other epoch; from Kafka 4.0 every end brings one.
    #expect(cluster.count(.initProducerID) == 1)
    #expect(driver.producer.producerIdentity?.epoch == (version == 1 ? 0 : 12))
    let versions = Set(cluster.log.filter { $0.call == .produce }.map(\.version))
    #expect(versions == (version == 1 ? [11] : [12]))
  }

  @Test(arguments: [Int16(1), 2]) func theEpochGoesRound(version: Int16) throws {
    let harness = try harness(version)
    harness.cluster.transactions.firstEpoch = 32_760
    let driver = driver(harness, total: 20)
    driver.start()
    try harness.simulation.run { driver.hasStopped }
    #expect(driver.ended == nil)
    #expect(differences(harness, batches: 20) == [])
    #expect(driver.producer.producerIdentity?.id == (version == 1 ? 1000 : 1001))
  }

  /// Goal: wherever a connection dies, before a request is read or after it was carried out, every batch counts once.
  /// Strategy: the requests of an undisturbed run are counted; then each of them in turn is the last of its connection.
  @Test(arguments: [Int16(1), 2], [FakeCluster.Disposition.closeConnection, .doThenClose])
  func aConnectionMayDieAnywhere(version: Int16, disposition: FakeCluster.Disposition) throws {
    var count = 0
    var wrong: [String] = []
    var broken = 0
    while broken <= count {
      let harness = try harness(version, brokers: 2)
      let seen = Box<Int>()
      seen.value = 0
      let target = broken
      harness.cluster.disposition = { _, _ in
        seen.value! += 1
        return seen.value! == target ? disposition : .answer
      }
      let driver = driver(harness)
      driver.abortsFirst = { $0 == 1 }
      driver.start()
      try harness.simulation.run(within: .seconds(300)) { driver.hasStopped }
      if broken == 0 { count = seen.value! }
      if let error = driver.ended { wrong.append("request \(broken): \(error)") }
      wrong += differences(harness, batches: 4).map { "request \(broken): \($0)" }
      broken += 1
    }
    #expect(count > 20)
    #expect(wrong == [])
  }

  /// Goal: every code that a call of a transaction may be answered with leads to the outcome its verdict promises: tried
  /// again without a trace, aborted and run again, or the end of the producer.
  @Test(arguments: [Int16(1), 2]) func everyCodeOfEveryCallIsTakenAsItsVerdictSays(version: Int16) throws {
    var calls: [(APIKey, TransactionVerdict.Call)] = [
      (.produce, .produce), (.txnOffsetCommit, .commitOffsets), (.endTxn, .endTransaction),
    ]
    if version == 1 { calls += [(.addPartitionsToTxn, .addPartitions), (.addOffsetsToTxn, .addOffsets)] }
    var wrong: [String] = []
    for (key, call) in calls {
      for entry in KafkaErrorCode.table where entry.code.isError {
        // To a batch it says that it is in the log.
        if call == .produce, entry.code == .duplicateSequenceNumber { continue }
        let harness = try harness(version)
        let driver = driver(harness, total: 3)
        harness.cluster.errors[key] = Array(repeating: .none, count: key == .produce ? 3 : 1) + [entry.code]
        driver.start()
        try harness.simulation.run(within: .seconds(300)) { driver.hasStopped }
        let text = "\(key) \(entry.code.name)"
        let verdict = TransactionVerdict(entry.code, on: call)
        switch verdict {
        case .done, .retry:
          if driver.aborts > 0 || driver.ended != nil { wrong.append("\(text): aborted or ended") }
          wrong += differences(harness, batches: 3).map { "\(text): \($0)" }
        case .abort:
          if driver.aborts != 1 || driver.ended != nil {
            wrong.append("\(text): \(driver.aborts) aborts, \(String(describing: driver.ended))")
          }
          wrong += differences(harness, batches: 3).map { "\(text): \($0)" }
        case .fenced, .fatal:
          if driver.ended == nil || driver.ended!.leavesUsable { wrong.append("\(text): went on") }
          let isFenced = if case .producerFenced = driver.ended?.code { true } else { false }
          if isFenced != (verdict == .fenced) { wrong.append("\(text): \(String(describing: driver.ended))") }
        }
      }
    }
    #expect(wrong == [])
  }

  /// Goal: of two producers with one transactional id the later one's batches count, and nothing of the earlier one's that
  /// was not committed before.
  /// Strategy: the first is paused at each place of its second batch, the other runs until it is paused at each place, the
  /// first is revived, then the other.
  @Test(arguments: [Int16(1), 2]) func whoWasTakenOverWritesNothingThatCounts(version: Int16) throws {
    var wrong: [String] = []
    for first in TransactionDriver.Place.allCases {
      for second in TransactionDriver.Place.allCases {
        let harness = try harness(version)
        let early = driver(harness, name: "early")
        early.pauses = { place, batch in place == first && (batch == 1 || first.rawValue < 2) }
        early.start()
        try harness.simulation.run { early.isPaused }
        let late = driver(harness, name: "late")
        late.pauses = { place, batch in place == second && (batch == 2 || second.rawValue < 2) }
        late.start()
        try harness.simulation.run(within: .seconds(300)) { late.isPaused }
        early.resume()
        try harness.simulation.run(for: .seconds(20))
        late.resume()
        try harness.simulation.run(within: .seconds(300)) {
          late.hasStopped && (early.hasStopped || early.producer.producerIdentity == nil)
        }
        let text = "\(first) then \(second)"
        // Whoever asked for an identity last is the one.
        let lateWins = second != .start && first != .start
        if lateWins {
          guard case .producerFenced = early.ended?.code else {
            wrong.append("\(text): the early one has \(String(describing: early.ended))")
            continue
          }
          if late.ended != nil { wrong.append("\(text): the late one has \(late.ended!)") }
        }
        if !early.isDone && !late.isDone { wrong.append("\(text): nobody finished") }
        wrong += differences(harness, batches: 4).map { "\(text): \($0)" }
      }
    }
    #expect(wrong == [])
  }

  @Test(arguments: [Int16(1), 2]) func aCommitThatNobodyAnswersIsUnknownAndThenKnown(version: Int16) throws {
    let harness = try harness(version)
    let driver = driver(harness, total: 2) { $0.deliveryTimeout = .seconds(10) }
    let isSilent = Box<Bool>()
    isSilent.value = true
    // Carried out, but not told; then nothing is heard of at all for a while.
    let ends = Box<Int>()
    ends.value = 0
    harness.cluster.disposition = { _, header in
      guard header.apiKey == .endTxn, isSilent.value! else { return .answer }
      ends.value! += 1
      return ends.value! == 1 ? .doThenClose : .ignore
    }
    harness.simulation.after(.seconds(25)) { isSilent.value = false }
    driver.start()
    try harness.simulation.run(within: .seconds(300)) { driver.hasStopped }
    #expect(driver.ended == nil && driver.aborts == 0)
    #expect((2...3).contains(driver.unknowns))
    #expect(differences(harness, batches: 2) == [])
  }

  @Test(arguments: [Int16(1), 2]) func whoIsFencedWithoutAnAnswerReadsTheDecisionBack(version: Int16) throws {
    for wasCarriedOut in [false, true] {
      let harness = try harness(version)
      let early = driver(harness)
      let isCut = Box<Bool>()
      harness.cluster.disposition = { _, header in
        guard header.apiKey == .endTxn, isCut.value == nil, early.next == 1 else { return .answer }
        isCut.value = true
        return wasCarriedOut ? .doThenClose : .closeConnection
      }
      early.start()
      try harness.simulation.run { isCut.value != nil }
      // Before it asks again, another one has taken over.
      harness.cluster.coordinator = 9
      try harness.simulation.run(for: .seconds(1))
      harness.cluster.coordinator = 0
      let late = driver(harness)
      harness.cluster.disposition = { _, header in
        header.apiKey == .endTxn && harness.cluster.count(.initProducerID) < 2 ? .closeConnection : .answer
      }
      late.start()
      try harness.simulation.run(within: .seconds(300)) { early.hasStopped && late.hasStopped }
      guard case .transactionOutcomeUnknown(_, true, _) = early.ended?.code else {
        Issue.record("\(String(describing: early.ended))")
        continue
      }
      #expect(late.isDone && differences(harness, batches: 4) == [])
      #expect(early.next == 1)
    }
  }

  @Test func aTransactionThatTakesTooLongIsFenced() throws {
    for version in [Int16(1), 2] {
      let harness = try harness(version)
      let driver = driver(harness)
      driver.pauses = { place, batch in place == .commit && batch == 1 }
      driver.start()
      try harness.simulation.run { driver.isPaused }
      try harness.simulation.run(for: .seconds(1))
      harness.cluster.transactions.timeOut("job-1")
      driver.resume()
      try harness.simulation.run { driver.hasStopped }
      #expect(driver.ended?.code == .producerFenced("job-1", .producerFenced))
      let next = self.driver(harness)
      next.start()
      try harness.simulation.run { next.hasStopped }
      #expect(next.isDone && differences(harness, batches: 4) == [])
    }
  }

  @Test func brokersBeforeEpochsCouldBeRaised() throws {
    let harness = try harness(0)
    harness.cluster.ranges = MessageRanges.kafka21
    harness.cluster.apiVersionsMax = 2
    let driver = driver(harness)
    driver.abortsFirst = { $0 == 1 }
    driver.start()
    // OffsetFetch has no requireStable there, so the decision cannot be read back: the client says so.
    try harness.simulation.run { driver.hasStopped }
    #expect(driver.ended?.code == .unsupportedCall(.offsetFetch, FakeCluster.address(0)))
    #expect(driver.producer.producerIdentity == ProducerIdentity(id: 1000, epoch: 0))
    try harness.onLoop { [producer = driver.producer] in
      try! producer.beginTransaction()
      for partition in Self.outputs {
        try! producer.send(topic: "out", partition: partition.partition, key: nil, value: "a")
      }
    }
    let result = Box<ClientError?>()
    harness.loop.post { [producer = driver.producer] in producer.commitTransaction { result.value = .some($0) } }
    try harness.simulation.run { result.value != nil }
    #expect(result.value! == nil)
    #expect(harness.cluster.committedValues("out", 2) == ["a"])
  }

  @Test(arguments: [Int16(1), 2]) func recordsCollectAndAnAbortDropsWhatWasNotSent(version: Int16) throws {
    let harness = try harness(version)
    let client = harness.client()
    var configuration = ProducerConfiguration()
    configuration.transactionalID = "records"
    configuration.linger = .seconds(5)
    let deliveries = Collected<Delivery>()
    let producer = Producer(client, configuration: configuration) { deliveries.values.append($0) }
    let heard = Collected<ClientError?>()
    func wait(_ start: @escaping @Sendable (@escaping @Sendable (ClientError?) -> Void) -> Void) throws -> ClientError?
    {
      let before = heard.values.count
      harness.loop.post { start { heard.values.append($0) } }
      try harness.simulation.run { heard.values.count > before }
      return heard.values.last!
    }
    try harness.onLoop {
      #expect(throws: ClientError.self) { try producer.send(topic: "out", partition: 0, key: nil, value: "early") }
    }
    #expect(try wait { producer.initTransactions(then: $0) } == nil)
    try harness.onLoop {
      try! producer.beginTransaction()
      for n in 0..<5 { try! producer.send(topic: "out", partition: 0, key: nil, value: Bytes("gone \(n)")) }
    }
    #expect(try wait { producer.abortTransaction(then: $0) } == nil)
    #expect(deliveries.values.map(\.error?.code) == [.transactionAborted("records")])
    #expect(harness.cluster.values("out", 0) == [] && producer.bufferedBytes == 0)
    try harness.onLoop {
      try! producer.beginTransaction()
      for n in 0..<5 { try! producer.send(topic: "out", partition: 0, key: nil, value: Bytes("kept \(n)")) }
    }
    let began = harness.simulation.now
    #expect(try wait { producer.commitTransaction(then: $0) } == nil)
    #expect(harness.simulation.now - began < .seconds(1))
    #expect(harness.cluster.committedValues("out", 0) == (0..<5).map { "kept \($0)" })
    // A topic that is not there spoils the transaction, not the producer.
    try harness.onLoop {
      try! producer.beginTransaction()
      try! producer.send(topic: "none", key: nil, value: "v")
    }
    #expect(try wait { producer.commitTransaction(then: $0) }?.requiresAbort == true)
    #expect(try wait { producer.abortTransaction(then: $0) } == nil)
    producer.close()
    #expect(try wait { producer.commitTransaction(then: $0) }?.code == .closed)
  }

  @Test func aProducerWithoutAnIdHasNoTransactions() throws {
    let harness = try Harness()
    let producer = Producer(harness.client())
    let heard = Collected<ClientError?>()
    try harness.onLoop {
      #expect(throws: ClientError.self) { try producer.beginTransaction() }
      producer.initTransactions { heard.values.append($0) }
    }
    try harness.simulation.run { !heard.values.isEmpty }
    guard case .transactionMisuse = heard.values[0]?.code else {
      Issue.record("accepted")
      return
    }
  }
}
