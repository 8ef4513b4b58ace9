import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Windows of event time against a serial model.
@Suite struct EventTimeWindowTests {
  /// A key, an event time in ms, a number.
  struct Event: Sendable {
    var key: String
    var time: Int64
    var value: Int
  }
  struct Open: Equatable {
    var start: Int64
    var end: Int64
    var values: [Int]
    var isGiven = false
    var isChanged = false
  }

  /// All windows of all keys, batch by batch.
  struct Model {
    let window: EventTimeWindow
    let lateness: Int64
    let delay: Int64
    let early: Bool
    var open: [String: [Open]] = [:]
    var latest: Int64?
    var watermark: Int64?

    mutating func run(_ events: [Event]) -> (rows: [String], late: [String]) {
      let limit = watermark.map { $0 - lateness } ?? .min
      var late: [String] = []
      for event in events {
        var windows = open[event.key] ?? []
        switch window.kind {
        case .fixed(let length, let slide):
          var isTaken = false
          for step in -1000...1000 as ClosedRange<Int64> {
            let start = step * slide
            guard start <= event.time, event.time < start + length, start + length > limit else { continue }
            isTaken = true
            if let index = windows.firstIndex(where: { $0.start == start }) {
              windows[index].values.append(event.value)
              windows[index].isChanged = true
            } else {
              windows.append(Open(start: start, end: start + length, values: [event.value], isChanged: true))
            }
          }
          if !isTaken { late.append("\(event.key) \(event.time)") }
        case .session(let gap):
          var joined = Open(start: event.time, end: event.time + gap, values: [event.value], isChanged: true)
          let touching = windows.filter { $0.start <= joined.end && $0.end >= event.time }
          for other in touching {
            joined.start = min(joined.start, other.start)
            joined.end = max(joined.end, other.end)
            joined.values += other.values
          }
          guard joined.end > limit else {
            late.append("\(event.key) \(event.time)")
            continue
          }
          joined.isGiven = touching.count == 1 && touching[0].isGiven && touching[0].end == joined.end
          windows.removeAll { touching.contains($0) }
          windows.append(joined)
        }
        open[event.key] = windows
      }
      var rows: [String] = []
      let now = watermark ?? .min
      for key in open.keys.sorted() {
        let kept = open[key]!.compactMap { window -> Open? in
          var window = window
          let isOver = window.end <= now
          if isOver ? !window.isGiven || window.isChanged : early && window.isChanged {
            rows.append("\(key) \(window.start)-\(window.end) \(window.values.sorted())")
          }
          window.isChanged = false
          window.isGiven = isOver
          return isOver && window.end + lateness <= now ? nil : window
        }
        open[key] = kept.isEmpty ? nil : kept
      }
      if let newest = events.map(\.time).max() { latest = max(latest ?? newest, newest) }
      if let latest { watermark = max(watermark ?? .min, latest - delay) }
      return (rows.sorted(), late.sorted())
    }
  }

  private static func window(_ seed: UInt64) -> EventTimeWindow {
    switch seed % 3 {
    case 0: .tumbling(.milliseconds(20))
    case 1: .sliding(.milliseconds(30), every: .milliseconds(10))
    default: .session(gap: .milliseconds(15))
    }
  }

