import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Reduced windows whose panes are state, against a model on plain arrays, with ticks left out, batches given up, and
/// restarts anywhere: also while a pane is half full.
@Suite struct PersistedWindowTests {
  typealias Pair = (String, Int)
  /// A window as every form of it is written down: `a=1 b=2`.
  typealias Window = String

  /// A form of window: how it is defined, and what it comes to.
  struct Form: Sendable, CustomTestStringConvertible {
    var name: String
    var define: @Sendable (DStream<Pair>, _ length: Duration, _ slide: Duration) -> DStream<String>
    /// nil where there is no row.
    var model: @Sendable ([Pair]) -> [String]
    var testDescription: String { name }
  }

  private static func rows<V>(_ pairs: [Pair], _ zero: V, _ add: (inout V, Int) -> Void) -> [String] {
    var table: [String: V] = [:]
    for (key, value) in pairs { add(&table[key, default: zero], value) }
    return table.map { "\($0.key)=\($0.value)" }
  }

  static let forms: [Form] = [
    Form(name: "reduceByKeyAndWindow") { stream, length, slide in
      // Not commutative: the order of the batches shows.
      stream.mapValues { "\($0)," }.reduceByKeyAndWindow(window: length, slide: slide) { $0 + $1 }.named("windows")
        .map { "\($0.0)=\($0.1)" }
    } model: {
      rows($0, "") { $0 += "\($1)," }
    },
    Form(name: "reduceByKeyAndWindow, partitioner") { stream, length, slide in
      stream.reduceByKeyAndWindow(
        window: length, slide: slide, partitioner: Partitioner(partitionCount: 2) { $0 == "a" ? 1 : 0 }
      ) { $0 + $1 }.named("windows").map { "\($0.0)=\($0.1)" }
    } model: {
      rows($0, 0) { $0 += $1 }
    },
    Form(name: "inverse") { stream, length, slide in
      stream.reduceByKeyAndWindow(window: length, slide: slide, inverse: { $0 - $1 }) { $0 + $1 }.named("windows")
        .map { "\($0.0)=\($0.1)" }
    } model: {
      rows($0, 0) { $0 += $1 }
    },
    Form(name: "inverse, filter, partitioner") { stream, length, slide in
      stream.reduceByKeyAndWindow(
        window: length, slide: slide, partitioner: Partitioner(partitionCount: 2) { $0 == "a" ? 1 : 0 },
        inverse: { $0 - $1 }, filter: { $0.0 != "b" }
      ) { $0 + $1 }.named("windows").map { "\($0.0)=\($0.1)" }
    } model: {
      rows($0.filter { $0.0 != "b" }, 0) { $0 += $1 }
    },
    Form(name: "groupByKeyAndWindow") { stream, length, slide in
      stream.groupByKeyAndWindow(window: length, slide: slide).named("windows").map { "\($0.0)=\($0.1)" }
    } model: {
      rows($0, [Int]()) { $0.append($1) }
    },
    Form(name: "countByValueAndWindow") { stream, length, slide in
      stream.keys().countByValueAndWindow(window: length, slide: slide).named("windows").map { "\($0.0)=\($0.1)" }
    } model: {
      rows($0, 0) { count, _ in count += 1 }
    },
    Form(name: "countByWindow") { stream, length, slide in
      stream.countByWindow(length, slide: slide).named("windows").map { "\($0)" }
    } model: {
      ["\($0.count)"]
    },
    Form(name: "reduceByWindow") { stream, length, slide in
      stream.map { "\($0.1)," }.reduceByWindow(length, slide: slide) { $0 + $1 }.named("windows")
    } model: {
      $0.isEmpty ? [] : [$0.map { "\($0.1)," }.joined()]
    },
    Form(name: "reduceByWindow, inverse") { stream, length, slide in
      stream.values().reduceByWindow(length, slide: slide, inverse: { $0 - $1 }) { $0 + $1 }.named("windows")
        .map { "\($0)" }
    } model: {
      $0.isEmpty ? [] : ["\($0.reduce(0) { $0 + $1.1 })"]
    },
  ]
  static let shapes: [(length: Int64, slide: Int64)] = [(4, 1), (4, 2), (3, 2), (5, 5), (2, 3), (6, 4)]

