import Datasets
import Glibc
import Groundwork
import KafkaStreaming
import Simulation
import SystemInterfaces

@testable import Streaming

/// One blow at one moment.
struct Strike: CustomStringConvertible {
  /// Moments are counted from the end of the job's first batch on; for every strike after the first, from the start of the
  /// job's run that follows the one before it.
  enum Moment: Hashable {
    /// After so many events of the world: packets, posted blocks, timers.
    case event(Int)
    /// At so many calls of the job's disk that change something.
    case jobCall(Int)
    /// At so many calls of the broker's disk that change something.
    case brokerCall(Int)
  }
  enum Blow {
    case jobDies, jobLosesPower, brokerDies, brokerLosesPower
    /// The call fails, with a part of what was written there or nothing: for a moment at a call.
    case fails(FileError.Code)
    /// The disk of the call takes nothing more until its process has ended.
    case full
  }
  var moment: Moment
  var blow: Blow
  /// Whether a write that is struck leaves a part of its bytes behind.
  var isTorn = false
  /// What the path of a call must contain to count.
  var path = ""
  /// The kind of calls that count; nil all.
  var operation: DiskFault.Operation?

  var description: String {
    "\(blow) at \(moment)\(isTorn ? ", torn" : "")" + (path.isEmpty ? "" : " of \(path)")
      + (operation.map { " (\($0))" } ?? "")
  }
}

/// A world with a broker and a job of an `ExactDefinition`, which strikes hit at exact moments; whoever dies comes back, and
/// in the end `ExactCheck` says whether what is committed has a serial explanation.
final class ExactWorld {
  let definition: ExactDefinition
  let path: PathHarness
  let jobDisk: SimulatedDisk
  /// The folder of the database files: real ones.
  let database: String
  let strikes: [Strike]
  /// Strikes that have hit.
  private(set) var struck = 0
  /// Events and calls since the first batch ended, up to the end of the fifth; of a run that nothing strikes.
  private(set) var counted = (events: 0, jobCalls: 0, brokerCalls: 0)
  private(set) var jobs: [PathJob] = []
  private(set) var problems: [String] = []
  /// Whether plans and commits of the job's log may be gone.
  var hasLostPower: Bool {
    strikes.prefix(struck).contains { if case .jobLosesPower = $0.blow { true } else { false } }
  }
  /// How the runs ended that did not end well.
  private(set) var errors: [String] = []
  private let flushes: Bool
  private var random: SeededRandom
  private var counts = (events: 0, jobCalls: 0, brokerCalls: 0, matching: 0)
  private var isCounting = false
  private var isStarting = false
  private var isBrokerStarting = false
  private var brokerStarts = 0
  private var isCalm = false

  /// - Parameter flushes: whether the broker's answers survive a power loss.
  init(_ definition: ExactDefinition, _ strikes: [Strike] = [], seed: UInt64 = 1, flushes: Bool = false) throws {
    var definition = definition
    definition.settings["sluice.streaming.pipelining"] = (seed / 100 + seed) % 3 == 0 ? "false" : "true"
    self.definition = definition
    self.strikes = strikes
    self.flushes = flushes
    path = try PathHarness(seed: seed)
    random = SeededRandom(seed: seed ^ 0xE6AC7)
    jobDisk = path.simulation.makeDisk(named: "job disk")
    database = try ExactWorld.makeFolder()
  }

  static func makeFolder() throws -> String {
    var template = Array(
      "/\(access("/dev/shm", W_OK) == 0 ? "dev/shm" : "tmp")/sluice-exact-\(String(repeating: "X", count: 6))"
        .utf8CString)
    guard mkdtemp(&template) != nil else { throw Failed("no folder for databases could be made") }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  struct Failed: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
  }

  /// Lets go of everything.
  func end() {
    jobs = []
    path.simulation.end()
    ExactWorld.removeFolder(database)
  }

  static func removeFolder(_ database: String) {
    for output in [ExactOutput.table, .otherTable] {
      for ending in ["", "-wal", "-shm"] { unlink("\(database)/\(output).db\(ending)") }
    }
    rmdir(database)
  }

