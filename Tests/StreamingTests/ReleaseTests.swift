import Datasets
import Groundwork
import Simulation
import Testing

@testable import Streaming

/// What a job was made of is freed when it has ended, however it ended: a process may start many.
@Suite struct ReleaseTests {
  enum End: CaseIterable { case exhausted, stopped, stoppedAtOnce, failed, neverStarted, killed }

  @Test(arguments: End.allCases) func everythingGoes(_ end: End) throws {
    let simulation = SimulatedWorld(seed: 1)
    let watch = Watch()
    try run(end, simulation, watch)
    if end == .killed || end == .neverStarted {
      // Nobody is told of their end: it is the world's.
      #expect(watch.left.contains("context"))
      simulation.end()
    }
    #expect(watch.names.count == 10)
    #expect(watch.left == [])
  }

  private func run(_ end: End, _ simulation: SimulatedWorld, _ watch: Watch) throws {
    let harness = try StreamHarness(
      availableNow: end == .exhausted, checkpoint: "/checkpoint", simulation: simulation,
      settings: ["sluice.streaming.onBatchFailure": "stop"])
    let log = TestLog<Int>()
    let ledger = Ledger(keepsRecord: true, simulation.makeProcess(named: "ledger").makeLoop(named: "ledger"))
    let context = harness.context
    context.addStreamingListener(watch.add("listener", Listener()))
    let reader = watch.add("source", TestLog<Int>.Reader(log, limit: .max, isRateLimited: true))
    let stream = context.inputStream(reader, label: "log") { [sluice = context.sluice] _, plan in
      let ranges = plan.ranges
      return RDD<Int>(sluice, label: "log", partitionCount: 2, dependencies: []) { partition, _, emit in
        try log[ranges[partition]].withUnsafeBufferPointer { if $0.count > 0 { try emit($0) } }
      }
    }
    let pairs = stream.map { number in
      if number == 13 { throw LedgerError() }
      return (number % 5, number)
    }
    let counted = pairs.updateStateByKey { values, state in (state ?? 0) + values.count }.named("counted")
    watch.add("input stream", stream as AnyObject)
    let timed = stream.withEventTime({ Timestamp(milliseconds: Int64($0)) }, delay: .zero).map { ($0 % 5, $0) }
    timed.eventTimeWindow(.tumbling(.seconds(1))).aggregateByKey(0) {
      $0 + $1
    } merge: {
      $0 + $1
    }.results.print()
    let spec = StateSpec<Int, Int, Int, Int>.function { (_: Int, value: Int?, state: State<Int>) -> Int in
      if let value { state.update(value) }
      return 0
    }
    pairs.mapWithState(spec.timeout(.seconds(5))).stateSnapshots().print()
    watch.add("state stream", counted as AnyObject)
    watch.add("state", StateCoordinator.of(context))
    let sink = watch.add("sink", LedgerSink("sink", .deciding, Ledger.Client(ledger, context.environment.loop)))
    counted.map { $0.1 }.write(to: sink, label: "ledger") { dataset, partition, task in
      var elements: [Int] = []
      try dataset.compute(partition, task) { elements += $0 }
      return TaskOutput(records: elements.count, bytes: 0, payload: elements)
    }
    let windows = watch.add(
      "windows",
      pairs.reduceByKeyAndWindow(window: .seconds(3), inverse: { $0 - $1 }) { $0 + $1 } as AnyObject)
    (windows as? DStream<(Int, Int)>)?.print()
    watch.add("context", context)
    watch.add("scheduler", context.environment.scheduler)
    guard end != .neverStarted else {
      watch.names.append("driver")
      return
    }
    log.append([1, 2, 3], to: 0)
    try harness.start()
    watch.add("driver", try #require(context.driver))
    if end == .exhausted {
      try simulation.run { !harness.end.isEmpty }
    } else {
      try harness.advance(3)
    }
    switch end {
    case .exhausted, .neverStarted: break
    case .stopped: try harness.stop()
    case .stoppedAtOnce:
      context.stop(gracefully: false)
      try simulation.run { !harness.end.isEmpty }
      // The commit that had begun goes on to its end.
      try simulation.run(for: .milliseconds(50))
    case .failed:
      log.append([13], to: 1)
      try simulation.run { !harness.end.isEmpty }
      #expect(harness.end != ["ended"])
    case .killed:
      for process in simulation.processes { process.kill() }
      try simulation.run(for: .seconds(1))
    }
    // Names are still there.
    #expect(counted.name == "counted" && context.outputs.count == 4)
  }

  private final class Listener: StreamingListener {}
}

/// Objects that are to be freed.
final class Watch {
  private struct Entry {
    var name: String
    weak var object: AnyObject?
  }
  private var entries: [Entry] = []
  var names: [String] = []

  @discardableResult func add<Object: AnyObject>(_ name: String, _ object: Object) -> Object {
    names.append(name)
    entries.append(Entry(name: name, object: object))
    return object
  }

  /// The names of those that are still there.
  var left: [String] { entries.filter { $0.object != nil }.map(\.name) }
}
