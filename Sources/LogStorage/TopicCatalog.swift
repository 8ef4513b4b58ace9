import Groundwork
import Journals
import KafkaProtocol
import SystemInterfaces

/// A topic as the catalog keeps it.
public struct TopicDescription: Sendable, Equatable {
  /// Kafka's rules for names are checked by whoever creates topics.
  public var name: String
  /// Given once; a topic made again under the same name gets another (KIP-516).
  public var id: UUID128
  /// Its partitions are numbered 0 ..< partitionCount.
  public var partitionCount: Int
  /// Settings that differ from the broker's defaults, by name.
  public var overrides: [String: String]

  /// A topic as it is to be put into the catalog; nothing is checked here.
  public init(name: String, id: UUID128, partitionCount: Int, overrides: [String: String]) {
    self.name = name
    self.id = id
    self.partitionCount = partitionCount
    self.overrides = overrides
  }
}

/// The durable list of topics, and the identity of the cluster. Every change is past a power loss when its call returns.
///
/// State confined to the broker's loop.
public final class TopicCatalog {
  /// All topics, by name.
  public private(set) var topics: [String: TopicDescription] = [:]
  /// The identity of the cluster; nil in a new catalog, until `setClusterID`.
  public private(set) var clusterID: String?
  private let journal: Journal

  /// Kinds of entries, the first byte of a payload.
  private enum Kind: UInt8 {
    case put = 1
    case remove = 2
    case clusterID = 3
  }
  private static let version: UInt16 = 1

  private init(_ journal: Journal) { self.journal = journal }

  /// Opens the catalog at `path`, made if need be.
  /// - Returns: the catalog, and the bytes of a torn tail that were cut off its journal.
  public static func open(
    _ path: String, in files: any FileStore
  ) throws(LogError) -> (catalog: TopicCatalog, cutBytes: Int64) {
    var topics: [String: TopicDescription] = [:]
    var clusterID: String?
    let (journal, cut) = try journaling { () throws(JournalError) in
      try Journal.open(path, in: files) { entry, position throws(JournalError) in
        try replaying(entry, at: position, of: path, version: version) { reader throws(PayloadMalformed) in
          switch Kind(rawValue: try reader.integer()) {
          case .put:
            let topic = try TopicDescription(from: &reader)
            topics[topic.name] = topic
          case .remove: topics[try reader.text()] = nil
          case .clusterID: clusterID = try reader.text()
          case nil: throw PayloadMalformed()
          }
        }
      }
    }
    let catalog = TopicCatalog(journal)
    catalog.topics = topics
    catalog.clusterID = clusterID
    return (catalog, cut)
  }

  /// Adds or replaces a topic.
  public func put(_ topic: TopicDescription) throws(LogError) {
    try append(putEntry(topic))
    topics[topic.name] = topic
    try compactIfDue()
  }

  /// Forgets a topic.
  public func remove(_ name: String) throws(LogError) {
    try append(entry(.remove) { $0.append(field: name) })
    topics[name] = nil
    try compactIfDue()
  }

  /// Gives the cluster its identity, once.
  public func setClusterID(_ id: String) throws(LogError) {
    try append(entry(.clusterID) { $0.append(field: id) })
    clusterID = id
  }

  private func append(_ entry: JournalEntry) throws(LogError) {
    try journaling { () throws(JournalError) in try journal.append(entry, sync: true) }
  }

  private func compactIfDue() throws(LogError) {
    guard journal.entryCount > 2 * topics.count + 100 else { return }
    var entries = topics.sorted { $0.key < $1.key }.map { putEntry($0.value) }
    if let clusterID { entries.append(entry(.clusterID) { $0.append(field: clusterID) }) }
    try journaling { () throws(JournalError) in try journal.rewrite(entries) }
  }

  private func putEntry(_ topic: TopicDescription) -> JournalEntry {
    entry(.put) { topic.encode(to: &$0) }
  }

  private func entry(_ kind: Kind, _ body: (inout ByteWriter) -> Void) -> JournalEntry {
    var writer = ByteWriter()
    writer.append(kind.rawValue)
    body(&writer)
    return JournalEntry(version: TopicCatalog.version, payload: writer.finish())
  }
}

extension TopicDescription {
  func encode(to writer: inout ByteWriter) {
    writer.append(field: name)
    writer.append(bigEndian: id.high)
    writer.append(bigEndian: id.low)
    writer.append(bigEndian: UInt32(partitionCount))
    writer.append(bigEndian: UInt32(overrides.count))
    for (name, value) in overrides.sorted(by: { $0.key < $1.key }) {
      writer.append(field: name)
      writer.append(field: value)
    }
  }

  init(from reader: inout PayloadReader) throws(PayloadMalformed) {
    name = try reader.text()
    let high: UInt64 = try reader.integer()
    id = UUID128(high: high, low: try reader.integer())
    partitionCount = Int(try reader.integer(UInt32.self))
    overrides = [:]
    for _ in 0..<(try reader.count(ofElementsOfAtLeast: 8)) {
      let name = try reader.text()
      overrides[name] = try reader.text()
    }
  }
}

/// Reads one journal entry of a known version; what its payload lacks becomes an error that names the entry.
func replaying(
  _ entry: JournalEntry, at position: Int64, of path: String, version: UInt16,
  _ body: (inout PayloadReader) throws(PayloadMalformed) -> Void
) throws(JournalError) {
  guard entry.version == version else {
    throw JournalError(.unsupportedVersion(entry.version, position: position), path: path)
  }
  var reader = PayloadReader(entry.payload)
  do throws(PayloadMalformed) {
    try body(&reader)
  } catch {
    throw JournalError(.malformedEntry(position: position), path: path)
  }
}
