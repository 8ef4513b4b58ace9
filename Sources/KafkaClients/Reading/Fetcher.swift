import Groundwork
import KafkaProtocol
import SystemInterfaces

/// How a fetcher reads.
public struct FetcherConfiguration: Sendable {
  /// `fetch.max.wait.ms`
  public var waitMax: Duration = .milliseconds(500)
  /// `fetch.min.bytes`
  public var bytesMin = 1
  /// `fetch.max.bytes`, per answer.
  public var bytesMax = 50 << 20
  /// `max.partition.fetch.bytes`
  public var partitionBytesMax = 1 << 20
  /// Bytes buffered of one partition at which its fetching pauses; it goes on below half of that.
  public var partitionBudget = 16 << 20
  /// `isolation.level`
  public var isolation: Offsets.Isolation = .readCommitted
  /// How often the watermarks of paused partitions are asked for.
  public var watermarkInterval: Duration = .seconds(1)
  /// Kafka's defaults, but only committed records are read.
  public init() {}
}

/// What a fetcher reports beside the records.
public enum FetchEvent: Sendable {
  /// The offset is outside the log; the partition is not fetched until `seek`.
  case offsetOutOfRange(TopicPartition, Offset)
  /// The partition cannot be fetched. Where `isStopped` it is not tried again until `seek`; else it is, and the same
  /// error is not reported again before a success.
  case failed(TopicPartition, ClientError, isStopped: Bool)
  /// Batches were added to the buffer.
  case arrived(TopicPartition)
  /// The topic was deleted and made again: it has another id. The partition is not fetched until `seek`.
  case recreated(TopicPartition)
}

/// Keeps long-polling the leaders of a set of partitions and fills a bounded buffer with record batches as they come:
/// still compressed, no copy, no work per record.
///
/// One request per broker is under way at a time, on connections of their own. A partition whose buffer is full is left
/// out, its watermarks are asked for separately. `start`, `seek`, `stop` and `release` may be called from any thread.
///
/// Sendable: its state is touched on the client's loop alone; `buffer` has its lock.
public final class Fetcher: @unchecked Sendable {
  /// Whose connections and metadata are used.
  public let client: KafkaClient
  /// What it was made with.
  public let configuration: FetcherConfiguration
  /// What has arrived. From any thread.
  public let buffer = FetchBuffer()
  private let onEvent: @Sendable (FetchEvent) -> Void

  private struct PartitionState {
    var nextOffset: Offset
    var bytesMax: Int
    /// Raised by each seek: an answer to an earlier request is then out of date.
    var generation: Int
    /// The topic that the offset counts in; zero until it is known, and where brokers have no ids.
    var topicID: UUID128
    var isUnderWay = false
    var isStopped = false
    var isFull = false
    var failures = 0
    var retryAt: Instant?
    var reported: KafkaErrorCode?
    var watermarksAt: Instant
  }

  private var partitions: [TopicPartition: PartitionState] = [:]
  private var busyBrokers: Set<Int32> = []
  private var isRefreshing = false
  private var isClosed = false
  /// Which partition comes first in the next request: a broker fills answers in order, so all get their turn.
  private var rotation = 0
  private var generations = 0
  private let timer: Reminder
  private let backoff: Backoff

  /// - Parameter onEvent: called on the client's loop.
  public init(
    _ client: KafkaClient, configuration: FetcherConfiguration = FetcherConfiguration(),
    onEvent: @escaping @Sendable (FetchEvent) -> Void = { _ in }
  ) {
    self.client = client
    self.configuration = configuration
    self.onEvent = onEvent
    timer = Reminder(client.loop)
    backoff = Backoff(base: client.configuration.retryBackoff, max: client.configuration.retryBackoffMax)
  }

  /// Begins to fetch partitions from the offsets given; for one that is fetched already, as `seek`.
  ///
  /// The buffer follows on the loop: until then it shows what it showed before, so that an answer still under way cannot
  /// be taken for one to this call.
  public func start(_ offsets: [TopicPartition: Offset]) {
    client.loop.post { [self] in
      for (partition, offset) in offsets.sorted(by: { $0.key < $1.key }) { place(partition, at: offset) }
      pump()
    }
  }

  /// Goes on from another offset; what is buffered of the partition is dropped.
  public func seek(_ partition: TopicPartition, to offset: Offset) { start([partition: offset]) }

  /// Stops fetching partitions and drops what is buffered of them.
  public func stop(_ stopped: [TopicPartition]) {
    client.loop.post { [self] in
      for partition in stopped {
        partitions[partition] = nil
        buffer.remove(partition)
      }
    }
  }

  /// Stops everything; nothing is reported afterwards.
  public func close() {
    client.loop.post { [self] in
      isClosed = true
      partitions = [:]
      timer.cancel()
    }
  }

