import Codecs
import Groundwork
import WireFormat

/// One record batch as it came off a socket or a disk: its header, read, and all its bytes, records still compressed.
public struct RecordBatch: Sendable {
  /// What its first 61 bytes say.
  public let header: RecordBatchHeader
  /// The whole batch, header and all; a slice of the memory it came in.
  public let bytes: Bytes

  /// The largest decompressed size, in bytes, that reading accepts where the caller names no other.
  public static var contentMax: Int { 256 << 20 }

  /// Takes `bytes` as exactly one batch; neither checksum nor records are looked at.
  ///
  /// - Throws: as `RecordBatchHeader.parse`, and `malformed` where the length field does not say what is there.
  public init(_ bytes: Bytes) throws(RecordBatchError) {
    header = try bytes.withUnsafeBytes { raw throws(RecordBatchError) in try RecordBatchHeader.parse(raw) }
    guard header.totalSize == bytes.count else {
      let code: DecodeError.Code =
        header.totalSize > bytes.count
        ? .truncated(wanted: header.totalSize, remaining: bytes.count) : .trailingBytes(bytes.count - header.totalSize)
      throw RecordBatchError(.malformed(DecodeError(code, at: 0)), baseOffset: header.baseOffset)
    }
    self.bytes = bytes
  }

  /// A header and bytes that belong together.
  init(header: RecordBatchHeader, bytes: Bytes) {
    self.header = header
    self.bytes = bytes
  }

  /// Compares the stored checksum with that of the bytes. O(bytes).
  ///
  /// - Throws: `checksumMismatch`.
  public func verifyChecksum() throws(RecordBatchError) {
    let computed = bytes.withUnsafeBytes { RecordBatchHeader.checksum(of: $0) }
    guard computed == header.crc else {
      throw RecordBatchError(
        .checksumMismatch(stored: header.crc, computed: computed), baseOffset: header.baseOffset)
    }
  }

  /// The records, decompressed once; they are not yet looked at.
  ///
  /// - Parameters:
  ///   - workspace: decompresses, and lends its arena until the section and everything taken from it are gone.
  ///   - checkingChecksum: false only where the same bytes were checked before.
  ///   - limit: the most bytes the records may have when decompressed.
  /// - Throws: `checksumMismatch`, `unknownCodec`, `codec`.
  public func records(
    using workspace: CodecWorkspace, checkingChecksum: Bool = true, limit: Int = RecordBatch.contentMax
  ) throws(RecordBatchError) -> RecordSection {
    if checkingChecksum { try verifyChecksum() }
    let codec = try header.codec
    // A batch has at least 61 bytes, so it never stands inline.
    guard let arena = bytes.arena else {
      throw RecordBatchError(
        .malformed(DecodeError(.truncated(wanted: RecordBatchLayout.records, remaining: bytes.count), at: 0)),
        baseOffset: header.baseOffset)
    }
    // The pointer leaves its closure: the arena it points into is held here, and by the section that is returned.
    let raw = bytes.withUnsafeBytes { $0 }
    let content = UnsafeRawBufferPointer(rebasing: raw[RecordBatchLayout.records...])
    // No record, no content: a compacted batch keeps its codec bits without a compressed stream behind them.
    guard codec != .none, !(content.isEmpty && header.recordCount == 0) else {
      return RecordSection(header: header, arena: arena, content: content)
    }
    do throws(CodecError) {
      let result = try workspace.decompress(content, with: codec, limit: limit)
      withExtendedLifetime(arena) {}
      return RecordSection(
        header: header, arena: result.arena,
        content: UnsafeRawBufferPointer(start: result.arena.base, count: result.count))
    } catch {
      throw RecordBatchError(.codec(error), baseOffset: header.baseOffset)
    }
  }

  /// Checks, decompresses and walks the records in one call; see `records(using:)` and `RecordSection.forEachRecord`.
  @inlinable
  public func forEachRecord(
    from: Offset = 0, until: Offset = Offset(.max), using workspace: CodecWorkspace, checkingChecksum: Bool = true,
    limit: Int = RecordBatch.contentMax, _ body: (RecordView) throws -> Void
  ) throws {
    let section = try records(using: workspace, checkingChecksum: checkingChecksum, limit: limit)
    try section.forEachRecord(from: from, until: until, body)
  }
}
