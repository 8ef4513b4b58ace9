/// The second seam: random numbers. Live from the operating system, in simulation from the seed.
public protocol Randomness: Sendable {
  /// Uniform over 64 bits; callable from any thread.
  func next() -> UInt64
}

extension Randomness {
  /// Uniform in 0 ..< 1.
  public func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A delay drawn around `base`: uniform between 80% and 120% of it, so that many clients do not come back at once.
  public func jittered(_ base: Duration) -> Duration { base * (0.8 + 0.4 * unit()) }
}
