import CLZ4
import Groundwork

/// Contexts for lz4 frames (lz4_Frame_format.md of the lz4 project), reset between uses. Confined to its workspace.
final class LZ4Contexts {
  /// Nil until used, and after a frame that was not read to its end.
  private var decompressor: OpaquePointer?
  private var compressor: OpaquePointer?

  init() throws(CodecError) {
    try LZ4Contexts.check(LZ4F_createCompressionContext(&compressor, UInt32(LZ4F_VERSION)))
  }

  deinit {
    LZ4F_freeDecompressionContext(decompressor)
    LZ4F_freeCompressionContext(compressor)
  }

  private static func check(_ code: Int) throws(CodecError) {
    if LZ4F_isError(code) != 0 { throw CodecError(.lz4, .library(String(cString: LZ4F_getErrorName(code)))) }
  }

  /// All frames of `bytes`; nil when the output is too small.
  func decompress(
    _ bytes: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int? {
    // A context that did not come to the end of its frame is not used again: LZ4F_resetDecompressionContext of 1.9.4
    // forgets to reset the content size still expected, and a later frame without one is then refused.
    let context = decompressor
    decompressor = nil
    var decompressor = context
    var isWhole = false
    defer { if isWhole { self.decompressor = decompressor } else { LZ4F_freeDecompressionContext(decompressor) } }
    if context == nil {
      try LZ4Contexts.check(LZ4F_createDecompressionContext(&decompressor, UInt32(LZ4F_VERSION)))
    }
    // The output stays where it is during the whole call: linked blocks may refer to it, no history is copied.
    var options = LZ4F_decompressOptions_t()
    options.stableDst = 1
    var consumed = 0
    var produced = 0
    // Nonzero while the library waits for more of a frame.
    var hint = 1
    while true {
      var inputCount = bytes.count - consumed
      var outputCount = output.count - produced
      hint = LZ4F_decompress(
        decompressor, output.baseAddress! + produced, &outputCount, bytes.baseAddress! + consumed, &inputCount,
        &options)
      if LZ4F_isError(hint) != 0 { throw CodecError(.lz4, .corrupt(String(cString: LZ4F_getErrorName(hint)))) }
      consumed += inputCount
      produced += outputCount
      if consumed == bytes.count, hint == 0 {
        isWhole = true
        return produced
      }
      // Nothing moves when content waits for room or when the input was cut.
      if inputCount == 0, outputCount == 0 {
        if produced == output.count, hint != 0 { return nil }
        throw CodecError(.lz4, .truncated)
      }
    }
  }

  func compress(_ bytes: UnsafeRawBufferPointer, level: Int?, into writer: inout ByteWriter) throws(CodecError) {
    var preferences = LZ4F_preferences_t()
    preferences.frameInfo.blockSizeID = LZ4F_max64KB
    preferences.frameInfo.blockMode = LZ4F_blockIndependent
    preferences.compressionLevel = Int32(level ?? 0)
    // Blocks are written as they come, without a copy into the context's own buffer.
    preferences.autoFlush = 1
    writer.reserve(32 + LZ4F_compressBound(bytes.count, &preferences))
    try add(LZ4F_compressBegin(compressor, writer.end, writer.room, &preferences), to: &writer)
    if let start = bytes.baseAddress, bytes.count > 0 {
      var options = LZ4F_compressOptions_t()
      options.stableSrc = 1
      try add(LZ4F_compressUpdate(compressor, writer.end, writer.room, start, bytes.count, &options), to: &writer)
    }
    try add(LZ4F_compressEnd(compressor, writer.end, writer.room, nil), to: &writer)
  }

  private func add(_ written: Int, to writer: inout ByteWriter) throws(CodecError) {
    try LZ4Contexts.check(written)
    writer.advance(written)
  }
}
