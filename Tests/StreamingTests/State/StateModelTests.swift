import Datasets
import Groundwork
import Simulation
import Testing

@testable import Streaming

/// `mapWithState` and `updateStateByKey` against serial models, over random batches, with tasks that fail and run twice,
/// batches that are given up, and restarts.
@Suite struct StateModelTests {
  typealias Pair = (Int, Int)
  /// 0 removes, a negative value looks and changes nothing, others are added.
  static func spec(_ fuse: Fuse) -> StateSpec<Int, Int, Int, String> {
    StateSpec.function { (key: Int, value: Int?, state: State<Int>) -> String in
      try fuse.burn()
      guard let value else { return "\(key) out with \(state.get() ?? -1)" }
      if value == 0 { state.remove() } else if value > 0 { state.update((state.get() ?? 0) + value) }
      return "\(key) has \(state.get().map(String.init) ?? "none")"
    }
  }

  /// The same, one pair after the other.
  struct Model {
    var sums: [Int: (sum: Int, deadline: Int64)] = [:]
    let timeout: Int64?

    mutating func run(_ parts: [[Pair]], _ time: Int64) -> [String] {
      var out: [String] = []
      var touched: Set<Int> = []
      for (key, value) in parts.joined() {
        touched.insert(key)
        let deadline = timeout.map { time + $0 } ?? .max
        if value == 0 {
          sums[key] = nil
        } else if value > 0 {
          sums[key] = ((sums[key]?.sum ?? 0) + value, deadline)
        } else if sums[key] != nil {
          sums[key]?.deadline = deadline
        }
        out.append("\(key) has \(sums[key].map { String($0.sum) } ?? "none")")
      }
      for (key, entry) in sums where entry.deadline <= time && !touched.contains(key) {
        out.append("\(key) out with \(entry.sum)")
        sums[key] = nil
      }
      return out.sorted()
    }
    var state: [Int: Int] { sums.mapValues(\.sum) }
  }

  static func batch(_ random: inout SeededRandom, keys: Int) -> [[Pair]] {
    (0..<Int(random.next() % 4)).map { _ in
      (0..<Int(random.next() % 12)).map { _ in
        (Int(random.next() % UInt64(keys)), Int(random.next() % 8) - 2)
      }
    }
  }

  @Test(arguments: UInt64(1)...30) func mapWithStateIsItsModel(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let timeout: Int64? = seed % 3 == 0 ? nil : Int64(1 + random.next() % 5) * 1000
    var model = Model(timeout: timeout)
    let world = HandDriver<Pair>.World(seed: seed)
    let fuse = Fuse()
    let parallelism = 1 + Int(random.next() % 4)
    func start() throws -> (HandDriver<Pair>, Cell<[[String]]>, Cell<[[Pair]]>, MapWithStateDStream<Int, Int, String>) {
      let out = Cell<[[String]]>([])
      let all = Cell<[[Pair]]>([])
      let made = Cell<[MapWithStateDStream<Int, Int, String>]>([])
      let driver = try HandDriver<Pair>(world, seed: seed, parallelism: parallelism) { driver in
        var spec = Self.spec(fuse)
        if let timeout { spec = spec.timeout(.milliseconds(timeout)) }
        let stream = driver.source.mapWithState(spec).named("sums")
        made.value.append(stream)
        driver.output(stream, into: out)
        driver.output(stream.stateSnapshots(), into: all)
        // A second look at the same stream must see the same.
        driver.output(stream, into: out)
      }
      driver.runner.repeats = 30
      return (driver, out, all, made.value[0])
    }
    var (driver, out, all, stream) = try start()
    for number in 1...25 as ClosedRange<Int64> {
      let parts = Self.batch(&random, keys: 12)
      let expected = model.run(parts, number * 1000)
      if random.next() % 5 == 0 {
        // The whole batch is given up once, before or after its state was prepared.
        if random.next() % 2 == 0 {
          #expect(throws: Arranged.self) { try driver.run(parts, aborting: true) }
        } else {
          for _ in 0..<4 {
            try? {
              fuse.set(1 + Int(random.next() % 6)); try driver.run(parts, aborting: true)
            }()
          }
        }
        out.value = []
        all.value = []
      }
      fuse.set(random.next() % 2 == 0 ? 1 + Int(random.next() % 30) : .max)
      try driver.run(parts)
      let context = "seed \(seed), batch \(number)"
      #expect(out.value.map { $0.sorted() } == [expected, expected], "\(context)")
      #expect(Dictionary(all.value[0], uniquingKeysWith: { _, _ in -1 }) == model.state, "\(context)")
      #expect(stream.stateful.keyCount == model.state.count, "\(context)")
      out.value = []
      all.value = []
      if random.next() % 4 == 0 {
        driver.crash(losingPower: random.next() % 2 == 0)
        fuse.set(.max)
        (driver, out, all, stream) = try start()
        #expect(Dictionary(stream.stateful.contents, uniquingKeysWith: { _, _ in -1 }) == model.state, "\(context)")
      }
    }
  }

