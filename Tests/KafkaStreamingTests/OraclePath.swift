import Groundwork
import KafkaStreaming
import Simulation
import SystemInterfaces

@testable import Streaming

/// One seed of a stateful job with event-time windows and a checkpoint folder, in a world that breaks: packets are lost,
/// late, doubled and reordered, broker and job die and come back, the job's disk is slow, fails, tears writes and loses
/// what was not synced, the clock jumps, and the job dies between any two writes of its logs.
///
/// When all has ended `OracleCheck` compares with the serial model.
final class OraclePath {
  /// Marks a fault at which the process dies.
  static let death = FileError.Code.other(99)

  let definition: OracleDefinition
  let path: PathHarness
  let ledger = OracleLedger()
  /// `commits` or `all`.
  let sync: String
  private(set) var hasLostPower = false
  private(set) var jobs: [PathJob] = []
  private(set) var problems: [String] = []
  private var random: SeededRandom
  private var loader: Loader?
  private var loaders = 0
  private var job: PathJob?
  private var nextNumber = 0
  let jobDisk: SimulatedDisk
  private let losesPower: Bool
  private let mode: SimulatedRunner.Mode
  private let commitDelay: Duration?
  private let snapshotBytes: Int?
  private var faultsAreOn = true
  private var events: [(at: Instant, event: Event)] = []

  /// How much happened.
  struct Statistics {
    var batches = 0
    var records = 0
    var runs = 0
    var deaths = 0
    var repeats = 0
    var late = 0
    var equalToUndisturbed = 0
  }
  var statistics = Statistics()

  private enum Event {
    case killBroker, startBroker, killJob, killLoader, startLoader, tearBrokerWrite, failJobDisk, dieAtDisk, jumpClock,
      partition, heal, killJobInBatch
  }

  init(seed: UInt64) throws {
    random = SeededRandom(seed: seed ^ 0x0AC1E)
    path = try PathHarness(seed: seed)
    jobDisk = path.simulation.makeDisk(named: "job disk")
    definition = OracleDefinition(
      state: OracleDefinition.State(rawValue: Int(random.next() % 3))!,
      delay: [0, 600, 60_000][Int(random.next() % 3)], lateness: random.next() % 2 == 0 ? 0 : 250)
    sync = random.next() % 2 == 0 ? "commits" : "all"
    losesPower = random.next() % 2 == 0
    mode = random.next() % 2 == 0 ? .atOnce : .spread
    commitDelay = random.next() % 2 == 0 ? nil : .milliseconds(Int64(random.next() % 30))
    // Mostly so small that snapshots come and go all the time.
    snapshotBytes = random.next() % 4 == 0 ? nil : 600
    if random.next() % 3 == 0 { path.simulation.postDelayMax = .microseconds(300) }
    if random.next() % 3 == 0 {
      jobDisk.writeTime = .microseconds(Int64(random.next() % 4000))
      jobDisk.syncTime = .microseconds(Int64(random.next() % 40_000))
    }
    if random.next() % 4 == 0 { jobDisk.failureProbability = 0.003 }
    jobDisk.onFault = { [unowned self] fault in if fault.code == OraclePath.death { strike() } }
  }

  /// - Returns: what does not hold; empty for a seed that is fine.
  func run() -> [String] {
    do {
      try path.createTopic("in", partitions: FaultyPath.partitions)
      plan()
      startLoader()
      startJob()
      try disturb()
      try drain()
      guard problems.isEmpty else { return problems }
      var check = try OracleCheck(self)
      problems = check.run()
    } catch {
      problems.append("\(error)".split(separator: "\n").prefix(3).joined(separator: " "))
    }
    return problems
  }

  /// What the world says, for a seed that failed.
  var story: String {
    let ends = jobs.map { "\($0.batches.count) batches, \($0.end.first ?? "killed")" }
    return "\(definition), sync \(sync), loses power \(losesPower), jobs \(ends)\n"
      + "job: \(jobs.last?.log.suffix(8) ?? [])\n" + path.simulation.report(last: 30)
  }

  /// Follows from everything that happened.
  var digest: UInt64 { path.simulation.traceDigest }

  private func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

  // MARK: Faults

