import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// State on a disk that dies at each of its calls in turn: what a restart finds is the model at the last decided batch.
@Suite struct StateCrashTests {
  typealias Pair = (Int, Int)

  private static func start(
    _ world: HandDriver<Pair>.World, _ seed: UInt64
  ) throws -> (HandDriver<Pair>, KeyedOperator<Int, Int, ContiguousArray<String>>) {
    let made = Cell<[MapWithStateDStream<Int, Int, String>]>([])
    let driver = try HandDriver<Pair>(world, seed: seed) { driver in
      made.value.append(driver.source.mapWithState(StateModelTests.spec(Fuse())).named("sums"))
    }
    // So small that snapshots come and go all the time.
    let coordinator = StateCoordinator.of(driver.context)
    coordinator.logBytesMin = 200
    coordinator.sliceBytesMin = 24
    return (driver, made.value[0].stateful)
  }

  private static func run(_ seed: UInt64, _ operation: DiskFault.Operation, after: Int, power: Bool) throws -> Bool {
    var random = SeededRandom(seed: seed)
    let world = HandDriver<Pair>.World(seed: seed)
    var model = StateModelTests.Model(timeout: nil)
    var versions: [BatchNumber: [Int: Int]] = [0: [:]]
    world.simulation.disk.inject(
      DiskFault(operation, after: after, pathContains: "state", code: .inputOutput, isTorn: random.next() & 1 == 0))
    var current: (HandDriver<Pair>, KeyedOperator<Int, Int, ContiguousArray<String>>)?
    var batches: [BatchNumber: [[Pair]]] = [:]
    var struck = false
    while (world.decided?.batch.number ?? 0) < 40 {
      do {
        if current == nil { current = try Self.start(world, seed) }
        guard let (driver, stateful) = current else { continue }
        let number = driver.nextNumber
        let found = Dictionary(stateful.contents, uniquingKeysWith: { _, _ in -1 })
        let expected = versions[world.decided?.batch.number ?? 0]
        if found != expected {
          Issue.record("seed \(seed), \(operation) \(after), batch \(number): \(found) for \(expected ?? [:])")
          return true
        }
        if batches[number] == nil {
          batches[number] = StateModelTests.batch(&random, keys: 8)
          _ = model.run(batches[number]!, 0)
          versions[number] = model.state
        }
        try driver.run(batches[number]!, aborting: random.next() % 8 == 0)
      } catch {}
      let strikes = world.simulation.disk.pendingFaults == 0 && !struck
      if strikes || random.next() % 8 == 0 {
        struck = struck || strikes
        current?.0.crash(losingPower: power)
        if current == nil { world.simulation.losePower() }
        current = nil
      }
    }
    return struck
  }

  @Test(arguments: [DiskFault.Operation.write, .sync, .open, .rename, .remove, .truncate, .read])
  func everyCallMayBeTheLast(_ operation: DiskFault.Operation) throws {
    var seed: UInt64 = 1
    var struck = 0
    for after in 0..<60 {
      for power in [false, true] {
        seed += 1
        if try Self.run(seed, operation, after: after, power: power) { struck += 1 }
      }
    }
    // Some of the calls are rare: each was the last one several times all the same.
    #expect(struck > 2)
  }

  @Test func aFullDiskFailsTheBatchAndNothingElse() throws {
    let world = HandDriver<Pair>.World(seed: 3)
    let (driver, stateful) = try Self.start(world, 3)
    try driver.run([[(1, 5), (2, 6)]])
    let disk = world.simulation.disk
    disk.capacity = disk.usedBytes + 10
    let error = #expect(throws: StreamingError.self) { try driver.run([[(3, 7)]]) }
    #expect("\(error!)".contains("the disk is full: free some space"))
    #expect(Dictionary(uniqueKeysWithValues: stateful.contents) == [1: 5, 2: 6])
    disk.capacity = nil
    try driver.run([[(3, 8)]])
    driver.crash(losingPower: true)
    #expect(Dictionary(uniqueKeysWithValues: try Self.start(world, 3).1.contents) == [1: 5, 2: 6, 3: 8])
  }

  @Test func theLogStaysShort() throws {
    let world = HandDriver<Pair>.World(seed: 5)
    let (driver, _) = try Self.start(world, 5)
    var random = SeededRandom(seed: 5)
    for _ in 0..<400 { try driver.run(StateModelTests.batch(&random, keys: 8)) }
    let store = try #require(StateCoordinator.of(driver.context).store)
    #expect(store.logBytes + store.snapshotBytes < 4000)
    let files = try driver.process.world.files.list("/check/state")
    #expect(files.count <= 6, "\(files)")
  }

  /// Batches that move nothing may be forgotten by the commit log: no snapshot may bear their number.
  @Test func aSnapshotIsNotAheadOfTheLastChange() throws {
    let world = HandDriver<Pair>.World(seed: 7)
    let (driver, _) = try Self.start(world, 7)
    var random = SeededRandom(seed: 7)
    let store = try #require(StateCoordinator.of(driver.context).store)
    while !store.isWritingSnapshot { try driver.run(StateModelTests.batch(&random, keys: 8)) }
    let changed = store.lastChange
    while store.isWritingSnapshot { try driver.run([[]]) }
    let names = try driver.process.world.files.list("/check/state").filter { $0.hasPrefix("snapshot-") }
    #expect(names == ["snapshot-\(changed)-\(changed).journal"])
    #expect((world.decided?.batch.number ?? 0).rawValue > changed)
  }

  @Test func damageIsFoundAndNamed() throws {
    let world = HandDriver<Pair>.World(seed: 6)
    let (driver, _) = try Self.start(world, 6)
    try driver.run([[(1, 1)]])
    try driver.run([[(2, 1)]])
    driver.crash(losingPower: false)
    let files = world.simulation.makeProcess(named: "vandal").world.files
    let path = "/check/state/deltas-000001.journal"
    let file = try files.open(path, .readWrite)
    try file.write(at: try file.size() - 1, Bytes([0xFF]))
    let error = #expect(throws: StreamingError.self) { try Self.start(world, 6) }
    #expect("\(error!)".contains("/check/state is damaged"))
    // Nothing was cut off: the file can still be mended.
    #expect(try file.size() > 0)
  }
}
