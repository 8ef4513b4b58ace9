import Codecs
import Groundwork
import KafkaProtocol

/// Makes record batches whose values tell when they were meant to be sent, for those who measure how long records take.
///
/// A stamped value begins with 19 decimal digits, nanoseconds of the system's monotonic clock, and a space; the rest of
/// its 100 bytes is the line that was there.
public struct StampedLines: ~Copyable {
  /// Digits of a stamp.
  public static let digits = 19

  private let lines: Lines
  private let codec: CompressionCodec
  private let workspace = CodecWorkspace()
  private var builder = RecordBatchBuilder()
  private var line = [UInt8](repeating: 0, count: LineGenerator.lineSize)
  private var next = 0

  /// - Parameter lines: taken in turn.
  public init(_ lines: Lines, codec: CompressionCodec) {
    self.lines = lines
    self.codec = codec
  }

  /// A batch of the next lines.
  /// - Parameters:
  ///   - intended: when the batch was to be sent, whenever it is.
  ///   - time: of its records.
  public mutating func batch(_ count: Int, intended: Instant, time: Timestamp) throws -> Bytes {
    builder.reset()
    for _ in 0..<count {
      lines[next].withUnsafeBytes { text in line.withUnsafeMutableBytes { $0.copyMemory(from: text) } }
      var rest = UInt64(max(0, intended.nanoseconds))
      for place in (0..<StampedLines.digits).reversed() {
        line[place] = UInt8(48 + rest % 10)
        rest /= 10
      }
      line[StampedLines.digits] = 32
      try line.withUnsafeBytes { try builder.append(keyBuffer: nil, valueBuffer: $0, timestamp: time) }
      next = (next + 1) % lines.count
    }
    return try builder.finish(RecordBatchSettings(codec: codec), using: workspace)
  }

  /// The stamp of a value; nil where it has none.
  public static func intended(_ value: Bytes) -> Instant? {
    guard value.count > digits, value[digits] == 32 else { return nil }
    var nanoseconds: Int64 = 0
    for place in 0..<digits {
      let digit = value[place]
      guard (48...57).contains(digit) else { return nil }
      nanoseconds = nanoseconds &* 10 &+ Int64(digit - 48)
    }
    return Instant(nanoseconds: nanoseconds)
  }
}
