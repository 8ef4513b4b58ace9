import Groundwork
import Streaming
import Testing

@testable import KafkaClients
@testable import KafkaStreaming

/// How much a batch takes, beside rules that any fair answer keeps.
@Suite struct PlanLimitsTests {
  @Test func sharesKeepToEveryLimit() {
    var problems: [String] = []
    for seed in UInt64(0)..<3000 {
      var random = SeededRandom(seed: seed)
      var limits = PlanLimits()
      if random.next() % 2 == 0 { limits.ratePerPartitionMax = Int.random(in: 1...50, using: &random) }
      if random.next() % 2 == 0 { limits.recordsMax = Int.random(in: 1...200, using: &random) }
      limits.ratePerPartitionMin = Int.random(in: 1...5, using: &random)
      let available = (0..<Int.random(in: 1...8, using: &random)).map { _ in Int.random(in: 0...90, using: &random) }
      let decided: [Int?] =
        random.next() % 2 == 0 ? [] : available.map { _ in random.next() % 2 == 0 ? nil : Int(random.next() % 40) }
      let shares = limits.shares(available: available, interval: .seconds(2), decided: decided)
      let taken = available.indices.map { min(available[$0], shares[$0].records ?? Int.max) }
      let wanted = available.indices.map { index -> Int in
        var most = available[index]
        if let rate = limits.ratePerPartitionMax { most = min(most, rate * 2) }
        if decided.indices.contains(index), let allowed = decided[index] {
          most = min(most, max(allowed, limits.ratePerPartitionMin * 2))
        }
        return most
      }
      let total = min(wanted.reduce(0, +), limits.recordsMax ?? Int.max)
      if taken.reduce(0, +) != total { problems.append("seed \(seed): \(taken) of \(available), not \(total)") }
      for index in taken.indices {
        if taken[index] > wanted[index] { problems.append("seed \(seed): \(taken[index]) > \(wanted[index])") }
        if taken[index] < available[index], shares[index].reason.isEmpty { problems.append("seed \(seed): no reason") }
        // In proportion: nobody is more than one record away from his share.
        let all = wanted.reduce(0, +)
        if all > 0 {
          let fair = Double(total) * Double(wanted[index]) / Double(all)
          if abs(Double(taken[index]) - fair) > 1 { problems.append("seed \(seed): \(taken[index]), fair is \(fair)") }
        }
      }
    }
    #expect(problems.isEmpty, "\(problems.prefix(5))")
  }

  @Test func aBatchWaitsForItsMinimumOrTheDelay() {
    var limits = PlanLimits()
    #expect(!limits.waits(available: 0, sinceLast: .zero))
    limits.recordsMin = 100
    limits.delayMax = .seconds(60)
    #expect(limits.waits(available: 99, sinceLast: .seconds(59)))
    #expect(!limits.waits(available: 100, sinceLast: .zero))
    #expect(!limits.waits(available: 1, sinceLast: .seconds(60)))
  }

  @Test func hotPartitionsAreCutIntoPieces() {
    var limits = PlanLimits()
    #expect(limits.pieceMax([100, 0]) == nil)
    limits.partitionsMin = 4
    #expect(limits.pieceMax([100, 0]) == 25)
    #expect(limits.pieceMax([1, 1, 1, 1]) == nil)
    #expect(limits.pieceMax([0, 0]) == nil)
    limits.recordsPerPartitionMax = 10
    #expect(limits.pieceMax([100, 0]) == 10)
    #expect(limits.pieceMax([1, 1, 1, 1]) == 10)
  }

  @Test func parametersOfTheConsumer() throws {
    var fetching = FetcherConfiguration()
    try ConsumerParameters.apply(
      [
        "fetch.min.bytes": "7", "fetch.max.bytes": "8000", "max.partition.fetch.bytes": "900",
        "fetch.max.wait.ms": "60",
        "isolation.level": "read_uncommitted",
      ], to: &fetching)
    #expect(fetching.bytesMin == 7 && fetching.bytesMax == 8000 && fetching.partitionBytesMax == 900)
    #expect(fetching.waitMax == .milliseconds(60) && fetching.isolation == .readUncommitted)
    func complaint(_ name: String, _ value: String) -> String? {
      var fetching = FetcherConfiguration()
      do {
        try ConsumerParameters.apply([name: value], to: &fetching)
        return nil
      } catch { return error.description }
    }
    #expect(
      complaint("group.id", "g")
        == "the consumer parameter group.id cannot be set: the group carries the job's name: --name")
    for name in ConsumerParameters.refused.keys.sorted() {
      #expect(complaint(name, "1")?.hasPrefix("the consumer parameter \(name) cannot be set: ") == true, "\(name)")
    }
    #expect(
      complaint("fetch.bytes", "1")
        == "the consumer parameter fetch.bytes is not known; there are fetch.max.bytes, fetch.max.wait.ms, "
        + "fetch.min.bytes, isolation.level, max.partition.fetch.bytes")
    #expect(
      complaint("fetch.max.bytes", "0") == "fetch.max.bytes: `0` is not a whole number from 1 to 2147483647")
    #expect(complaint("isolation.level", "none")?.contains("neither read_committed nor read_uncommitted") == true)
  }

  @Test func settingsThatAreNoneAreRefused() {
    for (name, value) in [
      ("maxRatePerPartition", "0"), ("minRatePerPartition", "x"), ("maxOffsetsPerTrigger", "-1"),
      ("minOffsetsPerTrigger", "1.5"), ("maxTriggerDelay", "soon"), ("minPartitions", "0"),
      ("maxRecordsPerPartition", "many"), ("startingOffsets", "newest"), ("endingOffsets", "oldest"),
      ("startingTimestampStrategy", "none"), ("onDataLoss", "ignore"), ("offsetsFrom", "me"), ("autoCommit", "yes"),
      ("metadataMaxAge", "0"), ("isolationLevel", "committed"), ("consumer.group.id", "g"),
    ] {
      let error = #expect(throws: StreamingError.self, "\(name)") {
        try SourceSettings(settings: ["sluice.kafka.\(name)": value])
      }
      let text = error?.description ?? ""
      #expect(name.hasPrefix("consumer.") || text.hasPrefix("sluice.kafka.\(name): `\(value)` "), "\(text)")
    }
    #expect(throws: StreamingError.self) { try SourceSettings(settings: ["sluice.kafka.endingOffsets": "earliest"]) }
  }
}
