import Datasets
import Groundwork
import Simulation
import Testing

@testable import Streaming

/// State in whole jobs: the driver's batches, its checkpoint, its restarts.
@Suite struct StateJobTests {
  @Test func aJobGoesOnWhereItStopped() throws {
    let simulation = SimulatedWorld(seed: 1)
    let out = Cell<[[(String, Int)]]>([])
    for run in 1...3 {
      let process = simulation.makeProcess(named: "job \(run)")
      let harness = try StreamHarness(checkpoint: "/job", process: process, simulation: simulation)
      let queue = QueueSource<(String, Int)>()
      queue.append([("a", 1)])
      queue.append([("b", 2), ("a", 3)])
      let sums = harness.context.queueStream(queue).updateStateByKey { (values: [Int], state: Int?) -> Int? in
        (state ?? 0) + values.reduce(0, +)
      }
      sums.named("sums").record(into: out)
      try harness.start()
      try harness.advance(2)
      if run == 2 {
        process.kill()
        simulation.losePower()
      } else {
        try harness.stop()
        #expect(harness.end == ["ended"])
      }
    }
    let last = out.value.map { Dictionary($0, uniquingKeysWith: { _, _ in -1 }) }
    #expect(
      last == [
        ["a": 1], ["a": 4, "b": 2], ["a": 5, "b": 2], ["a": 8, "b": 4], ["a": 9, "b": 4], ["a": 12, "b": 6],
      ])
  }

  @Test func stateIsComputedWhetherOrNotAnOutputAsks() throws {
    let harness = try StreamHarness()
    let queue = QueueSource<(Int, Int)>()
    for number in 1...4 { queue.append([(1, number)]) }
    let spec = StateSpec.function { (key: Int, value: Int?, state: State<Int>) -> Int in
      state.update((state.get() ?? 0) + (value ?? 0))
      return state.get() ?? 0
    }
    let sums = harness.context.queueStream(queue).mapWithState(spec)
    let seen = Cell<[[Int]]>([])
    // Asks for every second batch alone.
    harness.context.addOutput(label: "seldom") { frame in
      guard frame.number.rawValue % 2 == 0, let dataset = sums.dataset(frame) else { return }
      seen.value.append(try dataset.collect())
    }
    try harness.start()
    try harness.advance(4)
    try harness.stop()
    #expect(seen.value == [[3], [10]])
  }

  @Test func aWindowOverAStatefulStreamSeesWhatItsBatchesGave() throws {
    let harness = try StreamHarness()
    let queue = QueueSource<(Int, Int)>()
    for number in 1...5 { queue.append([(1, number)]) }
    let spec = StateSpec.function { (key: Int, value: Int?, state: State<Int>) -> Int in
      state.update((state.get() ?? 0) + (value ?? 0))
      return state.get() ?? 0
    }
    let seen = Cell<[[Int]]>([])
    harness.context.queueStream(queue).mapWithState(spec).window(.seconds(3)).record(into: seen)
    try harness.start()
    try harness.advance(5)
    try harness.stop()
    #expect(seen.value.map { $0.sorted() } == [[1], [1, 3], [1, 3, 6], [3, 6, 10], [6, 10, 15]])
  }

  /// What each batch counted as late.
  private final class LateCounts: StreamingListener {
    let counts = Cell<[Int64]>([])
    func onBatchCompleted(_ batch: BatchInfo) { counts.value.append(batch.counters["late counts"] ?? 0) }
  }

  @Test func eventTimeWindowsCloseAsTheWatermarkPasses() throws {
    let harness = try StreamHarness(checkpoint: "/job")
    let queue = QueueSource<(String, Int64)>()
    for times in [[1, 4], [12, 3], [26], [2], []] as [[Int64]] { queue.append(times.map { ("k", $0) }) }
    let results = Cell<[[String]]>([])
    let late = Cell<[[Int64]]>([])
    let events = harness.context.queueStream(queue).withEventTime(
      { Timestamp(milliseconds: $0.1) }, delay: .milliseconds(2))
    let windows = events.eventTimeWindow(.tumbling(.milliseconds(10))).count().named("counts")
    windows.results.map { "\($0.start.milliseconds): \($1)" }.record(into: results)
    windows.lateRecords.map { $0.0.milliseconds }.record(into: late)
    let counted = LateCounts()
    harness.context.addStreamingListener(counted)
    try harness.start()
    try harness.advance(5)
    try harness.stop()
    #expect(harness.end == ["ended"])
    // The second batch's 12 closes the first window in the third batch.
    #expect(results.value.map { $0.sorted() } == [[], [], ["0: 3"], ["10: 1"], []])
    #expect(late.value == [[], [], [], [2], []])
    #expect(counted.counts.value == [0, 0, 0, 1, 0])
  }
}