  @Test(arguments: UInt64(1)...36) func windowsAreTheirModel(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let window = Self.window(seed)
    let lateness = Int64(random.next() % 3) * 12
    let delay = Int64(random.next() % 3) * 10
    let early = random.next() % 3 == 0
    var model = Model(window: window, lateness: lateness, delay: delay, early: early)
    let world = HandDriver<Event>.World(seed: seed)
    func start() throws -> (HandDriver<Event>, Cell<[[String]]>, Cell<[[String]]>) {
      let out = Cell<[[String]]>([])
      let late = Cell<[[String]]>([])
      let driver = try HandDriver<Event>(world, seed: seed, parallelism: 3) { driver in
        let pairs = driver.source.withEventTime(
          { Timestamp(milliseconds: $0.time) }, delay: .milliseconds(delay)
        ).map { ($0.key, $0.value) }
        let windowed = pairs.eventTimeWindow(
          window, allowedLateness: .milliseconds(lateness), earlyUpdates: early)
        let windows = windowed.aggregateByKey([Int]()) {
          $0 + [$1]
        } merge: {
          $0 + $1
        }.named("windows")
        let rows = windows.results.map { row, values in
          "\(row.key) \(row.start.milliseconds)-\(row.end.milliseconds) \(values.sorted())"
        }
        driver.output(rows, into: out)
        driver.output(windows.lateRecords.map { "\($0.1.0) \($0.0.milliseconds)" }, into: late)
      }
      driver.runner.repeats = 20
      return (driver, out, late)
    }
    var (driver, out, late) = try start()
    var now: Int64 = 0
    for number in 1...30 {
      let events = (0..<Int(random.next() % 8)).map { index in
        Event(
          key: ["a", "b", "c"][Int(random.next() % 3)], time: max(0, now + Int64(random.next() % 60) - 40),
          value: number * 100 + index)
      }
      now += Int64(random.next() % 25)
      let expected = model.run(events)
      let parts = events.isEmpty ? [] : [Array(events.prefix(3)), Array(events.dropFirst(3))]
      if random.next() % 6 == 0 { try? driver.run(parts, aborting: true) }
      out.value = []
      late.value = []
      try driver.run(parts)
      let context = "seed \(seed), batch \(number)"
      #expect(out.value.map { $0.sorted() } == [expected.rows], "\(context)")
      #expect(late.value.map { $0.sorted() } == [expected.late], "\(context)")
      #expect(driver.runner.counted["late windows"] ?? 0 == Int64(expected.late.count), "\(context)")
      if random.next() % 5 == 0 {
        driver.crash(losingPower: random.next() % 2 == 0)
        (driver, out, late) = try start()
      }
    }
  }

  @Test func reduceAndCountGiveEachWindowOnce() throws {
    let sums = Cell<[[String]]>([])
    let counts = Cell<[[String]]>([])
    let driver = try HandDriver<Event>(.init(seed: 1)) { driver in
      let windows = driver.source.withEventTime({ Timestamp(milliseconds: $0.time) }, delay: .zero)
        .map { ($0.key, $0.value) }
        .eventTimeWindow(.tumbling(.milliseconds(10)))
      driver.output(windows.reduceByKey(+).results.map { "\($0.key)@\($0.start.milliseconds)=\($1)" }, into: sums)
      driver.output(windows.count().results.map { "\($0.key)@\($0.start.milliseconds)=\($1)" }, into: counts)
    }
    try driver.run([[Event(key: "a", time: 3, value: 5), Event(key: "a", time: 9, value: 6)]])
    try driver.run([[Event(key: "a", time: 12, value: 7), Event(key: "b", time: 25, value: 1)]])
    try driver.run([])
    try driver.run([])
    #expect(sums.value.map { $0.sorted() } == [[], [], ["a@0=11", "a@10=7"], []])
    #expect(counts.value.map { $0.sorted() } == [[], [], ["a@0=2", "a@10=1"], []])
  }

  @Test func aWindowedKeyIsStreamCodable() throws {
    let windowed = Windowed("key", start: 50, end: 110)
    #expect(try Windowed<String>.streamDecoded(windowed.streamEncoded) == windowed)
    #expect("\(windowed)" == "key@[1970-01-01T00:00:00.050Z, 1970-01-01T00:00:00.110Z)")
  }

  @Test func impossibleWindowsAreRefused() throws {
    let driver = try HandDriver<Event>(.init(seed: 1)) { driver in
      let stream = driver.source.withEventTime({ Timestamp(milliseconds: $0.time) }, delay: .zero)
        .map { ($0.key, $0.value) }
      driver.output(
        stream.eventTimeWindow(.sliding(.milliseconds(5), every: .milliseconds(6))).count().results, into: Cell([]))
    }
    let error = #expect(throws: StreamingError.self) { try driver.context.start { _ in } }
    #expect("\(error!)".contains("a window of 5 ms every 6 ms is not possible"))
  }
}