  /// What the world says, for a strike that failed.
  var story: String {
    "\(definition), \(strikes): runs \(jobs.map { "\($0.batches.count) batches, \($0.end.first ?? "killed")" })\n"
      + "broker: \(path.brokerLines.suffix(4))\njob: \(jobs.last?.log.suffix(8) ?? [])\n"
      + path.simulation.report(last: 25)
  }

  /// Runs the job until it has read all of its input, whatever strikes, and checks.
  /// - Returns: what does not hold.
  func run() -> [String] {
    do {
      try prepare()
      watchDisks()
      try startJob()
      try path.simulation.run(within: .seconds(900)) { [self] in step() }
      isCounting = false
      jobDisk.chooseFault = nil
      path.brokerDisk.chooseFault = nil
      guard problems.isEmpty else { return problems }
      try calm()
      // One more run: what stands on the disks is the whole truth.
      try startJob()
      try jobs[jobs.count - 1].runToEnd()
      if jobs[jobs.count - 1].end != ["ended"] { problems.append("the last run ended: \(jobs[jobs.count - 1].end)") }
      var check = ExactCheck(definition, path, jobDisk, database: database, isLogWhole: !hasLostPower)
      problems += try check.run()
    } catch {
      problems.append("\(error)".split(separator: "\n").prefix(3).joined(separator: " "))
    }
    return problems
  }

  private func prepare() throws {
    if flushes {
      path.killBroker()
      try startBroker()
    }
    try path.createTopic("in", partitions: ExactDefinition.partitions)
    try ExactDefinition.produceInput(path)
  }

  // MARK: Processes

  private func startBroker() throws {
    try path.startBroker { [flushes] configuration in if flushes { configuration.flushPolicy = .sync } }
  }

  private func startJob() throws {
    let job = try PathJob(
      path, interval: ExactDefinition.interval, settings: definition.allSettings, availableNow: true,
      checkpoint: "/checkpoint",
      disk: jobDisk
    ) { context in
      definition.define(context, database: database)
      context.addStreamingListener(Marks { [unowned self] number in batchEnded(number) })
      ExactDefinition.keepStateSmall(context)
    }
    jobs.append(job)
    try job.start()
    if struck > 0 { arm() }
  }

  /// Tells of batches that have ended well.
  ///
  /// Sendable: a simulated world and all in it is used by one thread.
  private final class Marks: StreamingListener, @unchecked Sendable {
    private let ended: (BatchNumber) -> Void
    init(_ ended: @escaping (BatchNumber) -> Void) { self.ended = ended }
    func onBatchCompleted(_ batch: BatchInfo) { if batch.failureReason == nil { ended(batch.number) } }
  }

  private func batchEnded(_ number: BatchNumber) {
    if number == 1, struck == 0 { arm() }
    if number == 5, strikes.isEmpty {
      isCounting = false
      counted = (counts.events, counts.jobCalls, counts.brokerCalls)
    }
  }

  private func arm() {
    counts = (0, 0, 0, 0)
    isCounting = struck < strikes.count || strikes.isEmpty
  }

  /// A supervisor, called before each event.
  /// - Returns: whether the job has come to its end.
  private func step() -> Bool {
    if isCounting {
      counts.events += 1
      if struck < strikes.count, strikes[struck].moment == .event(counts.events) { hit(strikes[struck]) }
    }
    if !path.isBrokerUp, !isBrokerStarting {
      isBrokerStarting = true
      path.simulation.after(.milliseconds(Int64(random.next() % 40) + 1)) { [unowned self] in reviveBroker() }
    }
    guard let job = jobs.last, !isStarting else { return !problems.isEmpty }
    if job.process.isAlive, !job.hasEnded { return false }
    if job.process.isAlive, job.end == ["ended"] { return true }
    if job.process.isAlive, let error = job.end.first {
      errors.append(error)
      job.process.kill()
      mendDisks()
      if !strikes.prefix(struck).contains(where: { mayEndJob($0) }) || errors.count > 4 {
        problems.append("a run ended: \(error)")
        return true
      }
    }
    if jobs.count > 8 {
      problems.append("it does not come to its end")
      return true
    }
    isStarting = true
    path.simulation.after(.milliseconds(Int64(random.next() % 20) + 1)) { [unowned self] in
      isStarting = false
      do { try startJob() } catch {
        errors.append("\(error)")
        if errors.count > 4 { problems.append("a run could not start: \(error)") }
      }
    }
    return false
  }

