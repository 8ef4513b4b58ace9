import CPrimitives
import Dispatch
import Glibc
import Groundwork
import SystemInterfaces

/// A program started by this one.
///
/// It starts with default signal handling and inherits three descriptors and nothing else. It lives on when the object
/// is released; whoever starts one should `wait` for it, so that the system can forget it.
public final class ChildProcess: Sendable {
  /// What one of the three standard streams is.
  public enum Stream: Sendable {
    /// The same as this process's.
    case inherit
    /// Nothing: reads end at once, writes vanish.
    case null
    /// A pipe to this process.
    case pipe
    /// A file; for output it is made, or emptied unless `appending`.
    case file(String, appending: Bool = false)
  }

  /// How a process ended.
  public enum Exit: Sendable, Equatable, CustomStringConvertible {
    /// It ended by itself, with this code; -1 where the system could not say how it ended.
    case code(Int32)
    /// A signal of this number ended it.
    case signal(Int32)
    /// As a shell gives it: the code, or 128 and the signal.
    public var shellCode: Int32 {
      switch self {
      case .code(let code): code
      case .signal(let signal): 128 + signal
      }
    }
    /// Whether it ended by itself with code 0.
    public var isSuccess: Bool { self == .code(0) }
    public var description: String {
      switch self {
      case .code(let code): "exit code \(code)"
      case .signal(let signal): "killed by signal \(signal)"
      }
    }
  }

  /// The process id. Until the end was asked for and found (`wait`, `exitNow`, `onExit`) it cannot be another
  /// process's.
  public let pid: Int32
  /// The program, as it was named.
  public let program: String
  /// Our ends of the pipes. Input and output have a lock each: one thread may feed the process while another waits for
  /// what it prints.
  private let input: Lock<Int32?>
  private let pipes: Lock<Pipes>
  private let exit = Lock<Exit?>(nil)

  private struct Pipes {
    var output: Int32?
    var error: Int32?
    /// What was read of the output behind the last line given.
    var unread: [UInt8] = []
  }

  /// Starts a program.
  /// - Parameters:
  ///   - program: a path, or a name that is looked up in PATH.
  ///   - arguments: without the program's own name.
  ///   - environment: variables set beside this process's own; nil as a value removes one.
  ///   - directory: its working folder; nil is this process's.
  public init(
    _ program: String, _ arguments: [String] = [], environment: [String: String?] = [:], directory: String? = nil,
    input: Stream = .null, output: Stream = .inherit, error: Stream = .inherit
  ) throws(ProcessError) {
    self.program = program
    var opened: [Int32] = []
    defer { for fd in opened { System.close(fd) } }
    var ours = Pipes()
    var ourInput: Int32?
    func prepare(_ stream: Stream, _ standard: Int32, _ keep: (Int32) -> Void) throws(Errno) -> Int32 {
      switch stream {
      case .inherit: return standard
      case .null:
        let fd = Int32(try System.call { open("/dev/null", O_RDWR | O_CLOEXEC) })
        opened.append(fd)
        return fd
      case .file(let path, let appending):
        let flags = standard == 0 ? O_RDONLY : O_WRONLY | O_CREAT | (appending ? O_APPEND : O_TRUNC)
        let fd = Int32(try System.call { open(path, flags | O_CLOEXEC, 0o644) })
        opened.append(fd)
        return fd
      case .pipe:
        let (reading, writing) = try System.pipe()
        opened.append(standard == 0 ? reading : writing)
        keep(standard == 0 ? writing : reading)
        return standard == 0 ? reading : writing
      }
    }
    var started: Int32 = 0
    do throws(Errno) {
      let theirInput = try prepare(input, 0) { ourInput = $0 }
      let theirOutput = try prepare(output, 1) { ours.output = $0 }
      let theirError = try prepare(error, 2) { ours.error = $0 }
      let failure = Self.withCStrings([program] + arguments) { argv in
        Self.withCStrings(ThisProcess.environment(changedBy: environment)) { envp in
          sluice_spawn(&started, program, argv, envp, directory, theirInput, theirOutput, theirError)
        }
      }
      if failure != 0 { throw Errno(failure) }
    } catch {
      for fd in [ourInput, ours.output, ours.error] { if let fd { System.close(fd) } }
      throw ProcessError(error, program)
    }
    pid = started
    pipes = Lock(ours)
    self.input = Lock(ourInput)
  }

  deinit {
    closeInput()
    pipes.withLock { pipes in
      for fd in [pipes.output, pipes.error] { if let fd { System.close(fd) } }
    }
  }

