import Codecs
import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Simulation
import Streaming
import SystemInterfaces
import Testing

@testable import KafkaStreaming

/// A source that goes on where recorded plans ended, and plans one of them again.
@Suite struct ReplayTests {
  /// Drives a source by hand, as the driver does.
  private final class Bench {
    let path: PathHarness
    let context: StreamingContext
    let source: KafkaSource
    private let process: SimulatedProcess
    private let driver: SimulatedLoop
    private let log = Cell<[String]>([])
    private let failure = Cell<(any Error)?>(nil)
    private var number: Int64

    init(_ path: PathHarness, settings: [String: String] = [:], from number: Int64 = 0) throws {
      self.path = path
      self.number = number
      let job = try PathJob(path, settings: settings, bootstrap: ScriptedPeer.address) { context in
        context.topicStream("in").foreachRDD { _ in }
      }
      process = job.process
      context = job.context
      source = context.sources.compactMap { $0 as? KafkaSource }[0]
      driver = context.environment.loop as! SimulatedLoop
    }

    var lines: [String] { log.value }
    var error: (any Error)? { failure.value }

    func start() throws {
      let ready = Cell<Result<Void, any Error>?>(nil)
      let environment = SourceEnvironment(
        fail: { [failure] in failure.value = $0 }, dataArrived: {}, log: { [log] in log.value.append($0) })
      driver.post { [source] in source.start(environment) { ready.value = $0 } }
      try path.simulation.run { ready.value != nil }
      try ready.value!.get()
    }

    func plan() throws -> SourcePlan {
      number += 1
      let identity = BatchIdentity(number: BatchNumber(number), time: Timestamp(milliseconds: number * 1000))
      let plan = Cell<SourcePlan?>(nil)
      driver.post { [source] in plan.value = source.plan(identity, interval: .seconds(1)) }
      try path.simulation.run { plan.value != nil }
      return plan.value!
    }

    func replay(_ recorded: SourcePlan) throws -> Result<SourcePlan, any Error> {
      number += 1
      let identity = BatchIdentity(number: BatchNumber(number), time: Timestamp(milliseconds: number * 1000))
      let result = Cell<Result<SourcePlan, any Error>?>(nil)
      driver.post { [source] in source.replay(identity, recorded) { result.value = $0 } }
      try path.simulation.run(within: .seconds(200)) { result.value != nil }
      return result.value!
    }

    /// The records of a plan, as tasks would read them from memory.
    func read(_ plan: SourcePlan) throws -> [String] {
      var values: [String] = []
      for range in plan.ranges where !range.isEmpty {
        guard let batches = source.fetched.batches(range) else {
          values.append("\(range) is not there")
          continue
        }
        for bytes in batches {
          try RecordBatch(bytes).records(using: CodecWorkspace()).forEachRecord(from: range.from, until: range.until) {
            values.append(String($0.value!))
          }
        }
      }
      return values
    }

    func stop() throws {
      let isDone = Cell(false)
      driver.post { [source] in source.stop { isDone.value = true } }
      try path.simulation.run { isDone.value }
      process.kill()
    }
  }

  /// Plans are made over a log with transactions; a second source restores the last committed one, runs the undecided
  /// ones again exactly, and goes on behind them.
  @Test(arguments: 0..<40) func undecidedBatchesAreRunAgainExactly(_ seed: Int) throws {
    var random = SeededRandom(seed: UInt64(seed))
    let path = try PathHarness(seed: UInt64(seed))
    let peer = try ScriptedPeer(path)
    try path.createTopic("in")
    try peer.take(over: "in", path)
    let partition = TopicPartition("in", 0)
    var log = TransactionalLog()
    var values = 0
    peer.logs[partition] = log
    peer.batchesMax = Int.random(in: 1...6, using: &random)
    let settings = ["sluice.kafka.maxRatePerPartition": "\(Int.random(in: 2...9, using: &random))"]
    let first = try Bench(path, settings: settings)
    try first.start()
    var plans: [SourcePlan] = []
    var shown: [[String]] = []
    for _ in 0..<12 {
      for _ in 0..<Int.random(in: 0...4, using: &random) { try log.grow(using: &random, values: &values) }
      peer.logs[partition] = log
      try path.simulation.run(for: .milliseconds(Int64.random(in: 0...400, using: &random)))
      plans.append(try first.plan())
      shown.append(try first.read(plans.last!))
    }
    try first.stop()
    for _ in 0..<10 { try log.grow(using: &random, values: &values) }
    try log.append(["last"])
    while log.hasOpenTransactions { try log.finish(log.openProducers[0], aborting: random.next() % 2 == 0) }
    peer.logs[partition] = log
    let committed = Int.random(in: 1..<plans.count, using: &random)
    let second = try Bench(path, settings: settings, from: Int64(committed))
    second.source.restore(plans[committed - 1])
    try second.start()
    var all = Array(shown[..<committed].joined())
    var problems: [String] = []
    for index in committed..<plans.count {
      let again = try second.replay(plans[index]).get()
      if again.contents != plans[index].contents { problems.append("plan \(index) holds \(again.contents)") }
      if again.ranges != plans[index].ranges || again.records != plans[index].records {
        problems.append("plan \(index): \(again.ranges) of \(again.records), not \(plans[index].records)")
      }
      let read = try second.read(again)
      if read != shown[index] { problems.append("plan \(index) shows \(read), not \(shown[index])") }
      all += read
      guard index + 1 < plans.count, random.next() % 3 == 0 else { continue }
      // The rest was never run: new plans take it up.
      break
    }
    var rounds = 0
    while second.source.positions[partition]!.next < Offset(log.end), rounds < 400 {
      try path.simulation.run(for: .milliseconds(50))
      all += try second.read(try second.plan())
      rounds += 1
    }
    if all != log.committed(0..<log.end) { problems.append("\(all) is not \(log.committed(0..<log.end))") }
    #expect(problems.isEmpty, "seed \(seed): \(problems)")
    #expect(second.error == nil)
    #expect(!second.lines.contains { $0.contains("is not what it was") })
    try second.stop()
  }

