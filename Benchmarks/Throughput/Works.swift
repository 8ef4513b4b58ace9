import BenchmarkProcesses
import BenchmarkWorkload

/// What is done with the records of a topic.
enum Work: String, CaseIterable {
  case count, filter, words, files, copy

  /// As the table calls it.
  var title: String {
    switch self {
    case .count: "count"
    case .filter: "filter + count"
    case .words: "word count"
    case .files: "ETL to text files"
    case .copy: "topic to topic"
    }
  }

  /// The guarantees under which it is measured: where nothing leaves the job there is one.
  var guarantees: [Guarantee] { self == .files || self == .copy ? [.atLeastOnce, .exactlyOnce] : [.atLeastOnce] }

  /// Whether the program in C and the clients of others do it too.
  var hasPeers: Bool { self == .count || self == .filter || self == .words }
}

/// One thing that was measured.
struct Row {
  var codec: String
  var work: Work
  /// Whose program it is.
  var who: String
  var processes = 1
  /// nil: it has no such thing.
  var guarantee: Guarantee?
  var records: Int
  /// The run of median length.
  var seconds: Double
  /// Processor time of the program that does the work, its start included; all its processes together.
  var processorSeconds: Double
  /// Processor time of the broker meanwhile; nil where there is none.
  var brokerSeconds: Double?
  var peakMemory: Int?
  var batches: Int?

  /// Millions of records a second.
  var rate: Double { Double(records) / seconds / 1e6 }
  /// Millions of records for a second of processor time.
  var ratePerProcessorSecond: Double { Double(records) / processorSeconds / 1e6 }
}

/// A program came to something else than the generator.
struct WrongSum: Error, CustomStringConvertible {
  var who: String
  var what: String
  var got: String
  var expected: String
  var description: String { "\(who), \(what): it came to \(got), but the generator says \(expected)" }
}

extension Work {
  /// Holds what a program came to against what the generator says of the topic.
  func check(_ who: String, got: (_ name: String) -> UInt64?, expected: Tally) throws {
    func compare(_ what: String, _ value: UInt64?, _ wanted: UInt64) throws {
      guard value == wanted else {
        throw WrongSum(who: who, what: what, got: value.map { "\($0)" } ?? "nothing", expected: "\(wanted)")
      }
    }
    try compare("\(title), records", got("records"), UInt64(expected.records))
    switch self {
    case .filter:
      try compare("\(title), matches", got("matches"), UInt64(expected.matches))
      try compare("\(title), hash of matches", got("match_hash"), expected.matchHash)
    case .words:
      try compare("\(title), words", got("words"), UInt64(expected.words))
      try compare("\(title), hash of words", got("word_hash"), expected.wordHash)
    case .count, .files, .copy:
      try compare("\(title), bytes of values", got("value_bytes"), UInt64(expected.valueBytes))
      try compare("\(title), hash of values", got("hash"), expected.hash)
    }
  }
}
