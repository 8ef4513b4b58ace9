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

  /// All lines of the files below a folder; names that begin with a dot or an underscore are no output.
  static func files(_ path: String, _ files: any FileStore) throws -> [VerifyRecord] {
    guard let attributes = try files.attributes(path) else { return [] }
    if attributes.isDirectory {
      return try files.list(path).sorted().filter { !$0.hasPrefix(".") && !$0.hasPrefix("_") }
        .flatMap { try Self.files("\(path)/\($0)", files) }
    }
    for ending in [".gz", ".zst", ".lz4"] where path.hasSuffix(ending) {
      throw CommandError("\(path) is compressed: let the job write plain files for this", exitCode: ExitCode.usage)
    }
    return try files.contents(of: path).split(separator: UInt8(ascii: "\n")).map { VerifyRecord(line: String($0)) }
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
