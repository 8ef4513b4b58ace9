import Groundwork
import LinuxSystem
import Sluice
import SystemInterfaces

/// What a command sees of the world: the seams, its output, its signals.
///
/// A command is plain sequential code on one loop; where it needs an answer it handles the loop's other work until the
/// answer is there (`wait`). So timers, sockets and signals go on while it waits.
///
/// Sendable: `interruption` and `onSignal` are touched on the loop only; the rest does not change.
final class CommandProcess: @unchecked Sendable {
  let live: LiveWorld
  let loop: EpollLoop
  let output = TextOutput.standard
  let error = TextOutput.error
  private var watcher: SignalWatcher?
  /// The signal that asked for the end and that nobody has taken.
  private var interruption: Signal?
  /// Takes signals while it is set; without it they end the command.
  var onSignal: ((Signal) -> Void)?

  private init() {
    live = LiveWorld.make(executors: 1)
    loop = EpollLoop(named: "command")
  }

  /// Runs a command line to its end and ends the process with its exit code.
  static func run(
    _ arguments: [String], _ body: @escaping @Sendable ([String], CommandProcess) throws -> Int32
  ) -> Never {
    let process = CommandProcess()
    process.loop.post {
      let code = process.code(of: body, arguments)
      process.end(code)
    }
    process.loop.waitUntilEnded()
    ThisProcess.exit(ExitCode.failure)
  }

  private func code(of body: ([String], CommandProcess) throws -> Int32, _ arguments: [String]) -> Int32 {
    do {
      watcher = try SignalWatcher(on: loop) { [weak self] in self?.signalled($0) }
      return try body(arguments, self)
    } catch let interrupted as Interrupted {
      return ExitCode.signal(interrupted.signal.rawValue)
    } catch let wrong as OptionError {
      report(wrong.description)
      return wrong.fault == .user ? ExitCode.usage : ExitCode.failure
    } catch let wrong as ConfigurationError {
      report(wrong.description)
      return ExitCode.usage
    } catch let wrong as ConsoleRecordError {
      report(wrong.description)
      if case .noSeparator = wrong.code { return ExitCode.failure }
      return ExitCode.usage
    } catch let wrong as CommandError {
      report(wrong.description)
      return wrong.exitCode
    } catch {
      report("\(error)")
      return ExitCode.failure
    }
  }

  private func end(_ code: Int32) -> Never {
    output.flush()
    if let failure = output.failure, code == ExitCode.success {
      report("standard output: \(failure.description)")
      ThisProcess.exit(ExitCode.failure)
    }
    ThisProcess.exit(code)
  }

  // MARK: The world

  var world: World { live.world }
  var pid: Int32 { ThisProcess.pid }
  func environment(_ name: String) -> String? { ThisProcess.environment(name) }

  /// Where help breaks its lines.
  var columns: Int { min(max(output.width ?? 100, 60), 120) }

  /// The folder of this program, where jobs are looked for.
  var programFolder: String {
    let path = ThisProcess.executablePath ?? "./sluice"
    return String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex))
  }

  // MARK: Output

  func show(_ text: String) { output.write(text) }
  func showError(_ text: String) { error.write(text) }

  /// One line on standard error.
  func report(_ line: String) {
    output.flush()
    error.write("sluice: \(line)\n")
  }

  /// How progress is shown: on a terminal a bar, elsewhere a line every five seconds.
  var progressStyle: ProgressMeter.Style {
    error.isTerminal ? .bar(columns: error.width ?? 80) : .lines(every: .seconds(5))
  }

  // MARK: Waiting

  /// Handles the loop's work until `isDone`; throws `Interrupted` where a signal comes first that nobody takes.
  func pump(until isDone: () -> Bool) throws {
    loop.pump { isDone() || interruption != nil }
    if let signal = interruption, !isDone() { throw Interrupted(signal: signal) }
  }

  /// As `pump(until:)`, for at most so long.
  /// - Returns: whether it is done.
  @discardableResult
  func pump(atMost time: Duration, until isDone: () -> Bool) throws -> Bool {
    let isOver = Slot<Void>()
    let timer = loop.after(time) { isOver.value = () }
    defer { loop.cancel(timer) }
    try pump { isDone() || isOver.value != nil }
    return isDone()
  }

  /// Starts something and waits for its result.
  func wait<Value: Sendable, Failure: Error>(
    _ start: (@escaping @Sendable (Result<Value, Failure>) -> Void) -> Void
  ) throws -> Value {
    let slot = Slot<Result<Value, Failure>>()
    start { slot.value = $0 }
    try pump { slot.value != nil }
    // `pump` has returned without an error, so the slot is filled; the loop's own end is the other way out.
    guard let result = slot.value else { throw Interrupted(signal: .terminate) }
    return try result.get()
  }

  private func signalled(_ signal: Signal) {
    if let onSignal { return onSignal(signal) }
    // Somebody who asks twice does not want to wait for a clean end.
    if interruption != nil { ThisProcess.exit(ExitCode.signal(signal.rawValue)) }
    interruption = signal
  }
}

/// A value that a completion leaves for the code that waits; both run on the command's loop.
final class Slot<Value>: @unchecked Sendable {
  var value: Value?
}

/// A signal asked for the end.
struct Interrupted: Error {
  var signal: Signal
}

/// An error of a command's own; the text is the line shown.
struct CommandError: Error, CustomStringConvertible {
  var description: String
  var exitCode: Int32
  init(_ description: String, exitCode: Int32 = ExitCode.failure) {
    self.description = description
    self.exitCode = exitCode
  }
}
