import Groundwork

/// Holds a flow of records to a rate, which may change: what was not used adds up to a burst.
struct RateGate: Sendable {
  /// Records a second; nil for no limit.
  private(set) var perSecond: Double?
  /// How much time's worth of records may pass at once.
  private let burstTime: Duration
  private var tokens: Double
  private var last: Instant

  /// - Parameters:
  ///   - perSecond: records a second; nil for no limit.
  ///   - burst: how much time's worth of records may pass at once.
  init(perSecond: Double?, burst: Duration, now: Instant) {
    self.perSecond = perSecond
    burstTime = burst
    tokens = 0
    last = now
    tokens = self.burst
  }

  private var burst: Double { max(1, (perSecond ?? 0) * burstTime.inSeconds) }

  /// From now on another rate holds; what was passed and not paid for stays to be paid.
  mutating func setRate(_ perSecond: Double?, at now: Instant) {
    _ = allowance(at: now)
    if self.perSecond == nil { tokens = 0 }
    self.perSecond = perSecond
    last = now
    tokens = min(tokens, burst)
  }

  /// How many records may pass now.
  mutating func allowance(at now: Instant) -> Int {
    guard let perSecond else { return .max }
    tokens = min(burst, tokens + perSecond * (now - last).inSeconds)
    last = now
    return max(0, Int(min(tokens, 0x1p62)))
  }

  /// Records have passed; more than were allowed (a group passes whole) are paid for later.
  mutating func take(_ count: Int) { tokens -= Double(count) }
}
