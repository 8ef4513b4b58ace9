import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Watermarks: per partition, the least of all, never back.
@Suite struct WatermarkTests {
  private func input(_ name: String, idle: Bool = false) -> WatermarkTracker.Input {
    .init(name: name, isCaughtUp: idle)
  }

  @Test func theLeastOfThePartitionsCounts() {
    var tracker = WatermarkTracker(delay: 10, idleTimeout: nil)
    tracker.batchRan(at: 0, [input("a"), input("b")], latest: ["a": 100])
    #expect(tracker.watermark == nil, "nothing came from b yet")
    tracker.batchRan(at: 1, [input("a"), input("b")], latest: ["b": 50])
    #expect(tracker.watermark == 40)
    tracker.batchRan(at: 2, [input("a"), input("b")], latest: ["b": 500])
    #expect(tracker.watermark == 90)
    tracker.batchRan(at: 3, [input("a"), input("b")], latest: ["a": 20, "b": 30])
    #expect(tracker.watermark == 90, "out of order, it does not go back")
  }

  @Test func anIdlePartitionDropsOutAndALaggingOneDoesNot() {
    var tracker = WatermarkTracker(delay: 0, idleTimeout: 5)
    tracker.batchRan(at: 0, [input("a"), input("b")], latest: ["a": 10, "b": 20])
    for time in 1...20 as ClosedRange<Int64> {
      tracker.batchRan(at: time, [input("a", idle: false), input("b")], latest: ["b": 20 + time])
    }
    #expect(tracker.watermark == 10, "a lags: it has something to read")
    for time in 21...25 as ClosedRange<Int64> {
      tracker.batchRan(at: time, [input("a", idle: true), input("b")], latest: ["b": 20 + time])
    }
    #expect(tracker.watermark == 10)
    tracker.batchRan(at: 26, [input("a", idle: true), input("b")], latest: ["b": 46])
    #expect(tracker.watermark == 46, "a has had nothing to read for 5")
    tracker.batchRan(at: 27, [input("a"), input("b")], latest: ["a": 12])
    #expect(tracker.watermark == 46, "what comes back does not take it back")
    tracker.batchRan(at: 28, [input("a"), input("b")], latest: ["b": 90])
    #expect(tracker.watermark == 46, "and holds it again")
  }

  @Test(arguments: UInt64(1)...20) func itNeverGoesBackAndIsReadAsItWasWritten(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var tracker = WatermarkTracker(delay: 7, idleTimeout: seed % 2 == 0 ? 3 : nil)
    var last: Int64?
    var wrong = 0
    for time in 0..<300 as Range<Int64> {
      let names = (0..<(1 + random.next() % 4)).map { "t-\($0) x" }
      var latest: [String: Int64] = [:]
      for name in names where random.next() % 2 == 0 { latest[name] = Int64(random.next() % 1000) + time }
      tracker.batchRan(
        at: time, names.map { input($0, idle: random.next() % 2 == 0) }, latest: latest)
      if let last, (tracker.watermark ?? .min) < last { wrong += 1 }
      last = tracker.watermark
      var copy = WatermarkTracker(delay: tracker.delay, idleTimeout: tracker.idleTimeout)
      if !copy.take(tracker.text) || copy != tracker { wrong += 1 }
    }
    #expect(wrong == 0)
    #expect(last != nil)
  }

  private typealias Event = (Int64, String)

  /// A run of a job that keeps the watermark each batch goes by.
  private func start(
    _ world: HandDriver<Event>.World, seen: Cell<[Int64?]>
  ) throws -> HandDriver<Event> {
    try HandDriver<Event>(world) { driver in
      let events = driver.source.withEventTime({ Timestamp(milliseconds: $0.0) }, delay: .milliseconds(5))
      let keeper = events.keeper
      let names = events.map { $0.1 }.elements
      let stream = DStream<String>(driver.context, label: "look", parents: [events.timed]) { frame in
        seen.value.append(keeper.watermark(frame)?.milliseconds)
        return names.dataset(frame)
      }
      driver.output(stream, into: Cell([]))
    }
  }

