import BenchmarkProcesses
import BenchmarkWorkload
import LinuxSystem
import Sluice

/// A broker with a topic full of records in one codec, and those who drain it one after the other.
final class Course {
  static let topic = "lines"

  static let shortTopic = "fewer-lines"

  let plan: Plan
  let codec: String
  let broker: BrokerProcess
  let filled: Filled
  /// Where everything of this course stands.
  let folder: String
  /// A part of the topic's batches, for the program in C.
  private let sample: (path: String, tally: Tally)
  private let files = LinuxFileStore()
  private var number = 0

  init(_ plan: Plan, codec: String, records: Int) throws {
    self.plan = plan
    self.codec = codec
    folder = "\(plan.folder)/\(codec)"
    try files.createDirectories(folder)
    broker = try BrokerProcess(plan.programs, folder: folder)
    filled = try Course.fill(plan, broker, Course.topic, codec: codec, records: records, folder)
    let generator = try plan.programs.path("Generator")
    let path = "\(folder)/batches"
    let written = try MeasuredProcess.run(
      generator, ["batches", "--output", path, "--records", "\(records)"] + Course.shape(plan, codec),
      log: "\(folder)/generator.log"
    ).fields
    guard let tally = Tally({ written[$0] }) else { throw ProgramSaidNothing(program: generator) }
    sample = (path, tally)
  }

  private static func shape(_ plan: Plan, _ codec: String) -> [String] {
    [
      "--codec", codec, "--batch-size", "\(plan.batchSize)", "--words", "\(plan.shape.wordCount)",
      "--distribution", plan.shape.distribution.rawValue, "--seed", "\(plan.shape.seed)",
    ]
  }

  private static func fill(
    _ plan: Plan, _ broker: BrokerProcess, _ topic: String, codec: String, records: Int, _ folder: String
  ) throws -> Filled {
    try broker.makeTopic(topic, partitions: plan.partitions)
    let generator = try plan.programs.path("Generator")
    let fields = try MeasuredProcess.run(
      generator,
      [
        "fill", "-b", broker.address, "--topic", topic, "--partitions", "\(plan.partitions)", "--records", "\(records)",
      ] + shape(plan, codec), log: "\(folder)/generator.log"
    ).fields
    guard let filled = Filled(fields) else { throw ProgramSaidNothing(program: generator) }
    return filled
  }

  func end() throws {
    try broker.end()
    try files.removeTree(folder)
  }

  /// Does something several times, as often as planned where nothing is said; the run of median length counts.
  private func repeated(_ count: Int? = nil, _ body: () throws -> Row) throws -> Row {
    let rows = try (0..<(count ?? plan.runs)).map { _ in try body() }.sorted { $0.seconds < $1.seconds }
    return rows[(rows.count - 1) / 2]
  }

  // MARK: The program in C

