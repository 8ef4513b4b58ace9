import Groundwork
import WireFormat

/// The batches that stand one after the other in a fetch response or a piece of a log segment.
///
/// A broker cuts a response where the size limit falls, so the last batch may be partial: the walk then ends, and
/// `trailingBytes` says how much was left. Neither checksums nor records are looked at.
public struct RecordBatchSequence: Sendable {
  /// The bytes being walked; the batches are slices of them.
  public let bytes: Bytes
  /// Where the next batch starts.
  public private(set) var position = 0
  /// Whether `next` has come to the end, be it of the bytes or a partial batch.
  public private(set) var isAtEnd = false

  /// Starts at the first byte, which must be a batch's first.
  public init(_ bytes: Bytes) { self.bytes = bytes }

  /// The next whole batch, or nil at the end. Nothing is copied.
  ///
  /// - Throws: as `RecordBatchHeader.parse`, except that a partial batch ends the walk; after an error the position is
  ///   still where the bad batch starts.
  public mutating func next() throws(RecordBatchError) -> RecordBatch? {
    if isAtEnd { return nil }
    let remaining = bytes.count - position
    // Less than shows the message format: nothing can be said about these bytes.
    guard remaining > RecordBatchLayout.magic else {
      isAtEnd = true
      return nil
    }
    let start = position
    let header: RecordBatchHeader
    do throws(RecordBatchError) {
      header = try bytes.withUnsafeBytes { raw throws(RecordBatchError) in try RecordBatchHeader.parse(raw, at: start) }
    } catch {
      guard case .malformed(let reason) = error.code, case .truncated = reason.code else { throw error }
      isAtEnd = true
      return nil
    }
    guard header.totalSize <= remaining else {
      isAtEnd = true
      return nil
    }
    position = start + header.totalSize
    return RecordBatch(header: header, bytes: bytes[start..<position])
  }

  /// Bytes of the partial batch at the end; 0 where the last batch is whole. Known once `next` returned nil.
  public var trailingBytes: Int { isAtEnd ? bytes.count - position : 0 }

  /// How large the partial batch at the end claims to be, header and all, where enough of it is there to tell: what a
  /// fetch must at least ask for to get it whole.
  public var trailingBatchSize: Int? {
    guard isAtEnd, bytes.count - position >= RecordBatchLayout.lengthOverhead else { return nil }
    let start = position + RecordBatchLayout.batchLength
    let length = bytes.withUnsafeBytes {
      Int32(bigEndian: $0.loadUnaligned(fromByteOffset: start, as: Int32.self))
    }
    return length < 0 ? nil : Int(length) + RecordBatchLayout.lengthOverhead
  }
}