  @Test(arguments: UInt64(1)...20) func updateStateByKeyIsItsModel(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let world = HandDriver<Pair>.World(seed: seed)
    var model: [Int: [Int]] = [1: [100], 50: [7]]
    let fuse = Fuse()
    func start() throws -> (HandDriver<Pair>, Cell<[[(Int, [Int])]]>) {
      let out = Cell<[[(Int, [Int])]]>([])
      let driver = try HandDriver<Pair>(world, seed: seed, parallelism: 3) { driver in
        let initial = driver.context.sluice.parallelize([(1, [100]), (50, [7])])
        // Keeps the last four values; a key whose last is 5 goes, and one nothing comes for loses its first.
        let stream = driver.source.updateStateByKey(initial: initial) { (values: [Int], state: [Int]?) -> [Int]? in
          try fuse.burn()
          if values.isEmpty { return state!.count > 1 ? Array(state!.dropFirst()) : state }
          return values.last == 5 ? nil : Array(((state ?? []) + values).suffix(4))
        }
        driver.output(stream, into: out)
      }
      driver.runner.repeats = 30
      return (driver, out)
    }
    var (driver, out) = try start()
    for number in 1...20 {
      let parts = Self.batch(&random, keys: 9)
      let values = parts.joined().reduce(into: [Int: [Int]]()) { $0[$1.0, default: []].append($1.1) }
      for key in Set(model.keys).union(values.keys) {
        let new = values[key] ?? []
        let state = model[key]
        if new.isEmpty {
          model[key] = state!.count > 1 ? Array(state!.dropFirst()) : state
        } else {
          model[key] = new.last == 5 ? nil : Array(((state ?? []) + new).suffix(4))
        }
      }
      fuse.set(random.next() % 2 == 0 ? 1 + Int(random.next() % 30) : .max)
      if random.next() % 6 == 0 { try? driver.run(parts, aborting: true) }
      out.value = []
      try driver.run(parts)
      #expect(
        Dictionary(out.value[0], uniquingKeysWith: { _, _ in [] }) == model, "seed \(seed), batch \(number)")
      if random.next() % 3 == 0 {
        driver.crash(losingPower: true)
        fuse.set(.max)
        (driver, out) = try start()
      }
    }
  }

  @Test func aKeyTimesOutOnceAndIsGone() throws {
    let out = Cell<[[String]]>([])
    let driver = try HandDriver<Pair>(.init(seed: 1), checkpoint: nil) { driver in
      driver.output(driver.source.mapWithState(Self.spec(Fuse()).timeout(.seconds(2))), into: out)
    }
    for parts in [[[(7, 3)]], [], [], [], [[(7, 4)]]] as [[[Pair]]] { try driver.run(parts) }
    #expect(out.value == [["7 has 3"], [], ["7 out with 3"], [], ["7 has 4"]])
    #expect(driver.logged.value.contains { $0.contains("in memory only") })
  }

  @Test func changingAStateThatTimesOutFailsTheBatch() throws {
    let driver = try HandDriver<Pair>(.init(seed: 1)) { driver in
      let spec = StateSpec.function { (key: Int, value: Int?, state: State<Int>) -> Int in
        state.update(1)
        return key
      }
      driver.output(driver.source.mapWithState(spec.timeout(.seconds(1))), into: Cell([]))
    }
    try driver.run([[(1, 1)]])
    let error = #expect(throws: (any Error).self) { try driver.run([]) }
    #expect("\(error!)".contains("ask isTimingOut first"))
  }
}
