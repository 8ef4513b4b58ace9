import Groundwork
import Simulation
import Testing

@testable import LogStorage

/// Idempotent producers: sent again is answered again, gaps and old epochs are refused, also after a reopen.
struct ProducerStateTests {
  private let bench = LogBench(SimulatedWorldBox())

  private func code(_ log: PartitionLog, _ batch: TestBatch) -> LogError.Code? {
    do throws(LogError) {
      _ = try log.append(batch.bytes, now: 1)
      return nil
    } catch { return error.code }
  }

  @Test func duplicatesGetTheirFirstOffset() throws {
    let (log, _) = try bench.open()
    for sequence in 0..<7 { _ = try log.append(TestBatch.sequenced(9, Int32(sequence * 2), count: 2).bytes, now: 1) }
    for sequence in 2..<7 {
      let again = try log.append(TestBatch.sequenced(9, Int32(sequence * 2), count: 2).bytes, now: 1)
      #expect(again.isDuplicate)
      #expect(again.firstOffset == Offset(Int64(sequence * 2)))
      #expect(again.lastOffset == Offset(Int64(sequence * 2 + 1)))
    }
    // Older than the five that are remembered.
    #expect(
      code(log, .sequenced(9, 2, count: 2)) == .outOfOrderSequence(producerID: 9, expected: 14, received: 2))
    #expect(
      code(log, .sequenced(9, 16)) == .outOfOrderSequence(producerID: 9, expected: 14, received: 16))
    #expect(log.endOffset == 14)
  }

  @Test func aNewEpochBeginsAtZeroAndEndsTheOld() throws {
    let (log, _) = try bench.open()
    #expect(code(log, .sequenced(9, 0, epoch: 3)) == nil)
    #expect(code(log, .sequenced(9, 5, epoch: 4)) == .outOfOrderSequence(producerID: 9, expected: 0, received: 5))
    #expect(code(log, .sequenced(9, 0, epoch: 4)) == nil)
    #expect(code(log, .sequenced(9, 1, epoch: 3)) == .staleProducerEpoch(producerID: 9, current: 4, received: 3))
    // Producers do not know each other; an unknown one may begin anywhere, since retention may have taken its past.
    #expect(code(log, .sequenced(10, 77, epoch: 0)) == nil)
  }

  @Test func sequencesWrap() throws {
    let (log, _) = try bench.open()
    #expect(code(log, .sequenced(9, Int32.max - 1, count: 2)) == nil)
    #expect(code(log, .sequenced(9, 0, count: 2)) == nil)
    #expect(code(log, .sequenced(9, 2)) == nil)
    #expect(ProducerStates.sequence(Int32.max, advancedBy: 1) == 0)
  }

  @Test(arguments: [false, true]) func whatIsKnownSurvivesAReopen(isClean: Bool) throws {
    bench.configuration = try LogConfiguration().applying(["segment.bytes": "300"])
    let (log, _) = try bench.open()
    for sequence in 0..<20 {
      _ = try log.append(TestBatch.sequenced(9, Int32(sequence)).bytes, now: 1)
      _ = try log.append(TestBatch.sequenced(8, Int32(sequence), epoch: 2).bytes, now: 1)
    }
    if isClean { try log.close() }
    bench.simulation.kill()
    let (again, recovery) = try bench.open(now: 5)
    #expect(recovery.wasClean == isClean)
    // A death costs a scan of the segments since the last checkpoint, not of the whole log.
    #expect(isClean ? recovery.scannedBytes == 0 : recovery.scannedBytes <= 300 && recovery.scannedBytes > 0)
    #expect(try again.append(TestBatch.sequenced(9, 19).bytes, now: 1).firstOffset == 38)
    #expect(try again.append(TestBatch.sequenced(9, 15).bytes, now: 1).isDuplicate)
    #expect(code(again, .sequenced(9, 21)) == .outOfOrderSequence(producerID: 9, expected: 20, received: 21))
    #expect(code(again, .sequenced(8, 20, epoch: 1)) == .staleProducerEpoch(producerID: 8, current: 2, received: 1))
    #expect(code(again, .sequenced(9, 20)) == nil)
  }

  @Test func aLostSnapshotIsMadeAgainFromTheLog() throws {
    bench.configuration = try LogConfiguration().applying(["segment.bytes": "300"])
    let (log, _) = try bench.open()
    for sequence in 0..<20 { _ = try log.append(TestBatch.sequenced(9, Int32(sequence)).bytes, now: 1) }
    bench.simulation.kill()
    for name in try bench.files.list("/data/t-0") where name.hasSuffix(".snapshot") {
      try bench.files.removeFile("/data/t-0/" + name)
    }
    let (again, _) = try bench.open()
    #expect(try again.append(TestBatch.sequenced(9, 16).bytes, now: 1).firstOffset == 16)
  }

  @Test func idleProducersAreForgotten() throws {
    let (log, _) = try bench.open()
    _ = try log.append(TestBatch.sequenced(9, 0).bytes, now: 1000)
    _ = try log.maintain(now: 86_400_000)
    #expect(log.producers.producers.count == 1)
    _ = try log.maintain(now: 86_402_000)
    #expect(log.producers.producers.isEmpty)
  }
}
