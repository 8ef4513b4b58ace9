import Groundwork
@testable import LogStorage
import Simulation
import SystemInterfaces
import Testing

/// One log: what goes in comes out, what must not go in is refused by name.
struct PartitionLogTests {
  private let bench = LogBench(SimulatedWorldBox())

  @Test func offsetsCountRecordsAndBytesStayAsSent() throws {
    let (log, _) = try bench.open()
    let first = TestBatch("a", "b", "c").bytes
    let second = TestBatch("d").bytes
    #expect(try log.append(first, now: 5).firstOffset == 0)
    let result = try log.append(second, now: 5)
    #expect(result == AppendResult(firstOffset: 3, lastOffset: 3, logAppendTime: .none, isDuplicate: false))
    #expect(log.endOffset == 4)
    #expect(log.highWatermark == 4)
    let read = try log.read(from: 0, bytesMax: 10_000, atLeastOneBatch: true).collected()
    let batches = split(read)
    #expect(batches.map(\.base) == [0, 3])
    #expect(batches.map(\.sent) == [first[16..<first.count], second[16..<second.count]])
    // The epoch is the broker's, the checksum still fits: the file is the same bytes.
    #expect(try bench.files.contents(of: "/data/t-0/00000000000000000000.log") == read)
    #expect(read[12..<16] == Bytes([0, 0, 0, 0]))
  }

  @Test func aReadBeginsWithTheBatchThatHoldsTheOffset() throws {
    for hotBytes in [0, 1 << 20] {
      let bench = LogBench(SimulatedWorldBox())
      bench.hotBytes = hotBytes
      let (log, _) = try bench.open()
      for index in 0..<10 { _ = try log.append(TestBatch("x\(index)", "y").bytes, now: 1) }
      let size = TestBatch("x0", "y").bytes.count
      let slice = try log.read(from: 5, bytesMax: size * 2 + 10, atLeastOneBatch: true)
      #expect(slice.isFromFile == (hotBytes == 0))
      #expect(slice.byteCount == size * 2)
      #expect(split(try slice.collected()).map(\.base) == [4, 6])
      // Progress: one batch comes even if it exceeds the limit; where that is not asked for, none.
      #expect(try log.read(from: 5, bytesMax: 1, atLeastOneBatch: true).byteCount == size)
      #expect(try log.read(from: 5, bytesMax: 1, atLeastOneBatch: false).byteCount == 0)
      #expect(try log.read(from: 20, bytesMax: 100, atLeastOneBatch: true).byteCount == 0)
      let error = #expect(throws: LogError.self) { try log.read(from: 21, bytesMax: 100, atLeastOneBatch: true) }
      #expect(error?.code == .offsetOutOfRange(requested: 21, start: 0, end: 20))
      #expect(throws: LogError.self) { try log.read(from: -1, bytesMax: 100, atLeastOneBatch: true) }
    }
  }

  @Test func logAppendTimeIsStamped() throws {
    bench.configuration = try LogConfiguration().applying(["message.timestamp.type": "LogAppendTime"])
    let (log, _) = try bench.open()
    let result = try log.append(TestBatch("a", timestamp: 77).bytes, now: 123_456)
    #expect(result.logAppendTime == 123_456)
    let batch = try log.read(from: 0, bytesMax: 1000, atLeastOneBatch: true).collected()
    #expect(batch[22] & 8 == 8)
    let stored = batch[17..<21].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    #expect(stored == TestBatch.crc32c(batch[21..<batch.count]))
    #expect(batch[35..<43].reduce(Int64(0)) { $0 << 8 | Int64($1) } == 123_456)
    bench.simulation.kill()
    #expect(try bench.open().log.endOffset == 1)
  }