  private func mayEndJob(_ strike: Strike) -> Bool {
    switch strike.blow {
    case .fails, .full: true
    case .jobDies, .jobLosesPower, .brokerDies, .brokerLosesPower: false
    }
  }

  private func reviveBroker() {
    isBrokerStarting = false
    brokerStarts += 1
    mendDisks()
    do { try startBroker() } catch {
      if brokerStarts > 5 { problems.append("the broker does not start: \(error)") }
    }
  }

  /// Somebody has made room.
  private func mendDisks() {
    jobDisk.capacity = nil
    path.brokerDisk.capacity = nil
  }

  // MARK: Strikes

  private func watchDisks() {
    jobDisk.chooseFault = { [unowned self] operation, path in
      call(operation, path, isBroker: false)
    }
    path.brokerDisk.chooseFault = { [unowned self] operation, path in
      call(operation, path, isBroker: true)
    }
  }

  private func call(_ operation: DiskFault.Operation, _ file: String, isBroker: Bool) -> DiskFault? {
    guard isCounting, operation != .read else { return nil }
    if isBroker { counts.brokerCalls += 1 } else { counts.jobCalls += 1 }
    guard struck < strikes.count else { return nil }
    let strike = strikes[struck]
    let target: Int
    switch strike.moment {
    case .event: return nil
    case .jobCall(let number):
      if isBroker { return nil }
      target = number
    case .brokerCall(let number):
      if !isBroker { return nil }
      target = number
    }
    guard file.contains(strike.path), strike.operation.map({ $0 == operation }) ?? true else { return nil }
    counts.matching += 1
    guard counts.matching == target else { return nil }
    hit(strike)
    switch strike.blow {
    case .fails(let code): return DiskFault(operation, code: code, isTorn: strike.isTorn)
    case .full:
      let disk = isBroker ? path.brokerDisk : jobDisk
      disk.capacity = disk.usedBytes + (strike.isTorn ? Int64(random.next() % 40) : 0)
      return nil
    case .jobDies, .jobLosesPower, .brokerDies, .brokerLosesPower:
      return DiskFault(operation, code: .other(99), isTorn: strike.isTorn)
    }
  }

  private func hit(_ strike: Strike) {
    struck += 1
    isCounting = false
    path.simulation.note("strike: \(strike)")
    switch strike.blow {
    case .jobDies: jobs.last?.process.kill()
    case .jobLosesPower:
      jobs.last?.process.kill()
      losePower(of: jobDisk, strike)
    case .brokerDies: path.killBroker()
    case .brokerLosesPower:
      path.killBroker()
      losePower(of: path.brokerDisk, strike)
    case .fails, .full:
      repairLater(strike)
    }
    // The broker alone has died: what strikes next is counted from now on.
    if jobs.last?.process.isAlive == true { arm() }
  }

  private func losePower(of disk: SimulatedDisk, _ strike: Strike) {
    if case .event = strike.moment { return disk.losePower() }
    // What is on the stack must have returned.
    path.simulation.after(.zero) { disk.losePower() }
  }

  /// Somebody looks after a disk that has failed: a job that has not ended is given what it lacks, a broker a new start too.
  private func repairLater(_ strike: Strike) {
    path.simulation.after(.seconds(8)) { [unowned self] in
      guard !isCalm else { return }
      mendDisks()
      if case .brokerCall = strike.moment { path.killBroker() }
    }
  }

  /// Nothing strikes any more, and what has failed is well again.
  private func calm() throws {
    isCalm = true
    mendDisks()
    guard strikes.prefix(struck).contains(where: { if case .brokerCall = $0.moment { true } else { false } }) else {
      return
    }
    path.killBroker()
    try startBroker()
  }
}
