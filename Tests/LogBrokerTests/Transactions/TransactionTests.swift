import Groundwork
import KafkaProtocol
import LogBroker
import LogStorage
import Simulation
import SystemInterfaces
import Testing

/// Transactions over the wire, by producers of both generations.
struct TransactionTests {
  private let p0 = TopicPartition("t", 0)
  private let p1 = TopicPartition("t", 1)

  private func start(
    _ configure: @escaping (inout BrokerConfiguration) -> Void = { _ in }
  ) throws -> (bench: BrokerBench, client: TestClient) {
    let bench = try BrokerBench(configure)
    let client = try bench.client()
    try client.makeTopic("t", partitions: 2)
    return (bench, client)
  }

  private func offsets(_ client: TestClient, _ partition: TopicPartition, at time: Int64 = -1) throws -> [Int64] {
    try ([0, 1] as [Int8]).map { level in
      var request = ListOffsetsRequest()
      request.isolationLevel = level
      request.topics = [.init()]
      request.topics[0].name = partition.topic
      request.topics[0].partitions = [.init()]
      request.topics[0].partitions[0].partitionIndex = partition.partition.rawValue
      request.topics[0].partitions[0].timestamp = time
      return try #require(client.call(request).topics.first?.partitions.first).offset
    }
  }

  @Test(arguments: Generation.allCases, [FlushPolicy.os, .sync]) func aTransactionIsSeenWholeOrNotAtAll(
    generation: Generation, policy: FlushPolicy
  ) throws {
    let (_, client) = try start { $0.flushPolicy = policy }
    let peer = TransactionalPeer("tx", generation, client)
    #expect(try peer.begin() == .none)
    #expect(try peer.write(p0, "a", "b") == .none)
    #expect(try peer.write(p1, "c") == .none)
    #expect(try client.readCommitted(p0) == [])
    #expect(try offsets(client, p0) == [2, 0])
    #expect(try offsets(client, p0, at: 0) == [0, -1])
    #expect(try values(client.fetch("t", from: 0).records).map(\.value) == ["a", "b"])
    #expect(try client.fetch("t", from: 0).lastStableOffset == 0)
    #expect(try peer.end(commit: true) == .none)
    #expect(try client.readCommitted(p0) == ["a", "b"])
    #expect(try client.readCommitted(p1) == ["c"])
    // The marker takes an offset of its own.
    #expect(try offsets(client, p0) == [3, 3])
    #expect(try peer.write(p0, "lost") == .none)
    #expect(try client.produce("t", try batch("plain"), version: 11).baseOffset == 4)
    #expect(try client.readCommitted(p0) == ["a", "b"])
    #expect(try peer.end(commit: false) == .none)
    #expect(try client.readCommitted(p0) == ["a", "b", "plain"])
    #expect(try client.readCommitted(p0, bytes: 1) == ["a", "b", "plain"])
    #expect(try peer.write(p0, "again") == .none)
    #expect(try peer.end(commit: true) == .none)
    #expect(try client.readCommitted(p0, from: 3) == ["plain", "again"])
    #expect(peer.epoch == (generation == .raising ? 3 : 0))
  }

