import Groundwork

// Spark's Time, Duration, Milliseconds, Seconds and Minutes are Timestamp and Swift's Duration here; this adds what their
// arithmetic lacks, and Interval.

extension Duration {
  /// So many minutes.
  @inlinable public static func minutes(_ count: some BinaryInteger) -> Duration { .seconds(Int64(count) * 60) }

  /// Whether the duration is a whole number of others, to the nanosecond; never of one of zero.
  public func isMultiple(of other: Duration) -> Bool {
    other.inNanoseconds != 0 && inNanoseconds % other.inNanoseconds == 0
  }
}

extension Timestamp {
  /// The point a duration earlier; parts of a millisecond are dropped.
  @inlinable public static func - (a: Timestamp, d: Duration) -> Timestamp {
    Timestamp(milliseconds: a.milliseconds &- d.inMilliseconds)
  }

  /// The last whole multiple of a duration since 1970 that is not later. The duration counts in whole milliseconds, and
  /// at least 1.
  public func floor(to duration: Duration) -> Timestamp {
    let step = max(1, duration.inMilliseconds)
    let rest = milliseconds % step
    return Timestamp(milliseconds: milliseconds - (rest < 0 ? rest + step : rest))
  }

  /// Whether the point is a whole multiple of a duration since 1970.
  public func isMultiple(of duration: Duration) -> Bool { floor(to: duration) == self }

  /// The points from this one on that lie `duration` apart, before `end`.
  public func until(_ end: Timestamp, every duration: Duration) -> [Timestamp] {
    stride(from: milliseconds, to: end.milliseconds, by: Int64.Stride(max(1, duration.inMilliseconds))).map {
      Timestamp(milliseconds: $0)
    }
  }
}

/// A stretch of time, with its beginning and without its end.
public struct Interval: Hashable, Sendable, CustomStringConvertible {
  /// Its first point.
  public var beginTime: Timestamp
  /// The first point behind it.
  public var endTime: Timestamp

  /// - Parameters:
  ///   - beginTime: its first point.
  ///   - endTime: the first point behind it.
  public init(_ beginTime: Timestamp, _ endTime: Timestamp) {
    self.beginTime = beginTime
    self.endTime = endTime
  }

  /// How long it is.
  public var duration: Duration { endTime - beginTime }
  /// Whether a point lies in it.
  public func contains(_ time: Timestamp) -> Bool { time >= beginTime && time < endTime }
  /// The interval a duration later.
  public static func + (a: Interval, d: Duration) -> Interval { Interval(a.beginTime + d, a.endTime + d) }
  /// The interval a duration earlier.
  public static func - (a: Interval, d: Duration) -> Interval { Interval(a.beginTime - d, a.endTime - d) }
  /// Whether `a` ends where `b` begins, or before.
  public static func < (a: Interval, b: Interval) -> Bool { a.endTime <= b.beginTime }
  /// Beginning and end.
  public var description: String { "[\(beginTime), \(endTime))" }
}
