import CSnappy
import Groundwork

/// Snappy in both forms that stand in Kafka topics: the framing of xerial's snappy-java, which Java clients write, and
/// one raw block, which some others do.
///
/// Framing (SnappyOutputStream of snappy-java): 0x82 `SNAPPY` 0, version and oldest compatible version as big-endian
/// 32-bit numbers, then blocks: a big-endian 32-bit length and that many bytes of raw snappy.
enum Snappy {
  /// The first eight bytes, as one big-endian number.
  static var magic: UInt64 { 0x8253_4E41_5050_5900 }
  static var headerSize: Int { 16 }
  /// Content bytes a block, as snappy-java writes them for Kafka.
  static var blockSize: Int { 32 * 1024 }

  struct Layout {
    var isFramed: Bool
    /// Content bytes, all blocks together.
    var size: Int
  }

  static func compress(_ bytes: UnsafeRawBufferPointer, into writer: inout ByteWriter) throws(CodecError) {
    writer.append(bigEndian: magic)
    writer.append(bigEndian: 1 as Int32)
    writer.append(bigEndian: 1 as Int32)
    var position = 0
    while position < bytes.count {
      let count = min(blockSize, bytes.count - position)
      writer.reserve(4 + snappy_max_compressed_length(count))
      var written = writer.room - 4
      let status = snappy_compress(
        (bytes.baseAddress! + position).assumingMemoryBound(to: CChar.self), count,
        (writer.end + 4).assumingMemoryBound(to: CChar.self), &written)
      guard status == SNAPPY_OK else { throw CodecError(.snappy, .library("compression failed")) }
      writer.end.storeBytes(of: Int32(written).bigEndian, as: Int32.self)
      writer.advance(4 + written)
      position += count
    }
  }

  /// Checks the framing and adds up the stated sizes, each held against what its compressed bytes could give.
  static func layout(of bytes: UnsafeRawBufferPointer, limit: Int) throws(CodecError) -> Layout {
    guard bytes.count > 0 else { throw CodecError(.snappy, .truncated) }
    var size = 0
    let isFramed = bytes.count >= 8 && UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)) == magic
    guard isFramed else {
      try add(bytes, to: &size, limit: limit)
      return Layout(isFramed: false, size: size)
    }
    guard bytes.count >= headerSize else { throw CodecError(.snappy, .truncated) }
    let compatible = Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: 12, as: Int32.self))
    guard compatible == 1 else { throw CodecError(.snappy, .corrupt("framing of an unknown version \(compatible)")) }
    var position = headerSize
    while position < bytes.count {
      let block = try block(in: bytes, at: position)
      try add(block, to: &size, limit: limit)
      position += 4 + block.count
    }
    return Layout(isFramed: true, size: size)
  }

  private static func block(
    in bytes: UnsafeRawBufferPointer, at position: Int
  ) throws(CodecError) -> UnsafeRawBufferPointer {
    guard bytes.count - position >= 4 else { throw CodecError(.snappy, .truncated) }
    let count = Int(Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: Int32.self)))
    guard count > 0 else { throw CodecError(.snappy, .corrupt("a block of \(count) bytes")) }
    guard count <= bytes.count - position - 4 else { throw CodecError(.snappy, .truncated) }
    return UnsafeRawBufferPointer(rebasing: bytes[position + 4..<position + 4 + count])
  }

  private static func add(_ block: UnsafeRawBufferPointer, to size: inout Int, limit: Int) throws(CodecError) {
    var stated = 0
    let status = snappy_uncompressed_length(
      block.baseAddress!.assumingMemoryBound(to: CChar.self), block.count, &stated)
    guard status == SNAPPY_OK else { throw CodecError(.snappy, .corrupt("a block without a size")) }
    guard stated <= block.count * CompressionCodec.snappy.ratioMax + 64 else {
      throw CodecError(.snappy, .corrupt("\(block.count) bytes that claim to hold \(stated)"))
    }
    guard stated <= limit - size else { throw CodecError(.snappy, .tooLarge(limit: limit)) }
    size += stated
  }

  /// `output` has the layout's size.
  static func decompress(
    _ bytes: UnsafeRawBufferPointer, _ layout: Layout, to output: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    guard layout.isFramed else {
      _ = try decompress(bytes, to: output)
      return
    }
    var position = headerSize
    var produced = 0
    while position < bytes.count {
      let block = try block(in: bytes, at: position)
      produced += try decompress(block, to: UnsafeMutableRawBufferPointer(rebasing: output[produced...]))
      position += 4 + block.count
    }
  }

  private static func decompress(
    _ block: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    var written = output.count
    let status = snappy_uncompress(
      block.baseAddress!.assumingMemoryBound(to: CChar.self), block.count,
      output.baseAddress!.assumingMemoryBound(to: CChar.self), &written)
    guard status == SNAPPY_OK else { throw CodecError(.snappy, .corrupt("a block that does not decompress")) }
    return written
  }
}
