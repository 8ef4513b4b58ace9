import Glibc
import LinuxSystem
import Sluice
import SystemInterfaces

/// A program that runs beside others, whose processor time is its own.
public final class MeasuredProcess {
  /// What it came to.
  public struct Outcome: Sendable {
    /// The last line it printed.
    public var fields: Fields
    /// From its start to its end.
    public var seconds: Double
    /// Processor time of all its threads, in user and system mode.
    public var processorSeconds: Double
    /// The most memory it used, in bytes.
    public var peakMemory: Int
  }

  private let child: ChildProcess
  private let log: String
  /// Before the process was made.
  public let began = LinuxClock().now
  private var lastLine = ""
  private var isFinished = false

  /// Starts a program.
  /// - Parameter log: file for its standard error, and for what it printed where it fails.
  public init(_ program: String, _ arguments: [String], environment: [String: String?] = [:], log: String) throws {
    self.log = log
    child = try ChildProcess(
      program, arguments, environment: environment, output: .pipe, error: .file(log, appending: true))
  }

  /// The process's number.
  public var pid: Int32 { child.pid }

  /// The memory it has in RAM, in bytes; 0 where it has ended.
  public var residentMemory: Int {
    // The second number, in pages (proc(5), statm).
    guard let line = ProcFile.lines(of: "/proc/\(pid)/statm").first else { return 0 }
    let fields = line.split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
  }

  /// The next line it prints; nil at its end.
  public func nextLine() -> String? {
    guard let line = child.nextLine() else { return nil }
    lastLine = line
    return line
  }

  /// Whoever gives up on it ends it.
  deinit {
    guard !isFinished else { return }
    child.send(.kill)
    child.wait()
  }

  /// Sends it a signal, unless it has been waited for.
  public func send(_ signal: Signal) {
    if !isFinished { child.send(signal) }
  }

  /// Waits until it has ended.
  /// - Parameter allowing: a signal that may have asked for the end.
  /// - Throws: `ProcessFailed` where it did not end well.
  public func finish(allowing signal: Signal? = nil) throws -> Outcome {
    while nextLine() != nil {}
    // Not through `child.wait`: only this call tells what the process used.
    var status: Int32 = 0
    var usage = rusage()
    while wait4(child.pid, &status, 0, &usage) < 0, errno == EINTR {}
    isFinished = true
    let seconds = (LinuxClock().now - began).inSeconds
    let code = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + (status & 0x7F)
    guard code == 0 || signal.map({ 128 + $0.rawValue }) == code else {
      throw ProcessFailed(program: child.program, code: code, lastLine: lastLine, log: log)
    }
    func time(_ value: timeval) -> Double { Double(value.tv_sec) + Double(value.tv_usec) / 1e6 }
    return Outcome(
      fields: Fields(lastLine), seconds: seconds, processorSeconds: time(usage.ru_utime) + time(usage.ru_stime),
      peakMemory: usage.ru_maxrss * 1024)
  }

  /// Runs a program to its end.
  public static func run(
    _ program: String, _ arguments: [String], environment: [String: String?] = [:], log: String
  ) throws -> Outcome {
    try MeasuredProcess(program, arguments, environment: environment, log: log).finish()
  }

  /// The processor time that a running process has used so far, in seconds; 0 where there is no such process.
  public static func processorSeconds(of pid: Int32) -> Double {
    var clock = clockid_t()
    var time = timespec()
    guard clock_getcpuclockid(pid, &clock) == 0, clock_gettime(clock, &time) == 0 else { return 0 }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// A program did not end well.
public struct ProcessFailed: Error, CustomStringConvertible {
  /// What happened, with the program's last words.
  public let description: String

  init(program: String, code: Int32, lastLine: String, log: String) {
    // Now: whoever hears of this may have removed the file.
    let text = (try? LinuxFileStore().contents(of: log)).map { String($0) } ?? ""
    let last = text.split(separator: "\n").suffix(5).joined(separator: "\n  ")
    description = "\(program) ended with code \(code); it printed \"\(lastLine)\", and last in \(log):\n  \(last)"
  }
}
