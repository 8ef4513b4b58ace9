import Codecs
import Groundwork
import KafkaClients
import KafkaProtocol
import Simulation
import SystemInterfaces

/// What an engine does with a transactional producer: one batch after the other, each with its outputs and the offset of
/// its input in one transaction; aborted and run again where it must be, asked for again where its end is not known, and
/// after a start it goes on where the committed offsets say.
///
/// Sendable: confined to the thread of its simulated world.
final class TransactionDriver: @unchecked Sendable {
  /// Where a driver may be paused: before each of these.
  enum Place: Int, CaseIterable { case start, readOffsets, begin, send, sendOffsets, commit, next }

  static let group = "readers"
  static let input = TopicPartition("in", 0)

  let name: String
  let client: KafkaClient
  let producer: Producer
  let partitions: [TopicPartition]
  let total: Int
  /// Batches that are aborted the first time, with something in them that must not be seen: even ones at once, the others
  /// when all of it was delivered.
  var abortsFirst: (Int) -> Bool = { _ in false }
  /// Whether to wait at this place of this batch until `resume`.
  var pauses: (Place, Int) -> Bool = { _, _ in false }

  private(set) var next = 0
  private(set) var ended: ClientError?
  private(set) var isDone = false
  private(set) var aborts = 0
  private(set) var unknowns = 0
  private var paused: (@Sendable () -> Void)?
  private var hasAborted: Set<Int> = []

  init(
    _ client: KafkaClient, name: String = "driver", partitions: [TopicPartition], total: Int,
    _ adjust: (inout ProducerConfiguration) -> Void = { _ in }
  ) {
    self.name = name
    self.client = client
    self.partitions = partitions
    self.total = total
    var configuration = ProducerConfiguration()
    configuration.transactionalID = "job-1"
    adjust(&configuration)
    producer = Producer(client, configuration: configuration)
  }

  var isPaused: Bool { paused != nil }
  var hasStopped: Bool { isDone || ended != nil }

  func start() { client.loop.post { [self] in at(.start) { [self] in initialize() } } }

  /// Goes on from where it was paused.
  func resume() {
    client.loop.post { [self] in
      let work = paused
      paused = nil
      pauses = { _, _ in false }
      work?()
    }
  }

  /// The value that batch `batch` writes as the `index`th of a partition.
  static func value(_ batch: Int, _ partition: TopicPartition, _ index: Int) -> String {
    "\(batch).\(partition.partition.rawValue).\(index)"
  }

  /// What a reader of committed records must be shown.
  static func model(_ partition: TopicPartition, batches: Int) -> [String] {
    (0..<batches).flatMap { batch in (0..<2).map { value(batch, partition, $0) } }
  }

  private func at(_ place: Place, _ work: @escaping @Sendable () -> Void) {
    if pauses(place, next) { paused = work } else { work() }
  }

  private func initialize() {
    producer.initTransactions { [self] error in
      guard let error else { return at(.readOffsets) { [self] in readOffsets() } }
      if error.isRetriable { initialize() } else { ended = error }
    }
  }

  private func readOffsets() {
    producer.readCommittedOffsets(Self.group, [Self.input]) { [self] result in
      switch result {
      case .success(let found):
        next = found[Self.input].map { Int($0.offset.rawValue) } ?? 0
        run()
      case .failure(let error): if error.isRetriable { readOffsets() } else { ended = error }
      }
    }
  }

  private func run() {
    guard next < total else {
      isDone = true
      return
    }
    at(.begin) { [self] in
      do throws(ClientError) { try producer.beginTransaction() } catch {
        ended = error
        return
      }
      at(.send) { [self] in send() }
    }
  }

  private func send() {
    let isDoomed = abortsFirst(next) && hasAborted.insert(next).inserted
    let waitsForDeliveries = isDoomed && next % 2 == 1
    let undelivered = Box<Int>()
    undelivered.value = 2 * partitions.count
    do {
      for partition in partitions {
        for index in 0..<2 {
          let value = isDoomed ? "never" : Self.value(next, partition, index)
          try producer.sendBatches(partition, [EncodedBatch(recordBatch([value]))]) { [self] _ in
            undelivered.value! -= 1
            if waitsForDeliveries, undelivered.value! == 0 { client.loop.post { [self] in abort() } }
          }
        }
      }
    } catch {
      if error.requiresAbort { return abort() }
      ended = error
      return
    }
    if isDoomed {
      if !waitsForDeliveries { abort() }
      return
    }
    at(.sendOffsets) { [self] in
      let group = GroupMetadata(Self.group)
      producer.sendOffsets([Self.input: OffsetAndMetadata(Offset(Int64(next + 1)), metadata: "b\(next)")], group: group)
      {
        _ in
      }
      at(.commit) { [self] in commit() }
    }
  }

  private func commit() {
    producer.commitTransaction { [self] error in
      guard let error else {
        next += 1
        return at(.next) { [self] in run() }
      }
      if error.requiresAbort { return abort() }
      if error.isRetriable {
        unknowns += 1
        commit()
      } else {
        ended = error
      }
    }
  }

  private func abort() {
    aborts += 1
    producer.abortTransaction { [self] error in
      guard let error else { return run() }
      if error.isRetriable { abort() } else { ended = error }
    }
  }
}
