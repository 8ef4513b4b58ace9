import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import LogStorage

/// Deaths at any byte, lost and damaged indexes, and the indexes' promise.
struct RecoveryTests {
  private let path = "/data/t-0/00000000000000000000.log"

  @Test func aTailTornAtEveryByteIsCutAndTold() throws {
    let bench = LogBench(SimulatedWorldBox())
    var log = try bench.open().log
    let kept = [TestBatch("a", "b").bytes, TestBatch.sequenced(4, 0).bytes]
    for batch in kept { _ = try log.append(batch, now: 1) }
    let whole = log.byteCount
    let last = TestBatch.sequenced(4, 1, count: 3).bytes
    _ = try log.append(last, now: 1)
    let content = try bench.files.contents(of: path)
    for size in Int(whole)..<content.count {
      bench.simulation.kill()
      try bench.files.replace(path, with: content[0..<size])
      let recovery: LogRecovery
      (log, recovery) = try bench.open()
      #expect(log.endOffset == 3, "cut at \(size)")
      #expect(recovery.cutBytes == Int64(size) - whole, "cut at \(size)")
      #expect((recovery.cutReason == nil) == (size == Int(whole)), "cut at \(size)")
      // The torn batch is sent again: it is no duplicate, and goes where it would have been.
      let again = try log.append(last, now: 1)
      #expect(!again.isDuplicate && again.firstOffset == 3, "cut at \(size)")
    }
  }

  @Test func damageInTheMiddleCutsAllBehindIt() throws {
    let bench = LogBench(SimulatedWorldBox())
    bench.configuration = try LogConfiguration().applying(["segment.bytes": "300"])
    let (log, _) = try bench.open()
    for _ in 0..<12 { _ = try log.append(TestBatch("a").bytes, now: 1) }
    #expect(log.segmentCount > 2)
    let total = log.byteCount
    bench.simulation.kill()
    // No checkpoint: everything is scanned.
    try bench.files.removeFile("/data/t-0/" + Checkpoint.name)
    var content = Array(try bench.files.contents(of: path))
    content[100] ^= 1
    try bench.files.replace(path, with: Bytes(content))
    let (again, recovery) = try bench.open()
    #expect(again.endOffset == 1)
    #expect(recovery.cutBytes == total - Int64(TestBatch("a").bytes.count))
    #expect(recovery.cutReason?.contains("byte \(TestBatch("a").bytes.count) of") == true)
    #expect(try again.append(TestBatch("b").bytes, now: 1).firstOffset == 1)
  }

  @Test func lostAndBadIndexesAreMadeAgain() throws {
    for damage in ["remove", "shorten", "nonsense"] {
      let bench = LogBench(SimulatedWorldBox())
      bench.configuration = try LogConfiguration().applying(["segment.bytes": "2000", "index.interval.bytes": "100"])
      let (log, _) = try bench.open()
      for index in 0..<100 { _ = try log.append(TestBatch("a", timestamp: Int64(index)).bytes, now: 1) }
      try log.close()
      let names = try bench.files.list("/data/t-0").filter { $0.hasSuffix("index") }
      for name in names {
        let path = "/data/t-0/" + name
        switch damage {
        case "remove": try bench.files.removeFile(path)
        case "shorten":
          let content = try bench.files.contents(of: path)
          try bench.files.replace(path, with: content[0..<max(content.count - 3, 0)])
        default: try bench.files.replace(path, with: Bytes([UInt8](repeating: 0xEE, count: 24)))
        }
      }
      let (again, recovery) = try bench.open()
      #expect(recovery.wasClean)
      #expect(recovery.rebuiltIndexes == again.segmentCount, "\(damage)")
      for offset in stride(from: Int64(0), to: 100, by: 7) {
        let read = try again.read(from: Offset(offset), bytesMax: 1, atLeastOneBatch: true).collected()
        #expect(split(read).first?.base == offset, "\(damage)")
        #expect(try again.offset(for: Timestamp(milliseconds: offset))?.offset == Offset(offset), "\(damage)")
      }
    }
  }

