/// Our own 64-bit hash, version 1: fixed for ever, because state partitions on disk stand on it.
///
/// It folds 128-bit products: two words are xored with constants, multiplied to 128 bits, and the halves xored.
/// It is fast and spreads well; it does not withstand an adversary who chooses keys.
public enum Hash64 {
  /// The version written beside everything that was partitioned by this hash.
  public static let version = 1

  /// The two halves of the 128-bit product, xored.
  @inlinable public static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }

  /// Of two words.
  @inlinable public static func short(_ low: UInt64, _ high: UInt64, seed: UInt64) -> UInt64 {
    fold(fold(low ^ 0x9E37_79B9_7F4A_7C15, high ^ 0xD6E8_FEB8_6659_FD93 ^ seed), 0xA076_1D64_78BD_642F)
  }

  /// Of 16 bytes or more at `address`.
  @inlinable public static func long(_ address: UnsafeRawPointer, count: Int, seed: UInt64) -> UInt64 {
    var hash = seed ^ 0xA076_1D64_78BD_642F ^ UInt64(truncatingIfNeeded: count)
    var position = 0
    while position &+ 16 < count {
      let a = UInt64(littleEndian: address.loadUnaligned(fromByteOffset: position, as: UInt64.self))
      let b = UInt64(littleEndian: address.loadUnaligned(fromByteOffset: position &+ 8, as: UInt64.self))
      hash = fold(a ^ 0x9E37_79B9_7F4A_7C15, b ^ hash)
      position &+= 16
    }
    // The last 16 bytes, which may overlap what was read before.
    let a = UInt64(littleEndian: address.loadUnaligned(fromByteOffset: count &- 16, as: UInt64.self))
    let b = UInt64(littleEndian: address.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self))
    hash = fold(a ^ 0xD6E8_FEB8_6659_FD93, b ^ hash)
    return fold(hash, 0x9E37_79B9_7F4A_7C15)
  }
}
