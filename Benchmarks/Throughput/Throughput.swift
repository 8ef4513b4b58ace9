import BenchmarkWorkload
import JobScheduling
import KafkaClients
import KafkaProtocol
import LinuxSystem
import LogBroker
import Sluice
import Synchronization
import SystemInterfaces

/// Drains a topic through a streaming job: filter and count of 100-byte records, beside a hand-written loop over the same
/// record batches in memory.
@main struct Throughput {
  static let spec = CommandSpec(
    name: "Throughput", summary: "Measures filter + count of a topic that was filled before, with the broker inside.",
    discussion: """
      Every record is visited: checksum, decompression, walk, a substring search in its value. Guarantee: at-least-once, \
      offsets committed after each batch; broker flush policy os. The reference is a single-threaded loop over the same \
      record batches in memory: checksum, decompression, walk and search without broker, sockets and engine.
      """,
    options: [
      .value("records", "N", "records in the topic", default: "20000000", format: .integer(1...2_000_000_000)),
      .repeated("codec", "NAME", "only these codecs", format: .choice(["none", "gzip", "snappy", "lz4", "zstd"])),
      .value("batch-size", "BYTES", "uncompressed bytes of a record batch", default: "1048576"),
      .value("master", "local[N]", "executor threads", default: "local[2]"),
      .value("partitions", "N", "topic partitions", default: "4", format: .integer(1...1000)),
      .value("runs", "N", "drains; the median counts", default: "3", format: .integer(1...100)),
      .repeated("conf", "KEY=VALUE", "a setting of the job"),
      .value("json", "PATH", "also write the rows as JSON"),
      .flag("smoke", "a short run that shows that it works, not how fast"),
    ])

  struct Row {
    var codec: CompressionCodec
    var batchSize: Int
    var records: Int
    var matches: Int
    /// The run of median length.
    var drain: Drain.Run
    /// Seconds of the reference for as many records.
    var loop: Double
    var bytes: Int
  }

  static func main() throws {
    let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
    if options.isHelpAsked { return TextOutput.standard.write(spec.helpText()) }
    let isSmoke = try options.flag("smoke")
    let records = isSmoke ? 200_000 : try options.int("records")!
    let runs = isSmoke ? 1 : try options.int("runs")!
    let batchSize = try options.int("batch-size")!
    var settings: [String: String] = [:]
    for setting in try options.all("conf") {
      let parts = setting.split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { throw options.complaint(about: "conf", "is not understood; write KEY=VALUE") }
      settings[String(parts[0])] = String(parts[1])
    }
    let named = try options.all("codec").compactMap { CompressionCodec(name: $0) }
    let codecs = named.isEmpty ? (isSmoke ? [.lz4] : [.none, .snappy, .lz4, .zstd]) : named
    guard let master = Master(text: try options.required("master")) else {
      throw options.complaint(about: "master", "is not understood; write local[2]")
    }
    var table = TextTable([
      ("codec", .left), ("batch", .right), ("records", .right), ("M records/s", .right), ("MB/s", .right),
      ("loop M records/s", .right), ("of the loop", .right), ("MB on disk", .right),
      ("CPU s", .right), ("batches", .right),
    ])
    var rows: [Row] = []
    for codec in codecs {
      let bench = try Drain(
        codec: codec, batchSize: batchSize, records: records, partitions: try options.int("partitions")!,
        executors: master.executorCount(cores: LiveWorld.processorCount), settings: settings)
      defer { bench.end() }
      let times = try (0..<runs).map { try bench.drain(run: $0) }.sorted { $0.seconds < $1.seconds }
      rows.append(
        Row(
          codec: codec, batchSize: batchSize, records: bench.records, matches: bench.matches,
          drain: times[times.count / 2], loop: try bench.loop(), bytes: bench.bytes))
      let row = rows[rows.count - 1]
      let rate = Double(row.records) / row.drain.seconds / 1e6
      let reference = Double(row.records) / row.loop / 1e6
      table.add([
        codec.name, "\(batchSize)", "\(row.records)", fixed(rate), fixed(rate * 100), fixed(reference),
        "\(Int((rate / reference * 100).rounded())) %", fixed(Double(row.bytes) / 1e6),
        fixed(row.drain.processorSeconds), "\(row.drain.batches)",
      ])
    }
    TextOutput.standard.write(table.text)
    TextOutput.standard.flush()
    if let path = try options.string("json") { try LinuxFileStore().replace(path, with: Bytes(json(rows))) }
  }

  private static func fixed(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }

  private static func json(_ rows: [Row]) -> String {
    let items = rows.map { row in
      """
        {"codec":"\(row.codec)","batch_size":\(row.batchSize),"records":\(row.records),"matches":\(row.matches),\
      "drain_seconds":\(row.drain.seconds),"drain_processor_seconds":\(row.drain.processorSeconds),\
      "batches":\(row.drain.batches),"loop_seconds":\(row.loop),"bytes_on_disk":\(row.bytes)}
      """
    }
    return "[\n\(items.joined(separator: ",\n"))\n]\n"
  }
}