  @Test func aBatchGoesByTheBatchesBeforeIt() throws {
    let world = HandDriver<Event>.World(seed: 1)
    let seen = Cell<[Int64?]>([])
    var driver = try start(world, seen: seen)
    try driver.run([[(100, "a")], [(90, "b")]])
    try driver.run([[(300, "a")]])
    try driver.run([])
    #expect(seen.value == [nil, 95, 295])
    // The batch is planned, and dies before its decision: run again it goes by what its plan says.
    try? driver.run([[(900, "c")]], aborting: true)
    let planned = driver.planNotes[4]!
    driver.crash(losingPower: true)
    driver = try start(world, seen: seen)
    try driver.run([[(900, "c")]], replaying: planned)
    try driver.run([])
    #expect(seen.value == [nil, 95, 295, 295, 295, 895])
  }

  /// A power loss takes the decision of a batch, and when that runs again it is passed over: the plan behind it went by
  /// records that are in no batch now. The watermark after it must not be an older one.
  @Test func aPlanThatWentByALostBatchGoesByWhatIsLeft() throws {
    let world = HandDriver<Event>.World(seed: 1)
    let seen = Cell<[Int64?]>([])
    var driver = try start(world, seen: seen)
    try driver.run([[(100, "a")]])
    let first = world.decided
    try driver.run([[(300, "a")]])
    try? driver.run([[(120, "c")]], aborting: true)
    let planned = driver.planNotes[3]!
    driver.crash(losingPower: true)
    world.decided?.note = first?.note
    driver = try start(world, seen: seen)
    try driver.run([[(120, "c")]], replaying: planned)
    try driver.run([])
    #expect(seen.value == [nil, 95, 295, 95, 115])
  }

  /// A topic of three partitions, of which a test says what each batch takes and what is left.
  ///
  /// Sendable: confined to its test's thread.
  private final class Topic: StreamSource, @unchecked Sendable {
    var left: [TopicPartition: Int64] = [:]
    let name = "topic"
    let isReplayable = true
    func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {}
    func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan { SourcePlan() }
    var hasData: Bool { false }
    func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {}
    func forget(through batch: BatchNumber) {}
    func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) {}
    var isExhausted: Bool { false }
    var lag: SourceLag { SourceLag(records: 0) }
    func lag(of partition: TopicPartition) -> Int64? { left[partition] ?? 0 }
    func stop(then: @escaping @Sendable () -> Void) {}
  }

  @Test func eachTopicPartitionCountsForItself() throws {
    let world = HandDriver<Int64>.World(seed: 1)
    let topic = Topic()
    let parts = Cell<[[Int64]]>([])
    let made = Cell<[WatermarkKeeper]>([])
    let driver = try HandDriver<Int64>(world) { driver in
      let sluice = driver.context.sluice
      let input = driver.context.inputStream(topic, label: "topics") { _, _ in
        RDD<Int64>(sluice, label: "topics", partitionCount: 3, dependencies: []) { partition, _, emit in
          try parts.value[partition].withUnsafeBufferPointer { if $0.count > 0 { try emit($0) } }
        }
      }
      let events = input.filter { $0 > 0 }.withEventTime(
        { Timestamp(milliseconds: $0) }, delay: .zero, idleTimeout: .seconds(2))
      made.value.append(events.keeper)
      driver.output(events.elements.map { "\($0)" }, into: Cell([]))
    }
    let partitions = (0..<3).map { TopicPartition("t", PartitionIndex($0)) }
    var offsets: [Offset] = [0, 0, 0]
    func run(_ records: [[Int64]]) throws -> Int64? {
      parts.value = records
      let ranges = (0..<3).map { index in
        defer { offsets[index] = offsets[index] + Int64(records[index].count) }
        return OffsetRange(
          partitions[index], from: offsets[index], until: offsets[index] + Int64(records[index].count))
      }
      try driver.run([], plans: [SourcePlan(ranges: ranges)])
      return made.value[0].latestWatermark
    }
    #expect(try run([[100], [200], []]) == nil)
    #expect(try run([[], [300], [50]]) == 50)
    #expect(try run([[400], [], [90]]) == 90)
    // The third has nothing left, the first has but is not read: only the third drops out.
    topic.left[partitions[0]] = 7
    for _ in 0..<3 { _ = try run([[], [900], []]) }
    #expect(made.value[0].latestWatermark == 400)
    topic.left = [:]
    for _ in 0..<3 { _ = try run([[], [901], []]) }
    #expect(made.value[0].latestWatermark == 901)
  }
}
