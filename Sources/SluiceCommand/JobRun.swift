import Groundwork
import LinuxSystem
import Sluice
import SystemInterfaces

/// Runs a job's executable under its name's lock, and does what `JobKeeper` decides. Confined to the command's loop.
final class JobRun: @unchecked Sendable {
  private let program: String
  private let arguments: [String]
  private let process: CommandProcess
  private var keeper: JobKeeper
  private var child: ChildProcess?
  private let hasTerminal = TextOutput(0).isTerminal
  private var exitCode: Int32?
  private var failure: ProcessError?

  private init(
    _ program: String, _ arguments: [String], name: String, policy: Supervisor.Policy?, _ process: CommandProcess
  ) {
    self.program = program
    self.arguments = arguments
    self.process = process
    keeper = JobKeeper(name, policy: policy, now: process.loop.now)
  }

  /// Runs the job to its end.
  /// - Parameters:
  ///   - program: the path of its executable.
  ///   - name: nil: what the settings say, else the executable's name.
  ///   - own: arguments before the settings; `rest` follows them.
  /// - Returns: the job's exit code.
  static func run(
    _ program: String, name: String? = nil, own: [String] = [], _ options: Options, _ process: CommandProcess
  ) throws -> Int32 {
    let files = process.world.files
    let settings = try SluiceConfiguration(options: options, files: files)
    try settings.check()
    let name = settings.text("sluice.app.name") ?? name ?? String(program.split(separator: "/").last ?? "job")
    let policy = try policy(options)
    let lock = try lock(name, process)
    defer { lock.unlock() }
    let arguments = own + options.arguments(only: JobOptions.names) + options.rest
    let run = JobRun(program, arguments, name: name, policy: policy, process)
    process.onSignal = { signal in run.perform(run.keeper.signalled(signal.rawValue)) }
    defer { process.onSignal = nil }
    run.perform(run.keeper.begin(now: process.loop.now))
    try process.pump { run.exitCode != nil || run.failure != nil }
    if let failure = run.failure { throw CommandError(failure.description, exitCode: ExitCode.usage) }
    return run.exitCode ?? ExitCode.failure
  }

  private static func policy(_ options: Options) throws -> Supervisor.Policy? {
    guard try options.flag("supervise") else { return nil }
    var policy = Supervisor.Policy()
    policy.crashLimit = try options.int("crash-limit") ?? policy.crashLimit
    policy.crashWindow = try options.duration("crash-window") ?? policy.crashWindow
    policy.firstPause = try options.duration("restart-pause") ?? policy.firstPause
    policy.longestPause = max(policy.firstPause, try options.duration("restart-pause-max") ?? policy.longestPause)
    return policy
  }

  /// The lock of the name, over all restarts; throws where another live job has it.
  private static func lock(_ name: String, _ process: CommandProcess) throws -> any FileLock {
    let state = try StateDirectory(environment: process.environment)
    let files = process.world.files
    let holder: String
    do throws(FileError) {
      let lock = try JobLock.take(name, as: .submit, pid: process.pid, in: state, files: files)
      // The job takes its own lock; one whose `submit` was killed may still live and hold it.
      guard let job = try JobLock.current(name, .job, in: state, files: files) else { return lock }
      holder = job
    } catch {
      guard case .locked(let other) = error.code else { throw error }
      holder = other
    }
    let pid = JobLock.pid(inHolder: holder).map { "pid \($0)" } ?? holder
    throw CommandError(
      "a job named \(name) is running (\(pid)): stop that one first, or give this one another name with --name")
  }

  private func perform(_ actions: [JobKeeper.Action]) {
    for action in actions {
      switch action {
      case .start: start()
      case .forward(let number):
        // Ctrl-C goes from the terminal to the job as well as to us; once is enough.
        guard let signal = Signal(rawValue: number), signal != .interrupt || !hasTerminal else { break }
        child?.send(signal)
      case .wait(let pause):
        process.loop.after(pause) { [self] in perform(keeper.pauseOver(now: process.loop.now)) }
      case .report(let line): process.report(line)
      case .finish(let code): exitCode = code
      }
    }
  }

  private func start() {
    do throws(ProcessError) {
      let child = try ChildProcess(program, arguments, input: .inherit)
      self.child = child
      child.onExit(process.loop) { [self] exit in
        let end: JobEnd =
          switch exit {
          case .code(let code): .exited(code)
          case .signal(let signal): .signalled(signal)
          }
        self.child = nil
        perform(keeper.ended(end, now: process.loop.now, unit: process.world.randomness.unit()))
      }
    } catch { failure = error }
  }
}
