import BenchmarkProcesses
import BenchmarkWorkload
import LinuxSystem
import Sluice

/// Drains a topic that was filled before, in each codec, and sets beside it what a program in C needs for the same bytes.
@main struct Throughput {
  static let spec = CommandSpec(
    name: "Throughput",
    summary: "Drains a topic that was filled before: count, filter, word count, ETL, topic to topic.",
    discussion: """
      Job, broker and generator are processes of their own, with their processor time apart. Every record is visited: its \
      batch's checksum, decompression, walk, and a hash of its value; what that comes to is held against what the \
      generator says, for everybody in the table. What is written is read again by the program in C and compared too.
      A job's time counts from its definition, before it connects, to the commit of its last batch; its processor time is \
      that of the whole process. The program in C (Benchmarks/peers/reference.c) does the same work on one thread over \
      the same record batches in memory, without a broker: what the hardware allows.
      Batches: backpressure at its defaults. Broker: flush policy os. Plans are not synced: with at-least-once nothing \
      is, and with exactly-once every output belongs to the decider. Exactly-once files are synced each batch.
      Benchmarks/peers/run installs and builds the programs of others and runs this with them.
      """,
    options: [
      .value("records", "N", "records in the topic", default: "20000000", format: .integer(1...2_000_000_000)),
      .repeated("codec", "NAME", "only these codecs", format: .choice(["none", "gzip", "snappy", "lz4", "zstd"])),
      .repeated("work", "NAME", "only these works", format: .choice(Work.allCases.map(\.rawValue))),
      .value(
        "batch-size", "BYTES", "uncompressed bytes of a record batch", default: "1048576",
        format: .integer(200...16 << 20)),
      .value("words", "N", "words of the vocabulary", default: "10000", format: .integer(100...10_000_000)),
      .value("distribution", "NAME", "how often each occurs", default: "zipf", format: .choice(["zipf", "uniform"])),
      .value("master", "local[N]", "executor threads", default: "local[2]"),
      .value("partitions", "N", "topic partitions", default: "4", format: .integer(1...1000)),
      .value("runs", "N", "drains; the one of median length counts", default: "3", format: .integer(1...100)),
      .value("peers", "DIR", "programs of others, as Benchmarks/peers/run builds them"),
      .repeated("conf", "KEY=VALUE", "a setting of the job", format: .keyValue),
      .value("json", "PATH", "also write the rows as JSON"),
      .flag("smoke", "a short run that shows that it works, and that nothing is far slower than it was"),
    ])

  static func main() {
    do {
      let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
      if options.isHelpAsked { return TextOutput.standard.write(spec.helpText()) }
      let plan = try Plan(options)
      try LinuxFileStore().createDirectories(plan.folder)
      defer { try? LinuxFileStore().removeTree(plan.folder) }
      if try options.flag("smoke") { try Smoke.run(plan) } else { try measure(plan, options) }
      TextOutput.standard.flush()
    } catch {
      TextOutput.standard.flush()
      TextOutput.error.write("Throughput: \(error)\n")
      ThisProcess.exit(error is OptionError ? ExitCode.usage : ExitCode.failure)
    }
  }

  private static func measure(_ plan: Plan, _ options: Options) throws {
    let peers = try options.string("peers").map { try Peer.found(in: $0) } ?? []
    var rows: [Row] = []
    var ratios: [(codec: String, ratio: Double)] = []
    for codec in plan.codecs {
      let course = try Course(plan, codec: codec, records: plan.records)
      ratios.append((codec, course.filled.ratio))
      for work in plan.works {
        if work.hasPeers { rows.append(try course.reference(work)) }
        for guarantee in work.guarantees { rows.append(try course.job(work, guarantee)) }
        for peer in peers where peer.does(work) && (work != .copy || codec == "lz4") {
          rows.append(try course.peer(peer, work))
        }
      }
      try course.end()
      TextOutput.standard.write(Results.table(rows.filter { $0.codec == codec }))
      TextOutput.standard.flush()
    }
    TextOutput.standard.write(Results.conditions(plan, ratios))
    if let path = try options.string("json") {
      let versions = try options.string("peers").map { try Peer.versions(in: $0) } ?? []
      try LinuxFileStore().replace(path, with: Bytes(Results.json(plan, rows, ratios, versions)))
    }
  }
}

/// What is to be measured.
struct Plan {
  var programs: Programs
  /// Everything stands below it, and is removed at the end.
  var folder: String
  var codecs: [String]
  var works: [Work]
  var records: Int
  var batchSize: Int
  var shape: TextShape
  var master: String
  var partitions: Int
  var runs: Int
  var settings: [String]

  init(_ options: Options) throws {
    programs = try Programs()
    folder = "\(ThisProcess.environment("TMPDIR") ?? "/tmp")/sluice-throughput-\(ThisProcess.pid)"
    let named = try options.all("codec")
    codecs = named.isEmpty ? ["none", "gzip", "snappy", "lz4", "zstd"] : named
    let wanted = try options.all("work")
    works = Work.allCases.filter { wanted.isEmpty || wanted.contains($0.rawValue) }
    records = try options.int("records")!
    batchSize = try options.int("batch-size")!
    shape = TextShape(
      wordCount: try options.int("words")!,
      distribution: TextShape.Distribution(rawValue: try options.required("distribution")) ?? .zipf)
    master = try options.required("master")
    partitions = try options.int("partitions")!
    runs = try options.int("runs")!
    settings = try options.all("conf")
  }
}