  private func plan() {
    path.simulation.network.conditions = .hostile([0, 0.003, 0.02, 0.06][draw(0...3)])
    path.simulation.network.conditions.spike = .milliseconds(Int64(draw(5...300)))
    let start = path.simulation.now
    func add(_ event: Event, then restart: Event? = nil, within gap: ClosedRange<Int> = 0...0) {
      let at = start + .milliseconds(Int64(draw(0...3000)))
      events.append((at, event))
      if let restart { events.append((at + .milliseconds(Int64(draw(gap))), restart)) }
    }
    for _ in 0..<draw(0...1) { add(.killBroker, then: .startBroker, within: 1...1500) }
    for _ in 0..<draw(0...2) { add(.killJob) }
    for _ in 0..<draw(0...2) { add(.killJobInBatch) }
    for _ in 0..<draw(1...5) { add(.dieAtDisk) }
    for _ in 0..<draw(0...2) { add(.failJobDisk) }
    for _ in 0..<draw(0...1) { add(.killLoader, then: .startLoader, within: 1...500) }
    if draw(0...2) == 0 { add(.tearBrokerWrite) }
    if draw(0...3) == 0 { add(.partition, then: .heal, within: 1...3000) }
    if draw(0...2) == 0 { add(.jumpClock) }
    events.sort { $0.at < $1.at }
  }

  private func disturb() throws {
    let end = path.simulation.now + .milliseconds(3500)
    while path.simulation.now < end {
      while let next = events.first, next.at <= path.simulation.now {
        events.removeFirst()
        perform(next.event)
      }
      if draw(0...2) > 0 { send(draw(1...4)) }
      try path.simulation.run(for: .microseconds(Int64(draw(1...80_000))))
      revive()
    }
    for (at, event) in events {
      if at > path.simulation.now { try path.simulation.run(for: at - path.simulation.now) }
      perform(event)
    }
    events = []
  }

  private func perform(_ event: Event) {
    switch event {
    case .killBroker: path.killBroker()
    case .startBroker: startBroker()
    case .killJob: strike()
    case .killLoader: loader?.process.kill()
    case .startLoader: startLoader()
    case .tearBrokerWrite:
      path.brokerDisk.inject(
        DiskFault(.write, after: draw(0...6), pathContains: ".log", code: .inputOutput, isTorn: true))
    case .failJobDisk: jobDisk.inject(fault(.inputOutput))
    case .dieAtDisk: jobDisk.inject(fault(OraclePath.death))
    case .partition:
      guard let broker = path.brokerProcess else { return }
      for process in [job?.process, loader?.process].compactMap({ $0 }) where draw(0...1) == 0 {
        path.simulation.network.partition(broker, process)
      }
    case .heal: path.simulation.network.healAll()
    case .jumpClock: path.simulation.jumpWallClock(by: .seconds(Int64(draw(-100...100))))
    case .killJobInBatch:
      guard let job else { return }
      let delay = Duration.microseconds(Int64(draw(0...3000)))
      job.listener.onNextBatch.value = { [unowned self] in path.simulation.after(delay) { [self] in strike() } }
    }
  }

  private func fault(_ code: FileError.Code) -> DiskFault {
    let operations: [DiskFault.Operation] = [.write, .write, .write, .sync, .sync, .open, .rename, .remove, .truncate]
    let folders = ["plans", "commits", "state", "state", ""]
    return DiskFault(
      operations[draw(0...operations.count - 1)], after: draw(0...9), pathContains: folders[draw(0...4)], code: code,
      isTorn: draw(0...1) == 0)
  }

  /// The job's process dies where it stands, and in some seeds its machine with it.
  private func strike() {
    guard let job else { return }
    self.job = nil
    statistics.deaths += 1
    job.process.kill()
    guard losesPower, draw(0...1) == 0 else { return }
    hasLostPower = true
    // What is on the stack must have returned.
    path.simulation.after(.zero) { [jobDisk, path] in path.simulation.losePower(of: jobDisk) }
  }

  // MARK: Processes

  private func startBroker() {
    guard !path.isBrokerUp else { return }
    do { try path.startBroker() } catch { path.simulation.note("broker start failed: \(error)") }
  }

