import Groundwork

/// The different words of a workload, 6 to 12 letters each, and how often each is picked.
struct Vocabulary {
  /// Bytes from one word to the next in `letters`: words are copied as 16 bytes, and what follows is overwritten.
  static let stride = 16
  static let lengths = 6...12
  /// The length of the words by rank, again and again: neither frequent nor rare words are the long ones.
  private static let lengthsByRank = [9, 8, 10, 7, 11, 6, 12]

  private(set) var letters: [UInt8]
  private(set) var counts: [UInt8]
  /// Of each word, as `Bytes.fastHash(seed: 0)` gives it.
  private(set) var hashes: [UInt64]
  private let picks: AliasTable

  init(_ shape: TextShape, _ random: inout SeededRandom) {
    letters = Array(repeating: 0, count: shape.wordCount * Vocabulary.stride)
    counts = []
    hashes = []
    var seen: Set<Bytes> = []
    seen.reserveCapacity(shape.wordCount)
    while counts.count < shape.wordCount {
      let length = Vocabulary.lengthsByRank[counts.count % Vocabulary.lengthsByRank.count]
      let word = Bytes((0..<length).map { _ in UInt8.random(in: 97...122, using: &random) })
      guard seen.insert(word).inserted else { continue }
      for (place, letter) in word.enumerated() { letters[counts.count * Vocabulary.stride + place] = letter }
      counts.append(UInt8(length))
      hashes.append(word.fastHash(seed: 0))
    }
    picks =
      switch shape.distribution {
      case .zipf: AliasTable(weights: (1...shape.wordCount).map { 1 / Double($0) })
      case .uniform: AliasTable(weights: Array(repeating: 1, count: shape.wordCount))
      }
  }

  /// The number of a word, frequent ones more often.
  func pick(_ random: inout SeededRandom) -> Int { picks.pick(random.next()) }
}

/// Picks numbers by their weights in constant time (Vose's variant of the alias method: M. D. Vose, A linear algorithm for
/// generating random numbers with a given distribution, 1991).
struct AliasTable {
  private struct Column {
    /// Below this the column's own number is meant, from there on the other one.
    var threshold: UInt32
    var other: UInt32
  }
  private var columns: [Column]

  /// - Parameter weights: at least one, none negative, not all 0.
  init(weights: [Double]) {
    let scale = Double(weights.count) / weights.reduce(0, +)
    var shares = weights.map { $0 * scale }
    columns = weights.indices.map { Column(threshold: .max, other: UInt32($0)) }
    var small = shares.indices.filter { shares[$0] < 1 }
    var large = shares.indices.filter { shares[$0] >= 1 }
    while let low = small.popLast(), let high = large.last {
      columns[low] = Column(threshold: UInt32(shares[low] * Double(UInt32.max)), other: UInt32(high))
      shares[high] -= 1 - shares[low]
      if shares[high] < 1 { small.append(large.removeLast()) }
    }
  }

  /// - Parameter bits: 64 random bits.
  func pick(_ bits: UInt64) -> Int {
    let column = Int(((bits >> 32) &* UInt64(columns.count)) >> 32)
    return UInt32(truncatingIfNeeded: bits) <= columns[column].threshold ? column : Int(columns[column].other)
  }
}
