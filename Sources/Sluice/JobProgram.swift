import Datasets
import Groundwork
import JobScheduling
import KafkaStreaming
import LinuxSystem
import Monitoring
import Streaming
import Synchronization
import SystemInterfaces

/// A job's process: arguments, settings, seams, signals, exit code.
struct JobProgram: Sendable {
  private let spec: CommandSpec
  private let name: String
  private let defaults: [String: String]
  private let settings: [String: String]
  private let define: @Sendable (StreamingContext, Options) throws -> Void

  init(
    _ spec: CommandSpec, name: String, defaults: [String: String], settings: [String: String],
    define: @escaping @Sendable (StreamingContext, Options) throws -> Void
  ) {
    self.spec = spec
    self.name = name
    self.defaults = defaults
    self.settings = settings
    self.define = define
  }

  func run() -> Never {
    do throws(any Error) {
      let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
      if options.isHelpAsked {
        TextOutput.standard.write(spec.helpText())
        exit(ExitCode.success)
      }
      exit(try run(options))
    } catch {
      JobProgram.complain(spec.name, error)
      exit(error is OptionError || error is ConfigurationError ? ExitCode.usage : ExitCode.failure)
    }
  }

  private func exit(_ code: Int32) -> Never {
    TextOutput.standard.flush()
    ThisProcess.exit(code)
  }

  static func complain(_ name: String, _ error: any Error) {
    TextOutput.error.write("\(name): \(error)\n")
  }

  private func run(_ options: Options) throws -> Int32 {
    var configuration = try SluiceConfiguration(options: options, files: LinuxFileStore())
    for (key, value) in defaults where configuration.origin(of: key) == nil {
      configuration.set(key, value, in: .file, origin: "the job's defaults")
    }
    for (key, value) in settings { configuration.set(key, value) }
    try configuration.check()
    for warning in configuration.warnings { TextOutput.error.write("\(spec.name): \(warning)\n") }

    let jobName = configuration.text("sluice.app.name") ?? name
    let state = try StateDirectory(environment: ThisProcess.environment)
    let live = LiveWorld.make(executors: try configuration.executorCount(cores: LiveWorld.processorCount))
    let life = JobLife(live, name: spec.name)
    // Before the lock is taken: a signal is never the end of a process that holds it.
    try life.watchSignals()
    let lock: any FileLock
    do {
      lock = try JobLock.take(jobName, as: .job, pid: ThisProcess.pid, in: state, files: live.world.files)
    } catch {
      guard case .locked(let holder) = error.code else { throw error }
      throw JobAlreadyRuns(name: jobName, holder: holder)
    }
    defer { lock.unlock() }

    let (configured, define) = (configuration, define)
    return try life.run {
      let context = try makeContext(live.world, life, configured, jobName, state)
      try define(context, options)
      return context
    }
  }

  private func makeContext(
    _ world: World, _ life: JobLife, _ configuration: SluiceConfiguration, _ jobName: String, _ state: StateDirectory
  ) throws -> StreamingContext {
    let programName = spec.name
    let given = Dictionary(uniqueKeysWithValues: configuration.given.map { ($0.key, $0.value) })
    let scheduler = DAGScheduler(
      loop: life.loop, runner: world.runner, attemptsMax: try configuration.int("sluice.task.maxFailures") ?? 4,
      settings: try SchedulerSettings(given))
    let parallelism = try configuration.int("sluice.default.parallelism") ?? world.runner.executorCount
    var settings = given
    settings["sluice.broker.data"] = configuration.text("sluice.broker.data") ?? state.broker
    let folder = try SpillFolder(
      world.files, in: configuration.text("sluice.local.dir") ?? state.local, owner: "\(ThisProcess.pid)")
    let blocks = BlockStore(
      memory: try configuration.bytes("sluice.executor.memory") ?? 1 << 30,
      storageFraction: try configuration.double("sluice.memory.storageFraction") ?? 0.5,
      executors: world.runner.executorCount, space: folder
    ) { TextOutput.error.write("\(programName): \($0)\n") }
    let sluice = SluiceContext(runner: scheduler, defaultParallelism: max(1, parallelism), blocks: blocks)
    sluice.attach(ExternalCommands(atOnceMax: world.runner.executorCount))
    let context = try StreamingContext(
      sluice: sluice,
      batchInterval: try configuration.duration("sluice.streaming.batchInterval") ?? .seconds(1),
      environment: StreamingEnvironment(
        world: world, loop: life.loop, scheduler: scheduler, jobName: jobName, processID: ThisProcess.pid,
        checkpointDirectory: checkpointDirectory(configuration) { state.checkpoint(of: jobName) },
        availableNow: try configuration.bool("sluice.streaming.availableNow"), settings: settings,
        print: { TextOutput.standard.write($0) },
        log: { TextOutput.error.write("\(programName): \($0)\n") }))
    if configuration.text("sluice.kafka.bootstrapServers") == nil {
      let data = settings["sluice.broker.data"]!
      context.attach(
        KafkaCluster(
          bootstrap: { [try life.embeddedBroker(data)] },
          durability: { "the embedded broker's records survive the death of the process, not a power loss" }))
    }
    context.atStop { folder.remove() }
    try serveMetrics(of: context, configuration)
    return context
  }

  /// The folder for what a restart needs; nil where the job is to keep nothing.
  private func checkpointDirectory(_ configuration: SluiceConfiguration, usual: () -> String) -> String? {
    let text = configuration.text("sluice.streaming.checkpoint")
    return text == "none" ? nil : text ?? usual()
  }

