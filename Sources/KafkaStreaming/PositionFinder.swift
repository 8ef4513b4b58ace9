import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming

/// Where a stream begins, partition by partition, as found out at its start.
struct FoundPositions: Sendable {
  var next: [TopicPartition: Offset] = [:]
  /// Those whose topic has one.
  var topicIDs: [String: UUID128] = [:]
  /// Where records are lost.
  var gaps: [TopicPartition: Gap] = [:]
  /// What the group has already.
  var committed: [TopicPartition: Offset] = [:]
  /// The last batch that a transaction decided, where the group knows of one.
  var decided: DecidedBatch?
  /// For the log.
  var notes: [String] = []
}

/// Asks a cluster which partitions there are and where to begin in them. On the client's loop.
struct PositionFinder: Sendable {
  var client: KafkaClient
  var subscription: TopicSubscription
  var group: String
  var settings: SourceSettings
  /// Where the job's log ends; nil in a first run.
  var restored: RestoredPositions?

  typealias Completion<Value> = @Sendable (Result<Value, any Error>) -> Void

  /// The partitions there are, and the metadata that say so.
  /// - Parameter isFresh: asks the brokers in any case, and leaves out topics that are not there at the moment.
  func partitions(isFresh: Bool, then: @escaping Completion<(partitions: [TopicPartition], metadata: ClusterMetadata)>)
  {
    topics { named in
      switch named {
      case .failure(let error): then(.failure(error))
      case .success(let topics):
        let take: @Sendable (Result<ClusterMetadata, ClientError>) -> Void = { result in
          switch result {
          case .failure(let error): then(.failure(error))
          case .success(let metadata): then(subscribed(topics, metadata, isComplete: !isFresh))
          }
        }
        if isFresh {
          client.refreshMetadata(topics: topics, then: take)
        } else {
          client.metadata(for: topics, then: take)
        }
      }
    }
  }

  private func topics(then: @escaping Completion<[String]>) {
    guard case .pattern(let pattern) = subscription else { return then(.success(subscription.topics)) }
    Admin(client).listTopics { result in
      then(
        result.map { topics in
          TopicSubscription.matches(pattern, topics.filter { !$0.isInternal && !$0.error.isError }.map(\.name))
        }.mapError { $0 })
    }
  }

  private func subscribed(
    _ topics: [String], _ metadata: ClusterMetadata, isComplete: Bool
  ) -> Result<(partitions: [TopicPartition], metadata: ClusterMetadata), any Error> {
    let all = topics.flatMap { topic in
      (metadata.topics[topic].map { $0.error.isError ? [] : $0.partitions } ?? []).map {
        TopicPartition(topic, $0.index)
      }
    }
    guard case .partitions(let wanted) = subscription else { return .success((all, metadata)) }
    if isComplete, let missing = wanted.sorted().first(where: { !all.contains($0) }) {
      return .failure(ClientError(.unknownPartition(missing)))
    }
    return .success((wanted.filter { all.contains($0) }, metadata))
  }

  // MARK: Start

  /// Decides for every partition where to begin.
  func find(then: @escaping Completion<FoundPositions>) {
    partitions(isFresh: false) { result in
      switch result {
      case .failure(let error): then(.failure(error))
      case .success(let (partitions, metadata)):
        Groups(client).describe(group) { result in
          switch result {
          case .failure(let error): then(.failure(error))
          case .success(let description) where !description.members.isEmpty:
            then(.failure(GroupInUse(group: group, members: description.members)))
          case .success:
            Offsets(client).committed(group: group, partitions, requiresStable: true) { result in
              switch result {
              case .failure(let error): then(.failure(error))
              case .success(let committed): decide(partitions, metadata, committed, then: then)
              }
            }
          }
        }
      }
    }
  }

  private func decide(
    _ partitions: [TopicPartition], _ metadata: ClusterMetadata, _ committed: [TopicPartition: Offsets.Committed],
    then: @escaping Completion<FoundPositions>
  ) {
    var found = FoundPositions()
    found.committed = committed.mapValues(\.offset)
    found.decided = committed.values.compactMap { OffsetNote($0.metadata).batch }.max { $0.number < $1.number }
    for topic in Set(partitions.map(\.topic)).sorted() {
      if let id = metadata.topics[topic]?.id, id != .zero { found.topicIDs[topic] = id }
    }
    let known = Set(committed.keys.map(\.topic)).union((restored?.next.keys).map { Set($0.map(\.topic)) } ?? [])
    var asked: [TopicPartition: OffsetSelection.Position] = [:]
    var lost: [LostPosition] = []
    for partition in partitions {
      let isTopicKnown =
        switch subscription {
        case .topics: known.contains(partition.topic)
        case .pattern: !known.isEmpty
        case .partitions: false
        }
      let decision = StartDecision(
        logged: restored?.next[partition], committed: committed[partition]?.offset, isTopicKnown: isTopicKnown,
        authority: settings.authority, isLogDurable: settings.isLogDurable)
      if case .conflict(let log, let committed) = decision {
        return then(
          .failure(OffsetsInConflict(partition: partition, log: log, committed: committed, group: group)))
      }
      if let note = decision.note(partition, group: group) { found.notes.append(note) }
      guard let offset = decision.offset else {
        asked[partition] = decision == .foundSince ? .earliest : settings.start[partition]
        continue
      }
      let isLogs =
        switch decision {
        case .agreed, .logAlone, .logAhead: true
        default: false
        }
      let known =
        isLogs ? restored?.details.topicIDs[partition.topic] : OffsetNote(committed[partition]?.metadata).topicID
      let epoch = (isLogs ? restored?.details.epochs[partition] : committed[partition]?.leaderEpoch) ?? -1
      let isRecreated = known.map { known in found.topicIDs[partition.topic].map { $0.description != known } ?? false }
      let leaderEpoch = metadata.partition(partition)?.leaderEpoch ?? -1
      let position = LostPosition(
        partition: partition, next: offset, isRecreated: isRecreated ?? false,
        isFenced: leaderEpoch >= 0 && epoch > leaderEpoch)
      if position.isRecreated || position.isFenced { lost.append(position) } else { found.next[partition] = offset }
    }
    let soFar = found
    let losses = lost
    list(asked) { result in
      switch result {
      case .failure(let error): then(.failure(error))
      case .success(let listed):
        decide(losses) { result in
          then(
            result.map { decisions in
              var found = soFar
              found.next.merge(listed) { _, new in new }
              for (partition, outcome) in decisions {
                found.next[partition] = outcome.next
                found.gaps[partition] = outcome.gap
              }
              return found
            })
        }
      }
    }
  }

