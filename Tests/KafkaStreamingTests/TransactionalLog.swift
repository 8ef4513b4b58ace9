import Codecs
import Groundwork
import KafkaClients
import KafkaProtocol

/// The log of one partition with transactions in it, and what a broker would answer from it: a naive model that keeps for
/// every record whether it is to be read.
struct TransactionalLog {
  struct Transaction: Equatable {
    var producerID: Int64
    var first: Int64
    /// The offset of its marker; nil while it is open.
    var marker: Int64?
    var isAborted = false
  }
  struct Entry {
    var base: Int64
    var next: Int64
    var bytes: Bytes
    /// Offsets and values of its records.
    var records: [(offset: Int64, value: String)]
    /// Of `transactions`; nil for plain batches and markers.
    var transaction: Int?
  }

  private(set) var entries: [Entry] = []
  private(set) var transactions: [Transaction] = []
  private var open: [Int64: Int] = [:]
  private let workspace = CodecWorkspace()
  private(set) var end: Int64 = 0

  /// The log's first offset.
  private(set) var start: Int64

  init(start: Int64 = 0) {
    self.start = start
    end = start
  }

  /// Where the first open transaction begins, else the end.
  var lastStableOffset: Int64 { open.values.map { transactions[$0].first }.min() ?? end }
  var hasOpenTransactions: Bool { !open.isEmpty }
  /// Sorted: an order that is the same in every run.
  var openProducers: [Int64] { open.keys.sorted() }

  /// Appends a batch of records with these values; gaps between them are what compaction left.
  /// - Parameter producer: nil for records outside of transactions.
  mutating func append(_ values: [String], producer: Int64? = nil, gaps: [Int64] = [], codec: CompressionCodec = .none)
    throws
  {
    var builder = RecordBatchBuilder(capacity: 256)
    var records: [(Int64, String)] = []
    var delta: Int64 = 0
    for (index, value) in values.enumerated() {
      delta += gaps.indices.contains(index) ? gaps[index] : 0
      try builder.append(key: nil, value: Bytes(value), timestamp: 1_000, offsetDelta: Int32(delta))
      records.append((end + delta, value))
      delta += 1
    }
    var settings = RecordBatchSettings(codec: codec)
    if let producer {
      (settings.producerID, settings.producerEpoch, settings.baseSequence) = (producer, 0, 0)
      settings.isTransactional = true
      if open[producer] == nil {
        open[producer] = transactions.count
        transactions.append(Transaction(producerID: producer, first: end))
      }
    }
    settings.baseOffset = Offset(end)
    settings.partitionLeaderEpoch = 0
    let next = end + max(1, delta)
    entries.append(
      Entry(
        base: end, next: next, bytes: try builder.finish(settings, using: workspace), records: records,
        transaction: producer.map { open[$0]! }))
    end = next
  }

  /// Ends a producer's transaction with a marker.
  mutating func finish(_ producer: Int64, aborting: Bool) throws {
    let control = ControlRecord(aborting ? .abort : .commit, coordinatorEpoch: 0)
    let raw = try control.batch(producerID: producer, producerEpoch: 0, timestamp: 1_000)
    var writer = ByteWriter()
    try RecordBatch(raw).append(to: &writer, baseOffset: Offset(end), partitionLeaderEpoch: 0)
    entries.append(Entry(base: end, next: end + 1, bytes: writer.finish(), records: [], transaction: nil))
    if let index = open.removeValue(forKey: producer) {
      transactions[index].marker = end
      transactions[index].isAborted = aborting
    }
    end += 1
  }

  /// Drops what lies before an offset, as retention does.
  mutating func removeBatches(before offset: Int64) {
    entries.removeAll { $0.next <= offset }
    start = offset
  }

  /// Cuts the end off, as a leader without the newest records does.
  mutating func truncate(to offset: Int64) {
    entries.removeAll { $0.base >= offset }
    end = offset
  }

  /// Leaves a gap, where whole batches were compacted away.
  mutating func skip(_ count: Int64) { end += count }

  // MARK: What is read

  /// The records of a range that a reader of committed records is shown.
  func committed(_ range: Range<Int64>) -> [String] {
    entries.flatMap { entry -> [String] in
      if let index = entry.transaction, transactions[index].isAborted || transactions[index].marker == nil { return [] }
      return entry.records.filter { range.contains($0.offset) }.map(\.value)
    }
  }

  /// All records of a range.
  func uncommitted(_ range: Range<Int64>) -> [String] {
    entries.flatMap { $0.records.filter { range.contains($0.offset) }.map(\.value) }
  }

  // MARK: What a broker answers

  typealias Answer = FetchResponse.FetchableTopicResponse.PartitionData

  /// What a fetch from an offset is answered with.
  /// - Parameters:
  ///   - batchesMax: how many batches fit into the answer.
  ///   - committedOnly: to the last stable offset, with the list of aborted transactions: all that have an offset at or
  ///     after the one asked for and begin before the answer's end (`LogSegment.collectAbortedTxns`).
  ///   - listsMore: the list looks further than the answer goes, as that of a whole segment does.
  func answer(from: Int64, batchesMax: Int, committedOnly: Bool = true, listsMore: Bool = false) -> Answer {
    var answer = Answer()
    answer.highWatermark = end
    answer.lastStableOffset = lastStableOffset
    answer.logStartOffset = start
    guard (start...end).contains(from) else {
      answer.errorCode = .offsetOutOfRange
      return answer
    }
    let bound = committedOnly ? lastStableOffset : end
    let taken = entries.filter { $0.next > from && $0.base < bound }.prefix(batchesMax)
    var writer = ByteWriter()
    for entry in taken { writer.append(entry.bytes) }
    answer.records = writer.finish()
    guard committedOnly else { return answer }
    let upper = listsMore ? bound : taken.last?.next ?? from
    answer.abortedTransactions = transactions.filter {
      $0.isAborted && ($0.marker ?? 0) >= from && $0.first < upper
    }.map {
      var wire = Answer.AbortedTransaction()
      (wire.producerID, wire.firstOffset) = ($0.producerID, $0.first)
      return wire
    }
    return answer
  }
}

extension TransactionalLog {
  /// Appends something at random: records of a few producers whose transactions interleave, plain records, markers, gaps.
  mutating func grow(using random: inout SeededRandom, values: inout Int) throws {
    switch random.next() % 12 {
    case 0..<6:
      let count = Int.random(in: 1...6, using: &random)
      let names = (0..<count).map { "\(values + $0)" }
      values += count
      let gaps =
        random.next() % 4 == 0 ? (0..<count).map { _ in Int64.random(in: 0...2, using: &random) } : [Int64]()
      let producer = random.next() % 4 == 0 ? nil : Int64(100 + random.next() % 3)
      try append(names, producer: producer, gaps: gaps, codec: random.next() % 8 == 0 ? .lz4 : .none)
    case 6..<11:
      guard hasOpenTransactions else { return }
      let producers = openProducers
      let producer = producers[Int(random.next() % UInt64(producers.count))]
      try finish(producer, aborting: random.next() % 2 == 0)
    default: skip(Int64.random(in: 1...4, using: &random))
    }
  }
}
