import CLZ4
import CSnappy
import CZlib
import CZstd
import Codecs
import Groundwork

/// The codec libraries called as directly as can be, on the same bytes and with the same settings as ours: contexts made
/// once, output memory allocated once and large enough. For `none` it is one copy of the bytes.
final class BareLibrary {
  let codec: CompressionCodec
  private let output: UnsafeMutableRawBufferPointer
  private let zstdIn = ZSTD_createDCtx()
  private let zstdOut = ZSTD_createCCtx()
  private var lz4In: OpaquePointer?
  private var lz4Out: OpaquePointer?
  private let inflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private let deflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

  init(_ codec: CompressionCodec, capacity: Int) {
    self.codec = codec
    output = .allocate(byteCount: capacity * 2 + 131_072, alignment: 16)
    _ = ZSTD_CCtx_setParameter(zstdOut, ZSTD_c_compressionLevel, ZSTD_defaultCLevel())
    LZ4F_createDecompressionContext(&lz4In, UInt32(LZ4F_VERSION))
    LZ4F_createCompressionContext(&lz4Out, UInt32(LZ4F_VERSION))
    inflater.initialize(to: z_stream())
    deflater.initialize(to: z_stream())
    inflateInit2_(inflater, 31, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    deflateInit2_(
      deflater, -1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  }

  /// Returns the number of bytes made.
  func compress(_ bytes: UnsafeRawBufferPointer) -> Int {
    switch codec {
    case .none:
      output.copyMemory(from: bytes)
      return bytes.count
    case .gzip:
      deflateReset(deflater)
      return run(deflater, bytes) { deflate($0, Z_FINISH) }
    case .snappy:
      var total = 0
      for start in stride(from: 0, to: bytes.count, by: 32_768) {
        var count = output.count - total
        snappy_compress(
          (bytes.baseAddress! + start).assumingMemoryBound(to: CChar.self), min(32_768, bytes.count - start),
          (output.baseAddress! + total).assumingMemoryBound(to: CChar.self), &count)
        total += count
      }
      return total
    case .lz4:
      var preferences = LZ4F_preferences_t()
      preferences.frameInfo.blockSizeID = LZ4F_max64KB
      preferences.frameInfo.blockMode = LZ4F_blockIndependent
      preferences.autoFlush = 1
      var total = LZ4F_compressBegin(lz4Out, output.baseAddress, output.count, &preferences)
      total += LZ4F_compressUpdate(
        lz4Out, output.baseAddress! + total, output.count - total, bytes.baseAddress, bytes.count, nil)
      return total + LZ4F_compressEnd(lz4Out, output.baseAddress! + total, output.count - total, nil)
    case .zstd: return ZSTD_compress2(zstdOut, output.baseAddress, output.count, bytes.baseAddress, bytes.count)
    }
  }

  /// Returns the number of bytes made.
  func decompress(_ bytes: UnsafeRawBufferPointer) -> Int {
    switch codec {
    case .none:
      output.copyMemory(from: bytes)
      return bytes.count
    case .gzip:
      inflateReset(inflater)
      return run(inflater, bytes) { inflate($0, Z_FINISH) }
    case .snappy:
      var total = 0
      var position = 16
      while position < bytes.count {
        let size = Int(Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: Int32.self)))
        var count = output.count - total
        snappy_uncompress(
          (bytes.baseAddress! + position + 4).assumingMemoryBound(to: CChar.self), size,
          (output.baseAddress! + total).assumingMemoryBound(to: CChar.self), &count)
        total += count
        position += 4 + size
      }
      return total
    case .lz4:
      var options = LZ4F_decompressOptions_t()
      options.stableDst = 1
      var (total, position, hint) = (0, 0, 1)
      while hint != 0 {
        var (made, taken) = (output.count - total, bytes.count - position)
        hint = LZ4F_decompress(
          lz4In, output.baseAddress! + total, &made, bytes.baseAddress! + position, &taken, &options)
        total += made
        position += taken
      }
      return total
    case .zstd: return ZSTD_decompressDCtx(zstdIn, output.baseAddress, output.count, bytes.baseAddress, bytes.count)
    }
  }

  private func run(
    _ stream: UnsafeMutablePointer<z_stream>, _ bytes: UnsafeRawBufferPointer,
    _ body: (UnsafeMutablePointer<z_stream>) -> Int32
  ) -> Int {
    stream.pointee.next_in = UnsafeMutablePointer(mutating: bytes.baseAddress!.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(bytes.count)
    stream.pointee.next_out = output.baseAddress!.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(output.count)
    precondition(body(stream) == Z_STREAM_END)
    return output.count - Int(stream.pointee.avail_out)
  }
}
