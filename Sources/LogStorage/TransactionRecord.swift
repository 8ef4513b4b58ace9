import Groundwork
import Journals

/// What a transaction coordinator knows of one transactional id, and keeps durably (Kafka's `TransactionMetadata`).
public struct TransactionRecord: Sendable, Equatable {
  /// Where the id's transaction stands; the names are those that Kafka's tools show.
  public enum Phase: UInt8, Sendable, Hashable, CaseIterable {
    /// A producer has been given its epoch and has begun nothing. → `ongoing`
    case empty = 0
    /// Partitions or offsets belong to a transaction that is neither committed nor aborted. → `prepareCommit`,
    /// `prepareAbort`
    case ongoing = 1
    /// It is decided: markers are being written. → `completeCommit`
    case prepareCommit = 2
    /// As `prepareCommit`, but for an abort. → `completeAbort`
    case prepareAbort = 3
    /// All partitions know. → `ongoing`, `empty`
    case completeCommit = 4
    /// As `completeCommit`, but for an abort.
    case completeAbort = 5

    /// Kafka's name for it.
    public var name: String {
      switch self {
      case .empty: "Empty"
      case .ongoing: "Ongoing"
      case .prepareCommit: "PrepareCommit"
      case .prepareAbort: "PrepareAbort"
      case .completeCommit: "CompleteCommit"
      case .completeAbort: "CompleteAbort"
      }
    }

    /// Whether the outcome is decided and not yet known to all partitions.
    public var isPrepared: Bool { self == .prepareCommit || self == .prepareAbort }
  }

  /// Where it stands.
  public var phase = Phase.empty
  /// The id that the producer writes its batches with.
  public var producerID: Int64
  /// The id before, from whose last epoch the producer came; -1: none. It tells a repeated request from an impostor's.
  public var previousProducerID: Int64 = -1
  /// The id that takes over when the transaction has ended, since the epochs are used up; -1: none.
  public var nextProducerID: Int64 = -1
  /// The producer's epoch; -1 before the first producer has one.
  public var epoch: Int16 = -1
  /// The epoch before, by which a repeated request is known; -1: none.
  public var lastEpoch: Int16 = -1
  /// How long a transaction may stay open.
  public var timeout: Duration
  /// The partitions that have, or may have, records of the transaction.
  public var partitions: Set<TopicPartition> = []
  /// Offsets that take effect with the transaction, by group; a group may have been announced before its offsets came.
  public var offsets: [String: [TopicPartition: CommittedOffset]] = [:]
  /// When the transaction began, by the broker's wall clock; `.none` where none is open.
  public var started = Timestamp.none
  /// When it last changed.
  public var updated: Timestamp

  /// A transactional id that no producer has an epoch of yet.
  public init(producerID: Int64, timeout: Duration, updated: Timestamp) {
    self.producerID = producerID
    self.timeout = timeout
    self.updated = updated
  }
}

extension TransactionRecord {
  /// Appends the record, but of the partitions and offsets only what `known` has not: an entry of the log says what has
  /// been added.
  func encode(to writer: inout ByteWriter, since known: TransactionRecord?) {
    writer.append(phase.rawValue)
    for number in [
      producerID, previousProducerID, nextProducerID, timeout.inMilliseconds, started.milliseconds,
      updated.milliseconds,
    ] { writer.append(bigEndian: number) }
    writer.append(bigEndian: epoch)
    writer.append(bigEndian: lastEpoch)
    let added = partitions.subtracting(known?.partitions ?? []).sorted()
    writer.append(bigEndian: UInt32(added.count))
    for partition in added { partition.encode(to: &writer) }
    let groups = offsets.filter { known?.offsets[$0.key] != $0.value }.sorted { $0.key < $1.key }
    writer.append(bigEndian: UInt32(groups.count))
    for (group, offsets) in groups {
      let before = known?.offsets[group] ?? [:]
      let added = offsets.filter { before[$0.key] != $0.value }.sorted { $0.key < $1.key }
      writer.append(field: group)
      writer.append(bigEndian: UInt32(added.count))
      for (partition, offset) in added {
        partition.encode(to: &writer)
        offset.encode(to: &writer)
      }
    }
  }

  /// Reads an entry that was written with `since: known`.
  init(from reader: inout PayloadReader, since known: TransactionRecord?) throws(PayloadMalformed) {
    guard let phase = Phase(rawValue: try reader.integer()) else { throw PayloadMalformed() }
    producerID = try reader.integer()
    previousProducerID = try reader.integer()
    nextProducerID = try reader.integer()
    timeout = .milliseconds(try reader.integer(Int64.self))
    started = Timestamp(milliseconds: try reader.integer())
    updated = Timestamp(milliseconds: try reader.integer())
    epoch = try reader.integer()
    lastEpoch = try reader.integer()
    self.phase = phase
    let isOpen = phase == .ongoing || phase.isPrepared
    partitions = isOpen ? known?.partitions ?? [] : []
    offsets = isOpen ? known?.offsets ?? [:] : [:]
    for _ in 0..<(try reader.count(ofElementsOfAtLeast: 8)) { partitions.insert(try TopicPartition(from: &reader)) }
    for _ in 0..<(try reader.count(ofElementsOfAtLeast: 8)) {
      let group = try reader.text()
      var added = offsets[group] ?? [:]
      for _ in 0..<(try reader.count(ofElementsOfAtLeast: 32)) {
        let partition = try TopicPartition(from: &reader)
        added[partition] = try CommittedOffset(from: &reader)
      }
      offsets[group] = added
    }
  }
}

extension TopicPartition {
  func encode(to writer: inout ByteWriter) {
    writer.append(field: topic)
    writer.append(bigEndian: partition.rawValue)
  }
}

extension CommittedOffset {
  func encode(to writer: inout ByteWriter) {
    writer.append(bigEndian: offset.rawValue)
    writer.append(bigEndian: leaderEpoch)
    writer.append(field: metadata)
    writer.append(bigEndian: committed.milliseconds)
  }
}