  @Test func whatIsNoBatchIsRefused() throws {
    bench.configuration = try LogConfiguration().applying(["max.message.bytes": "200"])
    let (log, _) = try bench.open()
    let good = TestBatch("a", "b").bytes
    func code(_ bytes: some Sequence<UInt8>) -> LogError.Code? {
      do throws(LogError) {
        _ = try log.append(Bytes(bytes), now: 1)
        return nil
      } catch { return error.code }
    }
    func isCorrupt(_ code: LogError.Code?) -> Bool { if case .corruptBatch = code { true } else { false } }
    func isInvalid(_ code: LogError.Code?) -> Bool { if case .invalidRecord = code { true } else { false } }
    for size in 0..<good.count { #expect(isCorrupt(code(good[0..<size])), "cut at \(size)") }
    var missed: [Int] = []
    for position in 17..<good.count {
      var flipped = Array(good)
      flipped[position] ^= 0x10
      if !isCorrupt(code(flipped)) { missed.append(position) }
    }
    #expect(missed.isEmpty)
    #expect(isInvalid(code(Array(good) + Array(good))))
    var old = Array(good)
    old[16] = 1
    #expect(code(old) == .unsupportedFormat(magic: 1))
    #expect(
      code(TestBatch(String(repeating: "z", count: 300)).bytes)
        == .messageTooLarge(size: TestBatch(String(repeating: "z", count: 300)).bytes.count, limit: 200))
    for attributes: Int16 in [0x20, 0x10, 0x05, 0x07] {
      var batch = TestBatch("a")
      batch.attributes = attributes
      #expect(isInvalid(code(batch.bytes)), "attributes \(attributes)")
    }
    #expect(isCorrupt(code(TestBatch([]).bytes)))
    var unsequenced = TestBatch("a")
    unsequenced.producerID = 5
    #expect(isInvalid(code(unsequenced.bytes)))
    #expect(log.endOffset == 0)
    #expect(code(good) == nil)
  }

  @Test func segmentsRollBySizeAndAge() throws {
    bench.configuration = try LogConfiguration().applying(["segment.bytes": "250", "segment.ms": "1000"])
    let (log, _) = try bench.open()
    let size = TestBatch("a").bytes.count
    for _ in 0..<250 / size { _ = try log.append(TestBatch("a").bytes, now: 1000) }
    #expect(log.segmentCount == 1)
    _ = try log.append(TestBatch("a").bytes, now: 1000)
    #expect(log.segmentCount == 2)
    _ = try log.append(TestBatch("a", timestamp: 2000).bytes, now: 2000)
    #expect(log.segmentCount == 2)
    _ = try log.append(TestBatch("a", timestamp: 2001).bytes, now: 2001)
    #expect(log.segmentCount == 3)
    let names = try bench.files.list("/data/t-0").filter { $0.hasSuffix(".log") }
    #expect(names.count == 3)
    #expect(names[1] == "0000000000000000000\(250 / size).log")
    // Without input the timer rolls.
    #expect(try log.maintain(now: 3001).rolled == false)
    #expect(try log.maintain(now: 3002).rolled)
    #expect(log.segmentCount == 4)
  }

  @Test func jitterOnlyShortens() throws {
    bench.configuration = try LogConfiguration().applying(["segment.ms": "1000", "segment.jitter.ms": "500"])
    let (log, _) = try bench.open()
    _ = try log.append(TestBatch("a", timestamp: 0).bytes, now: 0)
    #expect(try log.maintain(now: 500).rolled == false)
    #expect(try log.maintain(now: 1001).rolled)
  }

  @Test func retentionByTimeMovesTheStart() throws {
    bench.configuration = try LogConfiguration().applying(["segment.bytes": "100", "retention.ms": "5000"])
    let (log, _) = try bench.open()
    for second in 0..<10 { _ = try log.append(TestBatch("a", timestamp: Int64(second) * 1000).bytes, now: 0) }
    #expect(log.segmentCount == 10)
    let done = try log.maintain(now: 8500)
    #expect(done.removedSegments == 4)
    #expect(log.startOffset == 4)
    let error = #expect(throws: LogError.self) { try log.read(from: 3, bytesMax: 100, atLeastOneBatch: true) }
    #expect(error?.code == .offsetOutOfRange(requested: 3, start: 4, end: 10))
    #expect(split(try log.read(from: 4, bytesMax: 100, atLeastOneBatch: true).collected()).first?.base == 4)
    // Everything has passed: the active segment goes as well, and offsets go on.
    #expect(try log.maintain(now: 100_000).removedSegments == 6)
    #expect(log.startOffset == 10)
    #expect(log.endOffset == 10)
    #expect(try log.append(TestBatch("b", timestamp: 100_000).bytes, now: 100_000).firstOffset == 10)
    bench.simulation.kill()
    let (again, recovery) = try bench.open()
    #expect(again.startOffset == 10)
    #expect(again.endOffset == 11)
    #expect(recovery.cutBytes == 0)
  }

