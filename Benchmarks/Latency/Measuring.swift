import BenchmarkProcesses
import LinuxSystem
import Sluice

/// Runs a job at each interval and rate.
final class Measuring {
  private struct Row {
    var guarantee: Guarantee
    /// In milliseconds.
    var interval: Int
    var rate: Int
    var sent: Int
    var received: Fields
    var generator: Fields
    /// Processor time in seconds.
    var jobSeconds: Double
    var brokerSeconds: Double
    var receiverSeconds: Double
  }

  private let programs: Programs
  private let folder: String
  private let broker: BrokerProcess
  private let intervals: [Int]
  private let rates: [Int]
  private let guarantees: [Guarantee]
  /// In seconds.
  private let time: Int
  private let warmUp: Int
  private let partitions: Int
  private let master: String
  private let settings: [String]
  private let jsonPath: String?
  private var number = 0

  init(_ options: Options) throws {
    let isSmoke = try options.flag("smoke")
    let intervals = try options.all("interval").compactMap { Duration(text: $0) }.map { Int($0.inMilliseconds) }
    let rates = try options.all("rate").compactMap { Int($0) }
    let named = try options.all("guarantee")
    self.intervals = isSmoke ? [20] : intervals.isEmpty ? [1, 5, 20, 100, 1_000] : intervals
    self.rates = isSmoke ? [2_000] : rates.isEmpty ? [1_000, 10_000, 100_000] : rates
    guarantees = Guarantee.allCases.filter { named.isEmpty || named.contains($0.rawValue) }
    time = isSmoke ? 1 : max(1, Int(try options.duration("for")!.inSeconds))
    warmUp = isSmoke ? 1 : Int(try options.duration("warm-up")!.inSeconds)
    partitions = try options.int("partitions")!
    master = try options.required("master")
    settings = try options.all("conf")
    jsonPath = try options.string("json")
    programs = try Programs()
    folder = "\(ThisProcess.environment("TMPDIR") ?? "/tmp")/sluice-latency-\(ThisProcess.pid)"
    try LinuxFileStore().createDirectories(folder)
    broker = try BrokerProcess(programs, folder: folder)
  }

  func run() throws {
    defer { try? LinuxFileStore().removeTree(folder) }
    var rows: [Row] = []
    for guarantee in guarantees {
      for rate in rates {
        for interval in intervals { rows.append(try measure(guarantee, interval, rate)) }
      }
    }
    try broker.end()
    TextOutput.standard.write(table(rows))
    if let jsonPath { try LinuxFileStore().replace(jsonPath, with: Bytes(json(rows))) }
  }

  private func measure(_ guarantee: Guarantee, _ interval: Int, _ rate: Int) throws -> Row {
    number += 1
    let own = "\(folder)/\(number)"
    let (input, output) = ("input-\(number)", "output-\(number)")
    try LinuxFileStore().createDirectories(own)
    for topic in [input, output] { try broker.makeTopic(topic, partitions: partitions) }
    defer {
      for topic in [input, output] { try? broker.removeTopic(topic) }
      try? LinuxFileStore().removeTree(own)
    }
    let perBatch = max(1, rate / 1_000)
    let records = Int(Double(time + warmUp) * Double(rate) / Double(perBatch)) * perBatch
    let receiver = try MeasuredProcess(
      try programs.path("Latency"),
      [
        "receive", "-b", broker.address, "--topic", output, "--partitions", "\(partitions)", "--records", "\(records)",
        "--warm-up", "\(warmUp)s",
      ], log: "\(own)/receiver.log")
    while let line = receiver.nextLine(), line != "ready" {}
    let before = broker.processorSeconds
    let job = try JobCommand(
      work: "copy", input: input, output: output, name: "latency-\(number)", folder: own, interval: "\(interval)ms",
      guarantee: guarantee, master: master, settings: settings
    ).start(programs, broker)
    let generator = try MeasuredProcess.run(
      try programs.path("Generator"),
      [
        "replay", "--stamp", "-b", broker.address, "--topic", input, "--partitions", "\(partitions)", "--rate",
        "\(rate)",
        "--for", "\(time + warmUp)s", "--codec", "none",
      ], log: "\(own)/generator.log")
    let received = try receiver.finish()
    let brokerSeconds = broker.processorSeconds - before
    job.send(.terminate)
    let jobOutcome = try job.finish(allowing: .terminate)
    guard let sent = generator.fields.int("records"), received.fields.int("received") == sent,
      received.fields.int("unstamped") == 0
    else {
      throw RecordsMissing(
        sent: generator.fields.int("records") ?? 0, received: received.fields.int("received") ?? 0,
        unstamped: received.fields.int("unstamped") ?? 0)
    }
    return Row(
      guarantee: guarantee, interval: interval, rate: rate, sent: sent, received: received.fields,
      generator: generator.fields, jobSeconds: jobOutcome.processorSeconds, brokerSeconds: brokerSeconds,
      receiverSeconds: received.processorSeconds)
  }