  /// A job over one form, which is killed and started anew, and what its windows must be.
  final class Job {
    let world: HandDriver<Pair>.World
    let seed: UInt64
    var form: Form
    var length: Int64
    var slide: Int64
    private(set) var driver: HandDriver<Pair>!
    private let out = Cell<[[String]]>([])
    private(set) var all: [(time: Int64, pairs: [Pair])] = []
    var failures: [String] = []
    /// What lies at or before this was let go by shorter windows.
    var forgotten: Int64 = .min

    init(_ form: Form, length: Int64, slide: Int64, seed: UInt64) throws {
      world = HandDriver<Pair>.World(seed: seed)
      self.seed = seed
      self.form = form
      self.length = length
      self.slide = slide
      try start()
    }

    func start() throws {
      driver = try HandDriver<Pair>(world, seed: seed) { driver in
        driver.output(form.define(driver.source, .seconds(length), .seconds(slide)), into: out)
      }
      driver.runner.repeats = 20
    }

    func restart(losingPower: Bool = true) throws {
      driver.crash(losingPower: losingPower)
      try start()
    }

    func run(_ pairs: [Pair], at time: Int64, aborting: Bool = false) throws {
      // One partition, so that the order within a batch is the model's.
      if aborting {
        try? driver.run([pairs], time: time, aborting: true)
        return
      }
      let previous = all.last?.time
      all.append((time, pairs))
      let end = time / slide * slide
      let isDue = previous.map { end > $0 } ?? (end == time)
      out.value = []
      try driver.run([pairs], time: time)
      let inWindow = all.filter { $0.time > end - length && $0.time <= end && $0.time > forgotten }.flatMap(\.pairs)
      let expected = isDue ? [form.model(inWindow).sorted()] : []
      let found = out.value.map { $0.sorted() }
      if found != expected {
        failures.append(
          "seed \(seed), \(form.name), \(length) s every \(slide) s, at \(time): \(found), should be \(expected)")
      }
    }

    var keyCounts: [String: Int] { StateCoordinator.of(driver.context).keyCounts }
  }

  static func batch(_ random: inout SeededRandom) -> [Pair] {
    (0..<Int(random.next() % 5)).map { _ in (["a", "b", "c"][Int(random.next() % 3)], Int(random.next() % 100)) }
  }

  /// Killed before every batch in turn, with power and without: each window is as if nothing had happened.
  @Test(arguments: PersistedWindowTests.forms) func aRestartAtEveryBatchChangesNothing(_ form: Form) throws {
    for (length, slide) in Self.shapes {
      for killed in 1..<14 as Range<Int64> {
        var random = SeededRandom(seed: UInt64(length * 100 + slide))
        let job = try Job(form, length: length, slide: slide, seed: UInt64(killed))
        for time in 1...14 as ClosedRange<Int64> {
          try job.run(Self.batch(&random), at: time)
          if time == killed { try job.restart(losingPower: killed % 2 == 0) }
        }
        #expect(job.failures.isEmpty, "killed after \(killed): \(job.failures.prefix(3))")
      }
    }
  }

  @Test(arguments: PersistedWindowTests.forms) func windowsAreTheirModelThroughGapsAndFailures(_ form: Form) throws {
    for seed in 1...24 as ClosedRange<UInt64> {
      var random = SeededRandom(seed: seed)
      let (length, slide) = Self.shapes[Int(seed % UInt64(Self.shapes.count))]
      let job = try Job(form, length: length, slide: slide, seed: seed)
      var time: Int64 = 1
      for _ in 0..<40 {
        let pairs = Self.batch(&random)
        if random.next() % 6 == 0 { try job.run(pairs, at: time, aborting: true) }
        try job.run(pairs, at: time)
        // Panes and keys that no window needs any more are gone.
        let counts = job.keyCounts
        let perPane = form.name.hasPrefix("group") ? 3 : 1
        if counts["windows"] ?? .max > 3 * Int(length + slide) * perPane || counts["windows running"] ?? 0 > 3 {
          job.failures.append("seed \(seed), at \(time): \(counts)")
        }
        time += 1 + Int64(random.next() % 4 == 0 ? random.next() % 9 : 0)
        if random.next() % 4 == 0 { try job.restart() }
      }
      #expect(job.failures.isEmpty, "\(job.failures.prefix(3))")
    }
  }

