import Datasets
import Groundwork
import Testing

@testable import Streaming

/// What state costs, counted, not timed.
@Suite struct StateSizeTests {
  typealias Pair = (Int, Int)
  typealias Sums = MapWithStateDStream<Int, Int, Int>

  private func start(_ world: HandDriver<Pair>.World, initial: [Pair]) throws -> (HandDriver<Pair>, Sums) {
    let made = Cell<[Sums]>([])
    let driver = try HandDriver<Pair>(world) { driver in
      let spec = StateSpec.function { (key: Int, value: Int?, state: State<Int>) -> Int in
        state.update((state.get() ?? 0) + (value ?? 0))
        return key
      }
      made.value.append(driver.source.mapWithState(spec.initialState(initial).numPartitions(4)).named("sums"))
    }
    return (driver, made.value[0])
  }

  @Test func aBatchCostsWhatItTouches() throws {
    let keys = 300_000
    let world = HandDriver<Pair>.World(seed: 1)
    let (driver, sums) = try start(world, initial: (0..<keys).map { ($0, 1) })
    let coordinator = StateCoordinator.of(driver.context)
    coordinator.logBytesMin = 1 << 20
    try driver.run([])
    let store = try #require(coordinator.store)
    #expect(sums.stateful.keyCount == keys)
    let disk = world.simulation.disk
    var before = (looked: sums.stateful.looked, written: sums.stateful.changesWritten, applied: 0)
    var random = SeededRandom(seed: 4)
    var wasWriting = false
    var addresses: [Int] = []
    // The first batch's log is larger than the least: its snapshot is written beside the batches that follow.
    for batch in 1...60 {
      let touched = (0..<100).map { _ in (Int(random.next() % UInt64(keys)), 1) }
      let distinct = Set(touched.map(\.0)).count
      let bytes = disk.usedBytes
      try driver.run([touched])
      #expect(sums.stateful.looked - before.looked == distinct)
      #expect(sums.stateful.changesWritten - before.written == distinct)
      // Changes are put into the table in place: it is not copied.
      if batch > 2 { #expect(sums.stateful.addresses == addresses) }
      addresses = sums.stateful.addresses
      // The first batch's changes are put in by the one after it.
      let applied = sums.stateful.figures.applied
      if batch > 2 { #expect(applied - before.applied <= 100) }
      before = (sums.stateful.looked, sums.stateful.changesWritten, applied)
      wasWriting = wasWriting || store.isWritingSnapshot
      if batch > 1 { #expect(disk.usedBytes - bytes < 100 * 16 + Int64(coordinator.sliceBytesMin) + 4096) }
      if store.snapshotBytes > 0, !store.isWritingSnapshot { break }
    }
    #expect(wasWriting && store.snapshotBytes > 0)
    let step = coordinator.largestStep
    #expect(step.bytes > 0 && step.bytes <= step.allowed + 64)
    driver.crash(losingPower: true)
    let (_, again) = try start(world, initial: [])
    #expect(again.stateful.figures.keys == keys)
    #expect(again.stateful.contents.reduce(0) { $0 + $1.1 } >= keys)
  }

  @Test func memoryIsFlatOverTenThousandBatches() throws {
    let world = HandDriver<Pair>.World(seed: 2)
    let made = Cell<[Sums]>([])
    let driver = try HandDriver<Pair>(world, checkpoint: nil) { driver in
      let spec = StateSpec.function { (key: Int, value: Int?, state: State<Int>) -> Int in
        if !state.isTimingOut { state.update(value ?? 0) }
        return key
      }
      made.value.append(driver.source.mapWithState(spec.timeout(.seconds(5))))
    }
    var keysMax = 0
    var timersMax = 0
    for number in 0..<10_000 {
      try driver.run([[(number, 1), (-1, 1)]])
      let figures = made.value[0].stateful.figures
      keysMax = max(keysMax, figures.keys)
      timersMax = max(timersMax, figures.timers)
    }
    #expect(keysMax <= 8 && timersMax <= 16, "\(keysMax) keys, \(timersMax) timers")
  }
}
