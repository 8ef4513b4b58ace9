import Datasets
import Groundwork
import JobScheduling
import Simulation
import Streaming
import SystemInterfaces

@testable import FileStreaming

/// A streaming job over a simulated disk, in virtual time; it may be killed and started again.
final class FolderHarness {
  let simulation: SimulatedWorld
  let process: SimulatedProcess
  let context: StreamingContext
  let interval: Duration
  private let outcome = Cell<[String]>([])
  private let logged = Cell<[String]>([])

  init(
    seed: UInt64 = 1, interval: Duration = .seconds(1), availableNow: Bool = false, checkpoint: String? = "/state",
    simulation: SimulatedWorld? = nil, settings: [String: String] = ["sluice.streaming.checkpoint.sync": "all"]
  ) throws {
    let simulation = simulation ?? SimulatedWorld(seed: seed)
    self.simulation = simulation
    self.interval = interval
    process = simulation.makeProcess(named: "job", executors: 2)
    process.runner.mode = .spread
    let loop = process.makeLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: process.runner)
    let logged = logged
    context = try StreamingContext(
      sluice: SluiceContext(runner: scheduler, defaultParallelism: 2), batchInterval: interval,
      environment: StreamingEnvironment(
        world: process.world, loop: loop, scheduler: scheduler, jobName: "test", checkpointDirectory: checkpoint,
        availableNow: availableNow, settings: settings, log: { logged.value.append($0) }))
  }

  var log: [String] { logged.value }
  var end: [String] { outcome.value }
  var files: any FileStore { process.world.files }

  func start() throws {
    let outcome = outcome
    try context.start { error in outcome.value.append(error.map { "\($0)" } ?? "ended") }
    try simulation.run(for: .milliseconds(1))
  }

  func advance(_ batches: Int = 1) throws { try simulation.run(for: interval * batches) }
  func stop() throws {
    context.stop()
    try simulation.run { !outcome.value.isEmpty }
  }
  func runToEnd() throws { try simulation.run { !outcome.value.isEmpty } }
}

/// A user who has nothing to do with the job: writes files elsewhere and moves them in.
final class Mover {
  let files: any FileStore

  init(_ simulation: SimulatedWorld) throws {
    files = simulation.makeProcess(named: "mover").world.files
    try files.createDirectories("/in")
    try files.createDirectories("/elsewhere")
  }

  func write(_ path: String, _ text: String) throws { try files.open(path, .create).write(at: 0, Bytes(text)) }
  func moveIn(_ name: String, _ text: String) throws {
    try write("/elsewhere/\(name)", text)
    try files.rename("/elsewhere/\(name)", to: "/in/\(name)")
  }
}
