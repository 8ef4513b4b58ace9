/// A small, fast generator whose whole sequence follows from its seed: for tests, sampling and jitter, never for secrets.
///
/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014): SplitMix64.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  /// Begins the sequence that belongs to `seed`; every value gives a good one, 0 included.
  @usableFromInline var state: UInt64
  @inlinable public init(seed: UInt64) { state = seed }

  /// The next number of the sequence, uniform over 64 bits; after 2^64 calls it begins again. O(1).
  @inlinable public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z &>> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z &>> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z &>> 31)
  }
}
