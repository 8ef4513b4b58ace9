import Groundwork
import KafkaProtocol
import SystemInterfaces

/// Offsets: where a partition's log begins and ends, and what groups have committed. On the client's loop.
public struct Offsets: Sendable {
  /// Whose connections and metadata are used.
  public let client: KafkaClient
  /// Takes a client, which others may use as well; nothing is sent yet.
  public init(_ client: KafkaClient) { self.client = client }

  /// Which offset of a partition is asked for.
  public enum Position: Sendable, Hashable {
    /// The first one that is still there.
    case earliest
    /// The one that the next record gets; with `readCommitted` the last stable offset.
    case latest
    /// The first record at least as young as this.
    case timestamp(Timestamp)

    var wireValue: Int64 {
      switch self {
      case .latest: -1
      case .earliest: -2
      case .timestamp(let time): time.milliseconds
      }
    }
  }

  /// `isolation.level`: what of transactions is visible. The raw value is the wire's.
  public enum Isolation: Int8, Sendable, Hashable {
    /// Everything below the high watermark, aborted records included.
    case readUncommitted = 0
    /// Everything below the last stable offset: no record of an open transaction.
    case readCommitted = 1
  }

  /// An answer of `list`.
  public struct Listed: Sendable, Equatable {
    /// -1: no record is as young as the timestamp.
    public var offset: Offset
    /// The record's, where one was asked for by timestamp; else `none`.
    public var timestamp: Timestamp
    /// The leader epoch of the record at the offset; -1 where the broker did not say.
    public var leaderEpoch: Int32
  }

  /// A committed offset.
  public struct Committed: Sendable, Equatable {
    /// The next offset the group has to read.
    public var offset: Offset
    /// The leader epoch of the record before it; -1: not known.
    public var leaderEpoch: Int32
    /// Free text of whoever committed.
    public var metadata: String
    /// - Parameters:
    ///   - offset: the next offset to read, not the last one read.
    ///   - leaderEpoch: that of the record before; -1: not known.
    ///   - metadata: free text, bounded by the broker (`offset.metadata.max.bytes`).
    public init(_ offset: Offset, leaderEpoch: Int32 = -1, metadata: String = "") {
      self.offset = offset
      self.leaderEpoch = leaderEpoch
      self.metadata = metadata
    }
  }

  /// Called once, on the client's loop.
  public typealias Completion<Value> = @Sendable (Result<Value, ClientError>) -> Void

  /// One offset for each partition. Partitions are asked at their leaders, all of one leader at once; fails as a whole
  /// with the first error that does not pass.
  public func list(
    _ positions: [TopicPartition: Position], isolation: Isolation = .readUncommitted, deadline: Instant? = nil,
    then: @escaping Completion<[TopicPartition: Listed]>
  ) {
    let wanted = positions.sorted { $0.key < $1.key }.map { (partition: $0.key, position: $0.value) }
    let collector = Collector<TopicPartition, Listed>()
    let client = client
    client.retrying(
      until: deadline,
      { done in
        let missing = wanted.filter { collector.found[$0.partition] == nil }
        if missing.isEmpty { return client.loop.post { done(.success(())) } }
        let topics = Array(Set(missing.map(\.partition.topic))).sorted()
        client.metadataOnce(for: topics) { result in
          if case .failure(let error) = result { return done(.failure(error)) }
          list(missing, isolation, into: collector, then: done)
        }
      },
      then: { (result: Result<Void, ClientError>) in then(result.map { collector.found }) })
  }

