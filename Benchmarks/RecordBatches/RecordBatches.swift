import BenchmarkWorkload
import Codecs
import Glibc
import Groundwork
import KafkaProtocol

/// Decoding and encoding of record batches beside the bare codec libraries.
@main struct RecordBatches {
  static let help = """
    Measures decoding and encoding of record batches of 100-byte records (ten words out of 10,000, by Zipf's law), in
    each codec, beside the bare codec library on the same record bytes in the same run.

    usage: RecordBatches [--smoke] [--codec NAME] [--seed N] [--json PATH]

      --smoke      a short run, under three seconds: shows that it works, not how fast
      --codec NAME only that codec: none, gzip, snappy, lz4 or zstd
      --seed N     another set of records (default 1)
      --json PATH  also writes the rows as JSON

    decode = checksum, decompression into an arena, and a walk that reads offset and value of every record.
    encode = appending every record, compression, checksum, and the finished batch in memory of its own.
    library = the codec's own function on the same bytes, contexts and memory made once; for none, one memcpy.
    ratio = time of the library / time of ours: 80 % or more is the aim for compressed batches.
    allocs = calls of malloc, calloc and realloc per record, counted in the whole process.
    MB/s counts uncompressed record bytes. Each figure is the best of twelve rounds that take turns with the library's.
    """

  struct Row {
    var size: Int
    var codec: CompressionCodec
    var what: String
    var records: Int
    var recordBytes: Int
    var batchBytes: Int
    var result: Comparison
  }

  static func main() throws {
    var arguments = CommandLine.arguments.dropFirst()
    var seconds = 0.6
    var seed: UInt64 = 1
    var path: String?
    var codecs = CompressionCodec.allCases
    while let argument = arguments.popFirst() {
      switch argument {
      case "--help", "-h": return print(help)
      case "--smoke": seconds = 0.04
      case "--seed":
        guard let value = arguments.popFirst().flatMap({ UInt64($0) }) else { stop("--seed wants a number") }
        seed = value
      case "--codec":
        guard let codec = arguments.popFirst().flatMap({ CompressionCodec(name: $0) }) else {
          stop("--codec wants none, gzip, snappy, lz4 or zstd")
        }
        codecs = [codec]
      case "--json":
        guard let value = arguments.popFirst() else { stop("--json wants a path") }
        path = value
      default: stop("unknown argument \(argument); --help shows what there is")
      }
    }
    var rows: [Row] = []
    print("batch    codec   what          records/s      MB/s   library   ratio  allocs  batch bytes")
    for size in [16_384, 1_048_576] {
      let workload = Workload(batchSize: size, seed: seed)
      for codec in codecs {
        for row in try measure(workload, size, codec, seconds) {
          rows.append(row)
          print(line(row))
        }
      }
    }
    if let path { try write(rows, to: path) }
  }

  static func measure(
    _ workload: Workload, _ size: Int, _ codec: CompressionCodec, _ seconds: Double
  ) throws -> [Row] {
    let workspace = CodecWorkspace()
    var builder = RecordBatchBuilder(capacity: size)
    let plain = try workload.encode(&builder, .none, workspace)
    let content = plain[RecordBatchLayout.records..<plain.count]
    let bytes = try workload.encode(&builder, codec, workspace)
    let payload = bytes[RecordBatchLayout.records..<bytes.count]
    let library = BareLibrary(codec, capacity: plain.count)
    func row(_ what: String, _ result: Comparison) -> Row {
      Row(
        size: size, codec: codec, what: what, records: workload.records.count, recordBytes: content.count,
        batchBytes: bytes.count, result: result)
    }
    var sum = 0
    let reference = { payload.withUnsafeBytes { sum &+= library.decompress($0) } }
    var rows: [Row] = []
    let decode = try Comparison(
      seconds: seconds,
      ours: {
        let batch = try RecordBatch(bytes)
        try batch.forEachRecord(using: workspace) { view in
          sum &+= Int(truncatingIfNeeded: view.offset.rawValue) &+ (view.valueBuffer?.count ?? 0)
        }
      }, reference: reference)
    rows.append(row("decode", decode))
    if codec == .none { rows += try walks(workload, bytes, workspace, seconds, row) }
    let encode = try Comparison(
      seconds: seconds, ours: { sum &+= try workload.encode(&builder, codec, workspace).count },
      reference: { content.withUnsafeBytes { sum &+= library.compress($0) } })
    rows.append(row("encode", encode))
    // What was computed must be used, or the compiler may leave it out.
    if sum == 1 { print("") }
    return rows
  }