  /// Another length or slide goes on with the panes that are there, as far back as they reach.
  @Test(arguments: PersistedWindowTests.forms) func anotherLengthGoesOnWithThePanes(_ form: Form) throws {
    let isRunning = form.name.contains("inverse") || form.name.hasPrefix("count")
    for (length, slide) in [(4, 2), (8, 2), (6, 6), (8, 4), (2, 2), (2, 4)] as [(Int64, Int64)] {
      for killed in [12, 13] as [Int64] {
        var random = SeededRandom(seed: UInt64(length * 100 + slide))
        let job = try Job(form, length: 6, slide: 2, seed: 3)
        for time in 1...killed { try job.run(Self.batch(&random), at: time) }
        // With the window that ended at 12 went what the next one does not need; with an inverse that goes with the next.
        job.forgotten = isRunning ? 6 : 8
        job.length = length
        job.slide = slide
        try job.restart()
        for time in killed + 1...30 {
          try job.run(Self.batch(&random), at: time)
          if time % 5 == 0 { try job.restart() }
        }
        #expect(job.failures.isEmpty, "killed after \(killed): \(job.failures.prefix(3))")
        let counts = job.keyCounts
        #expect(
          counts["windows"] ?? .max <= 3 * Int(length + slide) && counts["windows running"] ?? 0 <= 3, "\(counts)")
      }
    }
  }

  private static let inverse = forms[2]

  @Test func whatBecomesOfTheOldShapeIsSaid() throws {
    let job = try Job(Self.inverse, length: 6, slide: 2, seed: 1)
    for time in 1...8 as ClosedRange<Int64> { try job.run([("a", 1)], at: time) }
    job.length = 8
    try job.restart()
    #expect(
      job.driver.logged.value.contains(
        "the state of 'windows': it was of windows of 6s every 2s, and goes on with windows of 8s every 2s: until the first "
          + "of them has filled, they miss what the shorter windows had let go already"), "\(job.driver.logged.value)")
    job.length = 4
    try job.restart()
    #expect(
      job.driver.logged.value.contains(
        "the state of 'windows': it was of windows of 8s every 2s, and goes on with windows of 4s every 2s"),
      "\(job.driver.logged.value)")
    try job.restart()
    #expect(!job.driver.logged.value.contains { $0.contains("it was of") })
    (job.length, job.slide) = (5, 1)
    let error = #expect(throws: StreamingError.self) { try job.restart() }
    #expect(
      error.map { "\($0)" }
        == "the state of 'windows' does not fit: it is stored for windows of 4s every 2s in panes of 2s, and windows of 5s "
        + "every 1s cannot be put together from those: choose multiples of 2s. Or give the operator another name, and drop "
        + "the old state by starting once with sluice.streaming.state.drop=windows")
    job.world.settings["sluice.streaming.state.drop"] = "windows"
    try job.restart()
    job.world.settings = [:]
    job.forgotten = 8
    for time in 9...20 as ClosedRange<Int64> {
      try job.run([("b", Int(time))], at: time)
      if time % 3 == 0 { try job.restart() }
    }
    #expect(job.failures.isEmpty, "\(job.failures.prefix(3))")
  }

  /// The running window is dropped, or no longer wanted, or wanted anew: the panes say all.
  @Test func theRunningWindowIsMadeAnewFromThePanes() throws {
    for changes in 0..<6 {
      var random = SeededRandom(seed: UInt64(changes))
      let job = try Job(Self.inverse, length: 4, slide: 2, seed: 1)
      var plain = Self.inverse
      plain.define = { stream, length, slide in
        stream.reduceByKeyAndWindow(window: length, slide: slide) { $0 + $1 }.named("windows")
          .map { "\($0.0)=\($0.1)" }
      }
      for time in 1...24 as ClosedRange<Int64> {
        try job.run(Self.batch(&random), at: time)
        guard time % 5 == Int64(changes % 5) else { continue }
        if random.next() % 2 == 0 {
          job.world.settings["sluice.streaming.state.drop"] = "windows running"
          try job.restart()
          job.world.settings = [:]
        } else {
          // What left with the last window is not needed by any that comes.
          job.form.define = [plain, Self.inverse][Int(random.next() % 2)].define
          try job.restart()
        }
      }
      #expect(job.failures.isEmpty, "\(job.failures.prefix(3))")
    }
  }

  /// Another number of partitions moves panes and running windows together.
  @Test func anotherParallelismMovesBoth() throws {
    let job = try Job(Self.inverse, length: 4, slide: 2, seed: 1)
    var random = SeededRandom(seed: 5)
    for time in 1...24 as ClosedRange<Int64> {
      try job.run(Self.batch(&random), at: time)
      guard time % 4 == 1 else { continue }
      let partitions = Int(random.next() % 5) + 1
      job.form.define = { stream, length, slide in
        stream.reduceByKeyAndWindow(window: length, slide: slide, partitions: partitions, inverse: { $0 - $1 }) {
          $0 + $1
        }.named("windows").map { "\($0.0)=\($0.1)" }
      }
      try job.restart()
    }
    #expect(job.failures.isEmpty, "\(job.failures.prefix(3))")
  }

  /// Windows over windows: daily totals of hourly ones, so to speak; also where the batch behind an inner window's end
  /// comes late.
  @Test(arguments: UInt64(1)...30) func windowsOverWindowsGoOn(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let hasCheckpoint = seed % 5 != 0
    let world = HandDriver<Pair>.World(seed: seed)
    let out = Cell<[[String]]>([])
    func start() throws -> HandDriver<Pair> {
      try HandDriver<Pair>(world, seed: seed, checkpoint: hasCheckpoint ? "/check" : nil) { driver in
        let inner = driver.source.reduceByKeyAndWindow(window: .seconds(2), slide: .seconds(2)) { $0 + $1 }.named(
          "inner")
        let outer =
          seed % 2 == 0
          ? inner.reduceByKeyAndWindow(window: .seconds(8), slide: .seconds(4), inverse: { $0 - $1 }) { $0 + $1 }
          : inner.reduceByKeyAndWindow(window: .seconds(8), slide: .seconds(4)) { $0 + $1 }
        driver.output(outer.named("outer").map { "\($0.0)=\($0.1)" }, into: out)
      }
    }
    var driver = try start()
    var inner: [(end: Int64, pairs: [Pair])] = []
    var all: [(time: Int64, pairs: [Pair])] = []
    var time: Int64 = 1
    for _ in 0..<40 {
      let pairs = Self.batch(&random)
      let previous = all.last?.time ?? time - 1
      all.append((time, pairs))
      out.value = []
      try driver.run([pairs], time: time)
      let ended = time / 2 * 2
      if ended > previous {
        inner.append((ended, all.filter { $0.time > ended - 2 && $0.time <= ended }.flatMap(\.pairs)))
      }
      let end = time / 4 * 4
      let expected =
        end > previous
        ? [Self.inverse.model(inner.filter { $0.end > end - 8 && $0.end <= end }.flatMap(\.pairs)).sorted()] : []
      let found = out.value.map { $0.sorted() }
      #expect(found == expected, "seed \(seed), at \(time)")
      time += 1 + Int64(random.next() % 4 == 0 ? random.next() % 3 : 0)
      if hasCheckpoint, random.next() % 4 == 0 {
        driver.crash(losingPower: true)
        driver = try start()
      }
    }
  }
}
