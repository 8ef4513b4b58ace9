import Codecs
import Groundwork
import KafkaClients
import KafkaProtocol
import Sluice
import SystemInterfaces

/// Reads what a job wrote.
enum VerifyReader {
  /// All committed records of a topic, each partition in its order.
  static func topic(_ topic: String, of place: VerifyPlace, _ process: CommandProcess) throws -> [VerifyRecord] {
    let client = try place.connection
    let metadata = try process.wait { client.metadata(for: [topic], then: $0) }
    let partitions = (metadata.topics[topic]?.partitions ?? []).map { TopicPartition(topic, $0.index) }.sorted()
    if partitions.isEmpty { return [] }
    let offsets = Offsets(client)
    let begin = try process.wait {
      offsets.list(Dictionary(uniqueKeysWithValues: partitions.map { ($0, .earliest) }), then: $0)
    }
    let end = try process.wait {
      offsets.list(
        Dictionary(uniqueKeysWithValues: partitions.map { ($0, .latest) }), isolation: .readCommitted, then: $0)
    }
    let reader = TopicReader(begin.mapValues(\.offset), end.mapValues(\.offset), client)
    try reader.run(process)
    return partitions.flatMap { reader.records[$0] ?? [] }
  }

  /// All lines of the files below a folder; names that begin with a dot or an underscore are no output. A first line that
  /// all CSV files share is taken for their header, and counts once.
  static func files(_ path: String, _ files: any FileStore) throws -> [VerifyRecord] {
    var contents: [(path: String, lines: [Bytes])] = []
    try read(path, files, CodecWorkspace()) { contents.append(($0, $1)) }
    let tables = contents.indices.filter { isTable(contents[$0].path) && !contents[$0].lines.isEmpty }
    if let first = tables.first, tables.allSatisfy({ contents[$0].lines[0] == contents[first].lines[0] }) {
      for index in tables.dropFirst() { contents[index].lines.removeFirst() }
    }
    return contents.flatMap { $0.lines.map { VerifyRecord(line: String($0)) } }
  }

  private static let compressed: [(ending: String, codec: CompressionCodec)] = [
    (".gz", .gzip), (".zst", .zstd), (".zstd", .zstd), (".lz4", .lz4),
  ]

  private static func isTable(_ path: String) -> Bool {
    ([""] + compressed.map(\.ending)).contains { path.hasSuffix(".csv" + $0) }
  }

  private static func read(
    _ path: String, _ files: any FileStore, _ workspace: CodecWorkspace, _ take: (String, [Bytes]) -> Void
  ) throws {
    guard let attributes = try files.attributes(path) else { return }
    if attributes.isDirectory {
      for name in try files.list(path).sorted() where !name.hasPrefix(".") && !name.hasPrefix("_") {
        try read("\(path)/\(name)", files, workspace, take)
      }
      return
    }
    var content = try files.contents(of: path)
    if let codec = compressed.first(where: { path.hasSuffix($0.ending) })?.codec, !content.isEmpty {
      do {
        content =
          codec == .gzip
          ? try GzipReader.contents(of: content, limit: .max)
          : try workspace.decompress(content, with: codec, limit: 4 << 30)
      } catch {
        throw CommandError("\(path) cannot be unpacked: \(error)")
      }
    }
    take(path, content.split(separator: UInt8(ascii: "\n")).map { $0 })
  }
}

/// Reads partitions up to an end.
///
/// Sendable: confined to the command's loop.
private final class TopicReader: @unchecked Sendable {
  private let client: KafkaClient
  private let end: [TopicPartition: Offset]
  private var next: [TopicPartition: Offset]
  private var filters: [TopicPartition: AbortedFilter] = [:]
  private let workspace = CodecWorkspace()
  private(set) var records: [TopicPartition: [VerifyRecord]] = [:]
  private var failure: (any Error)?
  private var fetcher: Fetcher?

  init(_ begin: [TopicPartition: Offset], _ end: [TopicPartition: Offset], _ client: KafkaClient) {
    next = begin
    self.end = end
    self.client = client
  }

  private var isDone: Bool { failure != nil || end.allSatisfy { next[$0.key] ?? 0 >= $0.value } }

  func run(_ process: CommandProcess) throws {
    if isDone { return }
    var configuration = FetcherConfiguration()
    configuration.isolation = .readCommitted
    let fetcher = Fetcher(client, configuration: configuration) { [weak self] in self?.heard($0) }
    self.fetcher = fetcher
    fetcher.start(next)
    defer { fetcher.close() }
    try process.pump(atMost: .seconds(120)) { isDone }
    if let failure { throw failure }
    if !isDone { throw CommandError("an output topic could not be read to its end within two minutes") }
  }

  private func heard(_ event: FetchEvent) {
    switch event {
    case .arrived(let partition):
      do { try take(partition) } catch { failure = failure ?? error }
    case .failed(_, let error, let isStopped): if isStopped { failure = failure ?? error }
    case .offsetOutOfRange(let partition, let offset):
      failure =
        failure ?? CommandError("\(partition) has no offset \(offset): its records were removed while it was read")
    case .recreated(let partition):
      failure = failure ?? CommandError("\(partition.topic) was made again while it was read")
    }
  }

  private func take(_ partition: TopicPartition) throws {
    guard let fetcher, let arrived = fetcher.buffer.snapshot(of: partition), let from = next[partition] else { return }
    var filter = filters[partition] ?? AbortedFilter()
    for buffered in arrived.batches where buffered.header.nextOffset > from {
      if filter.hides(buffered.header, buffered.aborted) { continue }
      try RecordBatch(buffered.bytes).forEachRecord(from: from, using: workspace) { record in
        records[partition, default: []].append(
          VerifyRecord(key: record.key.map { String($0) } ?? "", value: record.value.map { String($0) } ?? ""))
      }
    }
    filters[partition] = filter
    next[partition] = arrived.nextOffset
    fetcher.release(partition, upTo: arrived.nextOffset)
  }
}
