import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming
import Synchronization
import SystemInterfaces

/// Topics as a source of batches: a fetcher keeps raw record batches coming, and a plan takes, of every partition, a range
/// of what has arrived.
///
/// Sendable: touched on the driver's loop, but `fetched`, which guards itself and is what tasks read.
final class KafkaSource: StreamSource, @unchecked Sendable {
  /// One partition's place in the stream.
  struct Position {
    /// The offset that the next plan begins with.
    var next: Offset
    /// Which aborted transactions are open there.
    var filter = AbortedFilter()
    /// With `limitToPresent`: the offset to stop before.
    var end: Offset?
    /// The leader epoch under which the record before `next` was written; -1 where that is not known.
    var leaderEpoch: Int32 = -1
    /// Where the fetcher could go no further: records are lost, or the policy says so.
    struct Loss {
      var at: Offset
      var isRecreated: Bool
      /// Whether it is being found out where to go on.
      var isAsked = false
    }
    var loss: Loss?
    /// What the next plan says is lost.
    var gap: Gap?
    /// Whether what is buffered is what stands at `next`: not while the fetcher is being sent elsewhere.
    var isSettled = true
    /// How far output is committed, and when the group was last told so.
    var committed: Offset
    var committedAt: Instant?
  }

  let connection: KafkaConnection
  let subscription: TopicSubscription
  let group: String
  let settings: SourceSettings
  /// Where gaps are written down; nil nowhere.
  let checkpointDirectory: String?
  let claims: TopicClaims
  let fetched: FetchedBatches
  var fetcher: Fetcher?
  var environment: SourceEnvironment?
  var restored: RestoredPositions?
  var positions: [TopicPartition: Position] = [:]
  /// The keys of `positions`, sorted: the order of ranges and of dataset partitions.
  var partitions: [TopicPartition] = []
  var topicIDs: [String: UUID128] = [:]
  /// Bytes of the ranges of plans that are not forgotten, by which their tasks are weighed.
  private var bytesOfRange: [OffsetRange: Int] = [:]
  private var rateDecision: RateDecision?
  private var lastTaken = Instant(nanoseconds: 0)
  var isLimited = false
  var isStopped = false
  var isDiscovering = false
  var timers: [TimerID] = []
  var commits = OffsetCommits()
  /// What was planned and is not committed, oldest first.
  var plans: [(batch: BatchNumber, plan: SourcePlan)] = []
  /// What a transaction that is under way commits.
  var deciding: [TopicPartition: Offset] = [:]
  /// The last batch that a transaction decided, as the group had it at the start: kept there while the job's batches are
  /// decided otherwise.
  var carriedBatch: DecidedBatch?
  /// Commits that the job asked for and that are not answered.
  var commitsByHand = 0
  private var stopWaiter: (@Sendable () -> Void)?

  init(
    _ connection: KafkaConnection, _ subscription: TopicSubscription, group: String, settings: SourceSettings,
    checkpointDirectory: String?, claims: TopicClaims
  ) {
    self.connection = connection
    self.subscription = subscription
    self.group = group
    self.settings = settings
    self.checkpointDirectory = checkpointDirectory
    self.claims = claims
    fetched = FetchedBatches(bytesMax: settings.fetchedBytesMax)
  }

  var name: String { subscription.name }
  var isReplayable: Bool { true }
  var recallsPastBatches: Bool { true }
  var now: Instant { connection.client.world.clock.now }

  // MARK: Batches

  var takesLimits: Bool { true }
  var limitedPartitions: Int { partitions.count }
  func limit(_ decision: RateDecision) { rateDecision = decision }

