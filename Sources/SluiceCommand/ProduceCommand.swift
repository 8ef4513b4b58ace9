import Codecs
import Groundwork
import KafkaClients
import KafkaProtocol
import LinuxSystem
import Sluice
import SystemInterfaces

/// `sluice produce`: lines to records.
enum ProduceCommand: Command {
  static let spec = CommandSpec(
    name: "sluice produce", summary: "Writes lines from standard input or a file to a topic, a record each.",
    discussion: """
      Properties are those of Kafka's console producer: parse.key, key.separator (default: a tab), parse.headers, \
      headers.delimiter, headers.separator, headers.key.separator, null.marker, ignore.error.
      """,
    options: [
      ClientOptions.topic,
      .value("file", "FILE", "read this file instead of standard input", short: "f"),
      .repeated(
        "property", "KEY=VALUE", "how a line is read, such as parse.key=true", aliases: ["reader-property"],
        format: .keyValue),
      .value(
        "compression-codec", "CODEC", "how batches are compressed", short: "z",
        aliases: ["compression-type"], default: "none", format: .choice(["none", "gzip", "snappy", "lz4", "zstd"])),
      .value(
        "acks", "ACKS", "copies that must have a record before it counts", aliases: ["request-required-acks"],
        default: "all", format: .choice(["all", "-1", "1", "0"])),
    ] + ClientOptions.standard,
    examples: [
      .init("sluice produce --topic lines --file book.txt --compression-codec zstd", "a file, a record a line"),
      .init(
        "printf 'a,1\\nb,2\\n' | sluice produce -t pairs --property parse.key=true --property key.separator=,",
        "with keys"),
    ])
}

extension ProduceCommand {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let lines = try LineRecordReader(properties: try options.properties("property"))
    var configuration = ProducerConfiguration()
    configuration.codec = try options.string("compression-codec").flatMap { CompressionCodec(name: $0) } ?? .none
    configuration.acks =
      switch try options.string("acks") {
      case "0": .none
      case "1": .leader
      default: .all
      }
    // A pipe gives many lines at once: larger batches than Kafka's default compress better, and a short wait fills them.
    configuration.batchSize = 256 << 10
    configuration.linger = .milliseconds(5)
    let topic = try options.required("topic")
    let file = try options.string("file")
    let size = try file.flatMap { try process.world.files.attributes($0)?.size }

    let session = try Session(options, process, createsTopics: true)
    defer { session.close(process) }
    _ = try process.wait { session.client.metadata(for: [topic], then: $0) }
    let transfer = Transfer(topic, lines, session.client, configuration, process, totalBytes: size)
    try transfer.start(file)
    process.onSignal = { transfer.interrupt($0) }
    defer { process.onSignal = nil }
    try process.pump { transfer.isDone }
    transfer.showEnd()
    if let failure = transfer.failure { throw failure }
    if let signal = transfer.signal { throw Interrupted(signal: signal) }
    return ExitCode.success
  }
}

/// Lines on their way from a reader to a producer: what is read waits where the producer's buffer is full, and nothing
/// more is asked for meanwhile.
///
/// Sendable: touched on the command's loop only.
private final class Transfer: @unchecked Sendable {
  private let topic: String
  private var lines: LineRecordReader
  private let process: CommandProcess
  private let producer: Producer
  private let tally = Tally()
  private var reader: LineReader?
  private var waiting: ArraySlice<Bytes> = []
  /// The record of the first waiting line, where the producer had no room for it.
  private var held: ConsoleRecord?
  private var meter: ProgressMeter
  private let showsProgress: Bool
  private var readBytes: Int64 = 0
  private(set) var isDone = false
  private(set) var failure: (any Error)?
  private(set) var signal: Signal?
  private var isEnding = false

  /// What the broker has confirmed. Touched on the command's loop only.
  final class Tally: @unchecked Sendable {
    var records: Int64 = 0
    var failedRecords: Int64 = 0
    var error: ClientError?
  }

  init(
    _ topic: String, _ lines: LineRecordReader, _ client: KafkaClient, _ configuration: ProducerConfiguration,
    _ process: CommandProcess, totalBytes: Int64?
  ) {
    self.topic = topic
    self.lines = lines
    self.process = process
    let tally = tally
    producer = Producer(client, configuration: configuration) { delivery in
      if let error = delivery.error {
        tally.failedRecords += Int64(delivery.recordCount)
        tally.error = tally.error ?? error
      } else {
        tally.records += Int64(delivery.recordCount)
      }
    }
    meter = ProgressMeter("produce", style: process.progressStyle, totalBytes: totalBytes, start: process.loop.now)
    // Somebody who types the lines needs no bar between them.
    showsProgress = totalBytes != nil || !TextOutput(0).isTerminal
  }

  /// Begins to read a file, or standard input.
  func start(_ file: String?) throws {
    // Longer lines could never be sent: the producer's own limit is far below.
    reader = try LineReader(path: file, on: process.loop, lineMax: 16 << 20) { [self] in take($0) }
    reader?.request()
    if showsProgress { tick() }
  }

  /// Somebody asked for the end: what was read is still sent; asked twice, it ends at once.
  func interrupt(_ signal: Signal) {
    if self.signal != nil { isDone = true }
    self.signal = signal
    finish()
    process.loop.after(.seconds(5)) { [self] in isDone = true }
  }

  /// `N records, M bytes in T s`.
  func showEnd() {
    process.output.flush()
    process.showError(meter.finish(records: tally.records, bytes: readBytes, now: process.loop.now))
  }

  private func take(_ event: LineEvent) {
    guard !isEnding else { return }
    switch event {
    case .lines(let block):
      waiting = block[...]
      send()
    case .end: finish()
    case .lineTooLong(let line, let max): fail(CommandError("line \(line) is longer than \(max) bytes"))
    case .failed(let error): fail(error)
    }
  }

  private func send() {
    guard !isEnding else { return }
    while let line = waiting.first {
      do {
        let record = try held ?? lines.record(line)
        held = record
        let headers = record.headers.map { RecordHeader($0.name, $0.value) }
        try producer.send(topic: topic, key: record.key, value: record.value, headers: headers)
        readBytes += Int64((record.key?.count ?? 0) + (record.value?.count ?? 0))
      } catch let error as ClientError {
        if case .bufferFull = error.code { return producer.whenAccepting { [self] in send() } }
        return fail(error)
      } catch { return fail(error) }
      held = nil
      waiting = waiting.dropFirst()
    }
    if tally.error != nil { finish() } else { reader?.request() }
  }

  private func fail(_ error: any Error) {
    failure = failure ?? error
    finish()
  }

  /// Nothing more is read; what the producer holds is sent.
  private func finish() {
    guard !isEnding else { return }
    isEnding = true
    reader?.stop()
    producer.flush { [self] _ in
      if let error = tally.error, failure == nil {
        let count = HumanText.count(tally.failedRecords)
        failure = CommandError("\(count) record\(tally.failedRecords == 1 ? "" : "s") not delivered: \(error)")
      }
      isDone = true
    }
  }

  private func tick() {
    guard !isDone else { return }
    if let text = meter.update(records: tally.records, bytes: readBytes, now: process.loop.now) {
      process.showError(text)
    }
    process.loop.after(.milliseconds(100)) { [weak self] in self?.tick() }
  }
}
