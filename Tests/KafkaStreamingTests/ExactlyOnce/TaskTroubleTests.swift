import Groundwork
import JobScheduling
import Simulation
import Synchronization
import Testing

@testable import Streaming

/// Goal: of each partition of an output one attempt's output counts, whole, and no other's. Strategy: tasks fail when they
/// have written a part of their output; and executors are so uneven that a task is run a second time beside the first,
/// whichever of the two then comes first; the other one comes later, or never.
@Suite struct TaskTroubleTests {
  private static let definitions = [
    ExactDefinition([.topic, .files], counted: .topic), ExactDefinition([.table, .files], counted: .table),
    ExactDefinition([.text, .table], counted: .table), ExactDefinition([.topic, .otherFiles], counted: .otherFiles),
  ]

  /// Records at which tasks fail.
  private final class Stones: Sendable {
    private struct State {
      var left: [Int: Int] = [:]
      var hits = 0
    }
    private let state: Mutex<State>

    init(_ random: inout SeededRandom) {
      var left: [Int: Int] = [:]
      // Fewer in all than a task has attempts.
      for _ in 0..<3 { left[Int(random.next() % UInt64(ExactDefinition.records))] = 1 }
      state = Mutex(State(left: left))
    }
    var hits: Int { state.withLock { $0.hits } }

    struct Stumbled: Error {}

    func pass(_ number: Int) throws {
      let isHit = state.withLock { state in
        guard let left = state.left[number], left > 0 else { return false }
        state.left[number] = left - 1
        state.hits += 1
        return true
      }
      if isHit { throw Stumbled() }
    }
  }

  private struct Sum {
    var stumbled = 0
    var copies = 0
  }

  private func run(_ definition: ExactDefinition, seed: UInt64, _ sum: inout Sum) throws -> [String] {
    var random = SeededRandom(seed: seed ^ 0x7A5C)
    let stones = Stones(&random)
    var definition = definition
    definition.onRecord = { try stones.pass($0) }
    let path = try PathHarness(seed: seed)
    let database = try ExactWorld.makeFolder()
    defer {
      path.simulation.end()
      ExactWorld.removeFolder(database)
    }
    let disk = path.simulation.makeDisk(named: "job disk")
    try path.createTopic("in", partitions: ExactDefinition.partitions)
    try ExactDefinition.produceInput(path)
    var scheduling = SchedulerSettings()
    scheduling.speculation = SpeculationSettings(
      interval: .milliseconds(2), multiplier: 1, quantile: 0.5, minTaskRuntime: .milliseconds(1))
    let job = try PathJob(
      path, interval: ExactDefinition.interval, settings: definition.allSettings, availableNow: true,
      checkpoint: "/checkpoint", executors: 3, mode: .held, disk: disk, scheduling: scheduling
    ) { context in
      definition.define(context, database: database)
      ExactDefinition.keepStateSmall(context)
    }
    try job.start()
    let pace = random.next() % 12 + 1
    try path.simulation.run(within: .seconds(900)) {
      let runner = job.process.runner
      if runner.heldCount > 0, random.next() % pace == 0 {
        runner.runHeld(at: Int(random.next() % UInt64(runner.heldCount)))
      }
      return job.hasEnded
    }
    // What is late comes now, when nobody waits for it.
    job.process.runner.runAllHeld()
    try path.simulation.run(for: .milliseconds(100))
    sum.stumbled += stones.hits
    sum.copies += job.jobs.copies.value
    guard job.end == ["ended"] else { return ["the job ended: \(job.end)"] }
    var check = ExactCheck(definition, path, disk, database: database, isLogWhole: true)
    return try check.run()
  }

  @Test(arguments: definitions.indices) func anOutputHoldsOneAttempt(index: Int) throws {
    let count = SeedRuns.setting("SLUICE_SEEDS") ?? (ExactRuns.isLong ? 120 : 15)
    var problems: [String] = []
    var sum = Sum()
    for seed in 0..<UInt64(count) {
      problems += try run(Self.definitions[index], seed: seed, &sum).map { "seed \(seed): \($0)" }
    }
    #expect(problems.isEmpty, "\(problems.count): \(problems.prefix(3).joined(separator: "\n"))")
    #expect(sum.stumbled > count / 2 && sum.copies > count / 2, "\(sum)")
  }
}
