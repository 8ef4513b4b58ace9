import CZlib
import Groundwork

/// Reads gzip content piece by piece: for shipped data that is larger inflated than one would like to hold.
///
/// Not Sendable: one reader belongs to one task. The compressed bytes are in memory already; only zlib's window and one
/// piece of output are added.
public final class GzipReader {
  private let input: Bytes
  private let limit: Int
  private let pieceSize: Int
  private let stream: UnsafeMutablePointer<z_stream>
  private var consumed = 0
  private var isInMember = false
  /// Content bytes given so far.
  public private(set) var produced = 0

  /// - Parameters:
  ///   - compressed: one or more whole gzip members.
  ///   - limit: the most content bytes there may be.
  ///   - pieceSize: bytes per piece; the last one may be shorter.
  public init(_ compressed: Bytes, limit: Int, pieceSize: Int = 262_144) throws(CodecError) {
    guard !compressed.isEmpty else { throw CodecError(.gzip, .truncated) }
    input = compressed
    self.limit = limit
    self.pieceSize = max(1, min(pieceSize, 1 << 30))
    stream = try GzipContexts.makeInflater()
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// The next piece in memory of its own, or nil at the end.
  ///
  /// - Throws: `tooLarge` with the piece that would pass the limit, `truncated` or `corrupt` where the input is.
  public func next() throws(CodecError) -> Bytes? {
    guard consumed < input.count || isInMember else { return nil }
    let arena = Arena(capacity: pieceSize)
    var filled = 0
    while filled < pieceSize, consumed < input.count || isInMember {
      if !isInMember {
        guard inflateReset(stream) == Z_OK else { throw GzipContexts.libraryError(Z_STREAM_ERROR) }
        isInMember = true
      }
      let status = inflateOnce(to: arena.base + filled, room: pieceSize - filled)
      filled = pieceSize - Int(stream.pointee.avail_out)
      switch status {
      case Z_STREAM_END: isInMember = false
      case Z_OK, Z_BUF_ERROR:
        if consumed == input.count, filled < pieceSize { throw CodecError(.gzip, .truncated) }
      default: throw GzipContexts.error(status, stream)
      }
    }
    guard filled > 0 else { return nil }
    produced += filled
    guard produced <= limit else { throw CodecError(.gzip, .tooLarge(limit: limit)) }
    return Bytes(arena, offset: 0, count: filled)
  }

  private func inflateOnce(to address: UnsafeMutableRawPointer, room: Int) -> Int32 {
    input.withUnsafeBytes { raw in
      let count = min(raw.count - consumed, Int(Int32.max))
      stream.pointee.next_in = UnsafeMutablePointer(
        mutating: (raw.baseAddress! + consumed).assumingMemoryBound(to: UInt8.self))
      stream.pointee.avail_in = UInt32(count)
      stream.pointee.next_out = address.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(room)
      let status = inflate(stream, Z_NO_FLUSH)
      consumed += count - Int(stream.pointee.avail_in)
      return status
    }
  }

  /// The whole content of gzip members.
  ///
  /// - Parameter limit: the most content bytes there may be.
  public static func contents(of compressed: Bytes, limit: Int) throws(CodecError) -> Bytes {
    try CodecWorkspace().decompress(compressed, with: .gzip, limit: limit)
  }
}
