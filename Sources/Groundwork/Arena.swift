import CPrimitives

/// A block of raw memory that `Bytes` slices keep alive.
///
/// The block carries `Arena.slack` readable bytes beyond its capacity, so that short slices can be loaded by whole words.
///
/// Sendable: the memory is written only by the one who made the arena, before any slice of it is handed on; from then on
/// it is only read.
public final class Arena: @unchecked Sendable {
  /// Readable bytes that follow every arena's capacity.
  @inlinable public static var slack: Int { 16 }

  /// The first byte.
  public let base: UnsafeMutableRawPointer
  /// Usable bytes.
  public let capacity: Int
  /// Called with the memory at the end; nil frees it with the C library.
  @usableFromInline let release: (@Sendable (UnsafeMutableRawPointer) -> Void)?

  /// Allocates `capacity` usable bytes (uninitialised; the slack is zero).
  public init(capacity: Int) {
    precondition(capacity >= 0)
    base = sluice_allocate(capacity + Arena.slack)
    base.advanced(by: capacity).initializeMemory(as: UInt8.self, repeating: 0, count: Arena.slack)
    self.capacity = capacity
    release = nil
  }

  /// Takes over memory that came from `sluice_allocate` and has `Arena.slack` readable bytes after `capacity`.
  public init(adopting base: UnsafeMutableRawPointer, capacity: Int) {
    self.base = base
    self.capacity = capacity
    release = nil
  }

  /// Wraps memory that somebody else owns until `release` is called with its address; it must have `Arena.slack`
  /// readable bytes after `capacity`.
  public init(
    wrapping base: UnsafeMutableRawPointer, capacity: Int,
    release: @escaping @Sendable (UnsafeMutableRawPointer) -> Void
  ) {
    self.base = base
    self.capacity = capacity
    self.release = release
  }

  deinit {
    if let release { release(base) } else { sluice_free(base) }
  }
}
