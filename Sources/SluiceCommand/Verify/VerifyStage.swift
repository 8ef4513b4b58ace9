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
  private var job: (process: ChildProcess, exit: Slot<ChildProcess.Exit>)?
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
    try startBroker()
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

  // MARK: The broker

  /// Starts it on a port of its own choice, which stays the same over its deaths.
  private func startBroker() throws {
    for _ in 0..<20 {
      // Below the ports that the system hands out: no client's connection, not even one that tries to come back, may have
      // taken it when the broker starts again.
      let port = 20_000 + Int(process.world.randomness.next() % 12_000)
      if try startBroker(at: "127.0.0.1:\(port)") { return }
    }
    throw CommandError("the broker in \(folder) did not start: see \(folder)/broker.log")
  }

  /// - Returns: whether it serves.
  private func startBroker(at address: String) throws -> Bool {
    let child = try ChildProcess(
      ThisProcess.executablePath ?? "sluice", ["broker", "--listen", address, "--data", "\(folder)/broker"],
      environment: environment, output: .pipe, error: .file("\(folder)/broker.log", appending: true))
    guard let line = child.nextLine(), line.contains(" at \(address),") else {
      child.send(.kill)
      child.wait()
      return false
    }
    broker = child
    self.address = address
    return true
  }

  /// Kills the broker and starts it again where it was.
  func killBroker() throws {
    broker?.send(.kill)
    broker?.wait()
    broker = nil
    guard try startBroker(at: address) else {
      throw CommandError("the broker in \(folder) did not start again after a kill: see \(folder)/broker.log")
    }
  }

  // MARK: The job

  var isJobRunning: Bool { job != nil }

  func startJob(isLast: Bool = false) throws {
    var arguments = [
      "--bootstrap-server", address, "--checkpoint", "\(folder)/checkpoint", "--name", "verify", "--batch-interval",
      plan.interval.text,
    ]
    if isLast { arguments.append("--available-now") }
    let child = try ChildProcess(
      plan.program, arguments + plan.arguments, environment: environment, directory: work,
      output: .file(log, appending: true), error: .file(log, appending: true))
    let exit = Slot<ChildProcess.Exit>()
    child.onExit(process.loop) { exit.value = $0 }
    job = (child, exit)
  }

  /// Waits until the job has ended, or the time is up.
  /// - Returns: how it ended; nil where it still runs.
  func exitOfJob(within time: Duration) throws -> ChildProcess.Exit? {
    guard let job else { return nil }
    try process.pump(atMost: time) { job.exit.value != nil }
    return job.exit.value
  }

  func killJob() {
    job?.process.send(.kill)
    job?.process.wait()
    job = nil
  }

  /// Gives the job all its input at once, and lets it come to its end.
  func runWhole(_ lines: [Bytes]) throws {
    let feed = try VerifyFeed(lines, plan.inputs, plan.partitions, try connection)
    feed.send(through: lines.count)
    try feed.finish(process)
    try runToEnd()
  }

  func runToEnd() throws {
    try startJob(isLast: true)
    guard let exit = try exitOfJob(within: .seconds(600)) else {
      throw CommandError("the job did not come to its end within ten minutes \(lastWords())")
    }
    guard exit == .code(0) else { throw CommandError("the job ended with \(exit) \(lastWords())") }
    job = nil
  }

  /// Changes with each batch that the job commits.
  var committedBytes: Int64 {
    let files = process.world.files
    let names = (try? files.list("\(folder)/checkpoint/commits")) ?? []
    return names.reduce(0) { $0 + ((try? files.attributes("\(folder)/checkpoint/commits/\($1)"))?.size ?? 0) }
  }

  /// What the job said last, for an error.
  func lastWords() -> String {
    let text = (try? process.world.files.contents(of: log)).map { String($0) } ?? ""
    let lines = text.split(separator: "\n").suffix(5).joined(separator: "\n  ")
    return "(its output is in \(log)):\n  \(lines)"
  }

  func end() {
    killJob()
    broker?.send(.kill)
    broker?.wait()
    client?.close()
    (broker, client) = (nil, nil)
  }
}

/// Records on their way into the input topics: line n goes to topic and partition n modulo their number, so that two runs
/// get the same.
final class VerifyFeed {
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

  /// Waits until all that was sent is acknowledged.
  func finish(_ process: CommandProcess) throws {
    let isDone = Slot<Bool>()
    producer.flush { _ in isDone.value = true }
    try process.pump { isDone.value != nil }
    producer.close()
    if let error = failure.value { throw error }
  }
}
