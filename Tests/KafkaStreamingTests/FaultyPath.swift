import Datasets
import Groundwork
import JobScheduling
import KafkaClients
import KafkaProtocol
import KafkaStreaming
import Simulation
import Streaming
import SystemInterfaces

@testable import FileStreaming

/// One seed of the whole path in a world that breaks: connections are cut, delayed and doubled, writes are torn, and the
/// broker, the load generator and the job die at any moment and come back.
///
/// A load generator with an idempotent producer writes numbered records; a job copies them from topic to topic and into
/// files. When the faults have ended and everything has drained, this must hold:
/// - every record that was acknowledged is in the input, exactly once, in the order in which it was sent;
/// - every record of the input is in the output at least once, and nothing that is not in the input is there;
/// - no batch left out an offset, within a run of the job and from one run to the next;
/// - the group's offsets stand at the end of the input.
final class FaultyPath {
  static let partitions = 2
  private let seed: UInt64
  private let path: PathHarness
  private var random: SeededRandom
  private var loader: Loader?
  private var loaders: [Loader] = []
  private var job: PathJob?
  private var jobs: [PathJob] = []
  private var problems: [String] = []
  private var nextNumber = 0
  private let jobDisk: SimulatedDisk
  /// How the job copies: 0 as it comes, 1 through a shuffle, 2 as it comes and into files.
  private let way: Int
  private let mode: SimulatedRunner.Mode
  private let rate: String?
  private var faultsAreOn = true
  /// What is to come: the time, and what happens.
  private var events: [(at: Instant, event: Event)] = []

  /// How much happened.
  struct Statistics {
    var records = 0
    var copies = 0
    var runs = 0
    var cuts = 0
  }
  private(set) var statistics = Statistics()

  private enum Event {
    case killBroker, startBroker, killJob, startJob, killLoader, startLoader, tearWrite, tearJobWrite, jumpClock,
      partition, heal
    /// At the start of the next batch, a moment later.
    case killJobInBatch, killBrokerInBatch
  }

  init(seed: UInt64) throws {
    self.seed = seed
    random = SeededRandom(seed: seed ^ 0xFA17)
    path = try PathHarness(seed: seed)
    jobDisk = path.simulation.makeDisk(named: "job disk")
    way = Int(random.next() % 3)
    mode = random.next() % 2 == 0 ? .atOnce : .spread
    rate = random.next() % 3 == 0 ? "\(Int.random(in: 1...40, using: &random))" : nil
    if random.next() % 3 == 0 { path.simulation.postDelayMax = .microseconds(300) }
  }

  /// - Returns: what does not hold; empty for a seed that is fine.
  func run() -> [String] {
    do {
      try path.createTopic("in", partitions: FaultyPath.partitions)
      try path.createTopic("out", partitions: 3)
      plan()
      startLoader()
      startJob()
      try disturb()
      try drain()
      if problems.isEmpty { try check() }
    } catch {
      problems.append("\(error)".split(separator: "\n").prefix(3).joined(separator: " "))
    }
    return problems
  }

  /// What the world says, for a seed that failed.
  var story: String {
    let ends = jobs.map { "\($0.batches.count) batches, \($0.end.first ?? "killed")" }
    return "way \(way), rate \(rate ?? "none"), jobs \(ends)\nbroker: \(path.brokerLines.suffix(8))\n"
      + "job: \(jobs.last?.log.suffix(8) ?? [])\n" + path.simulation.report(last: 30)
  }

  /// Follows from everything that happened.
  var digest: UInt64 { path.simulation.traceDigest }

  private func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

  // MARK: The plan

  private func plan() {
    path.simulation.network.conditions = .hostile([0, 0.003, 0.02, 0.06][draw(0...3)])
    path.simulation.network.conditions.spike = .milliseconds(Int64(draw(5...300)))
    let start = path.simulation.now
    func add(_ event: Event, then restart: Event?, within gap: ClosedRange<Int>) {
      let at = start + .milliseconds(Int64(draw(0...4000)))
      events.append((at, event))
      if let restart { events.append((at + .milliseconds(Int64(draw(gap))), restart)) }
    }
    for _ in 0..<draw(0...2) { add(.killBroker, then: .startBroker, within: 1...1500) }
    for _ in 0..<draw(0...2) { add(.killJob, then: .startJob, within: 1...1000) }
    for _ in 0..<draw(0...1) { add(.killLoader, then: .startLoader, within: 1...500) }
    for _ in 0..<draw(0...3) { add(.killJobInBatch, then: nil, within: 0...0) }
    for _ in 0..<draw(0...2) { add(.killBrokerInBatch, then: nil, within: 0...0) }
    for _ in 0..<draw(0...1) { add(.tearWrite, then: nil, within: 0...0) }
    if draw(0...3) == 0 { add(.tearJobWrite, then: nil, within: 0...0) }
    if draw(0...3) == 0 { add(.partition, then: .heal, within: 1...4000) }
    if draw(0...5) == 0 { add(.jumpClock, then: nil, within: 0...0) }
    events.sort { $0.at < $1.at }
  }