  private func list(
    _ wanted: [(partition: TopicPartition, position: Position)], _ isolation: Isolation,
    into collector: Collector<TopicPartition, Listed>, then: @escaping Completion<Void>
  ) {
    var byLeader: [Int32: [(partition: TopicPartition, position: Position)]] = [:]
    for item in wanted {
      guard let leader = client.metadata.leader(of: item.partition) else {
        return then(.failure(client.topicError(item.partition) ?? ClientError(.noLeader(item.partition))))
      }
      byLeader[leader, default: []].append(item)
    }
    let gate = Gate(byLeader.count, then)
    for (leader, items) in byLeader.sorted(by: { $0.key < $1.key }) {
      var request = ListOffsetsRequest()
      request.replicaID = -1
      request.isolationLevel = isolation.rawValue
      for (partition, position) in items {
        var wire = ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition()
        wire.partitionIndex = partition.partition.rawValue
        wire.timestamp = position.wireValue
        wire.currentLeaderEpoch = client.metadata.partition(partition)?.leaderEpoch ?? -1
        if request.topics.last?.name != partition.topic {
          var topic = ListOffsetsRequest.ListOffsetsTopic()
          topic.name = partition.topic
          request.topics.append(topic)
        }
        request.topics[request.topics.count - 1].partitions.append(wire)
      }
      // Version 0 answers in another way and brokers since 0.10.1 have a later one; isolation came with 2.
      let first: Int16 = isolation == .readCommitted ? 2 : 1
      client.sendOnce(request, to: .broker(leader), versions: first...ListOffsetsRequest.versions.upperBound) {
        [client] result in
        gate.pass(
          result.flatMap { answer in
            var failure: ClientError?
            for topic in answer.topics {
              for partition in topic.partitions {
                let name = TopicPartition(topic.name, PartitionIndex(partition.partitionIndex))
                if partition.errorCode.isError {
                  client.forgetWhatIsStale(partition.errorCode, topic: topic.name)
                  failure = failure ?? ClientError(.broker(partition.errorCode, "the offsets of \(name)"))
                } else {
                  collector.found[name] = Listed(
                    offset: Offset(partition.offset), timestamp: Timestamp(milliseconds: partition.timestamp),
                    leaderEpoch: partition.leaderEpoch)
                }
              }
            }
            return failure.map { .failure($0) } ?? .success(())
          })
      }
    }
  }

  /// What a group has committed; partitions without a commit are missing from the result.
  /// - Parameters:
  ///   - partitions: nil: all that the group has.
  ///   - requiresStable: waits until no open transaction holds offsets back (KIP-447; Kafka 2.5 and later).
  public func committed(
    group: String, _ partitions: [TopicPartition]? = nil, requiresStable: Bool = false, deadline: Instant? = nil,
    then: @escaping Completion<[TopicPartition: Committed]>
  ) {
    var request = OffsetFetchRequest()
    var byTopic: [String: [Int32]] = [:]
    for partition in partitions ?? [] { byTopic[partition.topic, default: []].append(partition.partition.rawValue) }
    let topics = byTopic.sorted { $0.key < $1.key }
    var wireGroup = OffsetFetchRequest.OffsetFetchRequestGroup()
    request.groupID = group
    wireGroup.groupID = group
    if partitions != nil {
      request.topics = topics.map {
        var topic = OffsetFetchRequest.OffsetFetchRequestTopic()
        (topic.name, topic.partitionIndexes) = ($0.key, $0.value.sorted())
        return topic
      }
      wireGroup.topics = topics.map {
        var topic = OffsetFetchRequest.OffsetFetchRequestGroup.OffsetFetchRequestTopics()
        (topic.name, topic.partitionIndexes) = ($0.key, $0.value.sorted())
        return topic
      }
    }
    request.groups = [wireGroup]
    request.requireStable = requiresStable
    // All topics can be asked for from version 2 on; requireStable is lost before 7.
    let first: Int16 = requiresStable ? 7 : 2
    let sent = request
    let client = client
    client.retrying(
      until: deadline,
      { done in
        client.sendOnce(
          sent, to: .coordinator(group: group), versions: first...OffsetFetchRequest.versions.upperBound
        ) { result in
          done(result.flatMap { committed($0, group) })
        }
      }, then: then)
  }