  // MARK: Places

  /// The offsets of the places asked for.
  func list(
    _ asked: [TopicPartition: OffsetSelection.Position], whenNone: OffsetSelection.WhenNone? = nil,
    then: @escaping Completion<[TopicPartition: Offset]>
  ) {
    var given: [TopicPartition: Offset] = [:]
    var wanted: [TopicPartition: Offsets.Position] = [:]
    var times: [TopicPartition: Timestamp] = [:]
    for (partition, position) in asked {
      switch position {
      case .offset(let offset): given[partition] = offset
      case .earliest: wanted[partition] = .earliest
      case .latest: wanted[partition] = .latest
      case .timestamp(let time):
        wanted[partition] = .timestamp(time)
        times[partition] = time
      }
    }
    let exact = given
    let asTimes = times
    let offsets = Offsets(client)
    // Behind the last stable offset nothing can be read before a transaction ends: it is nobody's latest.
    offsets.list(wanted, isolation: settings.isolation) { result in
      switch result {
      case .failure(let error): then(.failure(error))
      case .success(let listed):
        var found = exact
        var none: [TopicPartition] = []
        for (partition, answer) in listed {
          if answer.offset < 0 { none.append(partition) } else { found[partition] = answer.offset }
        }
        let places = found
        if let first = none.min(), (whenNone ?? settings.start.whenNone) == .error, let time = asTimes[first] {
          return then(.failure(NoRecordAtTimestamp(partition: first, time: time)))
        }
        let ends = Dictionary(uniqueKeysWithValues: none.map { ($0, Offsets.Position.latest) })
        offsets.list(ends, isolation: settings.isolation) { result in
          then(result.map { places.merging($0.mapValues(\.offset)) { _, end in end } }.mapError { $0 })
        }
      }
    }
  }

  // MARK: Loss

  /// A position whose record may be gone.
  struct LostPosition: Sendable {
    var partition: TopicPartition
    var next: Offset
    var isRecreated = false
    var isFenced = false
  }

  /// Where a partition goes on.
  struct LossOutcome: Sendable {
    var next: Offset
    /// nil where nothing is lost.
    var gap: Gap?
  }

  /// Looks where the logs begin and end, and lets the policy decide.
  func decide(
    _ lost: [LostPosition], then: @escaping Completion<[TopicPartition: LossOutcome]>
  ) {
    if lost.isEmpty { return then(.success([:])) }
    let offsets = Offsets(client)
    func wanted(_ position: Offsets.Position) -> [TopicPartition: Offsets.Position] {
      Dictionary(uniqueKeysWithValues: lost.map { ($0.partition, position) })
    }
    let ends = wanted(.latest)
    offsets.list(wanted(.earliest)) { result in
      switch result {
      case .failure(let error): then(.failure(error))
      case .success(let first):
        offsets.list(ends) { result in
          switch result {
          case .failure(let error): then(.failure(error))
          case .success(let last):
            var outcomes: [TopicPartition: LossOutcome] = [:]
            for position in lost {
              let partition = position.partition
              guard let start = first[partition]?.offset, let end = last[partition]?.offset else { continue }
              let decision = DataLossDecision(
                partition, next: position.next, start: start, end: end, isRecreated: position.isRecreated,
                isFenced: position.isFenced, policy: settings.onDataLoss)
              switch decision {
              case .goOn: outcomes[partition] = LossOutcome(next: position.next)
              case .moved(let gap): outcomes[partition] = LossOutcome(next: gap.until, gap: gap)
              case .fail(let reason):
                return then(
                  .failure(OffsetsLost(partition: partition, offset: position.next, reason: reason, group: group)))
              }
            }
            then(.success(outcomes))
          }
        }
      }
    }
  }
}

/// Somebody else reads with the job's consumer group.
struct GroupInUse: DiagnosableError {
  var group: String
  var members: [Groups.Member]
  var fault: Fault { .user }
  var isRetriable: Bool { true }
  var leavesUsable: Bool { false }
  var description: String {
    let first = members.prefix(3).map { "\($0.clientID) at \($0.host) (\($0.id))" }.joined(separator: ", ")
    let more = members.count > 3 ? " and \(members.count - 3) more" : ""
    return
      "the consumer group \(group) has live members: \(first)\(more); a job assigns its partitions itself and commits "
      + "for the group, so that nobody else can: stop them, or give the job another --name"
  }
}

/// A partition has no record as young as the one where the stream was to begin.
struct NoRecordAtTimestamp: DiagnosableError {
  var partition: TopicPartition
  var time: Timestamp
  var fault: Fault { .user }
  var isRetriable: Bool { false }
  var leavesUsable: Bool { false }
  var description: String {
    "\(partition) has no record of \(time.milliseconds) ms since 1970 or later to begin with; choose an earlier time, or "
      + "set sluice.kafka.startingTimestampStrategy to latest"
  }
}
