import Groundwork
import KafkaProtocol
import Simulation
import SystemInterfaces
import Testing

@testable import LogStorage

/// Goal: last stable offset and aborted transactions are what a naive model says, also after retention, deaths, clean
/// reopens, lost snapshots and lost indexes. Strategy: a seed interleaves transactional batches, markers and plain batches
/// of a few producers on small segments; the model keeps each transaction with its first offset and its marker.
struct TransactionIndexTests {
  private struct Transaction {
    var producerID: Int64
    var first: Int64
    var marker: Int64?
    var isCommitted = false
  }

  private func batch(_ producerID: Int64, _ sequence: Int32, _ epoch: Int16, count: Int = 1) -> Bytes {
    var batch = TestBatch.sequenced(producerID, sequence, count: count, epoch: epoch, timestamp: 1000)
    batch.attributes = 0x10
    return batch.bytes
  }

  private func marker(_ producerID: Int64, _ epoch: Int16, commit: Bool, coordinator: Int32 = 0) -> TransactionMarker {
    TransactionMarker(
      producerID: producerID, producerEpoch: epoch, coordinatorEpoch: coordinator, isCommitted: commit)
  }

  @Test(arguments: 0..<150) func itSaysWhatTheModelSays(seed: UInt64) throws {
    var random = SeededRandom(seed: seed &* 31 &+ 5)
    let box = SimulatedWorldBox(seed: seed)
    let bench = LogBench(box)
    bench.flushPolicy = seed % 3 == 0 ? .sync : .os
    bench.hotBytes = [0, 1000, 1 << 20][Int(seed % 3)]
    bench.configuration = try LogConfiguration().applying([
      "segment.bytes": "\(Int.random(in: 150...1500, using: &random))", "index.interval.bytes": "200",
      "retention.bytes": seed % 4 == 0 ? "2000" : "-1",
    ])
    var log = try bench.open().log
    var transactions: [Transaction] = []
    var open: [Int64: Int] = [:]
    var sequences: [Int64: Int32] = [:]
    var epochs: [Int64: Int16] = [:]
    var problems: [String] = []

    func compare() throws {
      let start = log.startOffset.rawValue
      let end = log.endOffset.rawValue
      let stable = max(open.values.map { transactions[$0].first }.min() ?? end, start)
      if log.lastStableOffset.rawValue != stable { problems.append("stable \(log.lastStableOffset), not \(stable)") }
      let from = Int64.random(in: start...max(start, stable), using: &random)
      let slice = try log.read(
        from: Offset(from), until: log.lastStableOffset, bytesMax: Int.random(in: 1...4000, using: &random),
        atLeastOneBatch: true)
      guard let until = slice.endOffset else {
        if from < stable { problems.append("nothing from \(from) below \(stable)") }
        return
      }
      let batches = split(try slice.collected())
      if batches.last.map({ $0.base + Int64($0.count) }) != until.rawValue {
        problems.append("the slice ends at \(batches.last!.base), not \(until)")
      }
      if until.rawValue > stable { problems.append("beyond the last stable offset") }
      let found = log.abortedTransactions(from: Offset(from), until: until)
      // A transaction whose first records retention has taken begins, for a log made anew, where the rest of it does.
      let expected = transactions.filter {
        !$0.isCommitted && $0.marker.map { $0 >= from } == true && $0.first < until.rawValue
      }.sorted { $0.marker! < $1.marker! }
      let isSame =
        found.map(\.producerID) == expected.map(\.producerID)
        && zip(found, expected).allSatisfy {
          $0.lastOffset.rawValue == $1.marker && ($0.firstOffset.rawValue == $1.first || $1.first < start)
        }
      if !isSame { problems.append("\(found) for \(from)..<\(until), not \(expected)") }
    }

    for step in 0..<200 where problems.isEmpty {
      let id = Int64.random(in: 1...4, using: &random)
      switch Int.random(in: 0..<30, using: &random) {
      case 0..<12:
        let count = Int.random(in: 1...3, using: &random)
        let result = try log.append(
          batch(id, sequences[id] ?? 0, epochs[id] ?? 0, count: count), now: Timestamp(milliseconds: Int64(step)))
        sequences[id, default: 0] += Int32(count)
        if open[id] == nil {
          open[id] = transactions.count
          transactions.append(Transaction(producerID: id, first: result.firstOffset.rawValue))
        }
      case 12..<14:
        _ = try log.append(TestBatch("plain").bytes, now: 1)
      case 14..<20:
        let commit = Bool.random(using: &random)
        let raises = id % 2 == 0
        if raises {
          epochs[id, default: 0] += 1
          sequences[id] = 0
        }
        let place = try log.append(
          marker(id, epochs[id] ?? 0, commit: commit), now: Timestamp(milliseconds: Int64(step)))
        if let index = open.removeValue(forKey: id) {
          transactions[index].marker = place.offset.rawValue
          transactions[index].isCommitted = commit
        }
      case 20: _ = try log.maintain(now: Timestamp(milliseconds: Int64(step)))
      case 21:
        try log.close()
        log = try bench.open().log
      case 22, 23:
        try log.flush()
        box.kill()
        if step % 3 == 0, seed % 4 != 0 {
          // With retention the past of a log cannot be made again from what is left.
          for name in try bench.files.list("/data/t-0") where name.hasSuffix(".txnindex") || name.hasSuffix(".snapshot")
          {
            if Bool.random(using: &random) { try bench.files.removeFile("/data/t-0/" + name) }
          }
        }
        log = try bench.open().log
      case 24 where bench.flushPolicy == .sync:
        try log.flush()
        box.losePower()
        log = try bench.open().log
      default:
        try log.flush()
        try compare()
      }
    }
    try log.flush()
    try compare()
    #expect(problems.isEmpty, "seed \(seed): \(problems.first ?? "")")
  }

