import Codecs
import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming
import SystemInterfaces

/// Keeps a table current: reads its topic from the first record to the end, then whatever comes.
///
/// It takes part in batches as a source without ranges: what it holds is the topic's, and nothing of it is committed.
///
/// Sendable: after the definition all state is touched on the driver's loop.
final class TableSource<Key: Hashable & Sendable, Value: Sendable>: StreamSource, @unchecked Sendable {
  private struct Position {
    var next: Offset
    var filter = AbortedFilter()
    /// Where the topic ended at the start: the table is whole from there on.
    var end: Offset
  }

  /// Set by the definition, before the start.
  var connection: KafkaConnection?
  var settings = SourceSettings()
  private let topic: String
  private let key: @Sendable (Bytes) throws -> Key
  private let value: @Sendable (ConsumerRecord) throws -> Value?
  private let workspace = CodecWorkspace()
  private var environment: SourceEnvironment?
  private var fetcher: Fetcher?
  private var positions: [TopicPartition: Position] = [:]
  private var rows = TableRows<Key, Value>()
  /// What batches see that are not forgotten.
  private var snapshots: [(number: BatchNumber, rows: TableRows<Key, Value>)] = []
  private var ready: (@Sendable (Result<Void, any Error>) -> Void)?
  private var isStopped = false
  private var timer: TimerID?

  init(
    _ topic: String, key: @escaping @Sendable (Bytes) throws -> Key,
    value: @escaping @Sendable (ConsumerRecord) throws -> Value?
  ) {
    self.topic = topic
    self.key = key
    self.value = value
  }

  var name: String { "table \(topic)" }
  var isReplayable: Bool { true }

  func rows(of number: BatchNumber) -> TableRows<Key, Value> {
    snapshots.last { $0.number <= number }?.rows ?? rows
  }

  // MARK: Reading

  private func finder(_ connection: KafkaConnection) -> PositionFinder {
    PositionFinder(
      client: connection.client, subscription: .topics([topic]), group: "", settings: settings, restored: nil)
  }

  func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
    self.environment = environment
    self.ready = ready
    guard let connection else { return finish(ClientError(.closed)) }
    let driver = connection.driverLoop
    let fetcher = Fetcher(connection.client, configuration: settings.fetching) { [weak self, environment] event in
      switch event {
      case .arrived: driver.post { [weak self] in self?.absorb() }
      case .offsetOutOfRange(let partition, let offset):
        environment.fail(
          OffsetsLost(partition: partition, offset: offset, reason: .retention, group: "of the table"))
      case .recreated(let partition):
        environment.fail(OffsetsLost(partition: partition, offset: 0, reason: .recreated, group: "of the table"))
      case .failed(let partition, let error, let isStopped):
        if isStopped {
          environment.fail(error)
        } else {
          environment.log("\(partition) cannot be fetched at the moment, it is tried again: \(error)")
        }
      }
    }
    self.fetcher = fetcher
    look(isFresh: false)
  }

  /// Looks for partitions that are not read yet.
  private func look(isFresh: Bool) {
    guard let connection, !isStopped else { return }
    let finder = finder(connection)
    let driver = connection.driverLoop
    connection.client.loop.post { [self] in
      finder.partitions(isFresh: isFresh) { [self] result in
        driver.post { [self] in
          switch result {
          case .failure(let error): failed(error)
          case .success(let (partitions, _)): add(partitions.filter { positions[$0] == nil }, finder, driver)
          }
        }
      }
    }
  }

  private func add(_ new: [TopicPartition], _ finder: PositionFinder, _ driver: any Loop) {
    guard let connection, !isStopped else { return }
    timer = driver.after(settings.discoveryInterval) { [weak self] in self?.look(isFresh: true) }
    guard !new.isEmpty else { return }
    connection.client.loop.post { [self] in
      finder.list(Dictionary(uniqueKeysWithValues: new.map { ($0, .earliest) })) { [self] starts in
        finder.list(Dictionary(uniqueKeysWithValues: new.map { ($0, .latest) })) { [self] ends in
          driver.post { [self] in
            do {
              let first = try starts.get()
              let last = try ends.get()
              for partition in new {
                guard let start = first[partition], let end = last[partition] else { continue }
                positions[partition] = Position(next: start, end: end)
              }
              fetcher?.start(first)
              absorb()
            } catch { failed(error) }
          }
        }
      }
    }
  }

  private func failed(_ error: any Error) {
    if ready != nil { return finish(error) }
    environment?.log("\(name): looking for new partitions failed: \(error)")
    timer = connection?.driverLoop.after(settings.discoveryInterval) { [weak self] in self?.look(isFresh: true) }
  }

  private func finish(_ error: (any Error)?) {
    let ready = ready
    self.ready = nil
    ready?(error.map { .failure($0) } ?? .success(()))
  }

  /// Takes in what has arrived.
  private func absorb() {
    guard let fetcher, !isStopped else { return }
    do {
      for partition in positions.keys.sorted() {
        guard let position = positions[partition], let arrived = fetcher.buffer.snapshot(of: partition) else {
          continue
        }
        let taken = RangeChoice(
          arrived, next: position.next, filter: position.filter, end: nil, recordsMax: nil)
        for bytes in taken.batches { try absorb(bytes, partition, from: position.next) }
        positions[partition]!.next = taken.until
        positions[partition]!.filter = taken.filter
        fetcher.release(partition, upTo: taken.until)
      }
    } catch {
      if ready != nil { return finish(error) }
      environment?.fail(error)
      return
    }
    if ready != nil, !positions.isEmpty, positions.values.allSatisfy({ $0.next >= $0.end }) { finish(nil) }
  }

  private func absorb(_ bytes: Bytes, _ partition: TopicPartition, from: Offset) throws {
    try RecordBatch(bytes).records(using: workspace).forEachRecord(from: from, until: Offset(.max)) { record in
      guard let recordKey = record.key else { return }
      let row = ConsumerRecord(
        topic: partition.topic, partition: partition.partition, offset: record.offset, timestamp: record.timestamp,
        key: recordKey, value: record.value)
      do {
        rows.set(try key(recordKey), row.isTombstone ? nil : try value(row))
      } catch {
        throw RecordFailed(
          partition: partition, offset: record.offset, operatorName: name, reason: "\(error)")
      }
    }
  }

  // MARK: Batches

  func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
    absorb()
    snapshots.append((batch.number, rows))
    return SourcePlan()
  }

  func replay(
    _ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable (Result<SourcePlan, any Error>) -> Void
  ) {
    snapshots.append((batch.number, rows))
    then(.success(SourcePlan()))
  }

  var hasData: Bool { false }
  func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
    then(nil)
  }
  func forget(through batch: BatchNumber) { snapshots.removeAll { $0.number <= batch } }
  func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) { then(nil) }
  var isExhausted: Bool { true }
  /// A table that lags holds no batch up.
  var lag: SourceLag { SourceLag(records: 0) }

  func stop(then: @escaping @Sendable () -> Void) {
    isStopped = true
    guard let connection else { return then() }
    if let timer { connection.driverLoop.cancel(timer) }
    let driver = connection.driverLoop
    connection.client.loop.post { [fetcher] in
      fetcher?.close()
      driver.post { then() }
    }
  }
}
