import Groundwork
import KafkaStreaming
import Simulation
import SystemInterfaces

@testable import Streaming

/// One seed of a job in a world that breaks: packets are lost, late, doubled and reordered, writes are torn and fail, the
/// clock jumps, and the broker, the load generator and the job die at any moment and come back.
///
/// A load generator with an idempotent producer writes numbered records to the topic `in`. What the job does with them,
/// which faults there are, and what must hold when the faults have ended and everything has drained, is for the
/// subclasses to say: `FaultyPath`, `OraclePath`.
class FaultyWorld {
  static let partitions = 2

  let path: PathHarness
  let jobDisk: SimulatedDisk
  var random: SeededRandom
  private(set) var loader: Loader?
  private(set) var loaders: [Loader] = []
  private(set) var job: PathJob?
  private(set) var jobs: [PathJob] = []
  var problems: [String] = []
  var statistics = SeedStatistics()
  private var nextNumber = 0
  private(set) var faultsAreOn = true
  /// What is to come.
  private var events: [(at: Instant, event: Event)] = []

  enum Event {
    case killBroker, startBroker, killJob, startJob, killLoader, startLoader, tearBrokerWrite, failJobDisk, dieAtDisk,
      jumpClock, partition, heal
    /// At the start of the next batch, a moment later.
    case killJobInBatch, killBrokerInBatch
  }

  init(_ path: PathHarness, _ random: SeededRandom) {
    self.path = path
    self.random = random
    jobDisk = path.simulation.makeDisk(named: "job disk")
    jobDisk.onFault = { [unowned self] fault in if fault.code == FaultyWorld.death { strike() } }
  }

  // MARK: What a subclass says

  /// Topics beside `in`.
  func createTopics() throws {}
  /// Adds the faults that are to come.
  func planFaults() {}
  /// How long there are faults.
  var disturbance: Duration { .seconds(5) }
  /// Makes a job's next run.
  func makeJob() throws -> PathJob { fatalError("a subclass makes it") }
  /// A fault of the job's disk.
  func jobDiskFault(_ code: FileError.Code) -> DiskFault { DiskFault(.write, code: code) }
  /// What still happens before the faults end.
  func settle() throws { try path.simulation.run(for: .milliseconds(500)) }
  /// Whether the run of the job that the end of the faults finds goes on.
  var keepsLastRun: Bool { false }
  /// Whether a run may end so although nothing breaks any more.
  func mayEnd(_ reason: String) -> Bool { false }
  /// What numbers the last records have, one a partition.
  func lastNumber(_ partition: Int) -> Int {
    defer { nextNumber += 1 }
    return nextNumber
  }
  /// The job's process has died: what else goes with it.
  func jobDied() {}
  /// The job has ended; it may run once more.
  func finish() throws {}
  /// Finds what does not hold.
  func check() throws {}
  /// How the seed's job is, for a message.
  var summary: String { "" }

  // MARK: A seed

  /// - Returns: what does not hold; empty for a seed that is fine.
  final func run() -> [String] {
    do {
      try path.createTopic("in", partitions: FaultyWorld.partitions)
      try createTopics()
      plan()
      startLoader()
      startJob()
      try disturb()
      try drain()
      if problems.isEmpty { try check() }
    } catch {
      problems.append("\(error)".split(separator: "\n").prefix(3).joined(separator: " "))
    }
    statistics.runs = jobs.count
    return problems
  }

  /// What the world says, for a seed that failed.
  final var story: String {
    let ends = jobs.map { "\($0.batches.count) batches, \($0.end.first ?? "killed")" }
    return "\(summary), jobs \(ends)\nbroker: \(path.brokerLines.suffix(4))\njob: \(jobs.last?.log.suffix(8) ?? [])\n"
      + path.simulation.report(last: 30)
  }

  /// Follows from everything that happened.
  final var digest: UInt64 { path.simulation.traceDigest }

  final func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

  // MARK: Faults

  /// Marks a fault at which the job's process dies.
  static let death = FileError.Code.other(99)

  /// Adds a fault within the first `span`, and what takes it back.
  final func add(
    _ event: Event, within span: Int, then restart: Event? = nil, after gap: ClosedRange<Int> = 0...0
  ) {
    let at = path.simulation.now + .milliseconds(Int64(draw(0...span)))
    events.append((at, event))
    if let restart { events.append((at + .milliseconds(Int64(draw(gap))), restart)) }
  }

  private func plan() {
    path.simulation.network.conditions = .hostile([0, 0.003, 0.02, 0.06][draw(0...3)])
    path.simulation.network.conditions.spike = .milliseconds(Int64(draw(5...300)))
    planFaults()
    events.sort { $0.at < $1.at }
  }

