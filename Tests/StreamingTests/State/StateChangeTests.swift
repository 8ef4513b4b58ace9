import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Restarts with other code: names, schemas, partitions.
@Suite struct StateChangeTests {
  typealias Pair = (Int, Int)
  typealias World = HandDriver<Pair>.World

  /// What a visitor left: the second version of a state that was an Int.
  struct Visits: StreamCodable, Equatable {
    var count: Int
    var last: String
    /// Added later, at the end.
    var isMember = false

    func encode(to writer: inout ByteWriter) {
      count.encode(to: &writer)
      last.encode(to: &writer)
      isMember.encode(to: &writer)
    }
    static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Visits {
      let count = try Int.decode(from: &reader)
      let last = try String.decode(from: &reader)
      return Visits(count: count, last: last, isMember: reader.remaining > 0 ? try Bool.decode(from: &reader) : false)
    }
  }

  /// Runs a job of one definition until it is killed; gives what it logged.
  @discardableResult private func job(
    _ world: World, _ batches: [[Pair]] = [], _ define: (HandDriver<Pair>) -> Void
  ) throws -> [String] {
    let driver = try HandDriver<Pair>(world) { define($0) }
    for batch in batches { try driver.run([batch]) }
    driver.crash(losingPower: true)
    return driver.logged.value
  }

  private static func sum(_ values: [Int], _ state: Int?) -> Int? { (state ?? 0) + values.reduce(0, +) }

  private func sums(
    _ driver: HandDriver<Pair>, _ name: String?, aliases: [String] = [], into cell: Cell<[[Pair]]> = Cell([])
  ) {
    let stream = driver.source.updateStateByKey { Self.sum($0, $1) }
    if let name { stream.named(name, aliases: aliases) }
    driver.output(stream, into: cell)
  }

  private func failure(_ world: World, _ define: (HandDriver<Pair>) -> Void) -> String {
    do {
      try job(world, [], define)
      return "no error"
    } catch {
      return "\(error)"
    }
  }

  @Test func stateIsFoundByNameWhateverStandsBefore() throws {
    let world = World(seed: 1)
    try job(world, [[(1, 10)]]) { sums($0, "sums") }
    let out = Cell<[[Pair]]>([])
    try job(world, [[(1, 5)]]) { driver in
      driver.output(driver.source.map { $0 }.updateStateByKey { Self.sum($0, $1) }.named("others"), into: Cell([]))
      sums(driver, "sums", into: out)
    }
    #expect(out.value[0].map { "\($0)" } == ["(1, 15)"])
  }

  @Test func aRenamedOperatorIsFoundByItsAlias() throws {
    let world = World(seed: 1)
    try job(world, [[(1, 10)]]) { sums($0, "sums") }
    let out = Cell<[[Pair]]>([])
    let log = try job(world, [[(1, 5)]]) { sums($0, "totals", aliases: ["sums"], into: out) }
    #expect(out.value[0].map { "\($0)" } == ["(1, 15)"])
    #expect(log.contains("the state of 'sums' is now that of 'totals'"))
    try job(world, [[(1, 5)]]) { sums($0, "totals", into: out) }
    #expect(out.value[1].map { "\($0)" } == ["(1, 20)"])
  }