  private static func withCStrings<R>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return body(&pointers)
  }

  // MARK: The end

  /// Blocks until the process has ended.
  @discardableResult
  public func wait() -> Exit {
    // Waits without reaping, so that the process id stays ours until the lock is taken: `send` must not hit another.
    var info = siginfo_t()
    _ = try? System.call { waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) }
    return reap() ?? .code(-1)
  }

  /// How it ended; nil while it runs.
  public var exitNow: Exit? { reap() }

  private func reap() -> Exit? {
    exit.withLock { exit in
      if let exit { return exit }
      var status: Int32 = 0
      guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
      var value: Int32 = 0
      exit = sluice_wait_result(status, &value) == 2 ? .signal(value) : .code(value)
      return exit
    }
  }

  /// Calls `body` on the loop when the process has ended.
  public func onExit(_ loop: any Loop, _ body: @escaping @Sendable (Exit) -> Void) {
    DispatchQueue(label: "sluice.child.\(pid)").async {
      let exit = self.wait()
      loop.post { body(exit) }
    }
  }

  /// Sends a signal, where the process has not ended.
  public func send(_ signal: Signal) {
    exit.withLock { exit in
      if exit == nil { _ = Glibc.kill(pid, signal.rawValue) }
    }
  }

  // MARK: The streams

  /// Writes to the process's input (`.pipe`).
  /// - Returns: false where the process has closed it.
  @discardableResult
  public func write(_ bytes: Bytes) -> Bool {
    guard let fd = input.withLock({ $0 }) else { return false }
    do {
      try bytes.withUnsafeBytes { bytes throws(Errno) in try System.writeAll(fd, bytes) }
      return true
    } catch { return false }
  }

  /// The process reads the end of its input.
  public func closeInput() {
    input.withLock { input in
      if let fd = input { System.close(fd) }
      input = nil
    }
  }

  /// The next line of the output (`.pipe`), without its end; blocks for it. nil at the end.
  public func nextLine() -> String? {
    pipes.withLock { pipes in
      guard let fd = pipes.output else { return nil }
      while true {
        if let end = pipes.unread.firstIndex(of: 10) {
          let line = String(decoding: pipes.unread[..<end], as: UTF8.self)
          pipes.unread.removeSubrange(...end)
          return line
        }
        var piece = [UInt8](repeating: 0, count: 4096)
        guard let got = try? System.call({ read(fd, &piece, 4096) }), got > 0 else {
          defer { pipes.unread = [] }
          return pipes.unread.isEmpty ? nil : String(decoding: pipes.unread, as: UTF8.self)
        }
        pipes.unread += piece[..<got]
      }
    }
  }

  /// All that comes from the output and error pipes until both are closed; then the process has ended or will soon.
  public func readToEnd() -> (output: Bytes, error: Bytes) {
    pipes.withLock { pipes in
      var output = pipes.unread
      var error: [UInt8] = []
      pipes.unread = []
      var piece = [UInt8](repeating: 0, count: 65_536)
      var waiting = [pipes.output ?? -1, pipes.error ?? -1].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      while waiting.contains(where: { $0.fd >= 0 }) {
        guard (try? System.call { poll(&waiting, 2, -1) }) != nil else { break }
        for index in 0..<2 where waiting[index].fd >= 0 && waiting[index].revents != 0 {
          let got = (try? System.call { read(waiting[index].fd, &piece, piece.count) }) ?? 0
          if got == 0 {
            waiting[index].fd = -1
          } else if index == 0 {
            output += piece[..<got]
          } else {
            error += piece[..<got]
          }
        }
      }
      return (Bytes(output), Bytes(error))
    }
  }

  /// What a program printed and how it ended.
  public struct Outcome: Sendable {
    /// How it ended.
    public var exit: Exit
    /// All of its standard output, as UTF-8; bytes that are none are replaced.
    public var output: String
    /// All of its standard error, likewise.
    public var error: String
  }

  /// Runs a program to its end, with `input` as its input.
  public static func run(
    _ program: String, _ arguments: [String] = [], environment: [String: String?] = [:], directory: String? = nil,
    input: Bytes = Bytes()
  ) throws(ProcessError) -> Outcome {
    let child = try ChildProcess(
      program, arguments, environment: environment, directory: directory, input: input.isEmpty ? .null : .pipe,
      output: .pipe, error: .pipe)
    if !input.isEmpty {
      // Beside the reading: a program may print before it has read all.
      DispatchQueue(label: "sluice.child.input").async {
        child.write(input)
        child.closeInput()
      }
    }
    let (output, error) = child.readToEnd()
    return Outcome(exit: child.wait(), output: String(output), error: String(error))
  }

  /// Runs a program to its end, with `input` as its input, on a thread of its own; `then` is called there.
  public static func start(
    _ program: String, _ arguments: [String] = [], environment: [String: String?] = [:], input: Bytes,
    then: @escaping @Sendable (Result<(exit: Exit, output: Bytes, error: Bytes), ProcessError>) -> Void
  ) {
    DispatchQueue(label: "sluice.child.run").async {
      do throws(ProcessError) {
        let child = try ChildProcess(
          program, arguments, environment: environment, input: .pipe, output: .pipe, error: .pipe)
        // Beside the reading: a program may print before it has read all.
        DispatchQueue(label: "sluice.child.input").async {
          child.write(input)
          child.closeInput()
        }
        let (output, error) = child.readToEnd()
        then(.success((child.wait(), output, error)))
      } catch { then(.failure(error)) }
    }
  }
}
