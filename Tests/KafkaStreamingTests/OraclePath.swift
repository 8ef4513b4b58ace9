import Datasets
import Groundwork
import KafkaStreaming
import Simulation
import SystemInterfaces

@testable import Streaming

/// A stateful job with event-time windows and a checkpoint folder whose disk is slow, fails, tears writes and loses what
/// was not synced; the job dies between any two writes of its logs.
///
/// When all has ended `OracleCheck` compares with the serial model.
final class OraclePath: FaultyWorld {
  let definition: OracleDefinition
  let ledger = OracleLedger()
  private(set) var hasLostPower = false
  /// What is heard of batches, run by run.
  let listener = OracleListener()
  private let losesPower: Bool
  private let mode: SimulatedRunner.Mode
  private let commitDelay: Duration?
  private let snapshotBytes: Int?
  /// Some intervals are shorter than a commit, so that batches overlap where they may.
  private let interval: Duration

  /// - Parameter isWide: with topics and files as outputs, tasks that fail, every failure policy and every sync.
  init(seed: UInt64, isWide: Bool = false) throws {
    var random = SeededRandom(seed: seed ^ 0x0AC1E)
    let path = try PathHarness(seed: seed)
    var definition = OracleDefinition(
      state: OracleDefinition.State(rawValue: Int(random.next() % 3))!,
      delay: [0, 600, 60_000][Int(random.next() % 3)], lateness: random.next() % 2 == 0 ? 0 : 250,
      sync: random.next() % 2 == 0 ? .commits : .all)
    if isWide { definition.widen(seed) }
    losesPower = random.next() % 2 == 0
    // State that a power loss takes from under a decided transaction cannot be had back: such a job does not start again.
    if losesPower, definition.isExactlyOnce, definition.sync == .none { definition.sync = .commits }
    var coin = SeededRandom(seed: seed ^ 0x0E11)
    definition.pipelining = coin.next() % 4 > 0
    interval = .milliseconds(coin.next() % 2 == 0 ? 200 : Int64(coin.next() % 20 + 4))
    self.definition = definition
    mode = random.next() % 2 == 0 ? .atOnce : .spread
    commitDelay = random.next() % 2 == 0 ? nil : .milliseconds(Int64(random.next() % 30))
    // Mostly so small that snapshots come and go all the time.
    snapshotBytes = random.next() % 4 == 0 ? nil : 600
    if random.next() % 3 == 0 { path.simulation.postDelayMax = .microseconds(300) }
    var disk: (write: Duration, sync: Duration) = (.zero, .zero)
    if random.next() % 3 == 0 {
      disk = (.microseconds(Int64(random.next() % 4000)), .microseconds(Int64(random.next() % 40_000)))
    }
    let failureProbability = random.next() % 4 == 0 ? 0.003 : 0
    super.init(path, random)
    jobDisk.writeTime = disk.write
    jobDisk.syncTime = disk.sync
    jobDisk.failureProbability = failureProbability
  }

  override var summary: String { "\(definition), loses power \(losesPower)" }
  override func createTopics() throws {
    if definition.writesTopic { try path.createTopic("out", partitions: 2) }
  }
  override var disturbance: Duration { .milliseconds(3500) }

  // MARK: Faults

  override func planFaults() {
    for _ in 0..<draw(0...1) { add(.killBroker, within: 3000, then: .startBroker, after: 1...1500) }
    for _ in 0..<draw(0...2) { add(.killJob, within: 3000) }
    for _ in 0..<draw(0...2) { add(.killJobInBatch, within: 3000) }
    for _ in 0..<draw(1...5) { add(.dieAtDisk, within: 3000) }
    for _ in 0..<draw(0...2) { add(.failJobDisk, within: 3000) }
    for _ in 0..<draw(0...1) { add(.killLoader, within: 3000, then: .startLoader, after: 1...500) }
    if draw(0...2) == 0 { add(.tearBrokerWrite, within: 3000) }
    if draw(0...3) == 0 { add(.partition, within: 3000, then: .heal, after: 1...3000) }
    if draw(0...2) == 0 { add(.jumpClock, within: 3000) }
  }

  override func jobDiskFault(_ code: FileError.Code) -> DiskFault {
    let operations: [DiskFault.Operation] = [.write, .write, .write, .sync, .sync, .open, .rename, .remove, .truncate]
    let folders = ["plans", "commits", "state", "state", ""]
    return DiskFault(
      operations[draw(0...operations.count - 1)], after: draw(0...9), pathContains: folders[draw(0...4)], code: code,
      isTorn: draw(0...1) == 0)
  }

  /// In some seeds the job's machine dies with it.
  override func jobDied() {
    guard losesPower, draw(0...1) == 0 else { return }
    hasLostPower = true
    // What is on the stack must have returned.
    path.simulation.after(.zero) { [jobDisk, path] in path.simulation.losePower(of: jobDisk) }
  }

  override func makeJob() throws -> PathJob {
    let process = Cell<SimulatedProcess?>(nil)
    let job = try PathJob(
      path, interval: interval, settings: definition.settings, checkpoint: "/state/job", mode: mode,
      disk: jobDisk
    ) { context in
      ledger.define(definition, context, process, commitDelay: commitDelay)
      context.addStreamingListener(OracleListener.Run(listener, jobs.count))
      if let snapshotBytes {
        StateCoordinator.of(context).logBytesMin = snapshotBytes
        StateCoordinator.of(context).sliceBytesMin = 100
      }
    }
    process.value = job.process
    return job
  }

  // MARK: The end

  override func mayEnd(_ reason: String) -> Bool { definition.policy == .stop && reason.contains("Broken()") }
  override func lastNumber(_ partition: Int) -> Int { OracleEvent.farNumber + partition }

  override func finish() throws {
    try path.simulation.run(for: .seconds(1))
    try endJob()
    // One more life: what stands on the disk is the whole truth.
    guard problems.isEmpty else { return }
    job?.process.kill()
    if losesPower { path.simulation.losePower(of: jobDisk) }
    hasLostPower = hasLostPower || losesPower
    restartJob()
    // What a power loss took back runs again, and gives its windows one batch later.
    try waitUntilRead()
    try path.simulation.run(for: .seconds(1))
    try endJob()
  }

  override func check() throws {
    var check = try OracleCheck(self)
    problems = try check.run()
  }
}

/// What is heard of a job's batches, from its first run to its last.
final class OracleListener {
  struct Begun {
    var run: Int
    var batch: BatchIdentity
    var ranges: [OffsetRange]
  }
  /// Every attempt at a batch.
  var begun: [Begun] = []
  /// Batches that were decided, as far as their run lived to say so.
  var decided: [Begun] = []
  /// Batches that began before the one before them had ended.
  var overlaps = 0

  /// Listens to one run.
  ///
  /// Sendable: a simulated world and all in it is used by one thread.
  final class Run: StreamingListener, @unchecked Sendable {
    private let listener: OracleListener
    private let run: Int
    private var open = 0
    init(_ listener: OracleListener, _ run: Int) {
      self.listener = listener
      self.run = run
    }
    private func entry(_ batch: BatchInfo) -> Begun {
      Begun(
        run: run, batch: BatchIdentity(number: batch.number, time: batch.batchTime),
        ranges: batch.inputs.flatMap(\.plan.ranges))
    }
    func onBatchStarted(_ batch: BatchInfo) {
      listener.begun.append(entry(batch))
      open += 1
      if open > 1 { listener.overlaps += 1 }
    }
    func onBatchCompleted(_ batch: BatchInfo) {
      open -= 1
      if batch.failureReason == nil { listener.decided.append(entry(batch)) }
    }
  }
}
