import Groundwork
import KafkaProtocol
import Simulation
import SystemInterfaces
import Testing

@testable import KafkaClients

@Suite struct FetcherTests {
  private func fetcher(
    _ client: KafkaClient, _ events: Collected<FetchEvent> = Collected(),
    _ adjust: (inout FetcherConfiguration) -> Void = { _ in }
  ) -> Fetcher {
    var configuration = FetcherConfiguration()
    adjust(&configuration)
    return Fetcher(client, configuration: configuration) { events.values.append($0) }
  }

  private func values(_ fetched: FetchedRange?) -> [String] { fetched?.batches.flatMap(recordValues) ?? [] }

  private let p0 = TopicPartition("t", 0)
  private let p1 = TopicPartition("t", 1)

  @Test func batchesArriveRawAndCanBeTakenAndReleased() throws {
    let harness = try Harness(brokers: 2)
    harness.cluster.makeTopic("t", leaders: [0, 1])
    harness.cluster.write("t", 0, ["a", "b"])
    harness.cluster.write("t", 0, ["c"])
    let fetcher = fetcher(harness.client())
    fetcher.start([p0: 1, p1: 0])
    try harness.simulation.run { fetcher.buffer.snapshot(of: p0)?.nextOffset == 3 }
    let snapshot = try #require(fetcher.buffer.snapshot(of: p0))
    // The fetch starts inside the first batch: all of it comes.
    #expect(snapshot.batches.map(\.header.recordCount) == [2, 1])
    #expect(snapshot.batches.map(\.header.baseOffset) == [0, 2])
    #expect(snapshot.highWatermark == 3 && snapshot.lastStableOffset == 3 && snapshot.logStartOffset == 0)
    #expect(snapshot.batches[0].bytes == harness.cluster.partition("t", 0)!.batches[0].bytes)
    #expect(values(fetcher.buffer.take(OffsetRange(p0, from: 1, until: 3))) == ["a", "b", "c"])
    #expect(values(fetcher.buffer.take(OffsetRange(p0, from: 1, until: 2))) == ["a", "b"])
    #expect(fetcher.buffer.take(OffsetRange(p0, from: 0, until: 2)) == nil)
    #expect(fetcher.buffer.take(OffsetRange(p0, from: 2, until: 4)) == nil)
    fetcher.release(p0, upTo: 2)
    #expect(fetcher.buffer.take(OffsetRange(p0, from: 1, until: 3)) == nil)
    #expect(values(fetcher.buffer.take(OffsetRange(p0, from: 2, until: 3))) == ["c"])
    // A long poll ends when something is written.
    let began = harness.simulation.now
    harness.simulation.after(.milliseconds(100)) { harness.cluster.write("t", 1, ["z"]) }
    try harness.simulation.run { fetcher.buffer.snapshot(of: p1)?.nextOffset == 1 }
    #expect(harness.simulation.now - began < .milliseconds(110))
    #expect(fetcher.buffer.snapshot().map(\.partition) == [p0, p1])
    fetcher.stop([p0])
    try harness.simulation.run(for: .milliseconds(1))
    #expect(fetcher.buffer.snapshot().map(\.partition) == [p1])
  }