  private func startLoader() {
    guard loader?.process.isAlive != true else { return }
    loader = Loader(path.simulation, epoch: loaders)
    loaders += 1
  }

  private func startJob() {
    guard job == nil else { return }
    do {
      let process = Cell<SimulatedProcess?>(nil)
      let fresh = try PathJob(
        path, interval: .milliseconds(200), settings: ["sluice.streaming.checkpoint.sync": sync],
        checkpoint: "/state/job", mode: mode, disk: jobDisk
      ) { context in
        ledger.define(definition, context, process, commitDelay: commitDelay)
        if let snapshotBytes {
          StateCoordinator.of(context).logBytesMin = snapshotBytes
          StateCoordinator.of(context).sliceBytesMin = 100
        }
      }
      process.value = fresh.process
      jobs.append(fresh)
      job = fresh
      try fresh.start()
    } catch {
      problems.append("a job could not start: \(error)")
    }
  }

  /// A supervisor: a job that died or ended with an error is started again.
  private func revive() {
    if faultsAreOn, draw(0...9) == 0 { startBroker() }
    guard let current = job else {
      if draw(0...4) == 0 { startJob() }
      return
    }
    guard current.hasEnded else { return }
    if !faultsAreOn { problems.append("the job ended without a fault: \(current.end[0])") }
    current.process.kill()
    job = nil
    startJob()
  }

  private func send(_ count: Int) {
    guard let loader, loader.process.isAlive else { return }
    for _ in 0..<count {
      loader.send(number: nextNumber, partition: draw(0...FaultyPath.partitions - 1))
      nextNumber += 1
    }
  }

  // MARK: The end

  private func drain() throws {
    let simulation = path.simulation
    try simulation.run(for: .milliseconds(500))
    faultsAreOn = false
    job?.listener.onNextBatch.value = nil
    jobDisk.clearFaults()
    path.brokerDisk.clearFaults()
    jobDisk.failureProbability = 0
    simulation.network.conditions = NetworkConditions()
    simulation.network.healAll()
    path.killBroker()
    startBroker()
    startLoader()
    // What failed before the faults ended may end the job only now.
    job?.process.kill()
    job = nil
    startJob()
    // What was delayed or doubled has arrived after this.
    try simulation.run(for: .seconds(4))
    for partition in 0..<FaultyPath.partitions {
      loader?.send(number: OracleEvent.farNumber + partition, partition: partition)
    }
    guard let loader else { return }
    try wait("the load is acknowledged") { loader.outstanding == 0 || !loader.failures.isEmpty }
    problems += loader.failures
    guard problems.isEmpty else { return }
    let ends = try path.ends("in")
    try wait("the input is in a batch") { [self] in
      revive()
      return !problems.isEmpty || reached(ends)
    }
    try simulation.run(for: .seconds(1))
    try endJob()
    // One more life: what stands on the disk is the whole truth.
    guard problems.isEmpty else { return }
    job?.process.kill()
    job = nil
    if losesPower { simulation.losePower(of: jobDisk) }
    hasLostPower = hasLostPower || losesPower
    startJob()
    try simulation.run(for: .seconds(1))
    try endJob()
  }

  private func endJob() throws {
    guard problems.isEmpty, let job else { return }
    job.context.stop()
    try wait("the job ends") { job.hasEnded }
    if job.end != ["ended"] { problems.append("the job ended with \(job.end)") }
  }

  private func reached(_ ends: [Int64]) -> Bool {
    guard let job, !job.hasEnded, let last = job.batches.last else { return false }
    let ranges = last.inputs.flatMap(\.plan.ranges)
    return ranges.count == ends.count && ranges.allSatisfy { $0.until.rawValue >= ends[Int($0.partition.rawValue)] }
  }

  private func wait(_ what: String, _ condition: () -> Bool) throws {
    let limit = path.simulation.now + .seconds(240)
    while !condition() {
      guard path.simulation.now < limit else { throw Stuck(what: what) }
      try path.simulation.run(for: .milliseconds(50))
    }
  }

  private struct Stuck: Error, CustomStringConvertible {
    var what: String
    var description: String { "stuck: \(what) does not come" }
  }
}
