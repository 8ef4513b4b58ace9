import CZlib
import Groundwork

/// zlib's streams for gzip members (RFC 1952), reset between uses.
///
/// The streams stand in memory of their own, since zlib's states point back at them. Confined to its workspace.
final class GzipContexts {
  private let inflater: UnsafeMutablePointer<z_stream>
  private let deflater: UnsafeMutablePointer<z_stream>
  /// Nil until the deflater was first used, since its state takes 256 KiB.
  private var deflaterLevel: Int32?

  /// 15 bits of window, and 16 to ask for gzip's header and trailer.
  static var windowBits: Int32 { 15 + 16 }

  init() throws(CodecError) {
    inflater = try GzipContexts.makeInflater()
    deflater = .allocate(capacity: 1)
    deflater.initialize(to: z_stream())
  }

  deinit {
    inflateEnd(inflater)
    if deflaterLevel != nil { deflateEnd(deflater) }
    inflater.deallocate()
    deflater.deallocate()
  }

  static func makeInflater() throws(CodecError) -> UnsafeMutablePointer<z_stream> {
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let status = inflateInit2_(stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else {
      stream.deallocate()
      throw libraryError(status)
    }
    return stream
  }

  static func libraryError(_ status: Int32) -> CodecError {
    CodecError(.gzip, .library(String(cString: zError(status))))
  }

  static func error(_ status: Int32, _ stream: UnsafeMutablePointer<z_stream>) -> CodecError {
    if status == Z_MEM_ERROR { return libraryError(status) }
    let reason = stream.pointee.msg.map { String(cString: $0) } ?? String(cString: zError(status))
    return CodecError(.gzip, .corrupt(reason))
  }

  /// The size in the last four bytes: the content's, if it is one member below 4 GiB.
  static func statedSize(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard bytes.count >= 18 else { return nil }
    return Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: bytes.count - 4, as: UInt32.self)))
  }

  /// All members of `bytes`, one after the other, as Java's GZIPInputStream reads them; nil when the output is too small.
  func decompress(
    _ bytes: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int? {
    var consumed = 0
    var produced = 0
    while consumed < bytes.count {
      guard inflateReset(inflater) == Z_OK else { throw GzipContexts.libraryError(Z_STREAM_ERROR) }
      var hasEnded = false
      while !hasEnded {
        // zlib counts in 32 bits.
        let inputCount = min(bytes.count - consumed, Int(Int32.max))
        let outputCount = min(output.count - produced, Int(Int32.max))
        inflater.pointee.next_in = UnsafeMutablePointer(
          mutating: (bytes.baseAddress! + consumed).assumingMemoryBound(to: UInt8.self))
        inflater.pointee.avail_in = UInt32(inputCount)
        inflater.pointee.next_out = (output.baseAddress! + produced).assumingMemoryBound(to: UInt8.self)
        inflater.pointee.avail_out = UInt32(outputCount)
        let status = inflate(inflater, Z_NO_FLUSH)
        consumed += inputCount - Int(inflater.pointee.avail_in)
        produced += outputCount - Int(inflater.pointee.avail_out)
        switch status {
        case Z_STREAM_END: hasEnded = true
        case Z_OK, Z_BUF_ERROR:
          // Without room the library still reads a trailer; so no progress and no room means that content is left.
          if status == Z_BUF_ERROR, produced == output.count { return nil }
          if consumed == bytes.count, produced < output.count { throw CodecError(.gzip, .truncated) }
        default: throw GzipContexts.error(status, inflater)
        }
      }
    }
    return produced
  }

  func compress(_ bytes: UnsafeRawBufferPointer, level: Int?, into writer: inout ByteWriter) throws(CodecError) {
    try prepareDeflater(Int32(level ?? Int(Z_DEFAULT_COMPRESSION)))
    writer.reserve(Int(deflateBound(deflater, UInt(bytes.count))))
    var consumed = 0
    while true {
      let count = min(bytes.count - consumed, Int(Int32.max))
      writer.reserve(64)
      let room = min(writer.room, Int(Int32.max))
      // An empty input needs no address, and zlib takes a null one for none.
      deflater.pointee.next_in = bytes.baseAddress.map {
        UnsafeMutablePointer(mutating: ($0 + consumed).assumingMemoryBound(to: UInt8.self))
      }
      deflater.pointee.avail_in = UInt32(count)
      deflater.pointee.next_out = writer.end.assumingMemoryBound(to: UInt8.self)
      deflater.pointee.avail_out = UInt32(room)
      let status = deflate(deflater, consumed + count == bytes.count ? Z_FINISH : Z_NO_FLUSH)
      consumed += count - Int(deflater.pointee.avail_in)
      writer.advance(room - Int(deflater.pointee.avail_out))
      if status == Z_STREAM_END { return }
      guard status == Z_OK || status == Z_BUF_ERROR else { throw GzipContexts.libraryError(status) }
    }
  }

  private func prepareDeflater(_ level: Int32) throws(CodecError) {
    if deflaterLevel == level {
      guard deflateReset(deflater) == Z_OK else { throw GzipContexts.libraryError(Z_STREAM_ERROR) }
      return
    }
    if deflaterLevel != nil { deflateEnd(deflater) }
    deflaterLevel = nil
    deflater.pointee = z_stream()
    let status = deflateInit2_(
      deflater, level, Z_DEFLATED, GzipContexts.windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else { throw GzipContexts.libraryError(status) }
    deflaterLevel = level
  }
}