  /// Drops what lies before `offset`; a partition that was full goes on once half of its budget is free.
  public func release(_ partition: TopicPartition, upTo offset: Offset) {
    let (before, after) = buffer.release(partition, upTo: offset)
    guard before > after, after < configuration.partitionBudget / 2 else { return }
    client.loop.post { [self] in
      guard partitions[partition]?.isFull == true else { return }
      pump()
    }
  }

  private func place(_ partition: TopicPartition, at offset: Offset) {
    generations += 1
    buffer.reset(partition, to: offset)
    partitions[partition] = PartitionState(
      nextOffset: offset, bytesMax: configuration.partitionBytesMax, generation: generations,
      topicID: client.metadata.topics[partition.topic]?.id ?? .zero, watermarksAt: client.loop.now)
  }

  // MARK: Requests

  /// Sends what can be sent, and sets the timer for the rest.
  private func pump() {
    guard !isClosed else { return }
    client.refreshIfOld()
    let now = client.loop.now
    var order = partitions.keys.sorted()
    if !order.isEmpty { order = Array(order[(rotation % order.count)...] + order[..<(rotation % order.count)]) }
    rotation += 1
    var byLeader: [Int32: [TopicPartition]] = [:]
    var withoutLeader: Set<String> = []
    var stale: [TopicPartition] = []
    var wake: Instant?
    func remind(at instant: Instant) { if wake.map({ instant < $0 }) ?? true { wake = instant } }
    for partition in order {
      guard var state = partitions[partition], !state.isUnderWay, !state.isStopped else { continue }
      let topicID = client.metadata.topics[partition.topic]?.id ?? .zero
      if topicID != .zero {
        if state.topicID == .zero {
          partitions[partition]!.topicID = topicID
          state.topicID = topicID
        }
        if state.topicID != topicID {
          partitions[partition]!.isStopped = true
          onEvent(.recreated(partition))
          continue
        }
      }
      if let retryAt = state.retryAt, retryAt > now {
        remind(at: retryAt)
        continue
      }
      let bytes = buffer.bufferedBytes(partition)
      state.isFull = bytes >= (state.isFull ? configuration.partitionBudget / 2 : configuration.partitionBudget)
      partitions[partition] = state
      if state.isFull {
        let due = state.watermarksAt + configuration.watermarkInterval
        if due <= now { stale.append(partition) } else { remind(at: due) }
        continue
      }
      guard let leader = client.metadata.leader(of: partition) else {
        withoutLeader.insert(partition.topic)
        continue
      }
      if !busyBrokers.contains(leader) { byLeader[leader, default: []].append(partition) }
    }
    for (leader, chosen) in byLeader.sorted(by: { $0.key < $1.key }) { fetch(chosen, at: leader) }
    if !withoutLeader.isEmpty { refresh(withoutLeader.sorted()) }
    if !stale.isEmpty {
      askForWatermarks(stale)
      remind(at: now + configuration.watermarkInterval)
    }
    timer.set(wake) { [weak self] in self?.pump() }
  }

  private func fetch(_ chosen: [TopicPartition], at leader: Int32) {
    busyBrokers.insert(leader)
    var plan = FetchPlan(configuration)
    var asked: [TopicPartition: (generation: Int, offset: Offset)] = [:]
    for partition in chosen {
      guard let state = partitions[partition] else { continue }
      plan.add(partition, from: state.nextOffset, bytesMax: state.bytesMax, client.metadata)
      asked[partition] = (state.generation, state.nextOffset)
      partitions[partition]!.isUnderWay = true
    }
    let sent = plan
    let expected = asked
    client.sendOnce(
      sent.request, to: .broker(leader), lane: .fetch, versions: sent.versions,
      timeout: client.configuration.requestTimeout + configuration.waitMax
    ) { [weak self] result in
      self?.answered(result, sent, expected, leader)
    }
  }

  private func answered(
    _ result: Result<FetchResponse, ClientError>, _ plan: FetchPlan,
    _ asked: [TopicPartition: (generation: Int, offset: Offset)], _ leader: Int32
  ) {
    busyBrokers.remove(leader)
    guard !isClosed else { return }
    func isCurrent(_ partition: TopicPartition) -> Bool {
      partitions[partition]?.generation == asked[partition]?.generation && asked[partition] != nil
    }
    let all = asked.keys.sorted().filter(isCurrent)
    for partition in all { partitions[partition]!.isUnderWay = false }
    switch result {
    case .failure(let error):
      for partition in all { postpone(partition, error, code: nil) }
      refresh(Array(Set(all.map(\.topic))).sorted())
    case .success(let answer) where answer.errorCode.isError:
      for partition in all {
        postpone(
          partition, ClientError(.broker(answer.errorCode, "fetching \(partition)")), code: answer.errorCode)
      }
    case .success(let answer):
      for topic in answer.responses {
        guard let name = plan.name(of: topic) else { continue }
        for data in topic.partitions {
          let partition = TopicPartition(name, PartitionIndex(data.partitionIndex))
          if isCurrent(partition) { take(data, partition) }
        }
      }
    }
    pump()
  }

