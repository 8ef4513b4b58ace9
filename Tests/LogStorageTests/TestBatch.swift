import Groundwork
@testable import LogStorage
import SystemInterfaces

/// Makes uncompressed record batches by hand, so that the storage is tested against bytes of another making.
struct TestBatch {
  var records: [(timestamp: Int64, value: String)]
  var producerID: Int64 = -1
  var epoch: Int16 = -1
  var sequence: Int32 = -1
  var attributes: Int16 = 0

  init(_ records: [(timestamp: Int64, value: String)]) { self.records = records }

  init(_ values: String..., timestamp: Int64 = 1000) { records = values.map { (timestamp, $0) } }

  static func sequenced(
    _ producerID: Int64, _ sequence: Int32, count: Int = 1, epoch: Int16 = 0, timestamp: Int64 = 1000
  ) -> TestBatch {
    var batch = TestBatch((0..<count).map { (timestamp, "p\(producerID) s\(sequence) \($0)") })
    batch.producerID = producerID
    batch.epoch = epoch
    batch.sequence = sequence
    return batch
  }

  var bytes: Bytes {
    var body = ByteWriter()
    for (index, record) in records.enumerated() {
      var one = ByteWriter()
      one.append(0)
      one.append(varint: record.timestamp - records[0].timestamp)
      one.append(varint: Int64(index))
      one.append(varint: -1)
      one.append(varint: Int64(record.value.utf8.count))
      one.append(record.value)
      one.append(varint: 0)
      body.append(varint: Int64(one.count))
      body.append(one.finish())
    }
    var checked = ByteWriter()
    checked.append(bigEndian: attributes)
    checked.append(bigEndian: Int32(records.count - 1))
    checked.append(bigEndian: records.first?.timestamp ?? 0)
    checked.append(bigEndian: records.map(\.timestamp).max() ?? 0)
    checked.append(bigEndian: producerID)
    checked.append(bigEndian: epoch)
    checked.append(bigEndian: sequence)
    checked.append(bigEndian: Int32(records.count))
    checked.append(body.finish())
    let tail = checked.finish()
    var batch = ByteWriter()
    batch.append(bigEndian: Int64(0))
    batch.append(bigEndian: Int32(tail.count + 9))
    batch.append(bigEndian: Int32(-1))
    batch.append(2)
    batch.append(bigEndian: TestBatch.crc32c(tail))
    batch.append(tail)
    return batch.finish()
  }

  /// CRC-32C bit by bit: slow, and not the implementation under test.
  static func crc32c(_ bytes: Bytes) -> UInt32 {
    var crc: UInt32 = 0xFFFF_FFFF
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82F6_3B78 : crc >> 1 }
    }
    return ~crc
  }
}

extension LogSlice {
  /// The bytes a peer would receive.
  func collected() throws -> Bytes {
    var writer = ByteWriter()
    for part in parts {
      switch part {
      case .bytes(let bytes): writer.append(bytes)
      case .file(let file, let position, let count): writer.append(try file.read(at: position, count: count))
      }
    }
    return writer.finish()
  }

  var isFromFile: Bool {
    parts.contains { if case .file = $0 { true } else { false } }
  }
}

/// The batches in a run of bytes: base offset, record count and everything behind the epoch, which is as it was sent.
func split(_ bytes: Bytes) -> [(base: Int64, count: Int32, sent: Bytes)] {
  var batches: [(base: Int64, count: Int32, sent: Bytes)] = []
  var position = 0
  func load<I: FixedWidthInteger & BitwiseCopyable>(_ at: Int) -> I {
    bytes.withUnsafeBytes { I(bigEndian: $0.loadUnaligned(fromByteOffset: at, as: I.self)) }
  }
  while bytes.count - position >= 61 {
    let size = Int(load(position + 8) as Int32) + 12
    guard position + size <= bytes.count else { break }
    batches.append((load(position), load(position + 57), bytes[position + 16..<position + size]))
    position += size
  }
  return batches
}

/// A log on a simulated disk, and what opens it again.
final class LogBench {
  let simulation: SimulatedWorldBox
  var configuration = LogConfiguration()
  var hotBytes = 1 << 20
  var flushPolicy = FlushPolicy.os
  private(set) var lives = 0
  var files: any FileStore { simulation.files }

  init(_ simulation: SimulatedWorldBox) { self.simulation = simulation }

  func open(now: Timestamp = 1000) throws -> (log: PartitionLog, recovery: LogRecovery) {
    lives += 1
    return try PartitionLog.open(
      "/data/t-0", configuration,
      LogEnvironment(files: files, hotTail: HotTail(capacity: hotBytes), flushPolicy: flushPolicy), now: now)
  }
}
