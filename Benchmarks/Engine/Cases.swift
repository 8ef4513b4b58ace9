import KafkaProtocol
import Sluice

/// The cases and their hand-written loops.
enum Cases {
  static let needle: Bytes = "ea"

  static func all(_ input: Input, keys: Int) throws -> [Case] {
    [filterCount(input), wordCount(input), wordCountByValue(input), join(keys), sort(keys)]
  }

  static func filterCount(_ input: Input) -> Case {
    Case(name: "filter-count", items: input.records) { context in
      try input.dataset(context).filter { $0.contains(needle) }.count()
    } loop: {
      var found = 0
      try input.visit { if $0.contains(needle) { found += 1 } }
      return found
    }
  }

  /// Words and their counts, folded into one number that does not depend on their order.
  @Sendable private static func sum(_ counts: some Sequence<(Bytes, Int)>) -> Int {
    counts.reduce(0) { $0 &+ Int(truncatingIfNeeded: $1.0.fastHash(seed: 7)) &* $1.1 }
  }

  private static func countWords(_ input: Input) throws -> Int {
    var table = WordTable()
    try input.visit { line in
      for word in line.split(separator: " ") { table.add(word) }
    }
    return sum(table.entries)
  }

  static func wordCount(_ input: Input) -> Case {
    Case(name: "word count, reduceByKey", items: input.records) { context in
      sum(
        try input.dataset(context).flatMap { $0.split(separator: " ") }.map { ($0, 1) }.reduceByKey(+).collect())
    } loop: {
      try countWords(input)
    }
  }

  static func wordCountByValue(_ input: Input) -> Case {
    Case(name: "word count, countByValue", items: input.records) { context in
      sum(try input.dataset(context).flatMap { $0.split(separator: " ") }.counted().collect())
    } loop: {
      try countWords(input)
    }
  }

  static func join(_ keys: Int) -> Case {
    Case(name: "join", items: 2 * keys) { context in
      let left = context.parallelize(0..<keys, partitionCount: 4).map { ($0, $0 &* 3) }
      let right = context.parallelize(0..<keys, partitionCount: 4).map { ($0 &* 2, $0) }
      return try left.join(right).map { key, values in key &+ values.0 &* values.1 }.aggregate(
        0, { $0 &+ $1 }, { $0 &+ $1 })
    } loop: {
      var table: [Int: Int] = [:]
      table.reserveCapacity(keys)
      for key in 0..<keys { table[key] = key &* 3 }
      var sum = 0
      for number in 0..<keys {
        if let value = table[number &* 2] { sum = sum &+ number &* 2 &+ value &* number }
      }
      return sum
    }
  }

  static func sort(_ keys: Int) -> Case {
    Case(name: "sort", items: keys) { context in
      let sorted = context.parallelize(0..<keys, partitionCount: 4).map { scrambled($0) }.sortBy { $0 }
      var place = 0
      return try sorted.collect().reduce(0) { sum, element in
        place += 1
        return sum &+ element &* place
      }
    } loop: {
      var sum = 0
      for (index, element) in (0..<keys).map({ scrambled($0) }).sorted().enumerated() {
        sum = sum &+ element &* (index + 1)
      }
      return sum
    }
  }

  @Sendable private static func scrambled(_ number: Int) -> Int {
    Int(truncatingIfNeeded: (UInt64(truncatingIfNeeded: number) &* 0x9E37_79B9_7F4A_7C15) >> 20)
  }
}

/// What somebody would write who wants to count words and nothing else: open addressing over one array.
struct WordTable {
  private var slots: [Int32]
  private(set) var entries: [(Bytes, Int)] = []

  init() { slots = Array(repeating: -1, count: 1 << 16) }

  mutating func add(_ word: Bytes) {
    var slot = Int(truncatingIfNeeded: word.fastHash(seed: 0) >> 32) & (slots.count - 1)
    while slots[slot] >= 0 {
      if entries[Int(slots[slot])].0 == word {
        entries[Int(slots[slot])].1 += 1
        return
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    slots[slot] = Int32(entries.count)
    entries.append((word.copied, 1))
    precondition(entries.count < slots.count / 2)
  }
}
