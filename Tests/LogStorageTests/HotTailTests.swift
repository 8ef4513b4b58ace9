import Groundwork
import SystemInterfaces
import Testing

@testable import LogStorage

/// The shared memory of newest batches: bounded over all logs, gone with its log, without holes.
struct HotTailTests {
  @Test func oneBoundForAllLogs() throws {
    let box = SimulatedWorldBox()
    let size = TestBatch("a").bytes.count
    let hot = HotTail(capacity: size * 10)
    let environment = LogEnvironment(files: box.files, hotTail: hot, flushPolicy: .os)
    let logs = try (0..<3).map {
      try PartitionLog.open("/data/t-\($0)", LogConfiguration(), environment, now: 1).log
    }
    for round in 0..<2000 {
      _ = try logs[round % 3].append(TestBatch("a").bytes, now: 1)
      if hot.byteCount > size * 10 { Issue.record("\(hot.byteCount) bytes in round \(round)") }
    }
    for log in logs {
      let end = log.endOffset.rawValue
      #expect(try !log.read(from: Offset(end - 3), bytesMax: 10_000, atLeastOneBatch: true).isFromFile)
      #expect(try log.read(from: Offset(end - 5), bytesMax: 10_000, atLeastOneBatch: true).isFromFile)
    }
    // A deleted log gives its room to the others.
    logs[0].retire()
    #expect(hot.byteCount <= size * 7)
    for _ in 0..<20 { _ = try logs[1].append(TestBatch("a").bytes, now: 1) }
    #expect(hot.byteCount == size * 10)
    let end = logs[1].endOffset.rawValue
    #expect(try !logs[1].read(from: Offset(end - 10), bytesMax: 10_000, atLeastOneBatch: true).isFromFile)
    logs[1].retire()
    logs[2].retire()
    #expect(hot.byteCount == 0)
  }

  @Test func aBatchThatDoesNotFitLeavesNoHole() throws {
    let box = SimulatedWorldBox()
    let environment = LogEnvironment(files: box.files, hotTail: HotTail(capacity: 300), flushPolicy: .os)
    let log = try PartitionLog.open("/data/t-0", LogConfiguration(), environment, now: 1).log
    _ = try log.append(TestBatch("a").bytes, now: 1)
    _ = try log.append(TestBatch(String(repeating: "b", count: 400)).bytes, now: 1)
    _ = try log.append(TestBatch("c").bytes, now: 1)
    #expect(split(try log.read(from: 0, bytesMax: 10_000, atLeastOneBatch: true).collected()).map(\.base) == [0, 1, 2])
    #expect(try !log.read(from: 2, bytesMax: 10_000, atLeastOneBatch: true).isFromFile)
  }
}
