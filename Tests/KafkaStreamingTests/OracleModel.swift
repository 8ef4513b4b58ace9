import Datasets
import Groundwork

@testable import Streaming

/// What a record of the oracle's topic stands for: all of it follows from its value, `epoch-number`.
struct OracleEvent {
  /// Numbers from here on carry the watermark past every window of the others.
  static let farNumber = 1_000_000
  var number: Int
  var key: String
  var time: Int64
  var value: Int
  var isFar: Bool { number >= OracleEvent.farNumber }

  init(_ text: String) {
    let parts = text.split(separator: "-").compactMap { Int($0) }
    let number = parts.count == 2 ? parts[1] : 0
    self.number = number
    value = number &* 8 &+ (parts.first ?? 0)
    let isFar = number >= OracleEvent.farNumber
    key = isFar ? "far" : "k\(number % 7)"
    // Out of order by up to 0.4 s.
    time = 1_000_000 + Int64(number) * 10 - (isFar ? 0 : Int64((UInt64(number) &* 0x9E37_79B9_7F4A_7C15) >> 40) % 400)
  }
}

/// How the job of one seed is defined.
struct OracleDefinition: Sendable {
  enum State: Int, Sendable { case updateStateByKey, mapWithState, mapWithTimeout }
  enum Policy: String, Sendable, CaseIterable { case stop, retry, skip }
  var state: State
  /// How far out of order event time may be, in ms; small enough to make some records late, or large enough to make none.
  var delay: Int64
  /// Allowed lateness, in ms.
  var lateness: Int64
  /// When the logs are carried past a power loss.
  var sync: Checkpoint.Sync
  /// Whether the records are also copied to the topic `out`, and into files.
  var writesTopic = false
  var writesFiles = false
  /// Whether batches are transactions, where there is a topic.
  var isExactlyOnce = false
  /// What becomes of a batch that fails.
  var policy = Policy.stop
  /// Whether batches may be computed while the one before is committed.
  var pipelining = true
  /// The records whose numbers leave this over make their tasks fail; nil for none.
  var broken: Int?
  static let window: Int64 = 200
  static let timeout: Int64 = 700
  private static let brokenEvery = 29

  /// Adds what the first seeds did not have. It has numbers of its own: the others stay as they are.
  mutating func widen(_ seed: UInt64) {
    var random = SeededRandom(seed: seed ^ 0x01DE)
    sync = Checkpoint.Sync.allCases[Int(random.next() % 3)]
    policy = Policy.allCases[Int(random.next() % 3)]
    writesTopic = random.next() % 3 > 0
    writesFiles = random.next() % 3 > 0
    var coin = SeededRandom(seed: seed ^ 0xE0)
    isExactlyOnce = coin.next() % 2 == 0 && writesTopic
    broken = random.next() % 4 == 0 ? nil : Int(random.next() % UInt64(OracleDefinition.brokenEvery))
  }

  /// The job's settings.
  var settings: [String: String] {
    [
      "sluice.streaming.checkpoint.sync": sync.rawValue, "sluice.streaming.onBatchFailure": policy.rawValue,
      "sluice.streaming.onBatchFailure.backoff": "100ms", "sluice.streaming.pipelining": "\(pipelining)",
      "sluice.streaming.guarantee": isExactlyOnce ? "exactly-once" : "at-least-once",
    ]
  }

  /// How many attempts of a record's task fail; nil for all of them, which only a job that skips outlives.
  func failures(of event: OracleEvent) -> Int? {
    guard let broken, !event.isFar, event.number % OracleDefinition.brokenEvery == broken else { return 0 }
    // A task has four attempts: some of these fail with it, some are mended by it.
    return policy == .skip && event.number % 2 == 0 ? nil : 1 + event.number % 9
  }

  /// Count, sum, and a number that tells the order; all states of the job are such.
  static func add(_ value: Int, to sum: [Int]?) -> [Int] {
    guard let sum else { return [1, value, value] }
    return [sum[0] + 1, sum[1] &+ value, sum[2] &* 31 &+ value]
  }

