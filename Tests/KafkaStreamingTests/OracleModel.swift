import Datasets
import Groundwork

@testable import Streaming

/// What a record of the oracle's topic stands for: all of it follows from its value, `epoch-number`.
struct OracleEvent {
  /// Numbers from here on carry the watermark past every window of the others.
  static let farNumber = 1_000_000
  var key: String
  var time: Int64
  var value: Int

  init(_ text: String) {
    let parts = text.split(separator: "-").compactMap { Int($0) }
    let number = parts.count == 2 ? parts[1] : 0
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
  var state: State
  /// How far out of order event time may be, in ms; small enough to make some records late, or large enough to make none.
  var delay: Int64
  /// Allowed lateness, in ms.
  var lateness: Int64
  static let window: Int64 = 200
  static let timeout: Int64 = 700

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

  /// Runs a batch.
  /// - Parameter read: the values of a range, in their order.
  mutating func run(_ batch: BatchRecord, _ read: (OffsetRange) -> [String]) -> Output {
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
