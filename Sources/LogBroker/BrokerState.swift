import Groundwork
import KafkaProtocol
import LogStorage
import Synchronization
import SystemInterfaces

/// Everything a running broker knows. The handlers are extensions of it, one file each.
///
/// Sendable: state confined to the broker's loop. `Broker.start` fills it before anything can arrive there.
final class BrokerState: @unchecked Sendable {
  let world: World
  let loop: any Loop
  let configuration: BrokerConfiguration
  let topics: TopicStore
  let offsets: CommittedOffsets
  let producerIDs: ProducerIDCounter
  let groups: GroupCoordinator
  let transactions: TransactionCoordinator
  /// What clients are told to connect to. Behind a lock, since `start` learns the port only when clients may come.
  private let advertisedAddress: Mutex<Address>
  private(set) var connections: [ConnectionID: BrokerConnection] = [:]
  /// Fetches that wait for a log, in the order they came.
  private var waitingFetches: [ObjectIdentifier: [WaitingFetch]] = [:]
  private var pendingFlushes: [PendingFlush] = []
  var storageTrouble = StorageTrouble()
  private var kinds: [Int16: RequestKind] = [:]

  private struct PendingFlush {
    var logs: [PartitionLog]
    var done: ([ObjectIdentifier: LogError]) -> Void
  }

  init(
    world: World, loop: any Loop, configuration: BrokerConfiguration, topics: TopicStore, offsets: CommittedOffsets,
    producerIDs: ProducerIDCounter, transactions: TransactionLog
  ) {
    self.world = world
    self.loop = loop
    self.configuration = configuration
    self.topics = topics
    self.offsets = offsets
    self.producerIDs = producerIDs
    self.transactions = TransactionCoordinator(transactions)
    groups = GroupCoordinator(
      loop: loop, randomness: world.randomness, initialDelay: configuration.groupInitialRebalanceDelay)
    advertisedAddress = Mutex(
      Address(
        host: configuration.advertisedHost ?? configuration.listenAddress.host,
        port: configuration.listenAddress.port))
    for kind in RequestKind.all { kinds[kind.key.rawValue] = kind }
  }

  var advertised: Address {
    get { advertisedAddress.withLock { $0 } }
    set { advertisedAddress.withLock { $0 = newValue } }
  }

  func report(_ level: BrokerLogLine.Level, _ text: String) {
    configuration.log(BrokerLogLine(level: level, text: text))
  }

  // MARK: Connections

  func accept(_ id: ConnectionID, _ peer: Address) -> @Sendable (TransportEvent) -> Void {
    let connection = BrokerConnection(id, peer: peer, broker: self)
    connections[id] = connection
    return { connection.handle($0) }
  }

  func connectionClosed(_ connection: BrokerConnection) {
    connections[connection.id] = nil
    dropAbandonedFetches()
  }

  func closeConnections() {
    for (_, connection) in connections.sorted(by: { $0.key.rawValue < $1.key.rawValue }) { connection.close() }
    connections.removeAll()
  }

  /// Reads a request's header and hands it to what answers it. What cannot be read ends the connection, as with Kafka:
  /// nothing that follows could be told from its middle.
  func dispatch(_ frame: Bytes, _ call: Call) {
    do {
      call.header = try decodeRequestHeader(frame)
    } catch {
      return call.connection.fail("a request that cannot be read: \(error)")
    }
    guard let kind = kinds[call.header.rawAPIKey] else {
      let name = call.header.apiKey.map { "\($0)" } ?? "number \(call.header.rawAPIKey)"
      return call.connection.fail("a call that this broker does not know: \(name)")
    }
    guard kind.versions.contains(call.header.version) else {
      if kind.key == .apiVersions { return refuseApiVersions(call) }
      return call.connection.fail(
        "\(kind.key) version \(call.header.version); this broker has \(kind.versions.lowerBound) to "
          + "\(kind.versions.upperBound)")
    }
    do {
      try kind.handle(self, call, frame)
    } catch {
      call.connection.fail("a \(kind.key) request that cannot be read: \(error)")
    }
  }

  // MARK: Durability

  /// Calls `done` once what was appended to `logs` is as durable as the broker promises: at once under `.os`; under
  /// `.sync` after one sync per log for all requests of this turn of the loop.
  func whenDurable(_ logs: [PartitionLog], _ done: @escaping ([ObjectIdentifier: LogError]) -> Void) {
    guard configuration.flushPolicy == .sync, !logs.isEmpty else { return done([:]) }
    pendingFlushes.append(PendingFlush(logs: logs, done: done))
    if pendingFlushes.count == 1 { loop.post { [self] in flushPending() } }
  }

  private func flushPending() {
    let pending = pendingFlushes
    pendingFlushes.removeAll()
    var errors: [ObjectIdentifier: LogError] = [:]
    var flushed = Set<ObjectIdentifier>()
    for flush in pending {
      for log in flush.logs where flushed.insert(ObjectIdentifier(log)).inserted {
        do throws(LogError) {
          try log.flush()
        } catch {
          errors[ObjectIdentifier(log)] = error
          report(.warning, "\(error)")
        }
      }
    }
    for flush in pending { flush.done(errors) }
  }

