import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import LogStorage

/// Goal: a log does what a list of batches does. Strategy: a seed chooses appends, reads, rolls, retention, clean and
/// unclean reopens and power losses; a plain array does the same. Invariants: the same batches at the same offsets, the
/// same end; the start at or before what the model may forget; after a power loss under `.sync` nothing acknowledged is
/// gone.
struct LogModelTests {
  private struct Model {
    var batches: [(base: Int64, count: Int64, sent: Bytes)] = []
    var end: Int64 = 0
    mutating func append(_ bytes: Bytes, count: Int64) {
      batches.append((end, count, bytes[16..<bytes.count]))
      end += count
    }
    mutating func cut(to newEnd: Int64) {
      batches.removeAll { $0.base >= newEnd }
      end = newEnd
    }
    func from(_ offset: Int64) -> ArraySlice<(base: Int64, count: Int64, sent: Bytes)> {
      batches[(batches.firstIndex { $0.base + $0.count > offset } ?? batches.count)...]
    }
  }

  @Test(arguments: 0..<150) func aLogIsAListOfBatches(seed: UInt64) throws {
    var random = SeededRandom(seed: seed &* 7919)
    let box = SimulatedWorldBox(seed: seed)
    let bench = LogBench(box)
    bench.flushPolicy = seed % 3 == 0 ? .sync : .os
    bench.hotBytes = [0, 500, 5000, 1 << 20][Int(seed % 4)]
    bench.configuration = try LogConfiguration().applying([
      "segment.bytes": "\(Int.random(in: 200...4000, using: &random))",
      "index.interval.bytes": "\(Int.random(in: 0...800, using: &random))",
      "retention.ms": "20000", "retention.bytes": seed % 5 == 0 ? "5000" : "-1",
    ])
    var now: Int64 = 100_000
    var log = try bench.open(now: Timestamp(milliseconds: now)).log
    var model = Model()
    var problems: [String] = []

    func compare(_ offset: Int64, _ limit: Int) throws {
      let slice = try log.read(from: Offset(offset), bytesMax: limit, atLeastOneBatch: true)
      let found = split(try slice.collected())
      if found.reduce(0, { $0 + $1.sent.count + 16 }) != slice.byteCount { problems.append("a part of a batch") }
      let wanted = model.from(offset)
      if offset < log.highWatermark.rawValue && found.isEmpty { problems.append("nothing at \(offset)") }
      if slice.byteCount > limit && found.count > 1 { problems.append("over the limit at \(offset)") }
      for (one, other) in zip(found, wanted) where one.base != other.base || one.sent != other.sent {
        problems.append("another batch at \(offset)")
      }
      if found.count > wanted.count { problems.append("too many at \(offset)") }
    }

    for step in 0..<120 {
      switch Int.random(in: 0..<20, using: &random) {
      case 0..<10:
        now += Int64.random(in: 0...500, using: &random)
        let values = (0..<Int.random(in: 1...6, using: &random)).map { _ in
          (timestamp: now, value: String(repeating: "v", count: Int.random(in: 0...120, using: &random)))
        }
        let bytes = TestBatch(values).bytes
        let result = try log.append(bytes, sharedMemory: step % 2 * 10_000, now: Timestamp(milliseconds: now))
        if result.firstOffset.rawValue != model.end { problems.append("offset \(result.firstOffset) at step \(step)") }
        model.append(bytes, count: Int64(values.count))
        if bench.flushPolicy == .sync { try log.flush() }
      case 10..<15:
        let start = log.startOffset.rawValue
        try compare(Int64.random(in: start...model.end, using: &random), Int.random(in: 1...3000, using: &random))
      case 15:
        now += Int64.random(in: 0...8000, using: &random)
        _ = try log.maintain(now: Timestamp(milliseconds: now))
      case 16:
        try log.close()
        let recovery: LogRecovery
        (log, recovery) = try bench.open(now: Timestamp(milliseconds: now))
        if !recovery.wasClean || recovery.scannedBytes > 0 { problems.append("a clean reopen scanned") }
      case 17, 18:
        box.kill()
        let recovery: LogRecovery
        (log, recovery) = try bench.open(now: Timestamp(milliseconds: now))
        if recovery.cutBytes != 0 || recovery.wasClean { problems.append("a death cut \(recovery)") }
      default:
        box.losePower()
        (log, _) = try bench.open(now: Timestamp(milliseconds: now))
        if bench.flushPolicy == .os {
          // What was not synced may be gone, but only from the end, and whole batches at a time.
          if log.endOffset.rawValue > model.end { problems.append("more than was written") }
          if log.startOffset > log.endOffset { problems.append("start beyond the end") }
          model.cut(to: log.endOffset.rawValue)
          model.end = log.endOffset.rawValue
        }
      }
      if log.endOffset.rawValue != model.end { problems.append("end \(log.endOffset), not \(model.end), step \(step)") }
      if !problems.isEmpty { break }
    }
    for offset in stride(from: log.startOffset.rawValue, to: model.end, by: 3) { try compare(offset, 100_000) }
    #expect(problems.isEmpty, "seed \(seed): \(problems.first ?? "")")
  }
}