  private func disturb() throws {
    let end = path.simulation.now + disturbance
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
    case .startJob: startJob()
    case .killLoader: loader?.process.kill()
    case .startLoader: startLoader()
    case .tearBrokerWrite:
      path.brokerDisk.inject(
        DiskFault(.write, after: draw(0...6), pathContains: ".log", code: .inputOutput, isTorn: true))
    case .failJobDisk: jobDisk.inject(jobDiskFault(.inputOutput))
    case .dieAtDisk: jobDisk.inject(jobDiskFault(FaultyWorld.death))
    case .partition:
      guard let broker = path.brokerProcess else { return }
      for process in [job?.process, loader?.process].compactMap({ $0 }) where draw(0...1) == 0 {
        path.simulation.network.partition(broker, process)
      }
    case .heal: path.simulation.network.healAll()
    case .jumpClock: path.simulation.jumpWallClock(by: .seconds(Int64(draw(-100...100))))
    case .killJobInBatch: atNextBatch { [unowned self] in strike() }
    case .killBrokerInBatch: atNextBatch { [path] in path.killBroker() }
    }
  }

  private func atNextBatch(_ strike: @escaping () -> Void) {
    guard let job else { return }
    let delay = Duration.microseconds(Int64(draw(0...3000)))
    job.listener.onNextBatch.value = { [simulation = path.simulation] in simulation.after(delay, strike) }
  }

  /// The job's process dies where it stands.
  private func strike() {
    guard let job else { return }
    self.job = nil
    statistics.deaths += 1
    job.process.kill()
    jobDied()
  }

  // MARK: Processes

  final func startBroker() {
    guard !path.isBrokerUp else { return }
    // A write fault that strikes the recovery makes the start fail; it is tried again.
    do { try path.startBroker() } catch { path.simulation.note("broker start failed: \(error)") }
  }

  final func startLoader() {
    guard loader?.process.isAlive != true else { return }
    let fresh = Loader(path.simulation, epoch: loaders.count)
    loader = fresh
    loaders.append(fresh)
  }

  final func startJob() {
    guard job == nil else { return }
    do {
      let fresh = try makeJob()
      jobs.append(fresh)
      job = fresh
      try fresh.start()
    } catch {
      // Its disk has failed it: the supervisor tries again.
      job?.process.kill()
      job = nil
      if !faultsAreOn { problems.append("a job could not start: \(error)") }
    }
  }

  final func restartJob() {
    job?.process.kill()
    job = nil
    startJob()
  }

  /// A supervisor: a job that died or ended with an error is started again.
  final func revive() {
    if faultsAreOn, draw(0...9) == 0 { startBroker() }
    // A loss of power that comes late takes the next process with it.
    if job?.process.isAlive == false { job = nil }
    guard let current = job else {
      if draw(0...4) == 0 { startJob() }
      return
    }
    guard current.hasEnded else { return }
    if !faultsAreOn, !mayEnd(current.end[0]) { problems.append("the job ended without a fault: \(current.end[0])") }
    restartJob()
  }

  final func send(_ count: Int) {
    guard let loader, loader.process.isAlive else { return }
    for _ in 0..<count {
      loader.send(number: nextNumber, partition: draw(0...FaultyWorld.partitions - 1))
      nextNumber += 1
    }
  }

  // MARK: The end

  private func drain() throws {
    let simulation = path.simulation
    try settle()
    statistics.cuts = simulation.network.connectionsCut
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
    if keepsLastRun, job?.hasEnded == false { startJob() } else { restartJob() }
    // What was delayed or doubled has arrived after this.
    try simulation.run(for: .seconds(4))
    for partition in 0..<FaultyWorld.partitions {
      loader?.send(number: lastNumber(partition), partition: partition)
    }
    guard let loader else { return }
    try wait("the load is acknowledged") { loader.outstanding == 0 || !loader.failures.isEmpty }
    for loader in loaders { problems += loader.failures }
    guard problems.isEmpty else { return }
    try waitUntilRead()
    try finish()
  }

  /// Runs on until the job has put the whole input into batches.
  final func waitUntilRead() throws {
    let ends = try path.ends("in")
    try wait("the input is in a batch") { [self] in
      revive()
      return !problems.isEmpty || reached(ends)
    }
  }

  final func endJob() throws {
    guard problems.isEmpty, let job else { return }
    job.context.stop()
    try wait("the job ends") { job.hasEnded }
    if job.end != ["ended"] { problems.append("the job ended with \(job.end)") }
  }

  /// Whether the present run of the job has put everything up to `ends` into batches that succeeded.
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