  private func disturb() throws {
    let end = path.simulation.now + .seconds(5)
    while path.simulation.now < end {
      while let next = events.first, next.at <= path.simulation.now {
        events.removeFirst()
        try perform(next.event)
      }
      if draw(0...2) > 0 { send(draw(1...4)) }
      try path.simulation.run(for: .microseconds(Int64(draw(1...80_000))))
      reviveJob()
    }
    for (at, event) in events {
      if at > path.simulation.now { try path.simulation.run(for: at - path.simulation.now) }
      try perform(event)
    }
    events = []
  }

  private func perform(_ event: Event) throws {
    switch event {
    case .killBroker: path.killBroker()
    case .startBroker: startBroker()
    case .killJob: killJob()
    case .startJob: startJob()
    case .killLoader: loader?.process.kill()
    case .startLoader: startLoader()
    case .tearWrite:
      path.brokerDisk.inject(
        DiskFault(.write, after: draw(0...6), pathContains: ".log", code: .inputOutput, isTorn: true))
    case .tearJobWrite:
      // In the commit log, or in a part file.
      jobDisk.inject(
        DiskFault(
          .write, after: draw(0...4), pathContains: way == 2 ? "_temporary" : "commits", code: .inputOutput,
          isTorn: true))
    case .partition:
      guard let broker = path.brokerProcess else { return }
      for process in [job?.process, loader?.process].compactMap({ $0 }) where draw(0...1) == 0 {
        path.simulation.network.partition(broker, process)
      }
    case .heal: path.simulation.network.healAll()
    case .jumpClock: path.simulation.jumpWallClock(by: .seconds(Int64(draw(-100...100))))
    case .killJobInBatch: atNextBatch { [self] in killJob() }
    case .killBrokerInBatch: atNextBatch { [self] in path.killBroker() }
    }
  }

  private func atNextBatch(_ strike: @escaping () -> Void) {
    guard let job else { return }
    let delay = Duration.microseconds(Int64(draw(0...3000)))
    let simulation = path.simulation
    job.listener.onNextBatch.value = { simulation.after(delay, strike) }
  }

  // MARK: Processes

  private func startBroker() {
    guard !path.isBrokerUp else { return }
    // A write fault that strikes the recovery makes the start fail; it is tried again.
    do { try path.startBroker() } catch { path.simulation.note("broker start failed: \(error)") }
  }

  private func startLoader() {
    guard loader?.process.isAlive != true else { return }
    let fresh = Loader(path.simulation, epoch: loaders.count)
    loader = fresh
    loaders.append(fresh)
  }

  private func killJob() {
    job?.process.kill()
    job = nil
  }

  private func startJob() {
    guard job == nil else { return }
    do {
      let settings = rate.map { ["sluice.kafka.maxRatePerPartition": $0] } ?? [:]
      let way = way
      let fresh = try PathJob(
        path, interval: .milliseconds(200), settings: settings, checkpoint: "/state/job", mode: mode, disk: jobDisk
      ) { context in
        let stream = context.topicStream("in")
        switch way {
        case 1:
          stream.map { ($0.value, 1) }.reduceByKey { $0 + $1 }
            .saveToTopic("out") { ProducerRecord(key: $0.0, value: $0.0) }
        case 2:
          stream.saveAsTextFiles("/out/records") { record, line in line.append(record.value) }
          stream.saveToTopic("out") { ProducerRecord(key: $0.value, value: $0.value) }
        default: stream.saveToTopic("out") { ProducerRecord(key: $0.value, value: $0.value) }
        }
      }
      jobs.append(fresh)
      job = fresh
      try fresh.start()
    } catch {
      problems.append("a job could not start: \(error)")
    }
  }

