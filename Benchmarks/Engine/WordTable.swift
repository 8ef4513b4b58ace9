import Sluice

/// What somebody would write who wants to count words and nothing else: open addressing over one array.
struct WordTable {
  private var slots: [Int32]
  private(set) var entries: [(Bytes, Int)] = []

  init() { slots = Array(repeating: -1, count: 1 << 16) }

  mutating func add(_ word: Bytes, _ count: Int = 1) {
    var slot = Int(truncatingIfNeeded: word.fastHash(seed: 0) >> 32) & (slots.count - 1)
    while slots[slot] >= 0 {
      if entries[Int(slots[slot])].0 == word {
        entries[Int(slots[slot])].1 += count
        return
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    slots[slot] = Int32(entries.count)
    entries.append((word.copied, count))
    precondition(entries.count < slots.count / 2)
  }

  /// Words and their counts, folded into one number that does not depend on their order.
  @Sendable static func sum(_ counts: some Sequence<(Bytes, Int)>) -> Int {
    counts.reduce(0) { $0 &+ Int(truncatingIfNeeded: $1.0.fastHash(seed: 7)) &* $1.1 }
  }
}
