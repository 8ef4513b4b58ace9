import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

/// The programs of this package, as they were built beside the tests.
enum Program {
  /// The folder of the running test program, which is where executables are built as well.
  static var folder: String {
    let path = ThisProcess.executablePath ?? ""
    return String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex))
  }

  static func path(_ name: String) -> String { "\(folder)/\(name)" }

  /// Runs `sluice` to its end with a state folder of its own.
  static func sluice(
    _ arguments: [String], in place: Place, input: Bytes = Bytes()
  ) throws -> ChildProcess.Outcome {
    try ChildProcess.run(path("sluice"), arguments, environment: place.environment, directory: place.path, input: input)
  }

  /// Starts `sluice`; its output is read with `nextLine`.
  static func start(
    _ arguments: [String], in place: Place, input: ChildProcess.Stream = .null
  ) throws -> ChildProcess {
    try ChildProcess(
      path("sluice"), arguments, environment: place.environment, directory: place.path, input: input, output: .pipe,
      error: .file(place.path + "/error.txt", appending: true))
  }
}

/// A `sluice broker` process on a free port of 127.0.0.1; it ends with the object.
final class BrokerProcess: Sendable {
  let child: ChildProcess
  let address: String

  init(in place: Place, _ arguments: [String] = []) throws {
    child = try Program.start(["broker", "--listen", "127.0.0.1:0"] + arguments, in: place)
    let line = child.nextLine() ?? ""
    let words = line.split(separator: " ")
    // `broker ready at 127.0.0.1:40123, data in …`
    guard words.count > 3, line.hasPrefix("broker ready at ") else {
      throw NotReady(text: line + place.errors)
    }
    address = String(words[3].dropLast())
  }

  deinit {
    child.send(.kill)
    child.wait()
  }

  struct NotReady: Error { var text: String }
}

/// A folder of its own for a test, removed with it.
final class Place: Sendable {
  let path: String
  private let files = LinuxFileStore()

  init() throws {
    let base = ThisProcess.environment("TMPDIR") ?? "/tmp"
    path = "\(base)/sluice-scenario-\(ThisProcess.pid)-\(LinuxRandomness().next())"
    try files.createDirectories(path)
  }

  deinit { try? files.removeTree(path) }

  var environment: [String: String?] { ["XDG_STATE_HOME": path + "/state"] }

  /// Writes a shell script that can be run as a job; returns its path.
  func script(_ name: String, _ text: String) throws -> String {
    let file = "\(path)/\(name)"
    try files.replace(file, with: Bytes("#!/bin/sh\n" + text + "\n"))
    _ = try ChildProcess.run("chmod", ["+x", file])
    return file
  }

  /// What programs started with `Program.start` said on standard error.
  var errors: String { (try? files.contents(of: path + "/error.txt")).map { String($0) } ?? "" }
}
