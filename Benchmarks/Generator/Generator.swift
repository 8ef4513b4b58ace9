import BenchmarkWorkload
import KafkaProtocol
import LinuxSystem
import Sluice
import SystemInterfaces

/// What all benchmarks read comes from here: a process of its own, so that its work is not counted as somebody else's.
@main struct Generator {
  static let spec = CommandSpec(
    name: "Generator", summary: "Makes the records that benchmarks read, and says what counting them must come to.",
    discussion: """
      A value is a line of exactly 100 bytes: 10 words out of a vocabulary of 6 to 12 letters each, by Zipf's law with \
      exponent 1, or all equally often. The same shape and seed give the same lines. They are encoded into record batches \
      before anything is sent.
      fill writes so many records into a topic, as fast as it goes. replay sends at a rate, on a schedule that does not \
      wait for answers: a batch a millisecond, or a record where that is rarer; what is late is sent at once, and how \
      late is printed. Timestamps are those of the sending. Both are idempotent, acks=all, without linger.
      batches and lines write a file: record batches one behind the other, or lines of text, for programs without a \
      broker. ratios shows what compression makes of each shape, and checks that what was encoded decodes to the same.
      The last line of the output has name=value pairs: what the records come to (records, value_bytes, and hash, the sum \
      of Hash64 version 1 with seed 0 over all values modulo 2^64; matches and match_hash of the values that hold "ea"; \
      words and word_hash, the sum over all words), and what was sent.
      """,
    positionals: [.init("MODE", "fill, replay, batches, lines or ratios", required: false)],
    options: [
      .value("bootstrap-server", "HOST:PORT", "brokers to begin with", short: "b", format: .addresses),
      .value("topic", "TOPIC", "topic to write to, which exists", default: "lines"),
      .value("partitions", "N", "partitions to take in turn, from 0 on", default: "4", format: .integer(1...1000)),
      .value(
        "records", "N", "records to write; whole batches are", default: "1000000",
        format: .integer(1...100_000_000_000)),
      .value("rate", "N", "records a second of replay", default: "10000", format: .integer(1...100_000_000)),
      .value("for", "TIME", "how long replay sends", default: "10s", format: .duration),
      .flag("stamp", "replayed values begin with the nanosecond at which they were to be sent"),
      .value(
        "codec", "NAME", "of the record batches", default: "lz4",
        format: .choice(["none", "gzip", "snappy", "lz4", "zstd"])),
      .value(
        "batch-size", "BYTES", "uncompressed bytes of a record batch", default: "1048576",
        format: .integer(100...64 << 20)),
      .value("words", "N", "words of the vocabulary", default: "10000", format: .integer(100...10_000_000)),
      .value(
        "distribution", "NAME", "how often each occurs", default: "zipf", format: .choice(["zipf", "uniform"])),
      .value("seed", "N", "another one gives other lines", default: "1", format: .integer(0...Int.max)),
      .value(
        "different", "BYTES", "lines made before they repeat", default: "67108864", format: .integer(100...4 << 30)),
      .value("output", "PATH", "file that batches and lines write"),
      .flag("smoke", "ratios, short: shows that it works"),
    ],
    examples: [
      .init("Generator fill -b localhost:9092 --topic lines --records 20000000 --codec zstd", "a topic to drain"),
      .init("Generator replay -b localhost:9092 --topic lines --rate 10000 --for 60s", "a steady load"),
    ])

  static func main() {
    do {
      let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
      if options.isHelpAsked { return TextOutput.standard.write(spec.helpText()) }
      try run(options)
      TextOutput.standard.flush()
    } catch {
      TextOutput.standard.flush()
      TextOutput.error.write("Generator: \(error)\n")
      ThisProcess.exit(error is OptionError ? ExitCode.usage : ExitCode.failure)
    }
  }

