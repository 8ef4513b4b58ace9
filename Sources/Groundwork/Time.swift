/// A point on the monotonic clock, in nanoseconds from an origin that is fixed while the machine runs.
public struct Instant: Hashable, Comparable, Sendable {
  /// Nanoseconds since the clock's origin.
  public var nanoseconds: Int64
  /// The point this many nanoseconds after the clock's origin.
  @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
  /// Whether `a` is earlier.
  @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  /// The point a duration later, earlier for a negative one. Wraps round where 64 bits do not hold it.
  @inlinable public static func + (a: Instant, d: Duration) -> Instant {
    Instant(nanoseconds: a.nanoseconds &+ d.inNanoseconds)
  }
  /// How long after `b` the point `a` comes; negative where it is earlier.
  @inlinable public static func - (a: Instant, b: Instant) -> Duration {
    .nanoseconds(a.nanoseconds &- b.nanoseconds)
  }
}

/// A point on the wall clock, in milliseconds since 1970-01-01T00:00:00Z: the time of records and batches.
public struct Timestamp: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// Milliseconds since 1970-01-01T00:00:00Z; negative before it.
  public var milliseconds: Int64
  /// The point this many milliseconds after 1970-01-01T00:00:00Z.
  @inlinable public init(milliseconds: Int64) { self.milliseconds = milliseconds }
  /// Milliseconds since 1970 as a literal.
  @inlinable public init(integerLiteral value: Int64) { milliseconds = value }
  /// Kafka's "no timestamp".
  public static let none = Timestamp(milliseconds: -1)
  /// Whether `a` is earlier.
  @inlinable public static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }
  /// The point a duration later, earlier for a negative one; parts of a millisecond are dropped.
  @inlinable public static func + (a: Timestamp, d: Duration) -> Timestamp {
    Timestamp(milliseconds: a.milliseconds &+ d.inMilliseconds)
  }
  /// How long after `b` the point `a` comes; negative where it is earlier.
  @inlinable public static func - (a: Timestamp, b: Timestamp) -> Duration {
    .milliseconds(a.milliseconds &- b.milliseconds)
  }

  /// ISO 8601 in UTC with milliseconds, such as `2013-01-01T10:00:00.000Z` (civil calendar of years 0 to 9999).
  public var description: String {
    let dayLength: Int64 = 86_400_000
    var days = milliseconds / dayLength
    var rest = milliseconds % dayLength
    if rest < 0 {
      rest += dayLength
      days -= 1
    }
    // Civil date from a day number: years begin in March, so that the leap day is the last of its year.
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func padded(_ value: Int64, _ width: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(rest / 3_600_000, 2)):"
      + "\(padded(rest / 60_000 % 60, 2)):\(padded(rest / 1000 % 60, 2)).\(padded(rest % 1000, 3))Z"
  }
}

extension Duration {
  /// The whole duration in nanoseconds, saturating at the limits of 64 bits (292 years).
  @inlinable public var inNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, sumOverflow) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    return sumOverflow ? (seconds < 0 ? .min : .max) : sum
  }

  /// The whole duration in milliseconds, rounded toward zero.
  @inlinable public var inMilliseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds &* 1000 &+ attoseconds / 1_000_000_000_000_000
  }

  /// The duration in seconds, for rates and reports.
  @inlinable public var inSeconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) / 1e18
  }

  /// Reads `250us`, `500ms`, `2s`, `5m` (or `5min`), `1h`, `7d`; a bare number is milliseconds, as in Spark's and
  /// Kafka's settings. Returns nil when the text is anything else, is negative, or exceeds 100 years.
  public init?(text: String) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let count = Int64(digits), count <= 3_153_600_000_000_000 else { return nil }
    let unit: Int64
    switch text.dropFirst(digits.count).lowercased() {
    case "us": unit = 1_000
    case "", "ms": unit = 1_000_000
    case "s": unit = 1_000_000_000
    case "m", "min": unit = 60_000_000_000
    case "h": unit = 3_600_000_000_000
    case "d": unit = 86_400_000_000_000
    default: return nil
    }
    let (nanoseconds, overflow) = count.multipliedReportingOverflow(by: unit)
    guard !overflow, nanoseconds <= 3_153_600_000_000_000_000 else { return nil }
    self = .nanoseconds(nanoseconds)
  }

  /// The shortest of the forms `init(text:)` reads that gives this duration back, down to microseconds.
  public var text: String {
    let nanoseconds = inNanoseconds
    for (unit, name) in [
      (86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"),
      (1_000_000, "ms"),
    ] as [(Int64, String)] where nanoseconds >= unit && nanoseconds % unit == 0 {
      return "\(nanoseconds / unit)\(name)"
    }
    return nanoseconds == 0 ? "0ms" : "\(nanoseconds / 1000)us"
  }
}