  private func committed(
    _ answer: OffsetFetchResponse, _ group: String
  ) -> Result<[TopicPartition: Committed], ClientError> {
    var found: [TopicPartition: Committed] = [:]
    var failure = answer.groups.first?.errorCode ?? answer.errorCode
    func take(
      _ topic: String, _ index: Int32, _ offset: Int64, _ epoch: Int32, _ metadata: String?, _ code: KafkaErrorCode
    ) {
      if code.isError { failure = failure.isError ? failure : code }
      guard offset >= 0, !code.isError else { return }
      found[TopicPartition(topic, PartitionIndex(index))] = Committed(
        Offset(offset), leaderEpoch: epoch, metadata: metadata ?? "")
    }
    for topic in answer.topics {
      for p in topic.partitions {
        take(topic.name, p.partitionIndex, p.committedOffset, p.committedLeaderEpoch, p.metadata, p.errorCode)
      }
    }
    for topic in answer.groups.first?.topics ?? [] {
      for p in topic.partitions {
        take(topic.name, p.partitionIndex, p.committedOffset, p.committedLeaderEpoch, p.metadata, p.errorCode)
      }
    }
    guard failure.isError else { return .success(found) }
    client.forgetWhatIsStale(failure, group: group)
    return .failure(ClientError(.broker(failure, "the offsets of group \(group)")))
  }

  /// Commits offsets for a group that has no members (generation -1, no member id), so that every Kafka tool sees the
  /// lag. A group with live members refuses (`UNKNOWN_MEMBER_ID`): it belongs to them.
  public func commit(
    group: String, _ offsets: [TopicPartition: Committed], deadline: Instant? = nil, then: @escaping Completion<Void>
  ) {
    var request = OffsetCommitRequest()
    request.groupID = group
    request.generationIDOrMemberEpoch = -1
    for (partition, committed) in offsets.sorted(by: { $0.key < $1.key }) {
      var wire = OffsetCommitRequest.OffsetCommitRequestTopic.OffsetCommitRequestPartition()
      wire.partitionIndex = partition.partition.rawValue
      wire.committedOffset = committed.offset.rawValue
      wire.committedLeaderEpoch = committed.leaderEpoch
      wire.committedMetadata = committed.metadata
      if request.topics.last?.name != partition.topic {
        var topic = OffsetCommitRequest.OffsetCommitRequestTopic()
        topic.name = partition.topic
        request.topics.append(topic)
      }
      request.topics[request.topics.count - 1].partitions.append(wire)
    }
    let sent = request
    let client = client
    client.retrying(
      until: deadline,
      { done in
        // Version 0 kept offsets in ZooKeeper, 1 wants a timestamp: 2 is the first that commits as it is done today.
        client.sendOnce(
          sent, to: .coordinator(group: group), versions: 2...OffsetCommitRequest.versions.upperBound
        ) { result in
          done(
            result.flatMap { answer in
              for topic in answer.topics {
                for partition in topic.partitions where partition.errorCode.isError {
                  client.forgetWhatIsStale(partition.errorCode, group: group)
                  let what = "committing offsets of \(topic.name)-\(partition.partitionIndex) for group \(group)"
                  return .failure(ClientError(.broker(partition.errorCode, what)))
                }
              }
              return .success(())
            })
        }
      }, then: then)
  }
}

/// What several answers bring together.
///
/// Sendable: touched on the client's loop alone.
final class Collector<Key: Hashable & Sendable, Value: Sendable>: @unchecked Sendable {
  var found: [Key: Value] = [:]
}

/// Calls on once all of a number of answers are in, with the first failure.
///
/// Sendable: touched on the client's loop alone.
final class Gate: @unchecked Sendable {
  private var left: Int
  private var failure: ClientError?
  private let then: @Sendable (Result<Void, ClientError>) -> Void
  init(_ count: Int, _ then: @escaping @Sendable (Result<Void, ClientError>) -> Void) {
    left = count
    self.then = then
  }
  func pass(_ result: Result<Void, ClientError>) {
    // A failure that does not pass outweighs one that does.
    if case .failure(let error) = result, failure.map({ $0.isRetriable && !error.isRetriable }) ?? true {
      failure = error
    }
    left -= 1
    if left == 0 { then(failure.map { .failure($0) } ?? .success(())) }
  }
}
