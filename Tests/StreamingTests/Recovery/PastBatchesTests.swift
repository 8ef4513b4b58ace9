import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// Windows in memory after a restart: made again of what the commit log says that past batches read.
@Suite struct PastBatchesTests {
  /// Has no encoding, so that windows over it are in memory.
  struct Opaque: Hashable, Sendable {
    var number: Int
  }
  typealias Results = Cell<[String: [Int64: [Int]]]>

  private func job(
    _ simulation: SimulatedWorld, _ define: (StreamingContext) -> Void
  ) throws -> (harness: StreamHarness, process: SimulatedProcess) {
    let process = simulation.makeProcess(named: "job", executors: 2)
    let harness = try StreamHarness(checkpoint: "/checkpoint", process: process, simulation: simulation)
    define(harness.context)
    return (harness, process)
  }

  private func define(
    _ context: StreamingContext, _ log: TestLog<Int>, _ length: Duration, _ slide: Duration, into results: Results
  ) {
    func record(_ name: String, _ stream: DStream<Int>) {
      stream.foreachRDD { dataset, time in
        results.value[name, default: [:]][time.milliseconds] = try dataset.collect().sorted()
      }
    }
    let stream = log.stream(context, limit: 6)
    record("elements", stream.window(length, slide: slide))
    record("kept", stream.map { $0 }.window(length, slide: slide))
    let pairs = stream.map { (Opaque(number: $0 % 3), $0) }
    let sums = pairs.reduceByKeyAndWindow(window: length, slide: slide) { $0 + $1 }
    record("sums", sums.map { $0.1 })
    let inverse = pairs.reduceByKeyAndWindow(window: length, slide: slide, inverse: { $0 - $1 }) { $0 + $1 }
    record("inverse", inverse.map { $0.1 })
    record("groups", pairs.groupByKeyAndWindow(window: length, slide: slide).map { $0.1.reduce(0, +) })
  }

  @Test func theyAreAsIfNothingHadHappened() throws {
    var failures: [String] = []
    var windows = 0
    for seed in 1...40 as ClosedRange<UInt64> {
      let simulation = SimulatedWorld(seed: seed)
      var random = SeededRandom(seed: seed)
      let log = TestLog<Int>()
      let results = Results([:])
      let (length, slide) = [(4, 1), (6, 2), (3, 2), (5, 5), (2, 3)][Int(seed % 5)]
      func start() throws -> (harness: StreamHarness, process: SimulatedProcess) {
        try job(simulation) { define($0, log, .seconds(length), .seconds(slide), into: results) }
      }
      var produced = 0
      for life in 0..<5 {
        let (harness, process) = try start()
        try harness.start()
        for _ in 0...Int(random.next() % 7) {
          for _ in 0..<Int(random.next() % 7) {
            log.append([produced], to: Int(random.next() % 2))
            produced += 1
          }
          try simulation.run(for: .milliseconds(Int64(random.next() % 1900)))
        }
        if life == 4 {
          try harness.advance(8)
          try harness.stop()
          if harness.end != ["ended"] { failures.append("seed \(seed): \(harness.end)") }
        } else {
          process.kill()
        }
      }
      let files = simulation.makeProcess(named: "x").world.files
      let records = try BatchJournal.records(in: "/checkpoint/commits", files)
      for record in records {
        let end = record.batch.time.floor(to: .seconds(slide))
        guard record.previousTime.map({ end > $0 }) ?? (end == record.batch.time) else { continue }
        let elements = records.filter { $0.batch.time > end - .seconds(length) && $0.batch.time <= end }
          .flatMap { $0.sources.flatMap(\.plan.ranges).flatMap { log[$0] } }
        let sums = elements.reduce(into: [Int: Int]()) { $0[$1 % 3, default: 0] += $1 }.values.sorted()
        windows += 1
        for (name, found) in results.value {
          let expected = ["elements", "kept"].contains(name) ? elements.sorted() : sums
          if found[end.milliseconds] != expected {
            failures.append(
              "seed \(seed), \(name), \(length) s every \(slide) s, batch \(record.batch.number): "
                + "\(found[end.milliseconds] ?? []), should be \(expected)")
          }
        }
      }
    }
    #expect(failures.isEmpty, "\(failures.count): \(failures.prefix(3))")
    #expect(windows > 400)
  }

  @Test func whatCannotBeReadAgainSaysSo() throws {
    let simulation = SimulatedWorld(seed: 1)
    let log = TestLog<Int>()
    var said: [String] = []
    for life in 0..<2 {
      let (harness, _) = try job(simulation) { context in
        let queue = QueueSource<Int>()
        queue.append([1])
        context.queueStream(queue).window(.seconds(3)).named("queued").print()
        let pairs = log.stream(context).map { (Opaque(number: $0), $0) }
        pairs.reduceByKeyAndWindow(window: .seconds(3)) { $0 + $1 }.named("opaque").print()
        let totals = log.stream(context).map { ($0, 1) }.updateStateByKey { (new: [Int], old: Int?) in
          new.reduce(old ?? 0, +)
        }
        totals.named("totals").window(.seconds(3)).named("of totals").print()
      }
      log.append([life], to: 0)
      try harness.start()
      try harness.advance(2)
      try harness.stop()
      #expect(harness.end == ["ended"])
      if life == 0 { #expect(!harness.log.contains { $0.contains("begin anew") }) } else { said = harness.log }
    }
    #expect(
      said.filter { $0.contains("begin anew") } == [
        "the windows of 'queued' begin anew: what came before the restart is not in them, because queue cannot be read "
          + "again",
        "the windows of 'of totals' begin anew: what came before the restart is not in them, because they are made from "
          + "the state of 'totals', which has gone on",
      ], "\(said)")
  }
}
