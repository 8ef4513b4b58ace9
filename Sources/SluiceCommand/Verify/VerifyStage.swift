import Groundwork
import KafkaClients
import KafkaProtocol
import LinuxSystem
import Sluice
import SystemInterfaces

/// Where `sluice verify` runs a job twice: a folder with two places, each with a broker, a checkpoint, a working folder and
/// a state folder of its own.
final class VerifyStage {
  let folder: String
  let reference: VerifyPlace
  let disturbed: VerifyPlace
  var keepsFolder: Bool
  private let process: CommandProcess

  init(_ plan: VerifyPlan, _ process: CommandProcess) throws {
    self.process = process
    let files = process.world.files
    folder = plan.folder ?? "\(process.environment("TMPDIR") ?? "/tmp")/sluice-verify-\(process.pid)"
    keepsFolder = plan.folder != nil
    if try files.attributes(folder) != nil, try !files.list(folder).isEmpty {
      throw CommandError(
        "--work \(folder) is not empty: name a folder that is, or is not there", exitCode: ExitCode.usage)
    }
    reference = try VerifyPlace("\(folder)/undisturbed", plan, process)
    disturbed = try VerifyPlace("\(folder)/killed", plan, process)
  }

  /// Ends what still runs, and removes the folder unless it is to be looked at.
  func end() {
    reference.end()
    disturbed.end()
    if !keepsFolder { try? process.world.files.removeTree(folder) }
  }
}

/// One of the two runs.
///
/// Sendable: confined to the command's loop.
final class VerifyPlace: @unchecked Sendable {
  let folder: String
  private let plan: VerifyPlan
  private let process: CommandProcess
  private var broker: ChildProcess?
  private var job: ChildProcess?
  private(set) var address = ""
  private var client: KafkaClient?

  /// The job's working folder.
  var work: String { "\(folder)/work" }
  private var log: String { "\(folder)/job.log" }

  init(_ folder: String, _ plan: VerifyPlan, _ process: CommandProcess) throws {
    self.folder = folder
    self.plan = plan
    self.process = process
    try process.world.files.createDirectories(work)
    try startBroker(listen: "127.0.0.1:0")
    let client = KafkaClient(
      world: process.world, loop: process.loop,
      configuration: ClientConfiguration(
        bootstrap: [Address(text: address)].compactMap { $0 }, clientID: "sluice-verify"))
    self.client = client
    let topics = plan.inputs.map { Admin.NewTopic($0, partitions: Int32(plan.partitions), replicationFactor: 1) }
    try process.wait { Admin(client).createTopics(topics, then: $0) }
  }

  var connection: KafkaClient {
    get throws {
      guard let client else { throw CommandError("the broker in \(folder) has ended") }
      return client
    }
  }

  private var environment: [String: String?] { ["XDG_STATE_HOME": "\(folder)/state"] }

  private func startBroker(listen: String) throws {
    let child = try ChildProcess(
      ThisProcess.executablePath ?? "sluice", ["broker", "--listen", listen, "--data", "\(folder)/broker"],
      environment: environment, output: .pipe, error: .file("\(folder)/broker.log", appending: true))
    broker = child
    guard let line = child.nextLine(), let at = line.firstRange(of: " at "), let comma = line.firstIndex(of: ",") else {
      throw CommandError("the broker in \(folder) did not start: see \(folder)/broker.log")
    }
    address = String(line[at.upperBound..<comma])
  }

  /// Kills the broker and starts it again where it was.
  private func killBroker() throws {
    broker?.send(.kill)
    broker?.wait()
    try startBroker(listen: address)
  }

  private func startJob(isLast: Bool) throws -> ChildProcess {
    var arguments = [
      "--bootstrap-server", address, "--checkpoint", "\(folder)/checkpoint", "--name", "verify", "--batch-interval",
      plan.interval.text,
    ]
    if isLast { arguments.append("--available-now") }
    let child = try ChildProcess(
      plan.program, arguments + plan.arguments, environment: environment, directory: work,
      output: .file(log, appending: true), error: .file(log, appending: true))
    job = child
    return child
  }

