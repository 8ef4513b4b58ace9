import Groundwork

/// What counting some records must come to, whoever counts them and in whichever order: sums that do not depend on it.
///
/// The hash of a value is `Hash64`, version 1, with seed 0 (`Bytes.fastHash(seed: 0)`; in C `Benchmarks/peers/hash64.h`),
/// and hashes are added modulo 2^64. It takes a multiplication for 16 bytes, some ten nanoseconds a record, so that everybody
/// who counts can afford it; and a record lost, doubled or damaged shows.
public struct Tally: Sendable, Equatable {
  /// What is searched for where records are filtered: some 10 % of the lines have it.
  public static let needle: Bytes = "ea"

  /// Records.
  public var records = 0
  /// Bytes of their values.
  public var valueBytes = 0
  /// Sum of their values' hashes.
  public var hash: UInt64 = 0
  /// Records whose value holds the needle.
  public var matches = 0
  /// Sum of the hashes of those.
  public var matchHash: UInt64 = 0
  /// Words in all values.
  public var words = 0
  /// Sum of the hashes of all words: of each word, its hash times its count.
  public var wordHash: UInt64 = 0

  /// Of no records.
  public init() {}

  /// - Parameter wordHash: the sum of the hashes of the line's words.
  mutating func add(_ line: Bytes, wordHash: UInt64) {
    let hash = line.fastHash(seed: 0)
    records += 1
    valueBytes += line.count
    self.hash &+= hash
    if line.contains(Tally.needle) {
      matches += 1
      matchHash &+= hash
    }
    words += LineGenerator.wordsPerLine
    self.wordHash &+= wordHash
  }

  /// Of both.
  public static func += (a: inout Tally, b: Tally) {
    a.records += b.records
    a.valueBytes += b.valueBytes
    a.hash &+= b.hash
    a.matches += b.matches
    a.matchHash &+= b.matchHash
    a.words += b.words
    a.wordHash &+= b.wordHash
  }

  /// As programs print it: `records=10 value_bytes=1000 …`.
  public var text: String {
    "records=\(records) value_bytes=\(valueBytes) hash=\(hash) matches=\(matches) match_hash=\(matchHash) "
      + "words=\(words) word_hash=\(wordHash)"
  }

  /// What a program printed; nil where a part is missing.
  /// - Parameter field: gives the part of a name.
  public init?(_ field: (String) -> String?) {
    guard let records = field("records").flatMap({ Int($0) }),
      let valueBytes = field("value_bytes").flatMap({ Int($0) }),
      let hash = field("hash").flatMap({ UInt64($0) }),
      let matches = field("matches").flatMap({ Int($0) }),
      let matchHash = field("match_hash").flatMap({ UInt64($0) }),
      let words = field("words").flatMap({ Int($0) }),
      let wordHash = field("word_hash").flatMap({ UInt64($0) })
    else { return nil }
    self.records = records
    self.valueBytes = valueBytes
    self.hash = hash
    self.matches = matches
    self.matchHash = matchHash
    self.words = words
    self.wordHash = wordHash
  }
}