  @Test func aLookupScansAnIntervalAndABatchAtMost() throws {
    var random = SeededRandom(seed: 5)
    let bench = LogBench(SimulatedWorldBox())
    bench.configuration = try LogConfiguration().applying(["segment.bytes": "60000", "index.interval.bytes": "1000"])
    bench.hotBytes = 0
    let (log, _) = try bench.open()
    var largest = 0
    for _ in 0..<400 {
      let values = (0..<Int.random(in: 1...5, using: &random)).map { _ in
        (timestamp: Int64(1), value: String(repeating: "v", count: Int.random(in: 0...300, using: &random)))
      }
      let bytes = TestBatch(values).bytes
      largest = max(largest, bytes.count)
      _ = try log.append(bytes, now: 1)
    }
    #expect(log.segmentCount > 2)
    for reopened in [false, true] {
      let log = reopened ? try bench.open().log : log
      var longest = 0
      for offset in 0..<log.endOffset.rawValue {
        let segment = log.segments[log.segmentIndex(of: offset)]
        let found = try segment.locate(offset)
        #expect(
          found.map { $0.header.baseOffset.rawValue <= offset && $0.header.lastOffset.rawValue >= offset } == true)
        longest = max(longest, segment.lastLookupScan)
      }
      // The interval counts whole batches: an entry comes with the first batch after it is full.
      #expect(longest <= 1000 + 2 * largest)
      #expect(longest > 0)
    }
  }

  @Test func timesFindTheFirstRecordAtOrAfter() throws {
    for seed in 0..<20 as Range<UInt64> {
      var random = SeededRandom(seed: seed)
      let bench = LogBench(SimulatedWorldBox())
      bench.configuration = try LogConfiguration().applying(["segment.bytes": "2000", "index.interval.bytes": "200"])
      let (log, _) = try bench.open()
      var times: [Int64] = []
      var clock: Int64 = 1000
      for _ in 0..<60 {
        let records = (0..<Int.random(in: 1...4, using: &random)).map { _ in
          clock += Int64.random(in: -3...10, using: &random)
          return (timestamp: clock, value: "v")
        }
        times += records.map(\.timestamp)
        _ = try log.append(TestBatch(records).bytes, now: 1)
      }
      func check(_ log: PartitionLog) throws {
        var wrong: [Int64] = []
        for time in stride(from: Int64(980), to: clock + 30, by: 3) {
          let expected = times.firstIndex { $0 >= time }.map { Offset(Int64($0)) }
          if try log.offset(for: Timestamp(milliseconds: time))?.offset != expected { wrong.append(time) }
        }
        #expect(wrong.isEmpty, "seed \(seed)")
        let newest = times.max()!
        let found = try log.offsetOfMaxTimestamp()
        #expect(found?.timestamp.milliseconds == newest, "seed \(seed)")
        #expect(found?.offset.rawValue == times.firstIndex(of: newest).map(Int64.init), "seed \(seed)")
      }
      try check(log)
      bench.simulation.kill()
      try check(try bench.open().log)
      #expect(try bench.open().log.offset(for: Timestamp(milliseconds: clock + 1000)) == nil)
    }
  }

  @Test func aCleanMarkerOfAnotherLifeIsVoid() throws {
    let bench = LogBench(SimulatedWorldBox())
    var log = try bench.open().log
    _ = try log.append(TestBatch("a").bytes, now: 1)
    try log.close()
    let marker = try bench.files.contents(of: "/data/t-0/" + CleanMarker.name)
    log = try bench.open().log
    _ = try log.append(TestBatch("b").bytes, now: 1)
    bench.simulation.kill()
    try bench.files.replace("/data/t-0/" + CleanMarker.name, with: marker)
    let (again, recovery) = try bench.open()
    #expect(!recovery.wasClean)
    #expect(again.endOffset == 2)
  }

  @Test func theCatalogAndTheOffsetsSurvive() throws {
    let box = SimulatedWorldBox()
    let catalog = try TopicCatalog.open("/c", in: box.files).catalog
    try catalog.setClusterID("cluster")
    for index in 0..<300 {
      try catalog.put(
        TopicDescription(
          name: "t\(index % 3)", id: .init(high: 1, low: UInt64(index)), partitionCount: index + 1,
          overrides: ["retention.ms": "\(index)"]))
    }
    try catalog.remove("t0")
    let offsets = try CommittedOffsets.open("/o", in: box.files, flushPolicy: .sync).offsets
    for index in 0..<20_000 {
      try offsets.commit(
        "g\(index % 2)",
        [
          (
            TopicPartition("t\(index % 3)", PartitionIndex(Int32(index % 5))),
            CommittedOffset(offset: Offset(Int64(index)), leaderEpoch: 0, metadata: "m", committed: 5)
          )
        ])
    }
    try offsets.removeTopic("t1")
    try offsets.removeGroup("g1")
    #expect(try box.files.attributes("/o")!.size < 2_000_000)
    let counter = try ProducerIDCounter.open("/p", in: box.files)
    #expect(try (0..<1500).map { _ in try counter.next() } == Array(0..<1500))
    box.losePower()
    let again = try TopicCatalog.open("/c", in: box.files).catalog
    #expect(again.clusterID == "cluster")
    #expect(again.topics == catalog.topics)
    #expect(again.topics.keys.sorted() == ["t1", "t2"])
    let found = try CommittedOffsets.open("/o", in: box.files, flushPolicy: .sync).offsets
    #expect(found.groups == offsets.groups)
    #expect(found.groupNames == ["g0"])
    #expect(try ProducerIDCounter.open("/p", in: box.files).next() == 2000)
  }
}