  @Test(arguments: Generation.allCases) func offsetsTakeEffectWithTheTransaction(generation: Generation) throws {
    let (bench, client) = try start()
    let peer = TransactionalPeer("tx", generation, client)
    try peer.begin()
    #expect(try peer.commitOffset(p0, 5) == .none)
    #expect(try client.committedOffset(p0) == "UNSTABLE_OFFSET_COMMIT")
    #expect(try client.committedOffset(p0, version: 7) == "UNSTABLE_OFFSET_COMMIT")
    #expect(try client.committedOffset(p0, isStable: false) == "-1")
    #expect(try client.committedOffset(p1) == "-1")
    #expect(try peer.end(commit: true) == .none)
    #expect(try client.committedOffset(p0) == "5")
    #expect(try peer.commitOffset(p0, 6) == .none)
    #expect(try client.committedOffset(p0, isStable: false) == "5")
    var all = OffsetFetchRequest()
    all.requireStable = true
    all.groups = [.init()]
    all.groups[0].groupID = "g"
    #expect(
      try client.call(all).groups[0].topics.flatMap { $0.partitions.map(\.errorCode) } == [.unstableOffsetCommit])
    #expect(try peer.end(commit: false) == .none)
    #expect(try client.committedOffset(p0) == "5")
    try bench.killAndRestart()
    #expect(try bench.client().committedOffset(p0) == "5")
    // A member must be of the group's present generation.
    peer.client = try bench.client()
    try peer.begin()
    #expect(try peer.commitOffset(p0, 9, member: "nobody", generationID: 3) == .illegalGeneration)
    #expect(try peer.commitOffset(p0, 9, group: "") == .invalidGroupID)
    #expect(try peer.commitOffset(TopicPartition("none", 0), 9) == .unknownTopicOrPartition)
  }

  @Test(arguments: Generation.allCases) func aSecondInstanceShutsOutTheFirst(generation: Generation) throws {
    let (_, client) = try start()
    let first = TransactionalPeer("tx", generation, client)
    try first.begin()
    #expect(try first.write(p0, "half") == .none)
    #expect(try first.commitOffset(p0, 7) == .none)
    let second = TransactionalPeer("tx", generation, client)
    // The first one's transaction is aborted before this is answered.
    #expect(try second.begin() == .none)
    #expect(second.producerID == first.producerID && second.epoch == 2)
    #expect(try client.committedOffset(p0) == "-1")
    #expect(try first.write(p0, "more") == .invalidProducerEpoch)
    #expect(try first.commitOffset(p0, 8) == .invalidProducerEpoch)
    #expect(try first.end(commit: true) == .producerFenced)
    var request = first.endRequest
    request.committed = true
    #expect(try client.call(request, version: 1).errorCode == .invalidProducerEpoch)
    #expect(try second.write(p0, "whole") == .none)
    #expect(try second.end(commit: true) == .none)
    #expect(try client.readCommitted(p0) == ["whole"])
    #expect(try first.begin(goingOn: true) == .producerFenced)
  }

  @Test(arguments: Generation.allCases) func aTransactionThatTakesTooLongIsAborted(generation: Generation) throws {
    let (bench, client) = try start()
    let peer = TransactionalPeer("tx", generation, client)
    try peer.begin(timeout: 10_000)
    #expect(try peer.write(p0, "slow") == .none)
    try bench.simulation.run(for: .seconds(9))
    #expect(try offsets(client, p0) == [1, 0])
    try bench.simulation.run(for: .seconds(2))
    #expect(try offsets(client, p0) == [2, 2])
    #expect(bench.lines.contains("open for longer than its timeout of 10000 ms"))
    #expect(try client.readCommitted(p0) == [])
    #expect(try peer.write(p0, "late") == .invalidProducerEpoch)
    #expect(try peer.end(commit: true) == .producerFenced)
    #expect(try peer.begin() == .none)
    #expect(try peer.write(p0, "anew") == .none)
    #expect(try peer.end(commit: true) == .none)
    #expect(try client.readCommitted(p0) == ["anew"])
    // A later one, after a death: what is left of its time goes on.
    try peer.begin(timeout: 10_000)
    #expect(try peer.write(p0, "open") == .none)
    try bench.simulation.run(for: .seconds(5))
    try bench.killAndRestart()
    try bench.simulation.run(for: .seconds(4))
    let again = try bench.client()
    #expect(try offsets(again, p0).first! > offsets(again, p0).last!)
    try bench.simulation.run(for: .seconds(2))
    #expect(try offsets(again, p0).first! == offsets(again, p0).last!)
  }

  @Test(arguments: Generation.allCases, [true, false]) func anOpenTransactionOutlivesTheBroker(
    generation: Generation, isClean: Bool
  ) throws {
    let (bench, client) = try start { $0.topicDefaults.segmentBytes = 300 }
    let peer = TransactionalPeer("tx", generation, client)
    try peer.begin()
    for value in ["a", "b", "c", "d", "e"] { #expect(try peer.write(p0, value) == .none) }
    #expect(try peer.commitOffset(p1, 3) == .none)
    if isClean {
      try bench.stop()
      try bench.restart()
    } else {
      try bench.killAndRestart()
    }
    peer.client = try bench.client()
    #expect(try peer.client.readCommitted(p0) == [])
    #expect(try peer.write(p0, "f") == .none)
    #expect(try peer.end(commit: true) == .none)
    #expect(try peer.client.readCommitted(p0) == ["a", "b", "c", "d", "e", "f"])
    #expect(try peer.client.committedOffset(p1) == "3")
  }

  @Test(arguments: Generation.allCases) func usedUpEpochsGiveANewID(generation: Generation) throws {
    let (bench, first) = try start()
    try bench.stop()
    let log = try TransactionLog.open("/data/transactions.journal", in: bench.files, flushPolicy: .os).log
    var record = TransactionRecord(producerID: 77, timeout: .seconds(60), updated: 1)
    record.epoch = 32_759
    try log.put("tx", record)
    try bench.restart()
    _ = first
    let client = try bench.client()
    let peer = TransactionalPeer("tx", generation, client)
    var ids: [Int64] = []
    var expected: [String] = []
    for step in 0..<12 {
      if step == 0 || generation == .announcing { #expect(try peer.begin() == .none) }
      if step == 0 { #expect(peer.producerID == 77 && peer.epoch == 32_760) }
      ids.append(peer.producerID)
      let isCommit = step % 3 != 1
      #expect(try peer.write(p0, "v\(step)") == .none, "step \(step)")
      if isCommit { expected.append("v\(step)") }
      // The answer is lost now and then: asked again, the same comes.
      var request = peer.endRequest
      request.committed = isCommit
      let version = peer.endVersion
      #expect(try peer.end(commit: isCommit) == .none, "step \(step)")
      let again = try client.call(request, version: version)
      #expect(again.errorCode == .none, "step \(step)")
      if generation == .raising {
        #expect(again.producerID == peer.producerID && again.producerEpoch == peer.epoch, "step \(step)")
      }
      request.committed = !isCommit
      #expect(try client.call(request, version: version).errorCode == .invalidTxnState, "step \(step)")
    }
    #expect(ids.prefix(7).allSatisfy { $0 == 77 } && Set(ids.suffix(5)).count == 1 && ids[7] != 77)
    #expect(peer.epoch == (generation == .raising ? 5 : 4))
    #expect(try client.readCommitted(p0) == expected)
  }

  @Test func whatIsNoTransactionIsRefused() throws {
    let (_, client) = try start()
    let peer = TransactionalPeer("tx", .announcing, client)
    #expect(try peer.announce([p0]) == .invalidProducerIDMapping)
    #expect(try peer.begin(timeout: 0) == .invalidTransactionTimeout)
    #expect(try peer.begin(timeout: 900_001) == .invalidTransactionTimeout)
    #expect(try TransactionalPeer("", .announcing, client).begin() == .invalidRequest)
    #expect(try peer.begin() == .none)
    #expect(try peer.end(commit: true) == .invalidTxnState)
    let request = try peer.produceRequest(p0, ["x"])
    func code(_ request: ProduceRequest, _ version: Int16) throws -> KafkaErrorCode? {
      try client.call(request, version: version).responses.first?.partitionResponses.first?.errorCode
    }
    #expect(try code(request, 11) == .transactionAbortable)
    #expect(try code(request, 10) == .invalidTxnState)
    var anonymous = request
    anonymous.transactionalID = nil
    #expect(try code(anonymous, 11) == .invalidTxnState)
    var topic = AddPartitionsToTxnRequest.AddPartitionsToTxnTopic()
    topic.name = "t"
    topic.partitions = [0, 9]
    var announcing = AddPartitionsToTxnRequest()
    announcing.transactionalID = "tx"
    (announcing.producerID, announcing.producerEpoch) = (peer.producerID, peer.epoch)
    announcing.topics = [topic]
    #expect(
      try client.call(announcing, version: 3).resultsByTopic[0].resultsByPartition.map(\.partitionErrorCode)
        == [.operationNotAttempted, .unknownTopicOrPartition])
    #expect(try peer.write(p0, "a") == .none)
    // Outside of the transaction it has open.
    let plain = try client.produce("t", try peer.records(["b"], sequence: 1, isTransactional: false))
    #expect(plain.errorCode == .invalidTxnState)
    // Sent again it is answered again; out of order it is refused.
    peer.sequences[p0] = 0
    #expect(try code(peer.produceRequest(p0, ["a"]), 11) == KafkaErrorCode.none)
    peer.sequences[p0] = 5
    #expect(try code(peer.produceRequest(p0, ["a"]), 11) == .outOfOrderSequenceNumber)
    peer.sequences[p0] = 1
    #expect(try peer.end(commit: true) == .none)
    #expect(try client.readCommitted(p0) == ["a"])
    // With KIP-890 a producer's first batch in a partition has sequence 0: an earlier one is still under way.
    let raising = TransactionalPeer("tx2", .raising, client)
    try raising.begin()
    raising.sequences[p1] = 3
    #expect(try raising.write(p1, "early") == .outOfOrderSequenceNumber)
    raising.sequences[p1] = 0
    #expect(try raising.write(p1, "first") == .none)
    // Batched, as brokers ask one another.
    var batched = AddPartitionsToTxnRequest()
    var one = AddPartitionsToTxnRequest.AddPartitionsToTxnTransaction()
    one.transactionalID = "tx2"
    (one.producerID, one.producerEpoch) = (raising.producerID, raising.epoch)
    one.verifyOnly = true
    one.topics = [topic]
    one.topics[0].partitions = [0, 1]
    batched.transactions = [one]
    func verdicts(_ version: Int16) throws -> [KafkaErrorCode] {
      try client.call(batched, version: version).resultsByTransaction[0].topicResults[0].resultsByPartition.map(
        \.partitionErrorCode)
    }
    #expect(try verdicts(5) == [.transactionAbortable, .none])
    #expect(try verdicts(4) == [.invalidTxnState, .none])
    batched.transactions[0].verifyOnly = false
    #expect(try verdicts(5) == [.none, .none])
    #expect(try raising.end(commit: true) == .none)
  }

  @Test func aReaderOfCommittedRecordsWaitsForTheEnd() throws {
    let (bench, client) = try start()
    let reader = try bench.client()
    let peer = TransactionalPeer("tx", .raising, client)
    try peer.begin()
    var request = reader.fetchRequest("t", from: 0, maxWait: 60_000)
    request.isolationLevel = 1
    let waiting = try reader.send(request, version: 12)
    #expect(try peer.write(p0, "a") == .none)
    try bench.simulation.run(for: .seconds(5))
    #expect(!reader.has(waiting))
    #expect(try peer.end(commit: true) == .none)
    try bench.simulation.run(within: .seconds(1)) { reader.has(waiting) }
    let answer = try reader.response(FetchResponse.self, waiting, version: 12)
    #expect(try values(answer.responses[0].partitions[0].records).map(\.value).first == "a")
    #expect(answer.responses[0].partitions[0].abortedTransactions == [])
  }

  @Test func faultsOfTheCoordinatorsLogAreRepeatedAway() throws {
    for policy in [FlushPolicy.os, .sync] {
      let (bench, client) = try start { $0.flushPolicy = policy }
      let peer = TransactionalPeer("tx", .raising, client)
      let operations: [DiskFault.Operation] = policy == .sync ? [.write, .sync] : [.write]
      for operation in operations {
        for isTorn in [false, true] {
          func strike() {
            bench.process.disk.inject(
              DiskFault(operation, pathContains: "transactions.journal", code: .diskFull, isTorn: isTorn))
          }
          strike()
          #expect(try peer.begin() == .coordinatorNotAvailable)
          #expect(try peer.begin() == .none)
          strike()
          #expect(try peer.write(p0, "x") == .notEnoughReplicas)
          #expect(try peer.write(p0, "x") == .none)
          strike()
          #expect(try peer.end(commit: true) == .coordinatorNotAvailable)
          #expect(try client.readCommitted(p1) == [])
          #expect(try peer.end(commit: true) == .none)
        }
      }
      let count = try client.readCommitted(p0).count
      #expect(count == 2 * operations.count)
      try bench.killAndRestart()
      peer.client = try bench.client()
      #expect(try peer.client.readCommitted(p0).count == count)
      #expect(try peer.write(p0, "y") == .none)
      #expect(try peer.end(commit: true) == .none)
    }
  }

  @Test func aMarkerThatCannotBeWrittenIsTriedAgain() throws {
    // The records are of long ago: the marker would begin a segment, whose files the fault would strike.
    let (bench, client) = try start { $0.topicDefaults.segmentAge = .seconds(10_000_000_000) }
    let peer = TransactionalPeer("tx", .announcing, client)
    try peer.begin()
    #expect(try peer.write(p0, "a") == .none)
    #expect(try peer.write(p1, "b") == .none)
    #expect(try peer.commitOffset(p0, 4) == .none)
    bench.process.disk.inject(DiskFault(.write, pathContains: "t-1/", code: .diskFull))
    bench.process.disk.inject(DiskFault(.write, pathContains: "offsets.journal", code: .diskFull))
    // It is decided all the same.
    #expect(try peer.end(commit: true) == .none)
    #expect(try client.readCommitted(p0) == ["a"])
    #expect(try client.readCommitted(p1) == [])
    #expect(try peer.announce([p0]) == .concurrentTransactions)
    var describe = DescribeTransactionsRequest()
    describe.transactionalIDs = ["tx"]
    let state = try client.call(describe).transactionStates[0]
    #expect(state.transactionState == "PrepareCommit")
    #expect(state.topics.map(\.topic) == ["t"] && state.topics[0].partitions == [1])
    #expect(try TransactionalPeer("tx", .raising, client).begin() == .concurrentTransactions)
    try bench.simulation.run(for: .seconds(1))
    #expect(try client.readCommitted(p1) == ["b"])
    #expect(try client.committedOffset(p0) == "4")
    #expect(try peer.announce([p0]) == .none)
  }

  @Test func idleIDsAreForgottenAndDeletedTopicsPassedOver() throws {
    let (bench, client) = try start {
      $0.transactionalIDExpiration = .seconds(1000)
      $0.retentionCheckInterval = .seconds(100)
    }
    let peer = TransactionalPeer("tx", .raising, client)
    try peer.begin()
    try client.makeTopic("gone")
    #expect(try peer.write(TopicPartition("gone", 0), "a") == .none)
    #expect(try peer.write(p0, "b") == .none)
    var delete = DeleteTopicsRequest()
    delete.topicNames = ["gone"]
    #expect(try client.call(delete, version: 5).responses.map(\.errorCode) == [.none])
    #expect(try peer.end(commit: true) == .none)
    #expect(try client.readCommitted(p0) == ["b"])
    try bench.simulation.run(for: .seconds(1200))
    #expect(try client.call(ListTransactionsRequest()).transactionStates.isEmpty)
    #expect(try peer.write(p0, "c") == .invalidProducerIDMapping)
    #expect(try peer.begin() == .none)
  }

  @Test func whatNoCoordinatorKnowsIsAbortedAtTheStart() throws {
    let (bench, client) = try start()
    let peer = TransactionalPeer("tx", .raising, client)
    try peer.begin()
    #expect(try peer.write(p0, "hanging") == .none)
    bench.process.kill()
    try bench.files.removeFile("/data/transactions.journal")
    try bench.restart()
    let again = try bench.client()
    #expect(bench.lines.contains("that no transactional id knows of was aborted"))
    #expect(try offsets(again, p0) == [2, 2])
    #expect(try again.readCommitted(p0) == [])
  }

  @Test func bothProtocolsAreAnnounced() throws {
    for level in [Int16(1), 2] {
      let (_, client) = try start { $0.transactionVersion = level }
      for version in Int16(3)...4 {
        let answer = try client.call(ApiVersionsRequest(), version: version)
        #expect(answer.finalizedFeatures.map(\.name) == ["transaction.version"])
        #expect(answer.finalizedFeatures.map(\.maxVersionLevel) == [level])
        #expect(answer.finalizedFeaturesEpoch == 1)
        let endTxn = answer.apiKeys.first { $0.apiKey == APIKey.endTxn.rawValue }
        #expect(endTxn?.maxVersion == 5)
      }
      // What a producer may leave out follows from the level, not from the versions.
      let peer = TransactionalPeer("tx", .raising, client)
      try peer.begin()
      #expect(try peer.write(p0, "a") == (level == 2 ? .none : .transactionAbortable))
    }
  }

  @Test func administratorsSeeAndEndTransactions() throws {
    let (bench, client) = try start()
    let peer = TransactionalPeer("tx", .announcing, client)
    try peer.begin()
    let other = TransactionalPeer("other", .raising, client)
    try other.begin()
    #expect(try peer.write(p1, "a", "b") == .none)
    func list(_ change: (inout ListTransactionsRequest) -> Void = { _ in }) throws -> [String] {
      var request = ListTransactionsRequest()
      change(&request)
      return try client.call(request).transactionStates.map { "\($0.transactionalID) \($0.transactionState)" }
    }
    #expect(try list() == ["other Empty", "tx Ongoing"])
    #expect(try list { $0.stateFilters = ["Ongoing", "Nonsense"] } == ["tx Ongoing"])
    #expect(try list { $0.producerIDFilters = [other.producerID] } == ["other Empty"])
    #expect(try list { $0.durationFilter = 3_600_000 } == [])
    var filtered = ListTransactionsRequest()
    filtered.stateFilters = ["Nonsense"]
    #expect(try client.call(filtered).unknownStateFilters == ["Nonsense"])
    try bench.simulation.run(for: .seconds(5))
    #expect(try list { $0.durationFilter = 4000 } == ["tx Ongoing"])
    var describe = DescribeTransactionsRequest()
    describe.transactionalIDs = ["tx", "none"]
    let states = try client.call(describe).transactionStates
    #expect(states.map(\.errorCode) == [.none, .transactionalIDNotFound])
    #expect(states[0].topics.map(\.topic) == ["t"] && states[0].topics[0].partitions == [1])
    #expect(states[0].transactionTimeoutMilliseconds == 60_000 && states[0].transactionStartTimeMilliseconds > 0)
    var producers = DescribeProducersRequest()
    producers.topics = [.init()]
    producers.topics[0].name = "t"
    producers.topics[0].partitionIndexes = [1, 9]
    func describeProducers() throws -> [DescribeProducersResponse.TopicResponse.PartitionResponse] {
      try client.call(producers).topics[0].partitions
    }
    var seen = try describeProducers()
    #expect(seen.map(\.errorCode) == [.none, .unknownTopicOrPartition])
    #expect(seen[0].activeProducers.map(\.producerID) == [peer.producerID])
    #expect(seen[0].activeProducers.map(\.currentTxnStartOffset) == [0])
    #expect(seen[0].activeProducers.map(\.lastSequence) == [1])
    var markers = WriteTxnMarkersRequest()
    markers.markers = [.init()]
    markers.markers[0].producerID = peer.producerID
    markers.markers[0].producerEpoch = peer.epoch
    markers.markers[0].topics = [.init()]
    markers.markers[0].topics[0].name = "t"
    markers.markers[0].topics[0].partitionIndexes = [1, 9]
    markers.markers[0].coordinatorEpoch = 3
    func write() throws -> [KafkaErrorCode] {
      try client.call(markers).markers[0].topics[0].partitions.map(\.errorCode)
    }
    #expect(try write() == [.none, .unknownTopicOrPartition])
    seen = try describeProducers()
    #expect(seen[0].activeProducers.map(\.currentTxnStartOffset) == [-1])
    #expect(seen[0].activeProducers.map(\.coordinatorEpoch) == [3])
    #expect(try offsets(client, p1) == [3, 3])
    #expect(try client.readCommitted(p1) == [])
    markers.markers[0].coordinatorEpoch = 2
    #expect(try write().first == .transactionCoordinatorFenced)
    markers.markers[0].coordinatorEpoch = 3
    markers.markers[0].producerEpoch = -1
    #expect(try write().first == .invalidProducerEpoch)
  }
}
