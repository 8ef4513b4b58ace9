import CLZ4
import Groundwork

/// The one kind of lz4 frame that Kafka's clients write, read block by block without the frame library: independent
/// blocks, no sizes, no checksums (lz4_Frame_format.md of the lz4 project, version 1.6).
///
///     magic       uint32   0x184D2204, little-endian as all numbers here
///     FLG         uint8    0x60: version 1, independent blocks
///     BD          uint8    0x40, 0x50, 0x60 or 0x70: blocks of 64 KiB, 256 KiB, 1 MiB or 4 MiB
///     HC          uint8    checksum of FLG and BD
///     blocks      uint32   bytes that follow; the highest bit says that they are not compressed
///                 bytes
///     end mark    uint32   0
enum LZ4PlainFrame {
  static var headerSize: Int { 7 }

  /// The content of `bytes`, if they are one such frame and nothing else, and it fits; nil in all other cases, damage
  /// among them, which the frame library is to judge. The output may have been written to by then.
  static func decompress(_ bytes: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer) -> Int? {
    guard let input = bytes.baseAddress, let target = output.baseAddress, let blockMax = blockMax(bytes) else {
      return nil
    }
    var position = headerSize
    var produced = 0
    while bytes.count - position >= 4 {
      let field = UInt32(littleEndian: input.loadUnaligned(fromByteOffset: position, as: UInt32.self))
      position += 4
      if field == 0 { return position == bytes.count ? produced : nil }
      let count = Int(field & 0x7FFF_FFFF)
      guard count <= min(blockMax, bytes.count - position) else { return nil }
      let room = min(blockMax, output.count - produced)
      if field & 0x8000_0000 != 0 {
        guard count <= room else { return nil }
        (target + produced).copyMemory(from: input + position, byteCount: count)
        produced += count
      } else {
        // Never reads or writes outside the two ranges it is given, whatever stands there; negative for what is no block
        // or does not fit (lz4.h). The counts are at most 4 MiB.
        let made = LZ4_decompress_safe(
          (input + position).assumingMemoryBound(to: CChar.self),
          (target + produced).assumingMemoryBound(to: CChar.self), Int32(count), Int32(room))
        guard made >= 0 else { return nil }
        produced += Int(made)
      }
      position += count
    }
    return nil
  }

  /// The largest content of a block, where `bytes` begin with the header of such a frame.
  ///
  /// There are four of these headers, so their checksums (the second byte of xxHash32 of FLG and BD) are constants.
  private static func blockMax(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard bytes.count >= 8 else { return nil }
    // Seven bytes, and one of the first block's size.
    switch UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)) & 0xFF_FFFF_FFFF_FFFF {
    case 0x82_4060_184D_2204: return 64 << 10
    case 0xFB_5060_184D_2204: return 256 << 10
    case 0x51_6060_184D_2204: return 1 << 20
    case 0x73_7060_184D_2204: return 4 << 20
    default: return nil
    }
  }
}