  func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
    guard let fetcher else { return SourcePlan() }
    var plan = SourcePlan()
    var details = PlanDetails()
    let arrived = partitions.map { partition -> PartitionSnapshot? in
      positions[partition]!.isSettled ? fetcher.buffer.snapshot(of: partition) : nil
    }
    let available = partitions.indices.map { recordsAvailable(partitions[$0], arrived[$0]) }
    let waits =
      !isLimited
      && settings.limits.waits(available: available.reduce(0, +), sinceLast: now - lastTaken)
    let shares = settings.limits.shares(available: available, interval: interval, decided: allowed(available))
    let pieceMax = settings.limits.pieceMax(available.indices.map { min(available[$0], shares[$0].records ?? Int.max) })
    for (index, partition) in partitions.enumerated() {
      if let gap = positions[partition]!.gap {
        details.gaps.append(gap)
        positions[partition]!.gap = nil
      }
      guard !waits, let arrived = arrived[index] else {
        let next = positions[partition]!.next
        plan.ranges.append(OffsetRange(partition, from: next, until: next))
        plan.contents.append(RangeContent())
        continue
      }
      take(partition, arrived, shares[index], pieceMax: pieceMax, into: &plan, number: batch.number)
      fetcher.release(partition, upTo: positions[partition]!.next)
      settleLoss(partition)
    }
    if plan.records > 0 { lastTaken = now }
    write(&details, into: &plan)
    keep(details.gaps, batch)
    plans.append((batch.number, plan))
    return plan
  }

  /// Takes a partition's share, in pieces where they are limited.
  private func take(
    _ partition: TopicPartition, _ arrived: PartitionSnapshot, _ share: PlanLimits.Share, pieceMax: Int?,
    into plan: inout SourcePlan, number: BatchNumber
  ) {
    var left = share.records
    var isFirst = true
    while true {
      let position = positions[partition]!
      let isPiece = pieceMax.map { piece in left.map { piece <= $0 } ?? true } ?? false
      let taken = RangeChoice(
        arrived, next: position.next, filter: position.filter, end: position.end,
        recordsMax: isPiece ? pieceMax : left, mayCut: isFirst || isPiece)
      let range = OffsetRange(partition, from: position.next, until: taken.until)
      if range.isEmpty, !isFirst { break }
      plan.ranges.append(range)
      plan.contents.append(taken.content)
      if range.isEmpty {
        // Nothing is there, which is no limit, or nothing of it may be taken.
        if taken.isLimited { break }
        return
      }
      isFirst = false
      positions[partition]!.next = taken.until
      positions[partition]!.filter = taken.filter
      if taken.leaderEpoch >= 0 { positions[partition]!.leaderEpoch = taken.leaderEpoch }
      plan.records += taken.records
      plan.bytes += taken.bytes
      hold(range, taken.batches, bytes: taken.bytes, number: number)
      left = left.map { $0 - taken.records }
      if !taken.isLimited { return }
      if let left, left <= 0 { break }
      if !isPiece { break }
    }
    if left != nil { plan.limitReason = share.reason }
  }

  func hold(_ range: OffsetRange, _ batches: [Bytes], bytes: Int, number: BatchNumber) {
    bytesOfRange[range] = bytes
    fetched.insert(FetchedBatches.Block(range: range, batches: batches, bytes: bytes, number: number))
  }

  /// Notes what a range weighs that was fetched for itself.
  func weigh(_ range: OffsetRange, _ bytes: Int) { bytesOfRange[range] = bytes }

  /// What the rate controller allows each partition. In proportion to what has arrived of it: a partition that is far
  /// behind fills its buffer, and what has not arrived cannot be taken.
  private func allowed(_ available: [Int]) -> [Int?] {
    guard let recordsMax = rateDecision?.recordsMax else { return [] }
    return RateShares.shares(total: recordsMax, lags: available.map(Int64.init))
  }

  /// How many records of a partition have arrived and are not planned yet, by the headers of their batches.
  private func recordsAvailable(_ partition: TopicPartition, _ arrived: PartitionSnapshot?) -> Int {
    guard let arrived, let position = positions[partition] else { return 0 }
    let end = min(position.end ?? arrived.nextOffset, arrived.nextOffset)
    return arrived.batches.reduce(0) { sum, batch in
      let header = batch.header
      guard !header.isControl, header.nextOffset > position.next, header.baseOffset < end else { return sum }
      let inside = min(header.nextOffset, end) - max(header.baseOffset, position.next)
      return sum + min(Int(header.recordCount), Int(inside))
    }
  }

  /// What a restart must know beside the ranges.
  private func write(_ details: inout PlanDetails, into plan: inout SourcePlan) {
    details.topicIDs = topicIDs.mapValues(\.description)
    for partition in partitions { details.epochs[partition] = positions[partition]!.leaderEpoch }
    plan.details = details.lines
  }

  var hasData: Bool {
    guard let fetcher else { return false }
    return partitions.contains { partition in
      guard let position = positions[partition] else { return false }
      if position.gap != nil { return true }
      guard position.isSettled, let arrived = fetcher.buffer.snapshot(of: partition)
      else { return false }
      return !arrived.batches.isEmpty && position.next < min(position.end ?? arrived.nextOffset, arrived.nextOffset)
    }
  }

  func dataset(_ plan: SourcePlan, of batch: BatchIdentity, _ context: SluiceContext) -> RDD<ConsumerRecord> {
    let ranges = plan.ranges.map { (range: $0, bytes: bytesOfRange[$0] ?? 0) }
    let details = PlanDetails(plan.details)
    let lost = details.gaps.reduce(0) { $0 + $1.offsetsLost }
    let topicIDs = topicIDs
    return KafkaDataset.records(context, ranges, from: fetched, offsetsLost: lost) { [self] range in
      var fetch = RangeFetch(
        range: range, number: batch.number, isolation: settings.isolation, topicID: topicIDs[range.topic] ?? .zero,
        client: connection.client, fetched: fetched, loss: loss(in: batch))
      // A window of an earlier run may reach back to a topic that was deleted and made again since.
      if let planned = details.topicIDs[range.topic], let present = topicIDs[range.topic] {
        fetch.loss.isRecreated = planned != present.description
      }
      return fetch
    }
  }

  /// What is done where a range has to be read again and is gone.
  func loss(in batch: BatchIdentity) -> RangeFetch.Loss {
    RangeFetch.Loss(policy: settings.onDataLoss) { [self, driver = connection.driverLoop] gap in
      driver.post { [self] in
        environment?.log(
          "\(gap.partition): up to \(gap.offsetsLost) records are lost (\(gap.reason.rawValue)): batch "
            + "\(batch.number) is read again without them")
        keep([gap], batch)
      }
    }
  }

  func forget(through batch: BatchNumber) {
    for range in fetched.forget(through: batch) { bytesOfRange[range] = nil }
  }

  // MARK: End

  func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) {
    isLimited = true
    let wanted = Dictionary(uniqueKeysWithValues: partitions.map { ($0, settings.end[$0]) })
    let finder = finder
    let driver = connection.driverLoop
    connection.client.loop.post {
      // Where no record is as young as an ending time, all of them are older: the end is the end.
      finder.list(wanted, whenNone: .latest) { result in
        driver.post { [self] in
          switch result {
          case .failure(let error): then(error)
          case .success(let listed):
            for partition in partitions { positions[partition]!.end = listed[partition] ?? positions[partition]!.next }
            then(nil)
          }
        }
      }
    }
  }

  var isExhausted: Bool {
    fetcher != nil
      && partitions.allSatisfy { partition in
        // A gap stands in a plan, even where nothing comes behind it.
        guard let position = positions[partition], let end = position.end, position.gap == nil else { return false }
        return position.next >= end
      }
  }

  var lag: SourceLag {
    guard let fetcher else { return SourceLag(records: 0) }
    let wallTime = connection.client.world.clock.wallTime
    let details = partitions.compactMap { partition -> PartitionLag? in
      guard let arrived = fetcher.buffer.snapshot(of: partition), let position = positions[partition] else {
        return nil
      }
      return PartitionLag(arrived, next: position.next, isolation: settings.isolation, at: wallTime)
    }
    return SourceLag(partitions: details)
  }

  /// Where nobody has said yet how far the partition reaches, it may be as far as can be.
  func lag(of partition: TopicPartition) -> Int64? {
    guard let position = positions[partition], let arrived = fetcher?.buffer.snapshot(of: partition),
      let end = (settings.isolation == .readCommitted ? arrived.lastStableOffset : nil) ?? arrived.highWatermark
    else { return .max }
    return max(0, end - position.next)
  }

  func stop(then: @escaping @Sendable () -> Void) {
    isStopped = true
    for timer in timers { connection.driverLoop.cancel(timer) }
    stopWaiter = then
    // Offsets that the job commits by hand are on their way: nobody else waits for them. A transaction that is left open
    // would keep the group's offsets from being read.
    if !areCommitsDone {
      timers.append(connection.driverLoop.after(.seconds(5)) { [self] in close() })
    } else {
      close()
    }
  }

  /// The job has ended: what the fetcher calls holds the source.
  func release() { fetcher = nil }

  func closeIfStopped() { if isStopped, areCommitsDone { close() } }

  private var areCommitsDone: Bool {
    commitsByHand == 0 && !(commits.isUnderWay && connection.transactions.isDeciding)
  }

  private func close() {
    guard let stopWaiter else { return }
    self.stopWaiter = nil
    let driver = connection.driverLoop
    let fetcher = fetcher
    connection.client.loop.post { [connection] in
      fetcher?.close()
      connection.close()
      driver.post { stopWaiter() }
    }
  }
}