  /// Gives the job all its input at once, and lets it come to its end.
  func runWhole(_ lines: [Bytes]) throws {
    let feed = try VerifyFeed(lines, plan.inputs, plan.partitions, try connection)
    feed.send(through: lines.count)
    try feed.finish(process)
    try runToEnd()
  }

  /// Kills the job over and over while its input comes, then lets it come to its end.
  /// - Returns: how often it was killed.
  func runKilled(_ lines: [Bytes], _ plan: VerifyPlan) throws -> Int {
    let feed = try VerifyFeed(lines, plan.inputs, plan.partitions, try connection)
    var random = SeededRandom(seed: plan.seed ^ 0x6B11)
    let start = process.loop.now
    var kills = 0
    var nextNews = start + .seconds(5)
    while process.loop.now - start < plan.time {
      let child = try startJob(isLast: false)
      // Between nothing and twice the mean.
      let pause = plan.killEvery * (2 * Double(random.next() >> 11) / Double(1 << 53))
      if let exit = try exit(of: child, within: pause) {
        throw CommandError("the job ended by itself (\(exit)) \(lastWords())")
      }
      child.send(.kill)
      child.wait()
      kills += 1
      if plan.killsBroker, kills % 5 == 0 { try killBroker() }
      let share = min(1, (process.loop.now - start) / plan.time)
      feed.send(through: Int(Double(lines.count) * share))
      if process.loop.now >= nextNews {
        process.report("\(feed.sent) of \(lines.count) records are in, \(kills) kills")
        nextNews = nextNews + .seconds(5)
      }
    }
    feed.send(through: lines.count)
    try feed.finish(process)
    try runToEnd()
    return kills
  }

  private func runToEnd() throws {
    let child = try startJob(isLast: true)
    guard let exit = try exit(of: child, within: .seconds(600)) else {
      throw CommandError("the job did not come to its end within ten minutes \(lastWords())")
    }
    guard exit == .code(0) else { throw CommandError("the job ended with \(exit) \(lastWords())") }
    job = nil
  }

  /// How it ended; nil where it still runs after so long.
  private func exit(of child: ChildProcess, within time: Duration) throws -> ChildProcess.Exit? {
    let exit = Slot<ChildProcess.Exit>()
    child.onExit(process.loop) { exit.value = $0 }
    try process.pump(atMost: time) { exit.value != nil }
    return exit.value
  }

  private func lastWords() -> String {
    let text = (try? process.world.files.contents(of: log)).map { String($0) } ?? ""
    let lines = text.split(separator: "\n").suffix(5).joined(separator: "\n  ")
    return "(its output is in \(log)):\n  \(lines)"
  }

  func end() {
    for child in [job, broker] { child?.send(.kill); child?.wait() }
    client?.close()
    (job, broker, client) = (nil, nil, nil)
  }
}

/// Records on their way into the input topics: line n goes to topic and partition n modulo their number, so that two runs
/// get the same.
private final class VerifyFeed {
  private let lines: [Bytes]
  private let topics: [String]
  private let partitions: Int
  private let producer: Producer
  private(set) var sent = 0
  private let failure = Slot<ClientError>()

  init(_ lines: [Bytes], _ topics: [String], _ partitions: Int, _ client: KafkaClient) throws {
    self.lines = lines
    self.topics = topics
    self.partitions = partitions
    var configuration = ProducerConfiguration()
    configuration.bufferMemory = .max
    configuration.linger = .milliseconds(2)
    producer = Producer(client, configuration: configuration) { [failure] delivery in
      if let error = delivery.error, failure.value == nil { failure.value = error }
    }
  }

  func send(through end: Int) {
    while sent < min(end, lines.count) {
      let topic = topics[sent % topics.count]
      let partition = PartitionIndex(Int32(sent / topics.count % partitions))
      do throws(ClientError) {
        try producer.send(topic: topic, partition: partition, key: nil, value: lines[sent])
      } catch {
        if failure.value == nil { failure.value = error }
      }
      sent += 1
    }
  }

  func finish(_ process: CommandProcess) throws {
    let isDone = Slot<Bool>()
    producer.flush { _ in isDone.value = true }
    try process.pump { isDone.value != nil }
    producer.close()
    if let error = failure.value { throw error }
  }
}
