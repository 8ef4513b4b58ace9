import CPrimitives
import Groundwork

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), in pieces: the checksum of journals and of record batches.
public struct CRC32C: Equatable, Sendable {
  /// The checksum of everything added so far.
  public private(set) var value: UInt32 = 0

  /// The checksum of no bytes: 0.
  public init() {}

  /// Goes on where an earlier sum stood: for content that grows from one run of the program to the next.
  public init(continuing value: UInt32) { self.value = value }

  /// Goes on over `bytes`. O(n), by the processor's instruction where it has one.
  public mutating func add(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    value = sluice_crc32c(value, base, bytes.count)
  }

  /// Goes on over `bytes`, which need not be aligned or copied. O(n).
  public mutating func add(_ bytes: Bytes) { bytes.withUnsafeBytes { add($0) } }

  /// The checksum of one run of bytes.
  public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var crc = CRC32C()
    crc.add(bytes)
    return crc.value
  }
}