  @Test func anOperatorThatIsGoneIsNamed() throws {
    let world = World(seed: 1)
    try job(world, [[(1, 10)]]) { sums($0, "sums") }
    #expect(
      failure(world) { sums($0, "totals") }
        == "the checkpoint holds the state of 'sums' (Int to Int), and the job has no operator of that name. Where it was "
        + "renamed, write .named(\"…\", aliases: [\"sums\"]); where it is gone for good, start once with "
        + "sluice.streaming.state.drop=sums")
    world.settings["sluice.streaming.state.drop"] = "sums"
    let log = try job(world, [[(1, 1)]]) { sums($0, "totals") }
    #expect(log.contains("the state of 'sums' is dropped, as sluice.streaming.state.drop says"))
    // From then on nothing of it is asked for, and a new operator of that name is a new one.
    world.settings = [:]
    let out = Cell<[[Pair]]>([])
    try job(world, [[(1, 1)]]) { driver in
      sums(driver, "totals")
      sums(driver, "sums", into: out)
    }
    #expect(out.value[0].map { "\($0)" } == ["(1, 1)"])
  }

  @Test func aDerivedNameThatMovedIsNotBelieved() throws {
    let world = World(seed: 1)
    try job(world, [[(1, 10)]]) { sums($0, nil) }
    let text = failure(world) { driver in
      driver.output(driver.source.filter { $0.0 > 0 }.updateStateByKey { Self.sum($0, $1) }, into: Cell([]))
    }
    #expect(text.contains("'updateStateByKey-1' stands under a derived name"))
    #expect(text.contains("was updateStateByKey < hand, it is updateStateByKey < filter < hand"))
    #expect(text.contains(".named(\"…\", aliases: [\"updateStateByKey-1\"])"))
    let out = Cell<[[Pair]]>([])
    try job(world, [[(1, 5)]]) { driver in
      let stream = driver.source.filter { $0.0 > 0 }.updateStateByKey { Self.sum($0, $1) }
      driver.output(stream.named("sums", aliases: ["updateStateByKey-1"]), into: out)
    }
    #expect(out.value[0].map { "\($0)" } == ["(1, 15)"])
  }

  @Test func anotherTypeIsAskedFor() throws {
    let world = World(seed: 1)
    try job(world, [[(1, 10)]]) { sums($0, "sums") }
    let text = failure(world) { driver in
      let stream = driver.source.updateStateByKey { (values: [Int], state: Visits?) -> Visits? in state }
      driver.output(stream.named("sums"), into: Cell([]))
    }
    #expect(text.contains("'sums' is stored as Int, version 1, the job has Visits, version 1"))
    #expect(text.contains(".migrating(from: Int.self, version: 1)"))
    let keys = failure(world) { driver in
      let stream = driver.source.map { ("\($0.0)", $0.1) }.updateStateByKey { Self.sum($0, $1) }
      driver.output(stream.named("sums"), into: Cell([]))
    }
    #expect(keys.contains("'sums' is stored by keys of Int, the job has String: keys cannot be migrated"))
  }

  @Test func olderStateIsMigratedAndWrittenAnew() throws {
    let world = World(seed: 1)
    try job(world, [[(1, 10), (2, 20)]]) { sums($0, "visits") }
    let out = Cell<[[(Int, Visits)]]>([])
    func visits(_ driver: HandDriver<Pair>) {
      let schema = StateSchema<Visits>(version: 2).migrating(from: Int.self) { Visits(count: $0, last: "old") }
      let stream = driver.source.updateStateByKey(schema: schema) { (values: [Int], state: Visits?) -> Visits? in
        values.isEmpty ? state : Visits(count: (state?.count ?? 0) + values.count, last: "new")
      }
      driver.output(stream.named("visits"), into: out)
    }
    // Twice: what is still stored as an Int is migrated at each start until a snapshot holds it.
    try job(world, [[(1, 1)]]) { visits($0) }
    try job(world, [[(3, 1)]]) { driver in
      StateCoordinator.of(driver.context).logBytesMin = 0
      visits(driver)
    }
    #expect(
      out.value[1].sorted { $0.0 < $1.0 }.map { "\($0.0) \($0.1.count) \($0.1.last)" } == [
        "1 11 new", "2 20 old", "3 1 new",
      ])
    try job(world, [[], [], [(2, 1)], []]) { driver in
      StateCoordinator.of(driver.context).logBytesMin = 0
      visits(driver)
    }
    let catalog = try #require(
      try StateCatalog.read("/check/state", world.simulation.makeProcess(named: "look").world.files))
    #expect(catalog.entries.map(\.stateType) == ["Visits"], "the old schema is forgotten once a snapshot holds all")
    try job(world, [[]]) { visits($0) }
    #expect(out.value.last!.sorted { $0.0 < $1.0 }.map { "\($0.0) \($0.1.count)" } == ["1 11", "2 21", "3 1"])
  }

  @Test func aFieldAddedAtTheEndNeedsNothing() throws {
    var writer = ByteWriter()
    3.encode(to: &writer)
    "x".encode(to: &writer)
    #expect(try Visits.streamDecoded(writer.finish()) == Visits(count: 3, last: "x", isMember: false))
    let member = Visits(count: 1, last: "y", isMember: true)
    #expect(try Visits.streamDecoded(member.streamEncoded) == member)
  }

  @Test func partitionsStayUnlessTheCodeNamesANumber() throws {
    let world = World(seed: 1)
    func run(_ partitions: Int?, parallelism: Int, _ pairs: [Pair]) throws -> (Int, [Pair], [String]) {
      let out = Cell<[[Pair]]>([])
      let driver = try HandDriver<Pair>(world, parallelism: parallelism) { driver in
        let stream = driver.source.updateStateByKey(partitions: partitions) { Self.sum($0, $1) }
        driver.output(stream.named("sums"), into: out)
      }
      try driver.run([pairs])
      let note = world.decided?.note ?? ""
      driver.crash(losingPower: true)
      let count = note.split(separator: " ").dropLast().last.flatMap { Int($0) } ?? 0
      return (count, out.value[0].sorted { $0.0 < $1.0 }, driver.logged.value)
    }
    let all = (0..<50).map { ($0, $0) }
    #expect(try run(nil, parallelism: 3, all).0 == 3)
    #expect(try run(nil, parallelism: 8, []).0 == 3)
    let moved = try run(7, parallelism: 8, [(0, 1)])
    #expect(moved.0 == 7)
    #expect(moved.2.contains("the state of 'sums' moves from 3 to 7 partitions"))
    #expect(moved.1.map(\.1) == [1] + (1..<50))
    #expect(try run(nil, parallelism: 2, []).1.map(\.1) == [1] + (1..<50))
  }

  @Test func aLostCommitLogIsNoticed() throws {
    let world = World(seed: 1)
    let batches = (0..<6).map { number in (0..<20).map { ($0, number) } }
    try job(world, batches) { driver in
      StateCoordinator.of(driver.context).logBytesMin = 10
      sums(driver, "sums")
    }
    let decided = world.decided
    world.decided = RestorePoint(batch: BatchIdentity(number: 1, time: 1000), note: nil)
    #expect(failure(world) { sums($0, "sums") }.contains("it was lost or belongs to another run"))
    world.decided = decided
    let out = Cell<[[Pair]]>([])
    try job(world, [[]]) { sums($0, "sums", into: out) }
    #expect(out.value[0].allSatisfy { $0.1 == 15 })
  }
}
