import Glibc
import Groundwork

/// Turns parts into the vectors of one writev or sendmsg: small ones are copied together into scratch memory, larger
/// ones are pointed at.
///
/// Pointing is safe while the caller keeps the parts: more than 15 bytes stand in an arena that the part retains.
struct Gather {
  /// Copying this much is cheaper than one more vector.
  static let copyMax = 1024

  let vectors: UnsafeMutableBufferPointer<iovec>
  let scratch: UnsafeMutableRawBufferPointer
  private(set) var count = 0
  private(set) var bytes = 0
  private var scratchUsed = 0
  private var lastIsScratch = false

  init(vectors: UnsafeMutableBufferPointer<iovec>, scratch: UnsafeMutableRawBufferPointer) {
    self.vectors = vectors
    self.scratch = scratch
  }

  /// Adds `part` from byte `skipping` on.
  /// - Returns: false, and adds nothing, where there is no room.
  mutating func add(_ part: Bytes, skipping: Int = 0) -> Bool {
    let size = part.count - skipping
    guard size > 0 else { return true }
    if size <= Self.copyMax {
      guard scratchUsed + size <= scratch.count else { return false }
      let place = scratch.baseAddress! + scratchUsed
      if lastIsScratch {
        vectors[count - 1].iov_len += size
      } else {
        guard count < vectors.count else { return false }
        vectors[count] = iovec(iov_base: place, iov_len: size)
        count += 1
      }
      part.withUnsafeBytes { place.copyMemory(from: $0.baseAddress! + skipping, byteCount: size) }
      scratchUsed += size
      lastIsScratch = true
    } else {
      guard count < vectors.count else { return false }
      part.withUnsafeBytes {
        vectors[count] = iovec(iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress! + skipping), iov_len: size)
      }
      count += 1
      lastIsScratch = false
    }
    bytes += size
    return true
  }
}
