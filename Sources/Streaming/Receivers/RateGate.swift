import Groundwork

/// Holds a flow of records to a rate: what was not used adds up to a burst.
struct RateGate: Sendable {
  private let perSecond: Double?
  private let burst: Double
  private var tokens: Double
  private var last: Instant

  /// - Parameters:
  ///   - perSecond: records a second; nil for no limit.
  ///   - burst: how much time's worth of records may pass at once.
  init(perSecond: Int?, burst: Duration, now: Instant) {
    self.perSecond = perSecond.map { Double(max(1, $0)) }
    self.burst = max(1, (self.perSecond ?? 0) * burst.inSeconds)
    tokens = self.burst
    last = now
  }

  /// How many records may pass now.
  mutating func allowance(at now: Instant) -> Int {
    guard let perSecond else { return .max }
    tokens = min(burst, tokens + perSecond * (now - last).inSeconds)
    last = now
    return max(0, Int(tokens))
  }

  /// Records have passed; more than were allowed (a group passes whole) are paid for later.
  mutating func take(_ count: Int) { tokens -= Double(count) }
}
