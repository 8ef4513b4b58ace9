import CZstd
import Groundwork

/// Contexts for zstd frames (RFC 8878), used again and again. Confined to its workspace.
final class ZstdContexts {
  private let decompressor: OpaquePointer
  private let compressor: OpaquePointer

  init() throws(CodecError) {
    guard let decompressor = ZSTD_createDCtx() else { throw CodecError(.zstd, .library("out of memory")) }
    guard let compressor = ZSTD_createCCtx() else {
      ZSTD_freeDCtx(decompressor)
      throw CodecError(.zstd, .library("out of memory"))
    }
    self.decompressor = decompressor
    self.compressor = compressor
  }

  deinit {
    ZSTD_freeDCtx(decompressor)
    ZSTD_freeCCtx(compressor)
  }

  /// The content size the first frame states, if it does.
  static func statedSize(_ bytes: UnsafeRawBufferPointer) -> Int? {
    // The two highest values mean unknown and error (zstd.h: ZSTD_CONTENTSIZE_UNKNOWN, ZSTD_CONTENTSIZE_ERROR).
    let size = ZSTD_getFrameContentSize(bytes.baseAddress, bytes.count)
    return size >= UInt64.max - 1 ? nil : Int(clamping: size)
  }

  /// All frames of `bytes`; nil when the output is too small.
  func decompress(
    _ bytes: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int? {
    let count = ZSTD_decompressDCtx(decompressor, output.baseAddress, output.count, bytes.baseAddress, bytes.count)
    guard ZSTD_isError(count) != 0 else { return count }
    switch ZSTD_getErrorCode(count) {
    case ZSTD_error_dstSize_tooSmall: return nil
    case ZSTD_error_srcSize_wrong: throw CodecError(.zstd, .truncated)
    case ZSTD_error_memory_allocation: throw CodecError(.zstd, .library("out of memory"))
    default: throw CodecError(.zstd, .corrupt(String(cString: ZSTD_getErrorName(count))))
    }
  }

  func compress(_ bytes: UnsafeRawBufferPointer, level: Int?, into writer: inout ByteWriter) throws(CodecError) {
    writer.reserve(ZSTD_compressBound(bytes.count))
    let level = Int32(level ?? Int(ZSTD_defaultCLevel()))
    let status = ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, level)
    guard ZSTD_isError(status) == 0 else { throw CodecError(.zstd, .invalidLevel(Int(level))) }
    let count = ZSTD_compress2(compressor, writer.end, writer.room, bytes.baseAddress, bytes.count)
    guard ZSTD_isError(count) == 0 else {
      throw CodecError(.zstd, .library(String(cString: ZSTD_getErrorName(count))))
    }
    writer.advance(count)
  }
}
