import Codecs
import Groundwork
import KafkaClients
import KafkaProtocol
import Sluice
import SystemInterfaces

/// `sluice consume`: records to lines.
enum ConsumeCommand: Command {
  static let spec = CommandSpec(
    name: "sluice consume", summary: "Prints a topic's records, a line each, until Ctrl-C or a limit.",
    discussion: """
      Without --from-beginning, --offset or --group it shows what arrives from now on.
      Properties are those of Kafka's console consumer: print.timestamp, print.partition, print.offset, print.headers, \
      print.key, print.value, key.separator (default: a tab), line.separator, headers.separator, null.literal.
      """,
    options: [
      ClientOptions.topic,
      .value("partition", "N", "only this partition", short: "p", format: .integer(0...Int(Int32.max))),
      .value("offset", "OFFSET", "where to begin in it: a number, earliest or latest", short: "o"),
      .flag("from-beginning", "begin with the oldest record"),
      .value("max-messages", "N", "end after so many records", short: "n", format: .integer(1...Int.max)),
      .value(
        "timeout-ms", "MS", "end when nothing came for so long", format: .integer(1...Int(Int32.max))),
      .value("group", "GROUP", "go on from this group's offsets, and commit them", short: "g"),
      .repeated(
        "property", "KEY=VALUE", "how a record is shown, such as print.key=true", aliases: ["formatter-property"],
        format: .keyValue),
      .value(
        "isolation-level", "LEVEL", "whether records of open and aborted transactions are hidden",
        default: "read_committed", format: .choice(["read_committed", "read_uncommitted"])),
    ] + ClientOptions.standard,
    examples: [
      .init("sluice consume --topic lines --from-beginning --timeout-ms 1000", "all there is"),
      .init(
        "sluice consume -t delays -b localhost:9092 --property print.key=true --property key.separator=,",
        "what arrives, with keys"),
    ])
}

extension ConsumeCommand {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let format = try RecordLineFormat(properties: try options.properties("property"))
    let start = try Start(options)
    let topic = try options.required("topic")
    let isolation: Offsets.Isolation =
      try options.string("isolation-level") == "read_uncommitted" ? .readUncommitted : .readCommitted

    let session = try Session(options, process)
    defer { session.close(process) }
    let metadata = try process.wait { session.client.metadata(for: [topic], then: $0) }
    var partitions = (metadata.topics[topic]?.partitions ?? []).map { TopicPartition(topic, $0.index) }
    if let number = try options.int("partition") {
      let wanted = TopicPartition(topic, PartitionIndex(Int32(number)))
      guard partitions.contains(wanted) else { throw ClientError(.unknownPartition(wanted)) }
      partitions = [wanted]
    }
    let offsets = try start.offsets(partitions, Offsets(session.client), isolation, process)
    let display = Display(
      format, offsets, session.client, isolation, process, group: try options.string("group"),
      limit: try options.int("max-messages").map { Int64($0) },
      silence: try options.int("timeout-ms").map { .milliseconds($0) })
    display.start()
    defer { display.stop() }
    do {
      try process.pump { display.isDone }
    } catch {
      try? display.commit()
      throw error
    }
    try display.commit()
    if let failure = display.failure { throw failure }
    return ExitCode.success
  }

  /// Where reading begins.
  private struct Start {
    var group: String?
    var position: Offsets.Position = .latest
    var number: Offset?

    init(_ options: Options) throws {
      group = try options.string("group")
      if try options.flag("from-beginning") { position = .earliest }
      guard let text = try options.string("offset") else { return }
      if try options.flag("from-beginning") {
        throw options.complaint(about: "offset", "contradicts --from-beginning; write one of the two")
      }
      switch text {
      case "earliest", "beginning": position = .earliest
      case "latest", "end": position = .latest
      default:
        guard let value = Int64(text), value >= 0 else {
          throw options.complaint(about: "offset", "is no offset; write a number, earliest or latest")
        }
        guard try options.isGiven("partition") else {
          throw options.complaint(about: "offset", "means one partition; name it with --partition")
        }
        number = Offset(value)
      }
      // Asked for by name, an offset stands over what the group has.
      group = nil
    }

    func offsets(
      _ partitions: [TopicPartition], _ offsets: Offsets, _ isolation: Offsets.Isolation, _ process: CommandProcess
    ) throws -> [TopicPartition: Offset] {
      var result: [TopicPartition: Offset] = [:]
      if let number {
        for partition in partitions { result[partition] = number }
        return result
      }
      if let group {
        let committed = try process.wait { offsets.committed(group: group, partitions, then: $0) }
        for (partition, found) in committed { result[partition] = found.offset }
      }
      let open = partitions.filter { result[$0] == nil }
      let asked = Dictionary(uniqueKeysWithValues: open.map { ($0, position) })
      let listed = try process.wait { offsets.list(asked, isolation: isolation, then: $0) }
      for (partition, found) in listed { result[partition] = found.offset }
      return result
    }
  }
}

