import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming
import SystemInterfaces

/// Offsets on their way to the consumer group. One commit is under way at a time, so that a later one waits for one that is
/// tried again, and does not meet it; what piles up meanwhile goes out together.
///
/// An attempt that got no answer may still arrive, behind a later one, and nothing in the protocol shuts out a commit
/// without a member. Where the job's log decides, that does no harm: the log wins. Where transactions decide, every commit
/// is one, and a late one is void by its epoch.
struct OffsetCommits {
  typealias Waiter = @Sendable ((any Error)?) -> Void
  /// What goes out with the next commit.
  var offsets: [TopicPartition: Offset] = [:]
  /// Who waits for it.
  var waiters: [Waiter] = []
  /// Whether the next commit is due although nobody waits.
  var isDue = false
  var isUnderWay = false
}

extension KafkaSource {
  func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
    plans.removeAll { $0.batch <= batch.number }
    let moved = moved(plan)
    guard settings.commitsOffsets, !moved.isEmpty else { return then(nil) }
    for range in moved { commits.offsets[range.topicPartition] = range.until }
    commits.waiters.append(then)
    commitNext()
  }

  /// The ranges whose ends are news.
  private func moved(_ plan: SourcePlan) -> [OffsetRange] {
    let gaps = PlanDetails(plan.details).gaps
    return plan.ranges.filter { range in
      !range.isEmpty || gaps.contains { $0.partition == range.topicPartition }
    }
  }

  // MARK: Offsets in transactions

  func commitsOffsets(with decider: any Decider) -> Bool {
    decider === connection.transactions && settings.commitsOffsets
  }

  /// How far the batch that is being decided has come, for its transaction: at least one partition, to carry its number;
  /// and what else waits to be committed.
  func offsets(of batch: DecidedBatch) -> [TopicPartition: Offsets.Committed] {
    // The batch behind it may be planned already.
    let plan = plans.last { $0.batch == batch.number }?.plan ?? SourcePlan()
    var ranges = moved(plan)
    if ranges.isEmpty { ranges = Array(plan.ranges.prefix(1)) }
    deciding = commits.offsets
    for range in ranges { deciding[range.topicPartition] = range.until }
    return wire(deciding, batch: batch)
  }

  /// The transaction has committed what `offsets` gave it.
  func decided(_ batch: DecidedBatch) {
    plans.removeAll { $0.batch <= batch.number }
    for (partition, offset) in deciding {
      positions[partition]?.committed = offset
      positions[partition]?.committedAt = now
      // What could not be committed before must not come behind it.
      commits.offsets[partition] = nil
    }
    deciding = [:]
  }

  private func wire(_ offsets: [TopicPartition: Offset], batch: DecidedBatch?) -> [TopicPartition: Offsets.Committed] {
    var wire: [TopicPartition: Offsets.Committed] = [:]
    for (partition, offset) in offsets {
      wire[partition] = Offsets.Committed(
        offset, leaderEpoch: positions[partition]?.leaderEpoch ?? -1,
        metadata: OffsetNote(topicID: topicIDs[partition.topic]?.description, batch: batch).text)
    }
    return wire
  }

  /// Commits the ends of ranges by hand; goes out at once, or with the commit that follows the one under way.
  func commit(_ ranges: [OffsetRange], then: @escaping @Sendable ((any Error)?) -> Void) {
    if let foreign = ranges.first(where: { positions[$0.topicPartition] == nil }) {
      return then(
        StreamingError.invalidDefinition(
          "commitAsync: \(foreign.topicPartition) is not one of this stream's partitions"))
    }
    guard !ranges.isEmpty else { return then(nil) }
    for range in ranges { commits.offsets[range.topicPartition] = range.until }
    commitsByHand += 1
    commits.waiters.append { [self] error in
      commitsByHand -= 1
      then(error)
      closeIfStopped()
    }
    commitNext()
  }

  /// Commits where partitions begin for which the group has nothing yet, or something older: never what lies beyond the
  /// job's own log, which a restart would take for a reset from outside.
  func commitStarts() {
    guard settings.commitsOffsets else { return }
    for partition in partitions {
      guard let position = positions[partition], position.committedAt == nil, commits.offsets[partition] == nil,
        restored?.next[partition].map({ position.committed <= $0 }) ?? true
      else { continue }
      commits.offsets[partition] = position.committed
      commits.isDue = true
    }
    commitNext()
  }

  /// Commits offsets again that did not move for long: those of a group without members expire.
  func commitIdle() {
    guard settings.commitsOffsets else { return }
    let now = now
    let age = settings.recommitInterval * 0.5
    for partition in partitions {
      guard let position = positions[partition], position.committedAt.map({ now - $0 >= age }) ?? true,
        commits.offsets[partition] == nil
      else { continue }
      commits.offsets[partition] = position.committed
      commits.isDue = true
    }
    commitNext()
  }

  private func commitNext() {
    guard !commits.isUnderWay, commits.isDue || !commits.waiters.isEmpty else { return }
    guard !connection.transactions.isDeciding else { return commitInTransaction() }
    let taken = takeCommits()
    guard !taken.offsets.isEmpty else { return committed(taken, nil) }
    let sent = wire(taken.offsets, batch: carriedBatch)
    let client = connection.client
    let driver = connection.driverLoop
    client.loop.post { [self, group] in
      Offsets(client).commit(group: group, sent) { [self] result in
        driver.post { [self] in
          guard case .failure(let error) = result else { return committed(taken, nil) }
          committed(taken, error)
          guard error.kafkaCode == .unknownMemberID || error.kafkaCode == .illegalGeneration else { return }
          findMembers { [environment] members in if let members { environment?.fail(members) } }
        }
      }
    }
  }

  /// What waits is under way from now on.
  private func takeCommits() -> OffsetCommits {
    let taken = commits
    commits = OffsetCommits()
    commits.isUnderWay = true
    return taken
  }

  /// A plain commit is refused where the group has members, but one in a transaction is taken from whoever names none
  /// (KIP-447): so it is looked first who is in the group.
  private func commitInTransaction() {
    commits.isUnderWay = true
    guard commits.isDue else { return commitInTurn() }
    findMembers { [self] members in
      if let members { committed(takeCommits(), members) } else { commitInTurn() }
    }
  }

  private func commitInTurn() {
    let taken = Taken()
    connection.transactions.commit(group) { [self] in
      let commits = takeCommits()
      taken.commits = commits
      return wire(commits.offsets, batch: connection.transactions.last)
    } then: { [self] error in
      // It was not asked for where nothing more can be begun.
      committed(taken.commits ?? takeCommits(), error)
    }
  }

  /// What a transaction took along.
  ///
  /// Sendable: confined to the driver's loop.
  private final class Taken: @unchecked Sendable {
    var commits: OffsetCommits?
  }

  private func committed(_ taken: OffsetCommits, _ error: (any Error)?) {
    commits.isUnderWay = false
    if let error {
      // A partition that does not move again goes with the next commit all the same.
      commits.offsets.merge(taken.offsets) { newer, _ in newer }
      // Nothing that this process does counts any more: somebody has taken over, or reads in the group's name.
      if connection.transactions.isDeciding, (error as? any DiagnosableError)?.leavesUsable == false {
        environment?.fail(error)
      }
    } else {
      for (partition, offset) in taken.offsets {
        positions[partition]?.committed = offset
        positions[partition]?.committedAt = now
      }
    }
    for waiter in taken.waiters { waiter(error) }
    commitNext()
    closeIfStopped()
  }

  /// Looks for whoever reads in the group's name. That it cannot be found out is no reason to stop.
  private func findMembers(then: @escaping @Sendable (GroupInUse?) -> Void) {
    let client = connection.client
    let driver = connection.driverLoop
    client.loop.post { [group] in
      Groups(client).describe(group) { result in
        let members = (try? result.get())?.members ?? []
        driver.post { then(members.isEmpty ? nil : GroupInUse(group: group, members: members)) }
      }
    }
  }
}