  @Test func underSyncAMarkerCountsOnceItIsDurable() throws {
    let bench = LogBench(SimulatedWorldBox())
    bench.flushPolicy = .sync
    let (log, _) = try bench.open()
    _ = try log.append(batch(1, 0, 0), now: 1)
    try log.flush()
    #expect(log.highWatermark == 1 && log.lastStableOffset == 0)
    _ = try log.append(marker(1, 0, commit: true), now: 1)
    #expect(log.highWatermark == 1 && log.lastStableOffset == 0)
    try log.flush()
    #expect(log.highWatermark == 2 && log.lastStableOffset == 2)
  }

  @Test func oldEpochsEndNothing() throws {
    let bench = LogBench(SimulatedWorldBox())
    let (log, _) = try bench.open()
    func code(_ marker: TransactionMarker) -> LogError.Code? {
      do throws(LogError) {
        _ = try log.append(marker, now: 1)
        return nil
      } catch { return error.code }
    }
    _ = try log.append(batch(1, 0, 5), now: 1)
    #expect(code(marker(1, 4, commit: false)) == .staleProducerEpoch(producerID: 1, current: 5, received: 4))
    #expect(!log.hasEnded(marker(1, 5, commit: true)))
    #expect(code(marker(1, 6, commit: true, coordinator: 2)) == nil)
    #expect(log.hasEnded(marker(1, 6, commit: true)))
    #expect(
      code(marker(1, 6, commit: false, coordinator: 1))
        == .staleCoordinatorEpoch(producerID: 1, current: 2, received: 1))
    // The marker has raised the epoch: its producer counts from 0, and one of before is refused.
    #expect(throws: LogError.self) { try log.append(self.batch(1, 1, 5), now: 1) }
    #expect(throws: LogError.self) { try log.append(self.batch(1, 1, 6), now: 1) }
    _ = try log.append(batch(1, 0, 6), now: 1)
    // A batch outside of the open transaction.
    #expect(throws: LogError.self) { try log.append(TestBatch.sequenced(1, 1, epoch: 6).bytes, now: 1) }
    #expect(log.openTransactions.map(\.transactionStart) == [2])
  }

  @Test func anOpenTransactionKeepsItsProducerInMind() throws {
    let (log, _) = try LogBench(SimulatedWorldBox()).open()
    _ = try log.append(batch(1, 0, 0), now: 1000)
    _ = try log.append(batch(2, 0, 0), now: 1000)
    _ = try log.append(marker(2, 0, commit: true), now: 1000)
    _ = try log.maintain(now: 100_000_000)
    #expect(log.producerDescriptions.map(\.producerID) == [1])
    #expect(log.lastStableOffset == 0)
  }

  @Test func aDeathCostsAScanOfTheLastSegmentsOnly() throws {
    let bench = LogBench(SimulatedWorldBox())
    bench.configuration = try LogConfiguration().applying(["segment.bytes": "300"])
    let (log, _) = try bench.open()
    _ = try log.append(batch(9, 0, 0), now: 1)
    for step in 0..<20 {
      _ = try log.append(batch(1, Int32(step), 0), now: 1)
      _ = try log.append(marker(1, 0, commit: step % 2 == 0), now: 1)
    }
    let aborted = log.abortedTransactions(from: 0, until: log.endOffset)
    bench.simulation.kill()
    let (again, recovery) = try bench.open()
    #expect(recovery.scannedBytes <= 300 && recovery.rebuiltIndexes == 0)
    #expect(again.lastStableOffset == 0)
    #expect(aborted.count == 10 && again.abortedTransactions(from: 0, until: again.endOffset) == aborted)
  }
}