  // MARK: The results

  private static let parts = ["p50", "p99", "p999", "max"]

  private func table(_ rows: [Row]) -> String {
    var table = TextTable([
      ("guarantee", .left), ("records/s", .right), ("interval ms", .right), ("latency ms p50", .right), ("p99", .right),
      ("p99.9", .right), ("max", .right), ("records", .right), ("sent late, ms p99", .right), ("CPU job", .right),
      ("broker", .right), ("generator", .right), ("receiver", .right),
    ])
    for row in rows {
      func cores(_ seconds: Double) -> String { HumanText.fixed(seconds / Double(time + warmUp), 2) }
      table.add(
        [row.guarantee.rawValue, "\(row.rate)", "\(row.interval)"]
          + Measuring.parts.map { HumanText.fixed(row.received.double("ms_\($0)"), 2) } + [
            "\(row.received.int("measured") ?? 0)", HumanText.fixed(row.generator.double("late_ms_p99"), 2),
            cores(row.jobSeconds), cores(row.brokerSeconds), cores(row.generator.double("cpu_seconds")),
            cores(row.receiverSeconds),
          ])
    }
    return table.text
      + "\(time) s each, \(warmUp) s before left out; \(partitions) partitions, \(master), broker flush os\n"
  }

  private func json(_ rows: [Row]) -> String {
    let items = rows.map { row -> JSON in
      var members: [(String, JSON)] = [
        ("guarantee", .text(row.guarantee.rawValue)),
        ("plan_sync", .text(row.guarantee.planSync(hasState: false))), ("file_sync", .text("none")),
        ("records_per_second", .integer(row.rate)), ("interval_ms", .integer(row.interval)),
        ("measured", .integer(row.received.int("measured") ?? 0)),
      ]
      members += Measuring.parts.map { ("ms_\($0)", .number(row.received.double("ms_\($0)"))) }
      members += [
        ("sent_late_ms_p99", .number(row.generator.double("late_ms_p99"))),
        ("job_cpu_seconds", .number(row.jobSeconds)),
        ("broker_cpu_seconds", .number(row.brokerSeconds)),
        ("generator_cpu_seconds", .number(row.generator.double("cpu_seconds"))),
        ("receiver_cpu_seconds", .number(row.receiverSeconds)),
      ]
      return .object(members)
    }
    return JSON.object(
      Machine.facts("Latency") + [
        ("master", .text(master)), ("partitions", .integer(partitions)), ("seconds", .integer(time)),
        ("warm_up_seconds", .integer(warmUp)), ("broker_flush", .text("os")),
        ("settings", .list(settings.map { .text($0) })), ("rows", .list(items)),
      ]
    ).rendered() + "\n"
  }
}

/// What came out of the job is not what went in.
struct RecordsMissing: Error, CustomStringConvertible {
  var sent: Int
  var received: Int
  var unstamped: Int
  var description: String {
    "\(sent) records were sent, \(received) came out of the job, \(unstamped) of them without the time of their sending"
  }
}
