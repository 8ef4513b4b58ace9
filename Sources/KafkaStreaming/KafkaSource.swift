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
  /// How much a batch may take, and how much may wait in memory.
  struct Limits: Sendable {
    /// Records a second and partition; nil for no limit.
    var ratePerPartitionMax: Int?
    /// Bytes of batches that are kept for retries and windows.
    var fetchedBytesMax = 512 << 20
    /// Whether records of open and aborted transactions are hidden.
    var isolation = Offsets.Isolation.readCommitted

    /// - Throws: `StreamingError.invalidDefinition` for a setting that is none.
    init(setting: (String) -> String?) throws {
      if let text = setting("sluice.kafka.isolationLevel") {
        switch text {
        case "read_committed": isolation = .readCommitted
        case "read_uncommitted": isolation = .readUncommitted
        default:
          throw StreamingError.invalidDefinition(
            "sluice.kafka.isolationLevel: `\(text)` is neither read_committed nor read_uncommitted")
        }
      }
      guard let text = setting("sluice.kafka.maxRatePerPartition") else { return }
      guard let rate = Int(text), rate > 0 else {
        throw StreamingError.invalidDefinition(
          "sluice.kafka.maxRatePerPartition: `\(text)` is not a number of records a second, 1 or more")
      }
      ratePerPartitionMax = rate
    }
  }

  /// One partition's place in the stream.
  private struct Position {
    /// The offset that the next plan begins with.
    var next: Offset
    /// Which aborted transactions are open there.
    var filter = AbortedFilter()
    /// With `limitToPresent`: the offset to stop before.
    var end: Offset?
  }

  private let connection: KafkaConnection
  private let topics: [String]
  private let group: String
  private let start: StartingOffsets
  private let limits: Limits
  let fetched: FetchedBatches
  private var fetcher: Fetcher?
  private var environment: SourceEnvironment?
  private var positions: [TopicPartition: Position] = [:]
  /// The keys of `positions`, sorted: the order of ranges and of dataset partitions.
  private var partitions: [TopicPartition] = []
  /// Bytes of the ranges of the newest plan, by which its tasks are weighed.
  private var bytesOfRange: [OffsetRange: Int] = [:]
  /// Offsets that are not yet committed, and who waits for them to be; beside those of the commit under way.
  private var uncommitted: [TopicPartition: Offset] = [:]
  private var commitWaiters: [@Sendable ((any Error)?) -> Void] = []
  private var isCommitting = false
  /// Where the job's own log says that its batches left off; it wins over the group's offsets.
  private var logged: [TopicPartition: Offset] = [:]

  init(
    _ connection: KafkaConnection, topics: [String], group: String, start: StartingOffsets, limits: Limits
  ) {
    self.connection = connection
    self.topics = topics
    self.group = group
    self.start = start
    self.limits = limits
    fetched = FetchedBatches(bytesMax: limits.fetchedBytesMax)
  }

  var name: String { "topics \(topics.joined(separator: ","))" }
  var isReplayable: Bool { true }

  // MARK: Start

  func restore(_ last: SourcePlan) {
    for range in last.ranges { logged[range.topicPartition] = range.until }
  }

  func replay(
    _ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable (Result<SourcePlan, any Error>) -> Void
  ) {
    bytesOfRange = [:]
    for range in plan.ranges {
      positions[range.topicPartition]?.next = range.until
      fetcher?.release(range.topicPartition, upTo: range.until)
    }
    // Tasks find the ranges missing and have them fetched.
    then(.success(plan))
  }

  func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
    self.environment = environment
    let client = connection.client
    let driver = connection.driverLoop
    client.loop.post { [self] in
      findPositions { result in
        driver.post { [self] in
          switch result {
          case .failure(let error): ready(.failure(error))
          case .success(let found):
            begin(at: found.merging(logged.filter { found[$0.key] != nil }) { _, logged in logged })
            ready(.success(()))
          }
        }
      }
    }
  }

  /// Committed offsets, else the start of choice; on the client's loop.
  private func findPositions(then: @escaping @Sendable (Result<[TopicPartition: Offset], ClientError>) -> Void) {
    let client = connection.client
    let offsets = Offsets(client)
    let fallback: Offsets.Position = start == .earliest ? .earliest : .latest
    client.metadata(for: topics) { [topics, group, isolation = limits.isolation] result in
      guard case .success(let metadata) = result else { return then(result.map { _ in [:] }) }
      let partitions = topics.flatMap { topic in
        (metadata.topics[topic]?.partitions ?? []).map { TopicPartition(topic, $0.index) }
      }
      offsets.committed(group: group, partitions) { result in
        guard case .success(let committed) = result else { return then(result.map { _ in [:] }) }
        let new = partitions.filter { committed[$0] == nil }
        let wanted = Dictionary(uniqueKeysWithValues: new.map { ($0, fallback) })
        offsets.list(wanted, isolation: isolation) { result in
          then(
            result.map { listed in
              committed.mapValues(\.offset).merging(listed.mapValues(\.offset)) { committed, _ in committed }
            })
        }
      }
    }
  }

  private func begin(at found: [TopicPartition: Offset]) {
    positions = found.mapValues { Position(next: $0) }
    partitions = found.keys.sorted()
    let environment = environment
    let group = group
    var fetching = FetcherConfiguration()
    fetching.isolation = limits.isolation
    let fetcher = Fetcher(connection.client, configuration: fetching) { event in
      switch event {
      case .arrived: environment?.dataArrived()
      case .offsetOutOfRange(let partition, let offset):
        environment?.fail(OffsetsLost(partition: partition, offset: offset, group: group))
      case .failed(let partition, let error, let isStopped):
        if isStopped {
          environment?.fail(error)
        } else {
          environment?.log("\(partition) cannot be fetched at the moment, it is tried again: \(error)")
        }
      }
    }
    self.fetcher = fetcher
    fetcher.start(found)
  }

  // MARK: Batches

  func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
    guard let fetcher else { return SourcePlan() }
    var plan = SourcePlan()
    bytesOfRange = [:]
    let recordsMax = limits.ratePerPartitionMax.map { max(1, Int(Double($0) * interval.inSeconds)) }
    for partition in partitions {
      guard let position = positions[partition], let arrived = fetcher.buffer.snapshot(of: partition) else { continue }
      let taken = RangeChoice(
        arrived, next: position.next, filter: position.filter, end: position.end, recordsMax: recordsMax)
      let range = OffsetRange(partition, from: position.next, until: taken.until)
      plan.ranges.append(range)
      guard !range.isEmpty else { continue }
      positions[partition]!.next = taken.until
      positions[partition]!.filter = taken.filter
      plan.records += taken.records
      plan.bytes += taken.bytes
      if taken.isLimited {
        plan.limitReason = "sluice.kafka.maxRatePerPartition=\(limits.ratePerPartitionMax ?? 0)"
      }
      bytesOfRange[range] = taken.bytes
      fetched.insert(
        FetchedBatches.Block(range: range, batches: taken.batches, bytes: taken.bytes, number: batch.number))
      fetcher.release(partition, upTo: taken.until)
    }
    return plan
  }

  var hasData: Bool {
    guard let fetcher else { return false }
    return partitions.contains { partition in
      guard let position = positions[partition], let arrived = fetcher.buffer.snapshot(of: partition) else {
        return false
      }
      return !arrived.batches.isEmpty && position.next < min(position.end ?? arrived.nextOffset, arrived.nextOffset)
    }
  }

  func dataset(_ plan: SourcePlan, of number: BatchNumber, _ context: SluiceContext) -> RDD<ConsumerRecord> {
    let ranges = plan.ranges.map { (range: $0, bytes: bytesOfRange[$0] ?? 0) }
    return KafkaDataset.records(context, ranges, from: fetched) { [self] range in
      RangeFetch(
        range: range, number: number, isolation: limits.isolation, client: connection.client, fetched: fetched)
    }
  }

  func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
    let moved = plan.ranges.filter { !$0.isEmpty }
    guard !moved.isEmpty else { return then(nil) }
    for range in moved { uncommitted[range.topicPartition] = range.until }
    commitWaiters.append(then)
    commitNext()
  }

  /// One commit is under way at a time, so that one that is tried again never comes behind a later one and takes the
  /// group back; what piles up meanwhile goes out together.
  private func commitNext() {
    guard !isCommitting, !commitWaiters.isEmpty else { return }
    isCommitting = true
    let offsets = uncommitted
    let waiters = commitWaiters
    uncommitted = [:]
    commitWaiters = []
    let client = connection.client
    let driver = connection.driverLoop
    client.loop.post { [group] in
      Offsets(client).commit(group: group, offsets.mapValues { Offsets.Committed($0) }) { result in
        driver.post { [self] in
          isCommitting = false
          var failure: (any Error)?
          if case .failure(let error) = result {
            failure = error
            // A partition that does not move again goes with the next commit all the same.
            uncommitted.merge(offsets) { newer, _ in newer }
          }
          for waiter in waiters { waiter(failure) }
          commitNext()
        }
      }
    }
  }

  func forget(through batch: BatchNumber) { fetched.forget(through: batch) }

  // MARK: End

  func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) {
    let wanted = Dictionary(uniqueKeysWithValues: partitions.map { ($0, Offsets.Position.latest) })
    let client = connection.client
    let driver = connection.driverLoop
    client.loop.post { [self] in
      // What stands behind an open transaction cannot be read before it ends: it is not waited for.
      Offsets(client).list(wanted, isolation: limits.isolation) { result in
        driver.post { [self] in
          switch result {
          case .failure(let error): then(error)
          case .success(let listed):
            for partition in partitions { positions[partition]!.end = listed[partition]?.offset }
            then(nil)
          }
        }
      }
    }
  }

  var isExhausted: Bool {
    fetcher != nil
      && partitions.allSatisfy { partition in
        guard let position = positions[partition], let end = position.end else { return false }
        return position.next >= end
      }
  }

  var lag: SourceLag {
    guard let fetcher else { return SourceLag(records: 0) }
    return SourceLag(
      records: fetcher.buffer.snapshot().reduce(0) { sum, arrived in
        let stable = limits.isolation == .readCommitted ? arrived.lastStableOffset : nil
        guard let position = positions[arrived.partition], let end = stable ?? arrived.highWatermark else { return sum }
        return sum + max(0, end - position.next)
      })
  }

  /// Where nobody has said yet how far the partition reaches, it may be as far as can be.
  func lag(of partition: TopicPartition) -> Int64? {
    guard let position = positions[partition], let arrived = fetcher?.buffer.snapshot(of: partition),
      let end = (limits.isolation == .readCommitted ? arrived.lastStableOffset : nil) ?? arrived.highWatermark
    else { return .max }
    return max(0, end - position.next)
  }

  func stop(then: @escaping @Sendable () -> Void) {
    let driver = connection.driverLoop
    let fetcher = fetcher
    connection.client.loop.post { [connection] in
      fetcher?.close()
      connection.close()
      driver.post { then() }
    }
  }
}

