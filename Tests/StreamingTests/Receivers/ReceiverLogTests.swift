import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// The write-ahead log of receivers: what is confirmed is in a batch, whatever dies.
@Suite struct ReceiverLogTests {
  private static let settings = ["sluice.streaming.receiver.writeAheadLog.enable": "true"]

  private func journals(_ files: any FileStore) throws -> [String] {
    try files.list("/state/receivers/receiver-0")
  }

  @Test func aBlockIsConfirmedWhenItIsOnDisk() throws {
    let harness = try StreamHarness(checkpoint: "/state", settings: ReceiverLogTests.settings)
    let receiver = HandReceiver<String>(harness.simulation.clock)
    let results = Cell<[[String]]>([])
    let stored = Cell<[String]>([])
    harness.context.receiverStream(receiver).record(into: results)
    try harness.start()
    let files = harness.context.environment.world.files
    let disk = harness.simulation.disk
    func storeAndAsk(_ text: String) {
      receiver.supervisor.store([text]) { error in
        let content =
          (try? files.list("/state/receivers/receiver-0"))?.compactMap {
            try? String(files.contents(of: "/state/receivers/receiver-0/\($0)"))
          }.joined() ?? ""
        stored.value.append("\(text) \(error == nil ? "stored" : "refused") \(content.contains(text))")
      }
    }
    storeAndAsk("first element")
    try harness.advance()
    disk.inject(DiskFault(.write, pathContains: "receiver-0", code: .diskFull))
    storeAndAsk("second element")
    try harness.advance()
    storeAndAsk("third element")
    try harness.advance(2)
    #expect(stored.value == ["first element stored true", "second element refused false", "third element stored true"])
    #expect(results.value.flatMap { $0 } == ["first element", "third element"])
    // Single elements, for which nobody waits, are tried again.
    disk.inject(DiskFault(.write, pathContains: "receiver-0", code: .diskFull))
    receiver.supervisor.store("single element")
    try harness.advance(2)
    #expect(results.value.flatMap { $0 }.last == "single element")
    #expect(disk.pendingFaults == 0)
    #expect(harness.log.contains { $0.contains("the write-ahead log could not be written") })
    // A failed sync leaves nobody sure of the file: the job ends, and a restart knows.
    disk.inject(DiskFault(.sync, pathContains: "receiver-0", code: .inputOutput))
    storeAndAsk("fourth element")
    try harness.advance(2)
    #expect(harness.end.first?.contains("device reported an error") == true, "\(harness.end)")
    #expect(stored.value.last?.hasPrefix("fourth element refused") == true)
  }

  @Test func journalsAreRemovedWhenTheirBlocksAreCommitted() throws {
    let simulation = SimulatedWorld(seed: 3)
    let process = simulation.makeProcess(named: "job")
    let files = process.world.files
    let log = ReceiverLog(directory: "/log", files: files, segmentSize: 1000)
    #expect(try log.open(after: 0).blocks.isEmpty)
    func entry(_ first: Int64) -> ReceiverLog.Entry {
      ReceiverLog.Entry(first: first, count: 10, elements: Bytes([UInt8](repeating: UInt8(first & 255), count: 100)))
    }
    for first in stride(from: Int64(0), to: 1000, by: 10) { try log.append([entry(first)]) }
    let names = try files.list("/log")
    #expect(names.count >= 10)
    log.removeFinished(before: 500)
    #expect(try files.list("/log").count <= names.count / 2 + 1)
    // A later run finds what is left behind what was committed, and removes what it does not need.
    let second = ReceiverLog(directory: "/log", files: files, segmentSize: 1000)
    let found = try second.open(after: 620).blocks
    #expect(found.map(\.first) == Array(stride(from: Int64(620), to: 1000, by: 10)))
    #expect(found.allSatisfy { $0.elements == entry($0.first).elements && $0.count == 10 })
    try second.append([entry(1000)])
    let third = ReceiverLog(directory: "/log", files: files, segmentSize: 1000)
    #expect(try third.open(after: 990).blocks.map(\.first) == [990, 1000])
  }