  @Test func whatIsNotWhatItWasIsSaid() throws {
    let path = try PathHarness()
    let peer = try ScriptedPeer(path)
    try path.createTopic("in")
    try peer.take(over: "in", path)
    let partition = TopicPartition("in", 0)
    func log(_ values: [[String]], gaps: [Int64] = []) throws -> TransactionalLog {
      var log = TransactionalLog()
      for value in values { try log.append(value, gaps: gaps) }
      return log
    }
    peer.logs[partition] = try log([["a", "b", "c"]])
    let first = try Bench(path)
    try first.start()
    try path.simulation.run(for: .seconds(1))
    let recorded = try first.plan()
    try first.stop()
    #expect(recorded.contents.map(\.records) == [3])
    // One record was compacted away; another stands where one stood.
    for (other, said) in [
      (try log([["a", "c"]], gaps: [0, 1]), "3 records then, 2 now"),
      (try log([["a", "B", "c"]]), "3 records then, 3 now, of other content"),
    ] {
      peer.logs[partition] = other
      let second = try Bench(path)
      try second.start()
      let again = try second.replay(recorded).get()
      #expect(again.ranges == recorded.ranges && again.contents != recorded.contents)
      let line = "in-0, offsets 0 to 3, is not what it was when batch 1 was planned: \(said)"
      #expect(second.lines.contains { $0.hasPrefix(line) }, "\(second.lines)")
      try second.stop()
    }
  }

  @Test func whatIsGoneCannotBeRunAgain() throws {
    let path = try PathHarness()
    let peer = try ScriptedPeer(path)
    try path.createTopic("in")
    try peer.take(over: "in", path)
    let partition = TopicPartition("in", 0)
    var log = TransactionalLog()
    for value in 0..<10 { try log.append(["\(value)"]) }
    peer.logs[partition] = log
    let recorded = SourcePlan(ranges: [OffsetRange(partition, from: 2, until: 6)], records: 4)
    let bench = try Bench(path)
    bench.source.restore(SourcePlan(ranges: [OffsetRange(partition, from: 0, until: 2)]))
    try bench.start()
    log.removeBatches(before: 4)
    peer.logs[partition] = log
    guard case .failure(let error) = try bench.replay(recorded) else {
      Issue.record("it was run again")
      return
    }
    #expect(
      "\(error)".hasPrefix("in-0, offsets 2 to 6, had to be read again and is no longer in the topic"), "\(error)")
    var other = recorded
    other.details = ["topic in AAAAAAAAAAAAAAAAAAAAAA"]
    guard case .failure = try bench.replay(other) else {
      Issue.record("another topic's plan was run again")
      return
    }
  }

  @Test func theGroupIsCrossChecked() throws {
    let path = try PathHarness()
    let peer = try ScriptedPeer(path)
    defer { withExtendedLifetime(peer) {} }
    try path.createTopic("in")
    try path.produce("in", values: (0..<10).map { "\($0)" })
    let partition = TopicPartition("in", 0)
    func commit(_ offset: Offset) throws {
      let wanted: [TopicPartition: Offsets.Committed] = [partition: .init(offset)]
      try path.answer { client, then in Offsets(client).commit(group: "job", wanted, then: then) } as Void
    }
    let last = SourcePlan(ranges: [OffsetRange(partition, from: 0, until: 6)])
    // The group has nothing, then less: the log stands, and the group is told.
    for committed in [nil, Offset(3)] {
      if let committed { try commit(committed) }
      let bench = try Bench(path)
      bench.source.restore(last)
      try bench.start()
      #expect(bench.source.positions[partition]?.next == 6)
      #expect(bench.lines.contains { $0.contains("going on from 6, where the job's log ends") })
      try path.simulation.run(for: .seconds(1))
      #expect(try path.committed("in") == [6])
      try bench.stop()
    }
    // Ahead: somebody has reset it.
    try commit(8)
    let refused = try Bench(path)
    refused.source.restore(last)
    do {
      try refused.start()
      Issue.record("a reset group went unnoticed")
    } catch {
      #expect("\(error)".hasPrefix("group job has offset 8 of in-0, but the last batch in the job's log ended at 6"))
    }
    try refused.stop()
    for reset in [Offset(8), 1] {
      try commit(reset)
      let follows = try Bench(path, settings: ["sluice.kafka.offsetsFrom": "group"])
      follows.source.restore(last)
      try follows.start()
      #expect(follows.source.positions[partition]?.next == reset)
      try follows.stop()
    }
  }
}
