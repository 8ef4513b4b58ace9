import Groundwork

/// How much one batch may take of one source, and why.
public struct RateDecision: Sendable, Equatable {
  /// What a plan's `limitReason` says where a decision kept it from being larger.
  package static let limitReason = "rate control"
  /// The most records of the batch, over all partitions of the source; nil for no limit.
  public var recordsMax: Int?
  /// The rate behind it, in records a second; nil where there is no estimate yet.
  public var rate: Double?
  /// Why, in words for the one who runs the job.
  public var reason: String

  /// A limit and its reason.
  public init(recordsMax: Int?, rate: Double? = nil, reason: String) {
    self.recordsMax = recordsMax
    self.rate = rate
    self.reason = reason
  }
}

/// How a batch's limit is shared among partitions. Pure.
public enum RateShares {
  /// Each partition's share: in proportion to how far it is behind, but never less than `min` (or what it has), and never
  /// more than `max` or what it has. What one cannot use goes to the others, so the shares add up to `total` wherever
  /// there is enough to take.
  ///
  /// The floor keeps a partition that is hardly behind from standing still beside one that is far behind; it may make the
  /// shares add up to more than `total`.
  /// - Parameters:
  ///   - total: records for all partitions; nil gives each all it has, up to `max`.
  ///   - lags: records each partition is behind.
  ///   - min: the floor of each.
  ///   - max: the ceiling of each, nil for none.
  /// - Complexity: O(p²) for p partitions at worst, as each round of sharing satisfies one of them.
  public static func shares(total: Int?, lags: [Int64], min: Int = 1, max: Int? = nil) -> [Int] {
    let wanted = lags.map { Int(Swift.max(0, Swift.min($0, Int64(max ?? .max)))) }
    // More than all there is is not needed, and a number that large would not survive the arithmetic below.
    guard let total, total < wanted.reduce(0, saturatingSum) else { return wanted }
    var shares = wanted.map { Swift.min($0, Swift.max(0, min)) }
    var left = total - shares.reduce(0, saturatingSum)
    var open = lags.indices.filter { shares[$0] < wanted[$0] }
    while left > 0, !open.isEmpty {
      let weight = open.reduce(0.0) { $0 + Double(lags[$1]) }
      var given = 0
      for index in open {
        let part = Int(Swift.min(Double(left) * (Double(lags[index]) / weight), 0x1p62))
        let taken = Swift.min(part, wanted[index] - shares[index])
        shares[index] += taken
        given += taken
      }
      if given == 0 {
        // Less than one each is left: the first ones get it.
        for index in open.prefix(left) { shares[index] += 1 }
        break
      }
      left -= given
      open.removeAll { shares[$0] >= wanted[$0] }
    }
    return shares
  }

  private static func saturatingSum(_ a: Int, _ b: Int) -> Int {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
  }
}
