/// Finds the edge of what is stable, with as few trials as possible.
enum Search {
  /// The smallest value that is stable: doubling, then bisecting to about an eighth.
  /// - Returns: nil where none up to `last` is.
  static func smallest(from first: Int, through last: Int, _ isStable: (Int) throws -> Bool) rethrows -> Int? {
    var unstable = 0
    var stable = first
    while try !isStable(stable) {
      unstable = stable
      stable *= 2
      if stable > last { return nil }
    }
    // Below the first value there is nothing to look for.
    if stable == first { return first }
    while stable - unstable > max(1, unstable / 8) {
      let middle = (stable + unstable) / 2
      if try isStable(middle) { stable = middle } else { unstable = middle }
    }
    return stable
  }

  /// The highest value that is stable: doubling or halving, then bisecting to about an eighth.
  /// - Returns: nil where not even a hundredth of `first` is.
  static func highest(from first: Int, through last: Int, _ isStable: (Int) throws -> Bool) rethrows -> Int? {
    var stable = first
    var unstable: Int?
    while try !isStable(stable) {
      unstable = stable
      stable /= 2
      if stable < max(1, first / 100) { return nil }
    }
    while unstable == nil {
      let next = min(stable * 2, last)
      if next == stable { return stable }
      if try isStable(next) { stable = next } else { unstable = next }
    }
    while var limit = unstable, limit - stable > max(1, stable / 8) {
      let middle = (stable + limit) / 2
      if try isStable(middle) { stable = middle } else { limit = middle }
      unstable = limit
    }
    return stable
  }
}
