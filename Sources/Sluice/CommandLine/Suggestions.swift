/// Finds what somebody meant to type.
package enum Suggestions {
  /// The candidate nearest to `text`: one that it begins, or one a few slips of the fingers away; nil where none is
  /// near. The first of equals wins. O(candidates · length²).
  package static func nearest(to text: String, among candidates: [String]) -> String? {
    guard !text.isEmpty else { return nil }
    let typed = Array(text.lowercased())
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
      let distance = distance(typed, Array(candidate.lowercased()))
      if distance < best?.distance ?? Int.max { best = (candidate, distance) }
    }
    if let best, best.distance <= max(1, typed.count / 3) { return best.candidate }
    let begun = candidates.filter { $0.lowercased().hasPrefix(text.lowercased()) }
    return begun.count == 1 && typed.count >= 3 ? begun[0] : nil
  }

  /// How many letters must be inserted, removed, replaced or swapped with their neighbour: the "optimal string
  /// alignment" form of Damerau's distance (Damerau 1964).
  static func distance(_ a: [Character], _ b: [Character]) -> Int {
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in 1...a.count {
      var row = [Int](repeating: i, count: b.count + 1)
      for j in 1...b.count {
        let replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
        row[j] = min(last[j] + 1, row[j - 1] + 1, replaced)
        if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { row[j] = min(row[j], beforeLast[j - 2] + 1) }
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}