  func reference(_ work: Work) throws -> Row {
    try repeated {
      let outcome = try MeasuredProcess.run(
        try plan.programs.path("Reference"), [work.rawValue, "--records", "\(filled.tally.records)", sample.path],
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
      var command = JobCommand(
        work: work.rawValue, input: Course.topic, name: name, folder: own, interval: "100ms", guarantee: guarantee,
        master: plan.master, settings: plan.settings)
      command.drains = true
      if work == .copy {
        try broker.makeTopic(output, partitions: plan.partitions)
        command.output = output
      }
      let before = broker.processorSeconds
      let outcome = try command.start(plan.programs, broker).finish()
      let brokerSeconds = broker.processorSeconds - before
      let fields = outcome.fields
      switch work {
      case .count:
        try work.check("the job", got: { fields.hash($0 == "records" ? "counted" : $0) }, expected: filled.tally)
      case .filter, .words: try work.check("the job", got: { fields.hash($0) }, expected: filled.tally)
      case .files: try check(work, "lines", try textFiles(in: "\(own)/text"), filled.tally)
      case .copy:
        try check(work, "count", try broker.segments(of: output), filled.tally)
        try broker.removeTopic(output)
      }
      return Row(
        codec: codec, work: work, who: "sluice", guarantee: guarantee, records: filled.tally.records,
        seconds: fields.double("seconds"), processorSeconds: outcome.processorSeconds, brokerSeconds: brokerSeconds,
        peakMemory: outcome.peakMemory, batches: fields.int("batches"))
    }
  }

  /// Has the program in C read what a job wrote: it shares no code with the job.
  private func check(_ work: Work, _ mode: String, _ paths: [String], _ expected: Tally) throws {
    let read = try MeasuredProcess.run(
      try plan.programs.path("Reference"), [mode] + paths, log: "\(folder)/reference.log")
    try work.check("what was written", got: { read.fields.hash($0) }, expected: expected)
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

  /// A topic as this one, but with fewer records; made when somebody asks for it.
  private lazy var short: Result<Filled, any Error> = Result {
    try Course.fill(plan, broker, Course.shortTopic, codec: codec, records: min(plan.records, 1_000_000), folder)
  }

  /// A client of somebody else drains the topic, or writes one as large.
  func peer(_ peer: Peer, _ work: Work) throws -> Row {
    if work == .copy { return try repeated { try produce(peer) } }
    let (topic, filled) = peer.isSlow ? (Course.shortTopic, try short.get()) : (Course.topic, filled)
    return try repeated(peer.isSlow ? 1 : nil) {
      let (row, outcomes) = try run(peer, work, records: filled.tally.records) { process in
        try peer.start(
          work.rawValue, self, topic: topic, process: process, records: filled.perPartition(plan.partitions))
      }
      try work.check(peer.name, got: { sum($0, outcomes) }, expected: filled.tally)
      return row
    }
  }

  /// A producer of somebody else, for comparison with a job that reads as well.
  private func produce(_ peer: Peer) throws -> Row {
    let lines = "\(folder)/lines"
    if try files.attributes(lines) == nil {
      _ = try MeasuredProcess.run(
        try plan.programs.path("Generator"), ["lines", "--output", lines], log: "\(folder)/generator.log")
    }
    number += 1
    let output = "output-\(number)"
    try broker.makeTopic(output, partitions: plan.partitions)
    let share = filled.tally.records / plan.partitions
    var (row, outcomes) = try run(peer, .copy, records: share * plan.partitions) { process in
      try peer.start(
        "produce", self, topic: output, process: process, records: Array(repeating: share, count: plan.partitions),
        extra: ["--lines", lines])
    }
    var written = Tally()
    written.records = share * plan.partitions
    written.valueBytes = Int(sum("value_bytes", outcomes) ?? 0)
    written.hash = sum("hash", outcomes) ?? 0
    try check(.copy, "count", try broker.segments(of: output), written)
    try broker.removeTopic(output)
    row.who = "\(peer.name), producing only"
    return row
  }

  private func run(
    _ peer: Peer, _ work: Work, records: Int, _ start: (Int) throws -> MeasuredProcess
  ) throws -> (Row, [MeasuredProcess.Outcome]) {
    let before = broker.processorSeconds
    let processes = try (0..<peer.processes).map(start)
    let outcomes = try processes.map { try $0.finish() }
    let row = Row(
      codec: codec, work: work, who: peer.name, processes: peer.processes, records: records,
      seconds: outcomes.map { $0.fields.double("seconds") }.max() ?? 0,
      processorSeconds: outcomes.reduce(0) { $0 + $1.processorSeconds },
      brokerSeconds: broker.processorSeconds - before, peakMemory: outcomes.reduce(0) { $0 + $1.peakMemory })
    return (row, outcomes)
  }

  /// The sum of what all processes said, modulo 2^64; nil where one said nothing.
  private func sum(_ name: String, _ outcomes: [MeasuredProcess.Outcome]) -> UInt64? {
    outcomes.reduce(0 as UInt64?) { sum, outcome in
      sum.flatMap { sum in outcome.fields.hash(name).map { sum &+ $0 } }
    }
  }
}

/// A topic that the generator has filled.
struct Filled {
  /// What counting it must come to.
  var tally: Tally
  /// What compression made of 1.
  var ratio: Double
  private var batches: Int
  private var recordsPerBatch: Int

  init?(_ fields: Fields) {
    guard let tally = Tally({ fields[$0] }), let batches = fields.int("sent_batches"),
      let recordsPerBatch = fields.int("batch_records")
    else { return nil }
    self.tally = tally
    self.batches = batches
    self.recordsPerBatch = recordsPerBatch
    ratio = fields.double("ratio")
  }

  /// Records of each partition: batches went to them in turn.
  func perPartition(_ count: Int) -> [Int] {
    (0..<count).map { (batches - $0 + count - 1) / count * recordsPerBatch }
  }
}

/// A program did not say what its records come to.
struct ProgramSaidNothing: Error, CustomStringConvertible {
  var program: String
  var description: String { "\(program) did not say what its records come to" }
}
