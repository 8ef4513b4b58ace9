import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Reduced windows whose panes are state, against a model, with ticks left out and restarts.
@Suite struct PersistedWindowTests {
  typealias Pair = (String, String)

  @Test(arguments: UInt64(1)...24) func windowsAreTheirModelOverRestarts(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let (length, slide): (Int64, Int64) = [(4, 1), (4, 2), (3, 2), (5, 5), (2, 3)][Int(seed % 5)]
    let world = HandDriver<Pair>.World(seed: seed)
    func start() throws -> (HandDriver<Pair>, Cell<[[Pair]]>) {
      let out = Cell<[[Pair]]>([])
      let driver = try HandDriver<Pair>(world, seed: seed) { driver in
        let windows = driver.source.persistedWindows(
          length: .seconds(length), slide: .seconds(slide), partitions: 3, label: "reduceByKeyAndWindow"
        ) { $0 + $1 }
        driver.output(windows.named("windows"), into: out)
      }
      driver.runner.repeats = 20
      return (driver, out)
    }
    var (driver, out) = try start()
    var all: [(time: Int64, pairs: [Pair])] = []
    var time: Int64 = 1
    for number in 0..<40 {
      let pairs = (0..<Int(random.next() % 5)).map { _ in
        (["a", "b", "c"][Int(random.next() % 3)], "\(number % 10)")
      }
      let previous = all.last?.time
      all.append((time, pairs))
      let end = time / slide * slide
      let isDue = previous.map { end > $0 } ?? (end == time)
      let expected = all.filter { $0.time > end - length && $0.time <= end }.flatMap(\.pairs)
        .reduce(into: [String: String]()) { $0[$1.0, default: ""] += $1.1 }
      if random.next() % 6 == 0 { try? driver.run([pairs], time: time, aborting: true) }
      out.value = []
      try driver.run([pairs], time: time)
      let context = "seed \(seed), \(length) s every \(slide) s, at \(time)"
      #expect(out.value.count == (isDue ? 1 : 0), "\(context)")
      if isDue, let rows = out.value.first {
        #expect(Dictionary(rows, uniquingKeysWith: { _, _ in "twice" }) == expected, "\(context)")
      }
      // Panes that no window needs any more are gone.
      let panes = try #require(StateCoordinator.of(driver.context).keyCounts["windows"])
      #expect(panes <= 3 * Int(length + slide), "\(context)")
      time += 1 + Int64(random.next() % 4 == 0 ? random.next() % 5 : 0)
      if random.next() % 4 == 0 {
        driver.crash(losingPower: true)
        (driver, out) = try start()
      }
    }
  }
}
