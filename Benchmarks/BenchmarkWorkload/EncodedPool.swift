import Codecs
import Groundwork
import KafkaProtocol

/// Record batches that were encoded before, each with what its records come to.
public struct EncodedPool: Sendable {
  /// One of them.
  public struct Entry: Sendable {
    /// As it was encoded.
    public let batch: ReplayableBatch
    /// What its records come to.
    public let tally: Tally
  }

  /// In the order of the lines.
  public let entries: [Entry]
  /// Bytes of all batches before compression, their headers included.
  public let plainBytes: Int
  /// Bytes of all batches as they are.
  public let encodedBytes: Int
  /// What compression makes of 1.
  public var ratio: Double { Double(plainBytes) / Double(encodedBytes) }

  /// Records that fit into a batch of so many bytes, uncompressed.
  public static func records(inBatchOf size: Int) -> Int {
    // Around the value: lengths of record and value, attributes, null key, no headers: 7; differences of time and of
    // offset, 2 and 3 at most in batches of megabytes.
    max(1, (size - RecordBatchLayout.records) / (LineGenerator.lineSize + 12))
  }

  /// - Parameters:
  ///   - lines: each is the value of one record; keys are null.
  ///   - recordsPerBatch: of every batch but the last, which has what is left.
  public init(_ lines: Lines, recordsPerBatch: Int, codec: CompressionCodec) throws {
    let workspace = CodecWorkspace()
    var builder = RecordBatchBuilder(capacity: recordsPerBatch * (LineGenerator.lineSize + 12) + 100)
    var entries: [Entry] = []
    var plainBytes = 0
    for start in stride(from: 0, to: lines.count, by: recordsPerBatch) {
      let range = start..<min(start + recordsPerBatch, lines.count)
      let batch = try EncodedPool.encode(lines, range, &builder, codec, workspace)
      plainBytes += builder.uncompressedSize
      entries.append(Entry(batch: ReplayableBatch(batch), tally: lines.tally(range)))
    }
    self.entries = entries
    self.plainBytes = plainBytes
    encodedBytes = entries.reduce(0) { $0 + $1.batch.bytes.count }
  }

  /// A batch of some lines; they are appended from raw memory, so that no time is spent on counting references here.
  static func encode(
    _ lines: Lines, _ range: Range<Int>, _ builder: inout RecordBatchBuilder, _ codec: CompressionCodec,
    _ workspace: CodecWorkspace
  ) throws -> Bytes {
    builder.reset()
    try lines.bytes.withUnsafeBytes { raw in
      for index in range {
        let line = UnsafeRawBufferPointer(
          rebasing: raw[index * LineGenerator.lineSize..<(index + 1) * LineGenerator.lineSize])
        // Ten records a millisecond.
        let time = ReplayableBatch.firstTime + .milliseconds((index - range.lowerBound) / 10)
        try builder.append(keyBuffer: nil, valueBuffer: line, timestamp: time)
      }
    }
    return try builder.finish(RecordBatchSettings(codec: codec), using: workspace)
  }

  /// What so many batches come to, taken in turn from the first on.
  public func tally(ofBatches count: Int) -> Tally {
    var sum = Tally()
    for index in 0..<count { sum += entries[index % entries.count].tally }
    return sum
  }
}

/// A record batch that is sent again and again, each time as if its records were new.
public struct ReplayableBatch: Sendable {
  /// The first record's time as encoded.
  static let firstTime: Timestamp = 1_700_000_000_000

  /// The whole batch, from its base offset to its last record.
  public let bytes: Bytes

  init(_ bytes: Bytes) { self.bytes = bytes }

  /// The batch with its last record at `time`, in memory of its own, its checksum computed anew. O(bytes), at the speed
  /// of the checksum.
  public func stamped(_ time: Timestamp) throws -> Bytes {
    let arena = Arena(capacity: bytes.count)
    let copy = UnsafeMutableRawBufferPointer(start: arena.base, count: bytes.count)
    bytes.withUnsafeBytes { copy.copyMemory(from: $0) }
    var header = try RecordBatchHeader.parse(UnsafeRawBufferPointer(copy))
    // The records' times are differences to the base.
    let span = header.maxTimestamp - header.baseTimestamp
    header.baseTimestamp = Timestamp(milliseconds: time.milliseconds - span.inMilliseconds)
    header.maxTimestamp = time
    try header.write(to: copy)
    // Without an identity, which the producer has yet to write: what counts here is the checksum.
    try RecordBatchHeader.assign(producerID: -1, producerEpoch: -1, baseSequence: -1, in: copy)
    return Bytes(arena, offset: 0, count: bytes.count)
  }
}
