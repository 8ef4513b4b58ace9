import Codecs
import Groundwork
import KafkaProtocol

/// Records of exactly 100 bytes: ten words out of 10,000, frequent ones more often (Zipf's law, exponent 1), the same
/// ones for the same seed.
public struct Workload: Sendable {
  public static let recordSize = 100
  public let records: [Bytes]
  /// The same records one behind the other, for `encode`.
  private let memory: Bytes

  /// - Parameter batchSize: bytes of records, with what the format adds, that come near to this.
  public init(batchSize: Int, seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let words = Workload.words(&random)
    var cumulated: [Double] = []
    var sum = 0.0
    for rank in 1...words.count {
      sum += 1 / Double(rank)
      cumulated.append(sum)
    }
    // Seven bytes a record at least and two more for lengths above 63.
    records = (0..<max(1, (batchSize - RecordBatchLayout.records) / (Workload.recordSize + 9))).map { _ in
      var line: [UInt8] = []
      for place in 0..<10 {
        if place > 0 { line.append(32) }
        line += words[Workload.pick(cumulated, Double.random(in: 0..<sum, using: &random))]
      }
      while line.count < Workload.recordSize { line.append(46) }
      return Bytes(line.prefix(Workload.recordSize))
    }
    memory = Bytes(records.joined())
  }

  private static func words(_ random: inout SeededRandom) -> [[UInt8]] {
    (0..<10_000).map { _ in
      (0..<Int.random(in: 6...11, using: &random)).map { _ in UInt8.random(in: 97...122, using: &random) }
    }
  }

  private static func pick(_ cumulated: [Double], _ point: Double) -> Int {
    var (low, high) = (0, cumulated.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if cumulated[middle] <= point { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// A batch of all records; they are appended from raw memory, so that no time is spent on counting references here.
  public func encode(
    _ builder: inout RecordBatchBuilder, _ codec: CompressionCodec, _ workspace: CodecWorkspace
  ) throws -> Bytes {
    builder.reset()
    var time: Int64 = 1_700_000_000_000
    try memory.withUnsafeBytes { raw in
      for index in records.indices {
        let record = UnsafeRawBufferPointer(
          rebasing: raw[index * Workload.recordSize..<(index + 1) * Workload.recordSize])
        try builder.append(keyBuffer: nil, valueBuffer: record, timestamp: Timestamp(milliseconds: time))
        time &+= 1
      }
    }
    return try builder.finish(RecordBatchSettings(codec: codec), using: workspace)
  }
}