  // MARK: Waiting fetches

  func park(_ fetch: WaitingFetch) {
    for log in fetch.logs { waitingFetches[ObjectIdentifier(log), default: []].append(fetch) }
    fetch.timer = loop.at(fetch.deadline) { [weak self] in
      fetch.timer = nil
      self?.wake(fetch)
    }
  }

  /// Readers of `log` may find `bytes` more, or the log gone.
  func logAdvanced(_ log: PartitionLog, by bytes: Int) {
    guard let waiting = waitingFetches[ObjectIdentifier(log)] else { return }
    for fetch in waiting {
      fetch.noteAppend(to: log, bytes)
      if fetch.bytesMissing <= 0 { wake(fetch) }
    }
  }

  private func wake(_ fetch: WaitingFetch) {
    guard !fetch.isDone else { return }
    fetch.isDone = true
    if let timer = fetch.timer { loop.cancel(timer) }
    for log in fetch.logs {
      let key = ObjectIdentifier(log)
      waitingFetches[key]?.removeAll { $0 === fetch }
      if waitingFetches[key]?.isEmpty == true { waitingFetches[key] = nil }
    }
    if !fetch.call.isAbandoned { fetch.answer() }
  }

  /// Lets go of fetches whose client has gone, so that a client that comes and goes does not pile them up until their
  /// time is over. O(waiting fetches).
  private func dropAbandonedFetches() {
    let abandoned = waitingFetches.values.joined().filter(\.call.isAbandoned)
    for fetch in abandoned { wake(fetch) }
  }

  // MARK: Maintenance

  /// Rolls and removes segments, and forgets idle transactional ids; every `retentionCheckInterval`.
  func maintain() {
    let now = loop.wallTime
    expireTransactionalIDs()
    for topic in topics.all {
      for (partition, log) in topic.logs.enumerated() {
        do throws(LogError) {
          let done = try log.maintain(now: now)
          if done.removedSegments > 0 {
            report(
              .info,
              "\(topic.name)-\(partition): retention removed \(done.removedSegments) segments, \(done.removedBytes) "
                + "bytes; the log starts at offset \(log.startOffset)")
          }
        } catch  where error.code == .offline {
          // It was reported when it went offline.
        } catch {
          report(.warning, "\(topic.name)-\(partition): \(error)")
        }
      }
    }
  }
}

/// A Fetch that has not found enough yet. Confined to the broker's loop.
///
/// Sendable: see above; its timer runs there.
final class WaitingFetch: @unchecked Sendable {
  /// What a log that is gone has more: whoever waits for it is to look again.
  static let everything = Int(Int32.max)

  let call: Call
  let deadline: Instant
  let logs: [PartitionLog]
  var bytesMissing: Int
  var timer: TimerID?
  var isDone = false
  let answer: () -> Void
  /// For a reader of committed records: the last stable offsets seen, and what was appended above them since.
  private var stable: [(offset: Offset, heldBytes: Int)]

  init(
    _ call: Call, deadline: Instant, logs: [PartitionLog], bytesMissing: Int, isCommitted: Bool,
    answer: @escaping () -> Void
  ) {
    stable = isCommitted ? logs.map { ($0.lastStableOffset, 0) } : []
    self.call = call
    self.deadline = deadline
    self.logs = logs
    self.bytesMissing = bytesMissing
    self.answer = answer
  }

  /// A log has `bytes` more, or is gone; records of an open transaction count when it ends.
  func noteAppend(to log: PartitionLog, _ bytes: Int) {
    guard !stable.isEmpty, let index = logs.firstIndex(where: { $0 === log }) else {
      bytesMissing -= bytes
      return
    }
    stable[index].heldBytes += bytes
    let offset = log.lastStableOffset
    guard offset > stable[index].offset || bytes == WaitingFetch.everything else { return }
    bytesMissing -= stable[index].heldBytes
    stable[index] = (offset, 0)
  }
}

extension KafkaErrorCode {
  /// The protocol's name for what the log says.
  init(_ error: LogError) {
    switch error.code {
    case .offsetOutOfRange: self = .offsetOutOfRange
    case .corruptBatch: self = .corruptMessage
    case .invalidRecord: self = .invalidRecord
    case .unsupportedFormat: self = .unsupportedForMessageFormat
    case .messageTooLarge: self = .messageTooLarge
    case .outOfOrderSequence: self = .outOfOrderSequenceNumber
    case .staleProducerEpoch: self = .invalidProducerEpoch
    case .staleCoordinatorEpoch: self = .transactionCoordinatorFenced
    case .outsideTransaction: self = .invalidTxnState
    case .invalidSetting: self = .invalidConfig
    case .file, .journal, .offline: self = .kafkaStorageError
    }
  }
}