  private static func run(_ options: Options) throws {
    let isSmoke = try options.flag("smoke")
    let mode = options.positionals.first ?? (isSmoke ? "ratios" : "")
    let order = try Order(options)
    switch mode {
    case "fill": try Sending(order, try address(options)).fill()
    case "replay": try Sending(order, try address(options)).replay()
    case "batches": try writeBatches(order, to: try options.required("output"))
    case "lines": try writeLines(order, to: try options.required("output"))
    case "ratios":
      try Ratios.show(different: isSmoke ? 1 << 20 : order.different, wordsMax: isSmoke ? 50_000 : 1_000_000)
    default: throw options.complaint(about: "MODE", "is not understood; write fill, replay, batches, lines or ratios")
    }
  }

  private static func address(_ options: Options) throws -> [Address] {
    let addresses = try options.addresses("bootstrap-server")
    if addresses.isEmpty { throw options.complaint(about: "bootstrap-server", "is missing; write HOST:PORT") }
    return addresses
  }

  /// Batches one behind the other, each line in one of them.
  private static func writeBatches(_ order: Order, to path: String) throws {
    let pool = try order.pool()
    let file = try LinuxFileStore().open(path, .create)
    var position: Int64 = 0
    for entry in pool.entries {
      try file.write(at: position, [entry.batch.bytes])
      position += Int64(entry.batch.bytes.count)
    }
    try file.truncate(to: position)
    TextOutput.standard.write("\(pool.tally(ofBatches: pool.entries.count).text) \(order.text(pool))\n")
  }

  /// Lines, each with a line feed.
  private static func writeLines(_ order: Order, to path: String) throws {
    let lines = Lines(order.different / LineGenerator.lineSize, order.shape)
    var text: [UInt8] = []
    text.reserveCapacity(lines.count * (LineGenerator.lineSize + 1))
    for index in 0..<lines.count {
      lines[index].withUnsafeBytes { text.append(contentsOf: $0) }
      text.append(10)
    }
    try LinuxFileStore().replace(path, with: Bytes(text))
    TextOutput.standard.write("\(lines.tally(0..<lines.count).text)\n")
  }
}

/// What is to be made.
struct Order {
  var shape: TextShape
  var codec: CompressionCodec
  var batchSize: Int
  /// Bytes of lines before they repeat.
  var different: Int
  var records: Int
  var rate: Int
  var time: Duration
  var isStamped: Bool
  var topic: String
  var partitions: Int

  init(_ options: Options) throws {
    shape = TextShape(
      wordCount: try options.int("words")!,
      distribution: TextShape.Distribution(rawValue: try options.required("distribution")) ?? .zipf,
      seed: UInt64(try options.int("seed")!))
    codec = CompressionCodec(name: try options.required("codec")) ?? .none
    batchSize = try options.int("batch-size")!
    different = try options.int("different")!
    records = try options.int("records")!
    rate = try options.int("rate")!
    time = try options.duration("for")!
    isStamped = try options.flag("stamp")
    topic = try options.required("topic")
    partitions = try options.int("partitions")!
  }

  /// The batches, of the size asked for.
  func pool() throws -> EncodedPool { try pool(recordsPerBatch: EncodedPool.records(inBatchOf: batchSize)) }

  /// Batches that are all full, and no more lines than are wanted.
  func pool(recordsPerBatch: Int) throws -> EncodedPool {
    let wanted = min(records, max(1, different / LineGenerator.lineSize))
    let batches = max(1, (wanted + recordsPerBatch - 1) / recordsPerBatch)
    return try EncodedPool(Lines(batches * recordsPerBatch, shape), recordsPerBatch: recordsPerBatch, codec: codec)
  }

  func text(_ pool: EncodedPool) -> String {
    "batches=\(pool.entries.count) batch_records=\(pool.entries[0].tally.records) plain_bytes=\(pool.plainBytes) "
      + "encoded_bytes=\(pool.encodedBytes) ratio=\(HumanText.fixed(pool.ratio, 2))"
  }
}