  @Test func retentionBySizeRemovesTheOldestOnly() throws {
    let size = TestBatch("a").bytes.count
    bench.configuration = try LogConfiguration().applying([
      "segment.bytes": "100", "retention.bytes": "\(size * 3)", "retention.ms": "-1",
    ])
    let (log, _) = try bench.open()
    for _ in 0..<10 { _ = try log.append(TestBatch("a").bytes, now: 0) }
    let done = try log.maintain(now: 1_000_000_000)
    #expect(done.removedSegments == 7)
    #expect(log.startOffset == 7)
    #expect(log.byteCount == Int64(size * 3))
  }

  @Test func aReaderOfARemovedSegmentMayFinish() throws {
    bench.configuration = try LogConfiguration().applying(["segment.bytes": "100", "retention.ms": "1"])
    bench.hotBytes = 0
    let (log, _) = try bench.open()
    let batch = TestBatch("a").bytes
    for _ in 0..<3 { _ = try log.append(batch, now: 0) }
    let slice = try log.read(from: 0, bytesMax: 1000, atLeastOneBatch: true)
    _ = try log.maintain(now: 100_000)
    #expect(split(try slice.collected()).map(\.sent) == [batch[16..<batch.count]])
  }

  @Test func underSyncNothingIsVisibleBeforeTheFlush() throws {
    for hotBytes in [0, 1 << 20] {
      let bench = LogBench(SimulatedWorldBox())
      bench.flushPolicy = .sync
      bench.hotBytes = hotBytes
      let (log, _) = try bench.open()
      _ = try log.append(TestBatch("a").bytes, now: 1)
      #expect(log.highWatermark == 0)
      #expect(try log.read(from: 0, bytesMax: 1000, atLeastOneBatch: true).byteCount == 0)
      try log.flush()
      _ = try log.append(TestBatch("b").bytes, now: 1)
      #expect(split(try log.read(from: 0, bytesMax: 1000, atLeastOneBatch: true).collected()).map(\.base) == [0])
      try log.flush()
      bench.simulation.losePower()
      #expect(try bench.open().log.endOffset == 2)
    }
  }

  @Test func aFullDiskRefusesAndRecovers() throws {
    let (log, _) = try bench.open()
    _ = try log.append(TestBatch("a").bytes, now: 1)
    bench.simulation.disk.inject(DiskFault(.write, code: .diskFull, isTorn: true))
    let error = #expect(throws: LogError.self) { try log.append(TestBatch("b").bytes, now: 1) }
    #expect(error?.isRetriable == true)
    #expect(try log.append(TestBatch("c").bytes, now: 1).firstOffset == 1)
    bench.simulation.kill()
    let (again, recovery) = try bench.open()
    #expect(recovery.cutBytes == 0)
    #expect(again.endOffset == 2)
  }

  @Test func aFailedSyncTakesTheLogOffline() throws {
    bench.flushPolicy = .sync
    let (log, _) = try bench.open()
    _ = try log.append(TestBatch("a").bytes, now: 1)
    bench.simulation.disk.inject(DiskFault(.sync, code: .inputOutput))
    #expect(throws: LogError.self) { try log.flush() }
    let error = #expect(throws: LogError.self) { try log.append(TestBatch("b").bytes, now: 1) }
    #expect(error?.code == .offline)
    #expect(error?.description.contains("restart") == true)
  }

  @Test func settingsHaveKafkasNamesAndClearRefusals() throws {
    let configuration = LogConfiguration()
    #expect(configuration.value(of: "retention.ms") == "604800000")
    #expect(configuration.value(of: "max.message.bytes") == "1048588")
    #expect(configuration.value(of: "segment.bytes") == "1073741824")
    #expect(configuration.value(of: "nothing") == nil)
    let error = #expect(throws: LogError.self) { try configuration.applying(["cleanup.policy": "compact"]) }
    #expect(
      error?.description
        == "cleanup.policy=compact: compaction is not supported by this broker yet: use cleanup.policy=delete")
    for (name, value) in [
      ("retention.ms", "-2"), ("segment.bytes", "3"), ("segment.bytes", "x"), ("segment.ms", "0"), ("what", "1"),
      ("message.timestamp.type", "Now"), ("compression.type", "zstd"), ("retention.bytes", ""),
    ] { #expect(throws: LogError.self, "\(name)=\(value)") { try configuration.applying([name: value]) } }
    #expect(try configuration.applying(["retention.ms": "-1"]).retention == nil)
  }
}
