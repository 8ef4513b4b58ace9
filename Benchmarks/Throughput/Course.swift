import BenchmarkProcesses
import BenchmarkWorkload
import LinuxSystem
import Sluice

/// A broker with a topic full of records in one codec, and those who drain it one after the other.
final class Course {
  static let topic = "lines"

  let plan: Plan
  let codec: String
  let broker: BrokerProcess
  /// What counting the topic must come to.
  let expected: Tally
  /// What the generator said when the topic was full.
  let filled: Fields
  /// A part of the topic's batches, for the program in C.
  let sample: (path: String, tally: Tally)
  private let folder: String
  private let files = LinuxFileStore()
  private var number = 0

  init(_ plan: Plan, codec: String, records: Int) throws {
    self.plan = plan
    self.codec = codec
    folder = "\(plan.folder)/\(codec)"
    try files.createDirectories(folder)
    broker = try BrokerProcess(plan.programs, folder: folder)
    try broker.makeTopic(Course.topic, partitions: plan.partitions)
    let shape = [
      "--records", "\(records)", "--codec", codec, "--batch-size", "\(plan.batchSize)", "--words",
      "\(plan.shape.wordCount)",
      "--distribution", plan.shape.distribution.rawValue, "--seed", "\(plan.shape.seed)",
    ]
    let generator = try plan.programs.path("Generator")
    let filled = try MeasuredProcess.run(
      generator,
      ["fill", "-b", broker.address, "--topic", Course.topic, "--partitions", "\(plan.partitions)"] + shape,
      log: "\(folder)/generator.log"
    ).fields
    let path = "\(folder)/batches"
    let written = try MeasuredProcess.run(
      generator, ["batches", "--output", path] + shape, log: "\(folder)/generator.log"
    ).fields
    guard let expected = Tally({ filled[$0] }), let part = Tally({ written[$0] }) else {
      throw ProgramSaidNothing(program: generator)
    }
    self.filled = filled
    self.expected = expected
    sample = (path, part)
  }

  func end() throws {
    try broker.end()
    try files.removeTree(folder)
  }

  /// Does something several times; the run of median length counts.
  private func repeated(_ body: () throws -> Row) throws -> Row {
    let rows = try (0..<plan.runs).map { _ in try body() }.sorted { $0.seconds < $1.seconds }
    return rows[(rows.count - 1) / 2]
  }

  // MARK: The program in C

  func reference(_ work: Work) throws -> Row {
    try repeated {
      let outcome = try MeasuredProcess.run(
        try plan.programs.path("Reference"), [work.rawValue, "--records", "\(expected.records)", sample.path],
        log: "\(folder)/reference.log")
      let passes = outcome.fields.int("passes") ?? 0
      var tally = Tally()
      for _ in 0..<passes { tally += sample.tally }
      try work.check("the program in C", got: { outcome.fields.hash($0) }, expected: tally)
      return Row(
        codec: codec, work: work, who: "C", records: tally.records, seconds: outcome.fields.double("seconds"),
        processorSeconds: outcome.fields.double("cpu_seconds"))
    }
  }

  // MARK: Ours

  func job(_ work: Work, _ guarantee: Guarantee) throws -> Row {
    try repeated {
      number += 1
      let name = "throughput-\(number)"
      let own = "\(folder)/\(name)"
      let output = "output-\(number)"
      try files.createDirectories(own)
      defer { try? files.removeTree(own) }
      var arguments = [
        "--work", work.rawValue, "--input", Course.topic, "-b", broker.address, "--available-now", "--name", name,
        "--checkpoint", "\(own)/checkpoint", "--batch-interval", "100ms", "--master", plan.master,
        "--conf", "sluice.streaming.guarantee=\(guarantee.rawValue)",
      ]
      for setting in plan.settings { arguments += ["--conf", setting] }
      if work == .copy {
        try broker.makeTopic(output, partitions: plan.partitions)
        arguments += ["--output", output]
      }
      if work == .files { arguments += ["--folder", "\(own)/text"] }
      let before = broker.processorSeconds
      let outcome = try MeasuredProcess.run(
        try plan.programs.path("MeasuredJob"), arguments, environment: ["XDG_STATE_HOME": "\(own)/state"],
        log: "\(own)/job.log")
      let brokerSeconds = broker.processorSeconds - before
      let fields = outcome.fields
      switch work {
      case .count: try work.check("the job", got: { fields.hash($0 == "records" ? "counted" : $0) }, expected: expected)
      case .filter, .words: try work.check("the job", got: { fields.hash($0) }, expected: expected)
      case .files: try check(work, "lines", try textFiles(in: "\(own)/text"))
      case .copy:
        try check(work, "count", try broker.segments(of: output))
        try broker.removeTopic(output)
      }
      return Row(
        codec: codec, work: work, who: "sluice", guarantee: guarantee, records: expected.records,
        seconds: fields.double("seconds"), processorSeconds: outcome.processorSeconds, brokerSeconds: brokerSeconds,
        peakMemory: outcome.peakMemory, batches: fields.int("batches"))
    }
  }

  /// Has the program in C read what a job wrote: it shares no code with the job.
  private func check(_ work: Work, _ mode: String, _ paths: [String]) throws {
    let read = try MeasuredProcess.run(
      try plan.programs.path("Reference"), [mode] + paths, log: "\(folder)/reference.log")
    try work.check("what the job wrote", got: { read.fields.hash($0) }, expected: expected)
  }

  /// The files with lines below a folder, those aside that the engine keeps for itself.
  private func textFiles(in folder: String) throws -> [String] {
    var found: [String] = []
    for name in try files.list(folder).sorted() where !name.hasPrefix("_") && !name.hasPrefix(".") {
      let path = "\(folder)/\(name)"
      if try files.attributes(path)?.isDirectory == true {
        found += try textFiles(in: path)
      } else {
        found.append(path)
      }
    }
    return found
  }

  // MARK: Programs of others

  /// A client of somebody else drains the topic.
  /// - Parameter commands: one command line a process; `{address}`, `{topic}`, `{records}` and `{work}` are filled in.
  func peer(_ peer: Peer, _ work: Work) throws -> Row {
    try repeated {
      let before = broker.processorSeconds
      let processes = try (0..<peer.processes).map { index in
        try MeasuredProcess(
          peer.program, peer.arguments(self, work, process: index), log: "\(folder)/\(peer.name).log")
      }
      let outcomes = try processes.map { try $0.finish() }
      let brokerSeconds = broker.processorSeconds - before
      func sum(_ name: String) -> UInt64? {
        outcomes.reduce(0 as UInt64?) { sum, outcome in
          sum.flatMap { sum in outcome.fields.hash(name).map { sum &+ $0 } }
        }
      }
      try work.check(peer.name, got: sum, expected: expected)
      return Row(
        codec: codec, work: work, who: peer.name, processes: peer.processes, records: expected.records,
        seconds: outcomes.map { $0.fields.double("seconds") }.max() ?? 0,
        processorSeconds: outcomes.reduce(0) { $0 + $1.processorSeconds }, brokerSeconds: brokerSeconds,
        peakMemory: outcomes.reduce(0) { $0 + $1.peakMemory })
    }
  }
}

/// A program did not say what its records come to.
struct ProgramSaidNothing: Error, CustomStringConvertible {
  var program: String
  var description: String { "\(program) did not say what its records come to" }
}