  /// A sender that repeats what was not confirmed, a job that is killed again and again: every element that was
  /// confirmed is computed, batches that run again are the same, and nothing stays in the log.
  @Test func whatWasConfirmedOutlivesTheProcess() throws {
    var wrong: [String] = []
    var replays = 0
    for seed in UInt64(1)...40 {
      let simulation = SimulatedWorld(seed: seed)
      var random = SeededRandom(seed: seed)
      let confirmed = Cell<Set<Int>>([])
      let batches = Cell<[Int64: [[Int]]]>([:])
      let sent = Cell(0)
      for run in 0..<5 {
        let process = simulation.makeProcess(named: "job", executors: 2)
        process.runner.mode = .spread
        let harness = try StreamHarness(
          interval: .milliseconds(500), checkpoint: "/state", process: process, simulation: simulation,
          settings: ReceiverLogTests.settings.merging(["sluice.streaming.checkpoint.sync": "all"]) { a, _ in a })
        let receiver = HandReceiver<Int>(simulation.clock) { supervisor in
          // Sends one element after the other, each until it is confirmed.
          @Sendable func next() {
            supervisor.store([sent.value]) { error in
              if error == nil {
                confirmed.value.insert(sent.value)
                sent.value += 1
              }
              process.world.clock.wait(.milliseconds(7), process) { next() }
            }
          }
          next()
        }
        harness.context.receiverStream(receiver).foreachRDD { batch, time in
          let elements = try batch.collect()
          if !elements.isEmpty { batches.value[time.milliseconds, default: []].append(elements) }
          // Every other run dies when a batch is seen and not yet committed.
          if run % 2 == 1, batches.value.count % 5 == 4 { process.kill() }
        }
        try harness.start()
        let isLast = run == 4
        try simulation.run(for: .milliseconds(isLast ? 4000 : 300 + Int64(random.next() % 3000)))
        if harness.log.contains(where: { $0.contains("run again over the same input") }) { replays += 1 }
        if isLast {
          receiver.supervisor.stop("enough")
          try simulation.run(for: .seconds(2))
          try harness.stop()
          if harness.end != ["ended"] { wrong.append("seed \(seed): \(harness.end)") }
          let left = try process.world.files.list("/state/receivers/receiver-0")
          if left.count > 1 { wrong.append("seed \(seed): left \(left)") }
        } else {
          process.kill()
        }
      }
      var all: [Int] = []
      for time in batches.value.keys.sorted() {
        let runs = batches.value[time]!
        if Set(runs).count > 1 { wrong.append("seed \(seed): batch \(time) was \(runs)") }
        all += runs[0]
      }
      let lost = confirmed.value.subtracting(all)
      if !lost.isEmpty { wrong.append("seed \(seed): lost \(lost.sorted())") }
      // An element may be stored and die before it is confirmed: then the sender repeats it, once a death.
      if all.count > confirmed.value.count + 4 {
        wrong.append("seed \(seed): \(all.count) of \(confirmed.value.count)")
      }
    }
    #expect(wrong == [])
    #expect(replays > 5, "\(replays) replays")
  }
}

extension Clock {
  /// Runs `work` after a while as long as the process lives.
  fileprivate func wait(_ duration: Duration, _ process: SimulatedProcess, _ work: @escaping @Sendable () -> Void) {
    process.simulation.after(duration) { if process.isAlive { work() } }
  }
}

extension SimulatedWorld {
  /// The world's time, as receivers of tests see it.
  var clock: any Clock { WorldClock(world: self) }
}

/// Sendable: used on the thread of its world only.
private struct WorldClock: Clock, @unchecked Sendable {
  let world: SimulatedWorld
  var now: Instant { world.now }
  var wallTime: Timestamp { world.wallTime }
}