  /// A supervisor: a job that ended with an error is started again.
  private func reviveJob() {
    if job == nil, draw(0...4) == 0 { startJob() }
    if faultsAreOn, draw(0...9) == 0 { startBroker() }
    guard let current = job, current.hasEnded else { return }
    // A write that failed before may end the job only now: it waited for its offsets.
    let isLate = current.end[0].hasPrefix("the commit log cannot be written")
    if !faultsAreOn, !isLate { problems.append("the job ended without a fault: \(current.end[0])") }
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
    job?.listener.onNextBatch.value = nil
    try simulation.run(for: .milliseconds(4))
    // A torn write that has not struck does so now.
    var rounds = 0
    while path.brokerDisk.pendingFaults + jobDisk.pendingFaults > 0, rounds < 300 {
      startBroker()
      startLoader()
      send(2)
      try simulation.run(for: .milliseconds(100))
      reviveJob()
      rounds += 1
    }
    try simulation.run(for: .seconds(1))
    reviveJob()
    faultsAreOn = false
    statistics.cuts = simulation.network.connectionsCut
    simulation.network.conditions = NetworkConditions()
    simulation.network.healAll()
    path.killBroker()
    startBroker()
    startLoader()
    if job?.hasEnded == true {
      job?.process.kill()
      job = nil
    }
    startJob()
    // What was delayed or doubled has arrived after this.
    try simulation.run(for: .seconds(4))
    for partition in 0..<FaultyPath.partitions {
      loader?.send(number: nextNumber, partition: partition)
      nextNumber += 1
    }
    guard let loader else { return }
    try wait("the load is acknowledged") { loader.outstanding == 0 || !loader.failures.isEmpty }
    for loader in loaders { problems += loader.failures }
    guard problems.isEmpty else { return }
    let ends = try path.ends("in")
    try wait("the input is in the output") { [self] in
      reviveJob()
      return !problems.isEmpty || reached(ends)
    }
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
      guard path.simulation.now < limit else {
        problems.append("stuck: \(what) does not come")
        throw Stuck(what: what)
      }
      try path.simulation.run(for: .milliseconds(50))
    }
  }

  private struct Stuck: Error { var what: String }

  private func check() throws {
    let input = try path.readAll("in")
    let output = try path.readAll("out")
    checkInput(input)
    statistics.records = input.count
    statistics.copies = output.count
    statistics.runs = jobs.count
    let present = Set(input.map { $0.value! })
    let copied = Set(output.map { $0.value! })
    let missing = present.subtracting(copied)
    if !missing.isEmpty {
      problems.append("\(missing.count) records are missing in the output: \(missing.sorted().prefix(3))")
    }
    let invented = copied.subtracting(present)
    if !invented.isEmpty { problems.append("records that the input lacks: \(invented.sorted().prefix(3))") }
    if way == 2 { try checkFiles(present) }
    checkTiling()
    let ends = try path.ends("in")
    let committed = try path.committed("in")
    if committed != ends { problems.append("the group stands at \(committed), the input ends at \(ends)") }
  }

  private func checkInput(_ input: [Row]) {
    var counts: [String: Int] = [:]
    var last: [Int: (partition: Int, number: Int)] = [:]
    for row in input {
      let value = row.value!
      counts[value, default: 0] += 1
      let parts = value.split(separator: "-").compactMap { Int($0) }
      guard parts.count == 2, loaders.indices.contains(parts[0]), loaders[parts[0]].sent.contains(parts[1]) else {
        problems.append("the input holds \(value), which was never sent")
        continue
      }
      if let before = last[parts[0]], before.partition == row.partition, before.number >= parts[1] {
        problems.append("partition \(row.partition) holds \(value) behind \(before.number)")
      }
      last[parts[0]] = (row.partition, parts[1])
    }
    for (value, count) in counts.sorted(by: { $0.key < $1.key }) where count > 1 {
      problems.append("\(value) is \(count) times in the input")
    }
    for loader in loaders {
      for number in loader.acknowledged where counts["\(loader.epoch)-\(number)"] == nil {
        problems.append("\(loader.epoch)-\(number) was acknowledged and is not in the input")
      }
    }
  }

  private func checkFiles(_ present: Set<String>) throws {
    let files = path.simulation.makeProcess(named: "auditor", on: jobDisk).world.files
    var saved: Set<String> = []
    for folder in try files.list("/out") where folder.hasPrefix("records-") {
      let names = try files.list("/out/\(folder)")
      guard names.contains("_SUCCESS") else { continue }
      for name in names where name != "_SUCCESS" {
        let text = String(try files.contents(of: "/out/\(folder)/\(name)"))
        if !text.hasSuffix("\n") { problems.append("\(folder)/\(name) ends in the middle of a line") }
        saved.formUnion(text.split(separator: "\n").map(String.init))
      }
    }
    let missing = present.subtracting(saved)
    if !missing.isEmpty {
      problems.append("\(missing.count) records are missing in the files: \(missing.sorted().prefix(3))")
    }
    let invented = saved.subtracting(present)
    if !invented.isEmpty { problems.append("files hold what the input lacks: \(invented.sorted().prefix(3))") }
    if try files.list("/out").contains("_temporary-records") { problems.append("the attempts' folder was left") }
  }

  private func checkTiling() {
    var reached: [TopicPartition: Offset] = [:]
    var lastNumber: BatchNumber = 0
    for job in jobs {
      problems += job.flawsInTiling()
      for (index, batch) in job.batches.enumerated() {
        if batch.number < lastNumber { problems.append("batch \(batch.number) comes after \(lastNumber)") }
        lastNumber = batch.number
        for range in batch.inputs.flatMap(\.plan.ranges) {
          if index == 0, range.from > reached[range.topicPartition] ?? 0 {
            problems.append(
              "a run begins with \(range) although only \(reached[range.topicPartition] ?? 0) was reached")
          }
          reached[range.topicPartition] = max(reached[range.topicPartition] ?? 0, range.until)
        }
      }
    }
  }
}