  private func take(_ data: FetchAnswer.PartitionData, _ partition: TopicPartition) {
    guard let state = partitions[partition] else { return }
    let code = data.errorCode
    if code == .offsetOutOfRange {
      partitions[partition]!.isStopped = true
      return onEvent(.offsetOutOfRange(partition, state.nextOffset))
    }
    if code.isError {
      client.forgetWhatIsStale(code, topic: partition.topic)
      let error =
        code == .unknownTopicOrPartition
        ? ClientError(.unknownTopic(partition.topic)) : ClientError(.broker(code, "fetching \(partition)"))
      return postpone(partition, error, code: code)
    }
    do {
      let answer = try FetchAnswer(data, from: state.nextOffset)
      buffer.append(partition, answer.batches, nextOffset: answer.nextOffset)
      buffer.note(
        partition, highWatermark: answer.highWatermark, lastStableOffset: answer.lastStableOffset,
        logStartOffset: answer.logStartOffset)
      partitions[partition]!.nextOffset = answer.nextOffset
      partitions[partition]!.failures = 0
      partitions[partition]!.retryAt = nil
      partitions[partition]!.reported = nil
      partitions[partition]!.watermarksAt = client.loop.now
      // A batch that never fits would be cut off for ever: the next request leaves room for it.
      partitions[partition]!.bytesMax =
        answer.batches.isEmpty
        ? max(state.bytesMax, answer.cutBatchSize ?? 0) : configuration.partitionBytesMax
      if !answer.batches.isEmpty { onEvent(.arrived(partition)) }
    } catch {
      partitions[partition]!.isStopped = true
      onEvent(.failed(partition, ClientError(.badRecordBatch(partition, error.description)), isStopped: true))
    }
  }

  /// Tries a partition again later, or not at all where that cannot help.
  private func postpone(_ partition: TopicPartition, _ error: ClientError, code: KafkaErrorCode?) {
    guard partitions[partition] != nil else { return }
    guard error.isRetriable else {
      partitions[partition]!.isStopped = true
      return onEvent(.failed(partition, error, isStopped: true))
    }
    partitions[partition]!.failures += 1
    let failures = partitions[partition]!.failures
    partitions[partition]!.retryAt =
      client.loop.now + backoff.pause(failures: failures, unit: client.world.randomness.unit())
    // Leaders move and connections break without harm; what lasts is worth a word.
    let reported = code ?? .networkException
    if failures >= 3, partitions[partition]!.reported != reported {
      partitions[partition]!.reported = reported
      onEvent(.failed(partition, error, isStopped: false))
    }
  }

  private func refresh(_ topics: [String]) {
    guard !isRefreshing else { return }
    isRefreshing = true
    client.refreshMetadata(topics: topics) { [weak self] result in
      guard let self else { return }
      isRefreshing = false
      guard !isClosed else { return }
      if case .failure(let error) = result {
        for partition in partitions.keys.sorted() where topics.contains(partition.topic) {
          let state = partitions[partition]!
          guard !state.isUnderWay, !state.isStopped, client.metadata.leader(of: partition) == nil else { continue }
          postpone(partition, error, code: error.kafkaCode)
        }
      } else {
        for partition in partitions.keys.sorted() where topics.contains(partition.topic) {
          guard let error = client.topicError(partition) else { continue }
          postpone(partition, error, code: error.kafkaCode)
        }
      }
      pump()
    }
  }

  private func askForWatermarks(_ stale: [TopicPartition]) {
    let now = client.loop.now
    for partition in stale { partitions[partition]?.watermarksAt = now }
    let wanted = Dictionary(uniqueKeysWithValues: stale.map { ($0, Offsets.Position.latest) })
    let offsets = Offsets(client)
    offsets.list(wanted, isolation: .readUncommitted, deadline: now) { [weak self] result in
      guard let self, case .success(let ends) = result else { return }
      for (partition, end) in ends {
        buffer.note(partition, highWatermark: end.offset, lastStableOffset: nil, logStartOffset: nil)
      }
    }
    guard configuration.isolation == .readCommitted else { return }
    offsets.list(wanted, isolation: .readCommitted, deadline: now) { [weak self] result in
      guard let self, case .success(let ends) = result else { return }
      for (partition, end) in ends {
        buffer.note(partition, highWatermark: nil, lastStableOffset: end.offset, logStartOffset: nil)
      }
    }
  }
}
