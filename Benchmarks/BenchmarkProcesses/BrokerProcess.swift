import LinuxSystem
import Sluice
import SystemInterfaces

/// `sluice broker` in a process of its own, with its data in a folder of its own.
public final class BrokerProcess {
  /// Where it serves.
  public let address: String
  /// Its data folder.
  public let data: String
  private let process: MeasuredProcess
  private let programs: Programs
  private let log: String

  /// Starts it on a free port of 127.0.0.1; acknowledgements wait for the operating system, not for the disk.
  public init(_ programs: Programs, folder: String) throws {
    self.programs = programs
    data = "\(folder)/broker"
    log = "\(folder)/broker.log"
    process = try MeasuredProcess(
      programs.sluice, ["broker", "--listen", "127.0.0.1:0", "--data", data],
      environment: ["XDG_STATE_HOME": "\(folder)/state"], log: log)
    guard let line = process.nextLine(),
      let place = line.split(separator: " ").drop(while: { $0 != "at" }).dropFirst().first
    else { throw BrokerDidNotStart(log: log) }
    address = String(place.prefix { $0 != "," })
  }

  /// Processor time it has used so far.
  public var processorSeconds: Double { MeasuredProcess.processorSeconds(of: process.pid) }

  /// The memory it has in RAM, in bytes.
  public var residentMemory: Int { process.residentMemory }

  /// Makes a topic.
  public func makeTopic(_ name: String, partitions: Int) throws {
    _ = try MeasuredProcess.run(
      programs.sluice,
      ["topics", "create", "-b", address, "--topic", name, "--partitions", "\(partitions)"], log: log)
  }

  /// Removes a topic and what is in it.
  public func removeTopic(_ name: String) throws {
    _ = try MeasuredProcess.run(programs.sluice, ["topics", "delete", "-b", address, "--topic", name], log: log)
  }

  /// The files with a topic's record batches.
  public func segments(of topic: String) throws -> [String] {
    let files = LinuxFileStore()
    return try files.list("\(data)/topics").filter { name in
      name.hasPrefix("\(topic)-") && name.dropFirst(topic.count + 1).allSatisfy(\.isNumber)
    }.sorted().flatMap { folder in
      try files.list("\(data)/topics/\(folder)").filter { $0.hasSuffix(".log") }.sorted().map {
        "\(data)/topics/\(folder)/\($0)"
      }
    }
  }

  /// Ends it.
  public func end() throws {
    process.send(.terminate)
    _ = try process.finish(allowing: .terminate)
  }
}

/// The broker did not say where it serves.
public struct BrokerDidNotStart: Error, CustomStringConvertible {
  var log: String
  public var description: String { "the broker did not start: see \(log)" }
}

/// Where the programs are that benchmarks start: beside the one that runs.
public struct Programs: Sendable {
  /// The folder.
  public let folder: String
  /// The command line.
  public let sluice: String

  /// Finds them.
  public init() throws {
    let path = ThisProcess.executablePath ?? "./Benchmark"
    folder = String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex))
    let names = ["sluice", "SluiceCommand"]
    let files = LinuxFileStore()
    let folder = folder
    guard let found = try names.first(where: { try files.attributes("\(folder)/\($0)") != nil }) else {
      throw ProgramMissing(name: "sluice", folder: folder)
    }
    sluice = "\(folder)/\(found)"
  }

  /// The path of one of them.
  public func path(_ name: String) throws -> String {
    let path = "\(folder)/\(name)"
    guard try LinuxFileStore().attributes(path) != nil else { throw ProgramMissing(name: name, folder: folder) }
    return path
  }
}

/// A program was not built.
public struct ProgramMissing: Error, CustomStringConvertible {
  var name: String
  var folder: String
  public var description: String { "there is no \(name) in \(folder): build the package with `swift build -c release`" }
}