  /// The page for Prometheus, where a port is set.
  private func serveMetrics(of context: StreamingContext, _ configuration: SluiceConfiguration) throws {
    guard let wanted = try configuration.int("sluice.metrics.port") else { return }
    guard let port = UInt16(exactly: wanted) else {
      throw StreamingError.invalidDefinition("sluice.metrics.port: \(wanted) is no port: choose 0 to 65535")
    }
    let metrics = StreamingMetrics(jobName: context.environment.jobName, interval: context.batchInterval)
    let address = configuration.text("sluice.metrics.address") ?? "127.0.0.1"
    let server = try HTTPServer(address: address, port: port) { path in path == "/metrics" ? metrics.page : nil }
    context.addStreamingListener(metrics)
    metrics.follow(context)
    context.atStop { server.stop() }
    context.environment.log("metrics on http://\(address):\(server.port)/metrics")
  }
}

/// A second job of one name.
struct JobAlreadyRuns: DiagnosableError {
  var name: String
  var holder: String
  var fault: Fault { .user }
  var isRetriable: Bool { true }
  var leavesUsable: Bool { true }
  var description: String {
    "a job named \(name) runs already (\(holder)): stop it first, or give this one another --name"
  }
}

/// The broker in the job's process cannot write any more.
struct EmbeddedBrokerFailed: DiagnosableError {
  var reason: any DiagnosableError
  var fault: Fault { reason.fault }
  var isRetriable: Bool { reason.isRetriable }
  var leavesUsable: Bool { false }
  var description: String { "the job ends because its embedded broker cannot write: \(reason)" }
}

/// The driver's loop, the embedded broker and the signals of one job process.
///
/// Sendable: what changes is guarded; the rest is constant.
final class JobLife: Sendable {
  let loop: EpollLoop
  private let live: LiveWorld
  /// For messages.
  private let name: String
  private let broker = Mutex<EmbeddedBroker?>(nil)
  private let interruption = Mutex<Signal?>(nil)
  private let context = Mutex<StreamingContext?>(nil)
  private let watcher = Mutex<SignalWatcher?>(nil)
  private let outcome = Mutex<Result<Int32, any Error>>(.success(ExitCode.failure))

  init(_ live: LiveWorld, name: String) {
    self.live = live
    self.name = name
    loop = EpollLoop(named: "driver")
  }

  /// The address of the broker that serves a data folder: another process's, or one that begins here and ends with the
  /// job. On the driver's loop.
  func embeddedBroker(_ dataDirectory: String) throws -> Address {
    let name = name
    let last = Mutex("")
    let found = try EmbeddedBroker.findOrStart(
      live.world, on: loop, dataDirectory: dataDirectory, processID: ThisProcess.pid
    ) {
      // A producer that tries again while the disk is full would have it said once a second.
      $0.log = { line in
        let isNews = last.withLock { last in
          defer { last = line.text }
          return last != line.text
        }
        guard line.level == .warning, isNews else { return }
        TextOutput.error.write("\(name): the embedded broker: \(line.text)\n")
      }
      $0.storageFailed = { [self] error in context.withLock { $0 }?.fail(EmbeddedBrokerFailed(reason: error)) }
    }
    if let owned = found.owned { broker.withLock { $0 = owned } }
    return found.address
  }

  /// Defines the job and runs it, both on the driver's loop; waits until it has ended.
  /// - Returns: the exit code.
  func run(_ makeContext: @escaping @Sendable () throws -> StreamingContext) throws -> Int32 {
    loop.post { [self] in
      do {
        let context = try makeContext()
        self.context.withLock { $0 = context }
        try context.start { [self] error in
          watcher.withLock { $0?.stop() }
          if let error { JobProgram.complain(name, error) }
          let signal = interruption.withLock { $0 }
          let code = error != nil ? ExitCode.failure : signal.map { ExitCode.signal($0.rawValue) } ?? ExitCode.success
          endListening(context, then: .success(code))
        }
        // A signal that came before there was anything to stop.
        if interruption.withLock({ $0 }) != nil { context.stop() }
      } catch {
        end(.failure(error))
      }
    }
    loop.waitUntilEnded()
    live.stop()
    return try outcome.withLock { $0 }.get()
  }

  /// From now on the first signal stops after the batch that runs, the second at once; before there is a job to stop, the
  /// first waits for it.
  func watchSignals() throws(ProcessError) {
    let made = try SignalWatcher([.interrupt, .terminate], on: loop) { [self] signal in
      let isSecond = interruption.withLock { first in
        defer { first = first ?? signal }
        return first != nil
      }
      if isSecond { ThisProcess.exit(ExitCode.signal(signal.rawValue)) }
      TextOutput.error.write("\(name): stopping after the batch that runs; once more stops at once\n")
      context.withLock { $0 }?.stop()
    }
    watcher.withLock { $0 = made }
  }

  /// Lets the listeners of the scheduler hear of everything before the process ends. On the driver's loop.
  private func endListening(_ context: StreamingContext, then result: Result<Int32, any Error>) {
    let key = "sluice.scheduler.listenerbus.exitTimeout"
    let limit = context.setting(key).flatMap { Duration(text: $0) } ?? .seconds(10)
    context.environment.scheduler.stop(within: limit) { [self] undelivered in
      if undelivered > 0 {
        TextOutput.error.write(
          "\(name): \(undelivered) events did not reach their listeners within \(limit.text) (\(key)): they take too "
            + "long\n")
      }
      end(result)
    }
  }

  /// On the driver's loop.
  private func end(_ result: Result<Int32, any Error>) {
    outcome.withLock { $0 = result }
    broker.withLock { $0.take() }?.stop(waitingOn: loop)
    loop.stop()
  }
}
