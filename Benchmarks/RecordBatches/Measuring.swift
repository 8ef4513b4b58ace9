import CAllocationCounts

/// Two pieces of work timed in turn, so that a noisy machine hurts both alike.
struct Comparison {
  /// Seconds per call, the best round's.
  var ours: Double
  var reference: Double
  /// Allocations per call of ours, the fewest of a round.
  var allocations: Double

  /// - Parameter seconds: about how long to measure.
  init(seconds: Double, ours: () throws -> Void, reference: () throws -> Void) rethrows {
    let rounds = 12
    // The first calls make contexts and find sizes; they also tell how many calls fill a round.
    try ours()
    try reference()
    let oursCalls = try Comparison.calls(seconds / Double(2 * rounds), ours)
    let referenceCalls = try Comparison.calls(seconds / Double(2 * rounds), reference)
    self.ours = .infinity
    self.reference = .infinity
    allocations = .infinity
    for _ in 0..<rounds {
      let before = sluice_allocation_count()
      self.ours = min(self.ours, try Comparison.time(oursCalls, ours))
      allocations = min(allocations, Double(sluice_allocation_count() - before) / Double(oursCalls))
      self.reference = min(self.reference, try Comparison.time(referenceCalls, reference))
    }
  }

  private static func calls(_ seconds: Double, _ body: () throws -> Void) rethrows -> Int {
    max(1, Int(seconds / max(try time(2, body), 1e-9)))
  }

  private static func time(_ calls: Int, _ body: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    for _ in 0..<calls { try body() }
    let (seconds, attoseconds) = (clock.now - start).components
    return (Double(seconds) + Double(attoseconds) * 1e-18) / Double(calls)
  }
}
