import Groundwork
import KafkaProtocol
import LogBroker
import LogStorage
import Simulation
import SystemInterfaces
import Testing

/// Goal: readers of committed records see what a naive model says. Strategy: a seed interleaves several producers of both
/// generations, plain writes, ends, second instances, timeouts, deaths and clean restarts of the broker, on small segments
/// with and without the hot tail; the model keeps for each partition a list of values with the transaction they belong
/// to. Invariants: what is read is the values of plain and committed writes, in order, up to the first that is neither
/// committed nor aborted; also in small pieces, and from the middle.
struct TransactionModelTests {
  private enum Fate { case open, committed, aborted }

  private final class Model {
    var fates: [Fate] = []
    var written: [TopicPartition: [(value: String, transaction: Int?, offset: Int64)]] = [:]
    var committedOffset: Int64 = -1

    func committed(_ partition: TopicPartition, from offset: Int64) -> [String] {
      var seen: [String] = []
      for entry in written[partition] ?? [] {
        if let transaction = entry.transaction {
          if fates[transaction] == .open { break }
          if fates[transaction] == .aborted { continue }
        }
        if entry.offset >= offset { seen.append(entry.value) }
      }
      return seen
    }
  }

  private final class Actor {
    var peer: TransactionalPeer
    var transaction: Int?
    var pendingOffset: Int64?
    init(_ peer: TransactionalPeer) { self.peer = peer }
  }

  private func end(_ client: TestClient, _ partition: TopicPartition) throws -> Int64 {
    try client.listOffset(partition.topic, partition: partition.partition.rawValue, at: -1).offset
  }

  @Test(arguments: 0..<60) func committedRecordsAreThoseOfTheModel(seed: UInt64) throws {
    var random = SeededRandom(seed: seed &* 0x9E37 &+ 11)
    let bench = try BrokerBench(seed: seed) {
      $0.topicDefaults.segmentBytes = 400
      // Records of long ago: retention would take them when time passes.
      $0.topicDefaults.retention = nil
      $0.topicDefaults.indexIntervalBytes = 100
      $0.hotTailBytes = seed % 2 == 0 ? 0 : 1 << 20
      $0.flushPolicy = seed % 3 == 0 ? .sync : .os
    }
    var client = try bench.client()
    try client.makeTopic("t", partitions: 2)
    let partitions = [TopicPartition("t", 0), TopicPartition("t", 1)]
    let model = Model()
    var steps: [String] = []
    var problems: [String] = []
    let actors = try (0..<4).map { index in
      let peer = TransactionalPeer("tx\(index)", index % 2 == 0 ? .raising : .announcing, client)
      try peer.begin()
      return Actor(peer)
    }
    func settle(_ actor: Actor, _ fate: Fate) {
      if let transaction = actor.transaction { model.fates[transaction] = fate }
      if fate == .committed, let offset = actor.pendingOffset { model.committedOffset = offset }
      (actor.transaction, actor.pendingOffset) = (nil, nil)
    }
    func check() throws {
      for partition in partitions {
        let offset = Int64.random(in: 0...(try end(client, partition)), using: &random)
        for from in [0, offset] {
          let bytes: Int32 = Bool.random(using: &random) ? 1 : 1 << 20
          let seen = try client.readCommitted(partition, from: from, bytes: bytes)
          let expected = model.committed(partition, from: from)
          if seen != expected { problems.append("\(partition) from \(from): \(seen), not \(expected)") }
        }
      }
      let isPending = actors.contains { $0.pendingOffset != nil }
      let offset = try client.committedOffset(partitions[0])
      if offset != (isPending ? "UNSTABLE_OFFSET_COMMIT" : "\(model.committedOffset)") {
        problems.append("offset \(offset), not \(model.committedOffset), pending \(isPending)")
      }
    }
    for step in 0..<150 where problems.isEmpty {
      let actor = actors[Int.random(in: 0..<actors.count, using: &random)]
      let partition = partitions[Int.random(in: 0..<2, using: &random)]
      switch Int.random(in: 0..<40, using: &random) {
      case 0..<18:
        let offset = try end(client, partition)
        let code = try actor.peer.write(partition, "v\(step)")
        steps.append("\(actor.peer.id) writes v\(step) to \(partition) at \(offset): \(code.name)")
        if code != .none { problems.append("refused") }
        if actor.transaction == nil {
          actor.transaction = model.fates.count
          model.fates.append(.open)
        }
        model.written[partition, default: []].append(("v\(step)", actor.transaction, offset))
      case 18..<21:
        let offset = try end(client, partition)
        _ = try client.produce("t", partition: partition.partition.rawValue, try batch("p\(step)"))
        steps.append("plain p\(step) to \(partition) at \(offset)")
        model.written[partition, default: []].append(("p\(step)", nil, offset))
      case 21..<23:
        // One at a time: who commits last would win, and the model need not know it.
        if actors.contains(where: { $0.pendingOffset != nil && $0 !== actor }) { continue }
        let code = try actor.peer.commitOffset(partitions[0], Int64(step))
        steps.append("\(actor.peer.id) commits offset \(step): \(code.name)")
        if code != .none { problems.append("refused") }
        actor.pendingOffset = Int64(step)
        if actor.transaction == nil {
          actor.transaction = model.fates.count
          model.fates.append(.open)
        }
      case 23..<31:
        guard actor.transaction != nil else { continue }
        let isCommit = Int.random(in: 0..<10, using: &random) < 6
        let code = try actor.peer.end(commit: isCommit)
        steps.append("\(actor.peer.id) \(isCommit ? "commits" : "aborts"): \(code.name)")
        if code != .none { problems.append("refused") }
        settle(actor, isCommit ? .committed : .aborted)
      case 31..<33:
        actor.peer = TransactionalPeer(actor.peer.id, actor.peer.generation, client)
        let code = try actor.peer.begin()
        steps.append("another \(actor.peer.id): \(code.name)")
        if code != .none { problems.append("refused") }
        settle(actor, .aborted)
      case 33:
        try bench.simulation.run(for: .seconds(61))
        steps.append("a minute passes")
        for actor in actors where actor.transaction != nil {
          settle(actor, .aborted)
          // Whose time was up is shut out, and begins anew.
          if try actor.peer.begin() != .none { problems.append("refused") }
        }
      case 34..<36:
        if Bool.random(using: &random) {
          try bench.killAndRestart()
          steps.append("death")
        } else {
          try bench.stop()
          try bench.restart()
          steps.append("stop and start")
        }
        client = try bench.client()
        for actor in actors { actor.peer.client = client }
      default: try check()
      }
    }
    try check()
    #expect(problems.isEmpty, "seed \(seed): \(problems.first ?? "")\n\(steps.suffix(40).joined(separator: "\n"))")
  }
}