  @Test func aFullPartitionPausesAloneAndGoesOnWhenReleased() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0, 0])
    for n in 0..<100 { harness.cluster.write("t", 0, ["\(n)" + String(repeating: "x", count: 900)]) }
    let fetcher = fetcher(harness.client()) {
      $0.partitionBudget = 10_000
      $0.partitionBytesMax = 4_000
    }
    fetcher.start([p0: 0, p1: 0])
    try harness.simulation.run(for: .seconds(5))
    let full = try #require(fetcher.buffer.snapshot(of: p0))
    #expect((10_000...15_000).contains(full.bufferedBytes))
    // The other partition still flows, and the full one's watermark is kept fresh.
    harness.cluster.write("t", 0, ["more"])
    harness.cluster.write("t", 1, ["other"])
    try harness.simulation.run(for: .seconds(2))
    #expect(fetcher.buffer.snapshot(of: p1)?.nextOffset == 1)
    #expect(fetcher.buffer.snapshot(of: p0)?.highWatermark == 101)
    #expect(fetcher.buffer.snapshot(of: p0)?.lastStableOffset == 101)
    #expect(fetcher.buffer.snapshot(of: p0)?.nextOffset == full.nextOffset)
    var position: Offset = 0
    var seen: [String] = []
    while position < 101 {
      let snapshot = fetcher.buffer.snapshot(of: p0)!
      let range = OffsetRange(p0, from: position, until: snapshot.nextOffset)
      seen += values(fetcher.buffer.take(range))
      position = snapshot.nextOffset
      fetcher.release(p0, upTo: position)
      try harness.simulation.run(for: .seconds(1))
    }
    #expect(seen.count == 101 && seen.last == "more")
    #expect(fetcher.buffer.snapshot(of: p0)!.bufferedBytes == 0)
  }

  @Test func anOffsetOutsideTheLogIsReportedAndSeekGoesOn() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    harness.cluster.write("t", 0, ["a"])
    let events = Collected<FetchEvent>()
    let fetcher = fetcher(harness.client(), events)
    fetcher.start([p0: 50])
    try harness.simulation.run(for: .seconds(3))
    #expect(events.values.count == 1)
    guard case .offsetOutOfRange(p0, 50) = events.values.first else {
      Issue.record("\(events.values)")
      return
    }
    fetcher.seek(p0, to: 0)
    try harness.simulation.run { fetcher.buffer.snapshot(of: p0)?.nextOffset == 1 }
  }

  @Test func leadersThatMoveAreFollowed() throws {
    let harness = try Harness(brokers: 3)
    harness.cluster.makeTopic("t", leaders: [0])
    let fetcher = fetcher(harness.client())
    fetcher.start([p0: 0])
    for n in 0..<6 {
      harness.cluster.moveLeader("t", 0, to: Int32(n % 3))
      harness.cluster.write("t", 0, ["\(n)"])
      try harness.simulation.run(within: .seconds(10)) {
        fetcher.buffer.snapshot(of: p0)?.nextOffset == Offset(Int64(n + 1))
      }
    }
    #expect(values(fetcher.buffer.take(OffsetRange(p0, from: 0, until: 6))) == (0..<6).map { "\($0)" })
  }

  @Test func aTopicMadeAnewIsNotTakenForTheOldOne() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    harness.cluster.write("t", 0, ["old"])
    let events = Collected<FetchEvent>()
    let client = harness.client()
    let fetcher = fetcher(client, events)
    fetcher.start([p0: 0])
    try harness.simulation.run { fetcher.buffer.snapshot(of: p0)?.nextOffset == 1 }
    let before = client.metadata.topics["t"]?.id
    harness.cluster.makeTopic("t", leaders: [0])
    harness.cluster.topicIDs["t"] = UUID128(high: 99, low: 99)
    try harness.simulation.run(for: .seconds(5))
    #expect(client.metadata.topics["t"]?.id != before)
    guard case .recreated(p0) = events.values.last else {
      Issue.record("\(events.values)")
      return
    }
  }

  @Test func bytesThatAreNoBatchesStopThePartition() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    harness.cluster.partition("t", 0)!.batches = [(0, 1, Bytes([UInt8](repeating: 0, count: 100)))]
    harness.cluster.partition("t", 0)!.nextOffset = 1
    let events = Collected<FetchEvent>()
    let fetcher = fetcher(harness.client(), events)
    fetcher.start([p0: 0])
    try harness.simulation.run(for: .seconds(2))
    guard case .failed(p0, let error, isStopped: true) = events.values.first else {
      Issue.record("\(events.values)")
      return
    }
    #expect(error.description.contains("format 0"))
  }

  @Test func aRangeIsFetchedForItself() throws {
    let harness = try Harness()
    harness.cluster.makeTopic("t", leaders: [0])
    for n in 0..<20 { harness.cluster.write("t", 0, ["\(n)", "\(n)'"]) }
    let client = harness.client()
    harness.cluster.errors[.fetch] = [.notLeaderOrFollower, .none, .unknownLeaderEpoch]
    let whole = try harness.wait { client.fetchRange(OffsetRange(p0, from: 5, until: 31), then: $0) }.get()
    #expect(values(whole) == (2..<16).flatMap { ["\($0)", "\($0)'"] })
    #expect(whole.nextOffset == 32)
    let bounded = try harness.wait {
      client.fetchRange(OffsetRange(p0, from: 0, until: 40), bytesMax: 200, then: $0)
    }.get()
    #expect(bounded.nextOffset < 40 && bounded.nextOffset >= 4)
    let gone = try harness.wait { client.fetchRange(OffsetRange(p0, from: 35, until: 60), then: $0) }
    #expect(gone.error?.kafkaCode == .offsetOutOfRange)
    let empty = try harness.wait { client.fetchRange(OffsetRange(p0, from: 7, until: 7), then: $0) }.get()
    #expect(empty.batches.isEmpty)
  }

  /// Goal: every record comes once, in order, whatever the network does.
  @Test(arguments: 1...40) func nothingIsMissedOrDoubled(seed: UInt64) throws {
    let harness = try Harness(seed: seed, brokers: 2, conditions: .hostile(0.03))
    harness.cluster.makeTopic("t", leaders: [0, 1])
    let fetcher = fetcher(harness.client(bootstrap: (0..<2).map { FakeCluster.address($0) })) {
      $0.partitionBudget = 2_000
      $0.partitionBytesMax = 700
    }
    fetcher.start([p0: 0, p1: 0])
    for n in 0..<150 {
      harness.simulation.after(.milliseconds(Int64(n) * 20)) { harness.cluster.write("t", Int32(n % 2), ["\(n)"]) }
    }
    harness.simulation.after(.milliseconds(700)) { harness.cluster.moveLeader("t", 0, to: 1) }
    harness.simulation.after(.milliseconds(1500)) { harness.cluster.moveLeader("t", 1, to: 0) }
    var seen: [[String]] = [[], []]
    var positions: [Offset] = [0, 0]
    try harness.simulation.run(within: .seconds(120)) {
      for (index, partition) in [p0, p1].enumerated() {
        guard let snapshot = fetcher.buffer.snapshot(of: partition), snapshot.nextOffset > positions[index] else {
          continue
        }
        seen[index] += values(
          fetcher.buffer.take(OffsetRange(partition, from: positions[index], until: snapshot.nextOffset)))
        positions[index] = snapshot.nextOffset
        fetcher.release(partition, upTo: snapshot.nextOffset)
      }
      return seen[0].count >= 75 && seen[1].count >= 75
    }
    #expect(seen[0] == (0..<75).map { "\($0 * 2)" }, "seed \(seed)")
    #expect(seen[1] == (0..<75).map { "\($0 * 2 + 1)" }, "seed \(seed)")
  }
}