  /// What updateStateByKey makes of a key's values: a state that nothing came for may go.
  static func update(_ values: [Int], _ state: [Int]?) -> [Int]? {
    if values.isEmpty, let state, state[0] % 3 == 0 { return nil }
    return values.reduce(state) { add($1, to: $0) }
  }
}

/// A job as a serial program that runs batch after batch, each once: what a disturbed run must equal.
struct OracleModel {
  /// What a batch gives.
  struct Output: Equatable {
    var states: [String] = []
    var windows: [String] = []
    var late: [String] = []
  }
  private struct Window {
    var sum: [Int]?
    var isGiven = false
    var isChanged = false
  }

  let definition: OracleDefinition
  private(set) var states: [String: [Int]] = [:]
  private(set) var watermark: Int64?
  private var deadlines: [String: Int64] = [:]
  private var open: [String: [Int64: Window]] = [:]
  private var latest: [TopicPartition: Int64] = [:]
  private var seen: Set<TopicPartition> = []

  init(_ definition: OracleDefinition) { self.definition = definition }

  /// Runs a batch; nothing comes of one that was passed over.
  /// - Parameter read: the values of a range, in their order.
  mutating func run(_ batch: BatchRecord, _ read: (OffsetRange) -> [String]) -> Output {
    guard batch.outcome == .committed else { return Output() }
    var output = Output()
    var values: [String: [Int]] = [:]
    let limit = watermark.map { $0 - definition.lateness } ?? .min
    for range in batch.ranges {
      seen.insert(range.topicPartition)
      for event in read(range).map({ OracleEvent($0) }) {
        latest[range.topicPartition] = max(latest[range.topicPartition] ?? event.time, event.time)
        values[event.key, default: []].append(event.value)
        let start = event.time - event.time % OracleDefinition.window
        if start + OracleDefinition.window <= limit {
          output.late.append("\(event.key) \(event.time)")
          continue
        }
        var window = open[event.key]?[start] ?? Window()
        window.sum = OracleDefinition.add(event.value, to: window.sum)
        window.isChanged = true
        open[event.key, default: [:]][start] = window
      }
    }
    runStates(values, at: batch.batch.time.milliseconds)
    output.states = states.map { OracleModel.row($0, $1) }.sorted()
    output.windows = settle()
    output.late.sort()
    let delayed = seen.compactMap { latest[$0] }
    if !seen.isEmpty, delayed.count == seen.count {
      let least = delayed.min()! - definition.delay
      watermark = max(watermark ?? least, least)
    }
    return output
  }

  static func row(_ key: String, _ sum: [Int]) -> String { "\(key) \(sum)" }
  static func row(_ key: String, _ start: Int64, _ sum: [Int]) -> String { "\(key) \(start) \(sum)" }

  private mutating func runStates(_ values: [String: [Int]], at time: Int64) {
    if definition.state == .updateStateByKey {
      for key in Set(states.keys).union(values.keys) {
        states[key] = OracleDefinition.update(values[key] ?? [], states[key])
      }
      return
    }
    for (key, values) in values {
      states[key] = values.reduce(states[key]) { OracleDefinition.add($1, to: $0) }
      deadlines[key] = time + OracleDefinition.timeout
    }
    guard definition.state == .mapWithTimeout else { return }
    for (key, deadline) in deadlines where deadline <= time {
      states[key] = nil
      deadlines[key] = nil
    }
  }

  private mutating func settle() -> [String] {
    guard let watermark else { return [] }
    var rows: [String] = []
    for (key, windows) in open {
      var kept: [Int64: Window] = [:]
      for (start, window) in windows {
        var window = window
        let end = start + OracleDefinition.window
        let isOver = end <= watermark
        if isOver, !window.isGiven || window.isChanged { rows.append(OracleModel.row(key, start, window.sum ?? [])) }
        window.isGiven = isOver
        window.isChanged = false
        if end + definition.lateness > watermark { kept[start] = window }
      }
      open[key] = kept.isEmpty ? nil : kept
    }
    return rows.sorted()
  }
}
