import CPrimitives
import Groundwork
import SystemInterfaces

/// The receiving side of a connection: memory for the next read, and the frames in what was read.
///
/// Small frames are slices of a 64 KiB arena, several to a read; they should be short-lived, since one keeps them all.
/// A frame that does not fit is read straight into memory of its own, which starts at 256 KiB or the claimed size,
/// whichever is smaller, and doubles as bytes arrive: a peer that claims much and sends little costs little. A peer
/// that has sent large frames before is given that much at once (up to `trustMax`), which spares the copies of growing.
///
/// An arena is written behind the slices already handed out of it and never where one of them points.
struct FrameReader {
  static let bufferSize = 64 * 1024
  static let largeMin = 256 * 1024
  static let trustMax = 16 << 20
  private let framing: Framing
  private var buffer = Arena(capacity: FrameReader.bufferSize)
  private var start = 0
  private var end = 0

  /// A frame too large for the buffer; its memory came from `sluice_allocate`.
  private struct Large {
    var memory: UnsafeMutableRawPointer
    var capacity: Int
    var filled: Int
    var size: Int
  }
  private var large: Large?
  /// What a large frame is given at first.
  private var largeStart = FrameReader.largeMin

  init(_ framing: Framing) { self.framing = framing }

  /// To be called once at the end: memory of an unfinished frame is not counted by anybody.
  mutating func free() {
    if let large { sluice_free(large.memory) }
    large = nil
  }

  /// Where the next bytes go. `received` must follow before the next call.
  mutating func space() -> UnsafeMutableRawBufferPointer {
    if var frame = large {
      if frame.filled == frame.capacity {
        frame.capacity = min(frame.size, frame.capacity * 2)
        frame.memory = sluice_reallocate(frame.memory, frame.capacity + Arena.slack)
        large = frame
      }
      return UnsafeMutableRawBufferPointer(
        start: frame.memory + frame.filled, count: frame.capacity - frame.filled)
    }
    if start == end, isKnownUniquelyReferenced(&buffer) {
      start = 0
      end = 0
    } else if buffer.capacity - end < 4096 {
      // Slices of the old one may be alive: what is unfinished moves on.
      let next = isKnownUniquelyReferenced(&buffer) ? buffer : Arena(capacity: Self.bufferSize)
      let rest = end - start
      next.base.copyMemory(from: buffer.base + start, byteCount: rest)
      buffer = next
      start = 0
      end = rest
    }
    return UnsafeMutableRawBufferPointer(start: buffer.base + end, count: buffer.capacity - end)
  }

  mutating func received(_ count: Int) {
    if large != nil { large!.filled += count } else { end += count }
  }

  /// The next frame; nil where more must be read first.
  /// - Throws: the size claimed, where it is over the maximum.
  mutating func next() throws(FrameTooLarge) -> Bytes? {
    if let frame = large {
      guard frame.filled == frame.size else { return nil }
      large = nil
      largeStart = max(largeStart, min(frame.size, Self.trustMax))
      (frame.memory + frame.size).initializeMemory(as: UInt8.self, repeating: 0, count: Arena.slack)
      return Bytes(Arena(adopting: frame.memory, capacity: frame.size), offset: 0, count: frame.size)
    }
    switch framing {
    case .stream:
      guard end > start else { return nil }
      defer { start = end }
      return Bytes(buffer, offset: start, count: end - start)
    case .lengthPrefixed(let maximum):
      guard end - start >= 4 else { return nil }
      let size = Int(UInt32(bigEndian: (buffer.base + start).loadUnaligned(as: UInt32.self)))
      guard size <= maximum else { throw FrameTooLarge(size: size) }
      if end - start >= 4 + size {
        defer { start += 4 + size }
        return Bytes(buffer, offset: start + 4, count: size)
      }
      if 4 + size > Self.bufferSize { beginLarge(size) }
      return nil
    }
  }

  private mutating func beginLarge(_ size: Int) {
    let filled = end - start - 4
    let capacity = max(filled, min(size, largeStart))
    let memory = sluice_allocate(capacity + Arena.slack)
    memory.copyMemory(from: buffer.base + start + 4, byteCount: filled)
    start = end
    large = Large(memory: memory, capacity: capacity, filled: filled, size: size)
  }
}

struct FrameTooLarge: Error {
  var size: Int
}
