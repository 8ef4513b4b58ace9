import Sluice
import Synchronization

/// Of some values: how many, how many bytes, and the sum of their hashes modulo 2^64, which does not depend on an order.
struct ValueSum: Sendable {
  var records = 0
  var bytes = 0
  var hash: UInt64 = 0

  func adding(_ value: Bytes) -> ValueSum {
    ValueSum(records: records &+ 1, bytes: bytes &+ value.count, hash: hash &+ value.fastHash(seed: 0))
  }

  func adding(_ other: ValueSum) -> ValueSum {
    ValueSum(records: records + other.records, bytes: bytes + other.bytes, hash: hash &+ other.hash)
  }
}

/// Of words and their counts: how many, and each word's hash times its count.
struct WordSum: Sendable {
  var words = 0
  var hash: UInt64 = 0

  func adding(_ word: Bytes, _ count: Int) -> WordSum {
    WordSum(words: words &+ count, hash: hash &+ word.fastHash(seed: 0) &* UInt64(count))
  }

  func adding(_ other: WordSum) -> WordSum { WordSum(words: words + other.words, hash: hash &+ other.hash) }
}

/// What all batches came to.
final class Sums: Sendable {
  private struct State {
    var values = ValueSum()
    var matches = ValueSum()
    var words = WordSum()
  }
  private let state = Mutex(State())

  func add(values: ValueSum) { state.withLock { $0.values = $0.values.adding(values) } }
  func add(matches: ValueSum) { state.withLock { $0.matches = $0.matches.adding(matches) } }
  func add(words: WordSum) { state.withLock { $0.words = $0.words.adding(words) } }

  var text: String {
    state.withLock { state in
      "counted=\(state.values.records) value_bytes=\(state.values.bytes) hash=\(state.values.hash) "
        + "matches=\(state.matches.records) match_hash=\(state.matches.hash) "
        + "words=\(state.words.words) word_hash=\(state.words.hash)"
    }
  }
}