/// Shows records as they arrive, until a limit, a silence, or the end of whoever reads the output.
///
/// Sendable: touched on the command's loop only.
private final class Display: @unchecked Sendable {
  private let format: RecordLineFormat
  private let client: KafkaClient
  private let process: CommandProcess
  private let group: String?
  private let limit: Int64?
  private let silence: Duration?
  private var fetcher: Fetcher?
  private let fetching: FetcherConfiguration
  private let workspace = CodecWorkspace()
  private var next: [TopicPartition: Offset]
  private var committed: [TopicPartition: Offset]
  private var transactions: [TopicPartition: AbortedFilter] = [:]
  private var shown: Int64 = 0
  private var lastArrival: Instant
  private(set) var isDone = false
  private(set) var failure: (any Error)?

  init(
    _ format: RecordLineFormat, _ offsets: [TopicPartition: Offset], _ client: KafkaClient,
    _ isolation: Offsets.Isolation, _ process: CommandProcess, group: String?, limit: Int64?, silence: Duration?
  ) {
    self.format = format
    self.client = client
    self.process = process
    self.group = group
    self.limit = limit
    self.silence = silence
    next = offsets
    committed = offsets
    var fetching = FetcherConfiguration()
    fetching.isolation = isolation
    self.fetching = fetching
    lastArrival = process.loop.now
  }

  func start() {
    let fetcher = Fetcher(client, configuration: fetching) { [weak self] in self?.heard($0) }
    self.fetcher = fetcher
    fetcher.start(next)
    if let silence { watch(silence) }
    if group != nil { commitNowAndThen() }
  }

  func stop() { fetcher?.close() }

  /// Commits what was shown for the group, where there is one and something new.
  func commit() throws {
    guard let group, let news else { return }
    try process.wait { Offsets(client).commit(group: group, news, then: $0) }
    committed = next
  }

  private var news: [TopicPartition: Offsets.Committed]? {
    let changed = next.filter { committed[$0.key] != $0.value }
    return changed.isEmpty ? nil : changed.mapValues { Offsets.Committed($0) }
  }

  private func heard(_ event: FetchEvent) {
    guard !isDone else { return }
    switch event {
    case .arrived(let partition): show(partition)
    case .failed(_, let error, let isStopped):
      if isStopped { end(error) } else { process.report("\(error); trying again") }
    case .offsetOutOfRange(let partition, let offset):
      process.report("\(partition) has no offset \(offset) any more, or not yet; going on with its oldest record")
      restart(partition)
    case .recreated(let partition):
      process.report("topic \(partition.topic) was made again; going on with the oldest record of \(partition)")
      restart(partition)
    }
  }

  private func restart(_ partition: TopicPartition) {
    Offsets(client).list([partition: .earliest]) { [self] result in
      switch result {
      case .failure(let error): end(error)
      case .success(let found):
        guard let first = found[partition]?.offset else { return }
        next[partition] = first
        transactions[partition] = nil
        fetcher?.seek(partition, to: first)
      }
    }
  }

  private func end(_ error: (any Error)? = nil) {
    failure = failure ?? error
    isDone = true
  }

  private func show(_ partition: TopicPartition) {
    guard let snapshot = fetcher?.buffer.snapshot(of: partition), var position = next[partition] else { return }
    lastArrival = process.loop.now
    var filter = transactions[partition] ?? AbortedFilter()
    do {
      for buffered in snapshot.batches where buffered.header.nextOffset > position && !isDone {
        let batch = try RecordBatch(buffered.bytes)
        if !filter.hides(batch.header, buffered.aborted) { try show(batch, of: partition, from: &position) }
        if !isDone { position = max(position, buffered.header.nextOffset) }
      }
    } catch { end(error) }
    transactions[partition] = filter
    next[partition] = position
    fetcher?.release(partition, upTo: position)
    process.output.flush()
    // `… | head` has what it wants.
    if process.output.isBroken { end() }
  }

  private func show(_ batch: RecordBatch, of partition: TopicPartition, from position: inout Offset) throws {
    let kind: RecordLineFormat.TimestampKind =
      batch.header.timestampType == .logAppendTime
      ? .logAppend : batch.header.maxTimestamp == .none ? .none : .create
    var line = ByteWriter(capacity: 512)
    var reached = position
    try batch.forEachRecord(from: position, using: workspace) { record in
      guard !isDone else { return }
      let headers = record.headers.map { ConsoleRecord.Header(name: $0.key, value: $0.value) }
      line.removeAll()
      format.append(
        ConsoleRecord(key: record.key, value: record.value, headers: headers), partition: partition.partition,
        offset: record.offset, at: record.timestamp, kind, to: &line)
      line.withUnsafeBytes { process.output.write($0) }
      reached = record.offset + 1
      shown += 1
      if shown == limit { isDone = true }
    }
    position = reached
  }

  /// Ends it when nothing has come for so long.
  private func watch(_ silence: Duration) {
    process.loop.at(lastArrival + silence) { [weak self] in
      guard let self, !isDone else { return }
      if process.loop.now >= lastArrival + silence { end() } else { watch(silence) }
    }
  }

  private func commitNowAndThen() {
    process.loop.after(.seconds(5)) { [weak self] in
      guard let self, !isDone, let group else { return }
      if let news {
        let reached = next
        Offsets(client).commit(group: group, news) { [weak self] result in
          guard let self else { return }
          switch result {
          case .success: committed = reached
          case .failure(let error): end(error)
          }
        }
      }
      commitNowAndThen()
    }
  }
}