  /// The ways to take values out of a walk, each beside a checksum of the batch alone.
  static func walks(
    _ workload: Workload, _ bytes: Bytes, _ workspace: CodecWorkspace, _ seconds: Double,
    _ row: (String, Comparison) -> Row
  ) throws -> [Row] {
    let batch = try RecordBatch(bytes)
    let checksum = { try batch.verifyChecksum() }
    let slots = UnsafeMutablePointer<Bytes>.allocate(capacity: workload.records.count)
    defer { slots.deallocate() }
    let unretained = try Comparison(
      seconds: seconds,
      ours: {
        let section = try batch.records(using: workspace)
        var next = slots
        try section.forEachRecord { view in
          guard let value = view.unretainedValue else { return }
          next.initialize(to: value)
          next += 1
        }
      }, reference: checksum)
    let retained = try Comparison(
      seconds: seconds,
      ours: {
        var next = slots
        try batch.forEachRecord(using: workspace) { view in
          guard let value = view.value else { return }
          next.initialize(to: value)
          next += 1
        }
        slots.deinitialize(count: next - slots)
      }, reference: checksum)
    return [row("to +0 Bytes", unretained), row("to Bytes", retained)]
  }

  static func line(_ row: Row) -> String {
    let perSecond = Double(row.records) / row.result.ours
    let columns: [(String, Int)] = [
      (row.size >= 1 << 20 ? "1 MiB" : "\(row.size >> 10) KiB", -8), (row.codec.name, -7), (row.what, -12),
      (fixed(perSecond / 1e6, 2) + " M", 10), (fixed(Double(row.recordBytes) / row.result.ours / 1e6, 0), 9),
      (fixed(Double(row.recordBytes) / row.result.reference / 1e6, 0), 9),
      (fixed(row.result.reference / row.result.ours * 100, 0) + " %", 7),
      (fixed(row.result.allocations / Double(row.records), 4), 7), ("\(row.batchBytes)", 12),
    ]
    return columns.map { text, width in
      let padding = String(repeating: " ", count: max(0, abs(width) - text.count))
      return width < 0 ? text + padding : padding + text
    }.joined(separator: " ")
  }

  /// A number with that many decimals.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = Int((value * scale).rounded())
    guard decimals > 0 else { return "\(scaled)" }
    let digits = String(scaled)
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return padded.dropLast(decimals) + "." + padded.suffix(decimals)
  }

  static func write(_ rows: [Row], to path: String) throws {
    let objects = rows.map { row in
      """
        {"batch": \(row.size), "codec": "\(row.codec)", "what": "\(row.what)", "records": \(row.records), \
      "recordBytes": \(row.recordBytes), "batchBytes": \(row.batchBytes), \
      "recordsPerSecond": \(Int(Double(row.records) / row.result.ours)), \
      "bytesPerSecond": \(Int(Double(row.recordBytes) / row.result.ours)), \
      "libraryBytesPerSecond": \(Int(Double(row.recordBytes) / row.result.reference)), \
      "ratio": \(fixed(row.result.reference / row.result.ours, 3)), \
      "allocationsPerRecord": \(fixed(row.result.allocations / Double(row.records), 5))}
      """
    }
    let text = "[\n" + objects.joined(separator: ",\n") + "\n]\n"
    guard let file = fopen(path, "w") else { stop("cannot write \(path): \(String(cString: strerror(errno)))") }
    let written = fputs(text, file)
    guard fclose(file) == 0, written >= 0 else { stop("cannot write \(path): \(String(cString: strerror(errno)))") }
  }

  static func stop(_ message: String) -> Never {
    let line = "RecordBatches: \(message)\n"
    _ = line.withCString { Glibc.write(2, $0, strlen($0)) }
    exit(2)
  }
}
