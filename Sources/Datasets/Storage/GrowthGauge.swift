/// Says when it is time to measure something that grows, so that measuring costs next to nothing and a limit is not
/// overrun by much: again half way to the limit as the growth so far goes, and never later than at twice the size.
///
/// (Spark's SizeTracker samples at powers of 1.1 instead.)
@usableFromInline struct GrowthGauge {
  /// Bytes not to be exceeded; nil: it is never time.
  @usableFromInline let limit: Int?
  /// Elements that were added.
  @usableFromInline var updates = 0
  /// It is time at this many.
  @usableFromInline var next: Int
  /// Bytes when last measured.
  private(set) var bytes = 0

  @usableFromInline init(limit: Int?) {
    self.limit = limit
    next = GrowthGauge.first(limit)
  }

  /// A small task is never measured: not before 64 elements, or what could fill a small limit.
  private static func first(_ limit: Int?) -> Int { limit.map { max(1, min(64, $0 / 4096)) } ?? .max }

  /// How many elements may be added before the next call of `isDue`: a chunk, or all where there is no limit.
  @inlinable var step: Int { limit == nil ? .max : 1024 }

  /// Counts `more` elements.
  /// - Returns: whether it is time to measure.
  @inlinable mutating func isDue(_ more: Int) -> Bool {
    updates &+= more
    return updates >= next
  }

  /// Takes a measurement.
  /// - Returns: whether the limit is exceeded.
  mutating func isOver(_ measured: Int) -> Bool {
    bytes = measured
    guard let limit else { return false }
    if measured > limit { return true }
    let each = max(1, measured / max(1, updates))
    next = updates + max(16, min(updates + 1024, (limit - measured) / each / 2))
    return false
  }

  /// Begins again at nothing.
  mutating func restart() {
    updates = 0
    bytes = 0
    next = GrowthGauge.first(limit)
  }

  /// Never says again that it is time.
  mutating func rest() { next = .max }
}
