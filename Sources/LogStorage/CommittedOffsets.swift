import Groundwork
import Journals
import SystemInterfaces

/// Where a consumer group stands in one partition.
public struct CommittedOffset: Sendable, Equatable {
  /// The next offset to be read.
  public var offset: Offset
  /// The leader epoch of the record before, or -1.
  public var leaderEpoch: Int32
  /// Free text of the consumer.
  public var metadata: String
  /// When it was committed, by the broker's wall clock.
  public var committed: Timestamp

  /// A committed offset as the broker keeps it; `leaderEpoch` -1 where the consumer named none.
  public init(offset: Offset, leaderEpoch: Int32, metadata: String, committed: Timestamp) {
    self.offset = offset
    self.leaderEpoch = leaderEpoch
    self.metadata = metadata
    self.committed = committed
  }
}

/// The committed offsets of all consumer groups, kept in a journal that is compacted when most of it is superseded.
///
/// State confined to the broker's loop.
public final class CommittedOffsets {
  private(set) var groups: [String: [TopicPartition: CommittedOffset]] = [:]
  private let journal: Journal
  private let syncsCommits: Bool
  /// Offsets written to the journal since it was last compacted.
  private var writtenCount = 0
  private var liveCount = 0

  private enum Kind: UInt8 {
    case commit = 1
    case removeGroup = 2
    case removeTopic = 3
  }
  private static let version: UInt16 = 1
  /// Offsets in one entry at most, so that no entry outgrows a journal.
  private static let entryCountMax = 10_000

  private init(_ journal: Journal, syncsCommits: Bool) {
    self.journal = journal
    self.syncsCommits = syncsCommits
  }

  /// Opens the offsets at `path`, made if need be.
  ///
  /// - Parameter flushPolicy: `.sync`: a commit is past a power loss when its call returns.
  /// - Returns: the offsets, and the bytes of a torn tail that were cut off the journal.
  public static func open(
    _ path: String, in files: any FileStore, flushPolicy: FlushPolicy
  ) throws(LogError) -> (offsets: CommittedOffsets, cutBytes: Int64) {
    var groups: [String: [TopicPartition: CommittedOffset]] = [:]
    var written = 0
    let (journal, cut) = try journaling { () throws(JournalError) in
      try Journal.open(path, in: files) { entry, position throws(JournalError) in
        try replaying(entry, at: position, of: path, version: version) { reader throws(PayloadMalformed) in
          switch Kind(rawValue: try reader.integer()) {
          case .commit:
            let group = try reader.text()
            let count = try reader.count(ofElementsOfAtLeast: 32)
            for _ in 0..<count {
              let partition = try TopicPartition(from: &reader)
              groups[group, default: [:]][partition] = try CommittedOffset(from: &reader)
            }
            written += count
          case .removeGroup: groups[try reader.text()] = nil
          case .removeTopic:
            let topic = try reader.text()
            removeTopic(topic, &groups)
          case nil: throw PayloadMalformed()
          }
        }
      }
    }
    let offsets = CommittedOffsets(journal, syncsCommits: flushPolicy == .sync)
    offsets.groups = groups
    offsets.writtenCount = written
    offsets.liveCount = groups.values.reduce(0) { $0 + $1.count }
    return (offsets, cut)
  }

  /// The groups that have offsets, sorted.
  public var groupNames: [String] { groups.keys.sorted() }

  /// What a group has committed for a partition.
  public func offset(of group: String, _ partition: TopicPartition) -> CommittedOffset? { groups[group]?[partition] }

  /// All that a group has committed, sorted.
  public func offsets(of group: String) -> [(partition: TopicPartition, offset: CommittedOffset)] {
    (groups[group] ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// Commits offsets of one group, all of them or, where it throws, none that is answered for.
  public func commit(
    _ group: String, _ offsets: [(partition: TopicPartition, offset: CommittedOffset)]
  ) throws(LogError) {
    guard !offsets.isEmpty else { return }
    try append(CommittedOffsets.entries(group, offsets), sync: syncsCommits)
    var known = groups.removeValue(forKey: group) ?? [:]
    liveCount -= known.count
    for (partition, offset) in offsets { known[partition] = offset }
    liveCount += known.count
    groups[group] = known
    writtenCount += offsets.count
    try compactIfDue()
  }

  /// Forgets a group.
  public func removeGroup(_ group: String) throws(LogError) {
    try append([CommittedOffsets.entry(.removeGroup) { $0.append(field: group) }], sync: true)
    liveCount -= groups.removeValue(forKey: group)?.count ?? 0
    try compactIfDue()
  }

  /// Forgets what all groups have committed for a topic that is no more.
  public func removeTopic(_ topic: String) throws(LogError) {
    try append([CommittedOffsets.entry(.removeTopic) { $0.append(field: topic) }], sync: true)
    CommittedOffsets.removeTopic(topic, &groups)
    liveCount = groups.values.reduce(0) { $0 + $1.count }
    try compactIfDue()
  }

  /// Makes everything durable.
  public func sync() throws(LogError) { try journaling { () throws(JournalError) in try journal.sync() } }

  private static func removeTopic(_ topic: String, _ groups: inout [String: [TopicPartition: CommittedOffset]]) {
    for (group, offsets) in groups {
      let kept = offsets.filter { $0.key.topic != topic }
      if kept.count != offsets.count { groups[group] = kept.isEmpty ? nil : kept }
    }
  }

  private func append(_ entries: [JournalEntry], sync: Bool) throws(LogError) {
    try journaling { () throws(JournalError) in try journal.append(entries, sync: sync) }
  }

  private func compactIfDue() throws(LogError) {
    guard writtenCount > 4 * liveCount + 10_000 || journal.entryCount > 4 * liveCount + 10_000 else { return }
    let entries = groups.keys.sorted().flatMap { CommittedOffsets.entries($0, offsets(of: $0)) }
    try journaling { () throws(JournalError) in try journal.rewrite(entries) }
    writtenCount = liveCount
  }

  private static func entries(
    _ group: String, _ offsets: [(partition: TopicPartition, offset: CommittedOffset)]
  ) -> [JournalEntry] {
    stride(from: 0, to: offsets.count, by: entryCountMax).map { start in
      let part = offsets[start..<min(start + entryCountMax, offsets.count)]
      return entry(.commit) { writer in
        writer.append(field: group)
        writer.append(bigEndian: UInt32(part.count))
        for (partition, offset) in part {
          partition.encode(to: &writer)
          offset.encode(to: &writer)
        }
      }
    }
  }

  private static func entry(_ kind: Kind, _ body: (inout ByteWriter) -> Void) -> JournalEntry {
    var writer = ByteWriter()
    writer.append(kind.rawValue)
    body(&writer)
    return JournalEntry(version: version, payload: writer.finish())
  }
}

extension TopicPartition {
  init(from reader: inout PayloadReader) throws(PayloadMalformed) {
    let topic = try reader.text()
    self.init(topic, PartitionIndex(try reader.integer()))
  }
}

extension CommittedOffset {
  init(from reader: inout PayloadReader) throws(PayloadMalformed) {
    offset = Offset(try reader.integer())
    leaderEpoch = try reader.integer()
    metadata = try reader.text()
    committed = Timestamp(milliseconds: try reader.integer())
  }
}
