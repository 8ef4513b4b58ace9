import BenchmarkProcesses
import Glibc
import LinuxSystem
import Sluice

/// A broker, and trials on it one after the other.
final class Stand {
  private let programs: Programs
  private let folder: String
  private let broker: BrokerProcess
  private let partitions: Int
  private let master: String
  private let settings: [String]
  private let warmUp: Int
  private var number = 0

  /// - Parameter warmUp: seconds of each trial that are not measured: connections are made, code is loaded, the rate is
  ///   found.
  init(folder: String, partitions: Int, master: String, settings: [String], warmUp: Int) throws {
    programs = try Programs()
    self.folder = folder
    self.partitions = partitions
    self.master = master
    self.settings = settings
    self.warmUp = warmUp
    try LinuxFileStore().createDirectories(folder)
    broker = try BrokerProcess(programs, folder: folder)
  }

  func end() throws { try broker.end() }

  /// Runs a job beside a load.
  /// - Parameters:
  ///   - interval: in milliseconds.
  ///   - seconds: that are measured.
  ///   - drains: wait at the end until the job has what was sent.
  func run(_ subject: Subject, rate: Int, interval: Int, seconds: Int, drains: Bool = false) throws -> Trial {
    number += 1
    let name = "stability-\(number)"
    let own = "\(folder)/\(name)"
    let (input, output) = ("input-\(number)", "output-\(number)")
    try LinuxFileStore().createDirectories(own)
    defer { try? LinuxFileStore().removeTree(own) }
    try broker.makeTopic(input, partitions: partitions)
    try broker.makeTopic(output, partitions: partitions)
    defer {
      try? broker.removeTopic(input)
      try? broker.removeTopic(output)
    }
    let load = seconds + warmUp
    let generator = try MeasuredProcess(
      try programs.path("Generator"),
      [
        "replay", "-b", broker.address, "--topic", input, "--partitions", "\(partitions)", "--rate", "\(rate)", "--for",
        "\(load)s",
      ], log: "\(own)/generator.log")
    // It makes its batches before it sends.
    while let line = generator.nextLine(), line != "ready" {}
    var command = JobCommand(
      work: subject.work.rawValue, input: input, output: subject.work.writesFiles ? nil : output, name: name,
      folder: own,
      interval: "\(interval)ms", guarantee: subject.guarantee, master: master, settings: settings)
    command.warmUp = warmUp
    let before = broker.processorSeconds
    let job = try command.start(programs, broker)
    let sent = try generator.finish()
    let brokerSeconds = broker.processorSeconds - before
    if drains { usleep(UInt32(max(1_000, interval * 10)) * 1_000) }
    job.send(.terminate)
    let outcome = try job.finish(allowing: .terminate)
    return Trial(
      subject: subject, rate: rate, interval: interval, fields: outcome.fields, generator: sent.fields, load: load,
      jobSeconds: outcome.processorSeconds, brokerSeconds: brokerSeconds, peakMemory: outcome.peakMemory)
  }
}
