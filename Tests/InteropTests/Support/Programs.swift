import Dispatch
import Groundwork
import LinuxSystem
import SystemInterfaces

/// A failure of the set-up, with what to do about it.
struct SetupFailure: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// The programs the tests start.
enum Program {
  /// Executables of this package are built beside the running test program.
  static func path(_ name: String) -> String {
    let own = ThisProcess.executablePath ?? ""
    return String(own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex)) + "/" + name
  }

  /// The Python with the third-party clients.
  static func python() throws -> String {
    guard let path = ThisProcess.environment("SLUICE_PYTHON"), !path.isEmpty else {
      throw SetupFailure(
        "SLUICE_PYTHON is not set: it names the Python that has confluent-kafka and kafka-python. Run Tests/run, which "
          + "makes one and runs the tests with it")
    }
    guard try LinuxFileStore().attributes(path) != nil else {
      throw SetupFailure("SLUICE_PYTHON names \(path), which does not exist: run Tests/run, which makes it")
    }
    return path
  }

  /// A script of `Tests/InteropTests/clients`.
  static func client(_ name: String) -> String {
    let folders = #filePath.split(separator: "/").dropLast(2)
    return "/" + folders.joined(separator: "/") + "/clients/" + name
  }
}

/// What a program printed and how it ended.
struct Finished: Sendable {
  var exit: ChildProcess.Exit
  var output: Bytes
  var error: String

  var text: String { String(output) }
  /// For the comment of a failed expectation.
  var report: String { "\(exit)\noutput: \(text.suffix(2000))\nerror: \(error.suffix(2000))" }
}

/// Runs a program to its end; one that takes longer than `limit` seconds is killed, which its exit then shows.
func run(
  _ program: String, _ arguments: [String], environment: [String: String?] = [:], input: Bytes? = nil,
  within limit: Int = 60
) throws -> Finished {
  let child = try ChildProcess(
    program, arguments, environment: environment, input: input == nil ? .null : .pipe, output: .pipe, error: .pipe)
  return finish(child, input: input, within: limit)
}

/// Waits for the end of a program whose output and error are pipes.
func finish(_ child: ChildProcess, input: Bytes? = nil, within limit: Int = 60) -> Finished {
  let watch = Watchdog(child, limit)
  if let input {
    DispatchQueue(label: "interop input").async {
      child.write(input)
      child.closeInput()
    }
  }
  let (output, error) = child.readToEnd()
  let exit = child.wait()
  watch.disarm()
  return Finished(exit: exit, output: output, error: String(error))
}

/// Looks again and again until something has come about that no event tells of.
func waitUntil(_ what: String, within seconds: Int = 30, _ isSo: () throws -> Bool) throws {
  let deadline = ContinuousClock.now + .seconds(seconds)
  let tick = DispatchSemaphore(value: 0)
  while try !isSo() {
    if ContinuousClock.now > deadline { throw SetupFailure("waited \(seconds) s in vain until \(what)") }
    _ = tick.wait(timeout: .now() + .milliseconds(5))
  }
}

/// Kills a process that has not ended when its time is up.
final class Watchdog: Sendable {
  private let item: @Sendable () -> Void

  init(_ child: ChildProcess, _ seconds: Int) {
    // The process's own object knows whether it has ended: a late shot hits nobody else.
    let work = DispatchWorkItem { child.send(.kill) }
    DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(seconds), execute: work)
    let box = WorkBox(work: work)
    item = { box.work.cancel() }
  }

  func disarm() { item() }

  /// Sendable: a work item may be cancelled from any thread; Dispatch only does not say so in its type.
  private struct WorkBox: @unchecked Sendable { let work: DispatchWorkItem }
}

/// A folder of its own for a test, removed with it.
final class Scratch: Sendable {
  let path: String
  static let files = LinuxFileStore()

  init() throws {
    path =
      "\(ThisProcess.environment("TMPDIR") ?? "/tmp")/sluice-interop-\(ThisProcess.pid)-\(LinuxRandomness().next())"
    try Self.files.createDirectories(path)
  }

  deinit { try? Self.files.removeTree(path) }

  /// Programs keep what outlives them in here.
  var environment: [String: String?] { ["XDG_STATE_HOME": path + "/state"] }

  func write(_ name: String, _ content: Bytes) throws -> String {
    try Self.files.replace("\(path)/\(name)", with: content)
    return "\(path)/\(name)"
  }

  /// The lines of all files below a folder, hidden ones left out, in no order worth mentioning.
  static func lines(under folder: String) throws -> [Bytes] {
    guard try files.attributes(folder) != nil else { return [] }
    var lines: [Bytes] = []
    for name in try files.list(folder) where !name.hasPrefix(".") && !name.hasPrefix("_") {
      let path = "\(folder)/\(name)"
      if try files.attributes(path)?.isDirectory == true {
        lines += try Scratch.lines(under: path)
        continue
      }
      let content = try files.contents(of: path)
      var pieces = Array(content.split(separator: UInt8(10), omittingEmptySubsequences: false))
      if pieces.last?.isEmpty == true { pieces.removeLast() }
      lines += pieces
    }
    return lines
  }
}