/// A range that a task found missing: fetched from its topic again, into the place where tasks look.
struct RangeFetch: FetchableInput {
  var range: OffsetRange
  /// The batch it belongs to: it is forgotten with it.
  var number: BatchNumber
  var isolation: Offsets.Isolation
  var client: KafkaClient
  var fetched: FetchedBatches

  var summary: String { "\(range)" }

  func fetch(then: @escaping @Sendable ((any Error)?) -> Void) {
    client.loop.post {
      client.fetchRange(range, bytesMax: .max, isolation: isolation) { result in
        do {
          let batches = try RangeFetch.readable(try result.get())
          fetched.insert(
            FetchedBatches.Block(
              range: range, batches: batches, bytes: batches.reduce(0) { $0 + $1.count }, number: number))
          then(nil)
        } catch {
          then(error)
        }
      }
    }
  }
}

extension RangeFetch {
  /// The batches with records for reading. The list of the first answer names what was open where the range begins.
  static func readable(_ found: FetchedRange) throws(RecordBatchError) -> [Bytes] {
    var filter = AbortedFilter()
    var readable: [Bytes] = []
    for bytes in found.batches {
      let header = try bytes.withUnsafeBytes { raw throws(RecordBatchError) in try RecordBatchHeader.parse(raw) }
      if !filter.hides(header, found.aborted) { readable.append(bytes) }
    }
    return readable
  }
}

/// The offset to go on from is no longer, or not yet, in the log: records may be lost.
struct OffsetsLost: DiagnosableError {
  var partition: TopicPartition
  var offset: Offset
  var group: String
  var fault: Fault { .peer }
  var isRetriable: Bool { false }
  var leavesUsable: Bool { false }
  var description: String {
    "offset \(offset) of \(partition) is not in the topic's log: retention has removed it, or the topic was made anew, and "
      + "records may be lost; to go on anyway, reset the offsets of group \(group) or give the job another --name"
  }
}
