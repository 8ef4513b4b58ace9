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

  /// Looks for edges that are known.
  static func check() throws {
    for edge in 1...2_000 {
      var tries = 0
      let smallest = smallest(from: 1, through: 4_096) { value in
        tries += 1
        return value >= edge
      }
      let highest = highest(from: 100, through: 1 << 20) { value in
        tries += 1
        return value <= edge
      }
      guard let smallest, let highest, smallest >= edge, smallest <= edge + max(1, edge / 8), highest <= edge,
        highest >= edge - max(1, edge / 8), tries < 40
      else { throw WrongEdge(edge: edge) }
    }
    let none = smallest(from: 1, through: 4_096) { _ in false } ?? highest(from: 100, through: 1_000) { _ in false }
    let all = highest(from: 100, through: 1_000) { _ in true }
    guard none == nil, all == 1_000 else { throw WrongEdge(edge: 0) }
  }
}

/// The search missed an edge.
struct WrongEdge: Error, CustomStringConvertible {
  var edge: Int
  var description: String { "the search does not find the edge at \(edge)" }
}
