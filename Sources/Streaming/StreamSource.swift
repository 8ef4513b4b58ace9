import Datasets
import Groundwork

/// What a range of offsets holds, as far as a source can tell without reading the records: by this a repetition is
/// compared with what was planned.
public struct RangeContent: Sendable, Equatable {
  /// Records of the range.
  public var records: Int
  /// Of what the range is made of (for topics the checksums and places of its record batches); 0 where it holds nothing.
  public var hash: UInt64

  /// - Parameters:
  ///   - records: of the range.
  ///   - hash: of what it is made of.
  public init(records: Int = 0, hash: UInt64 = 0) {
    self.records = records
    self.hash = hash
  }

  /// Adds a piece, by its place and its checksum.
  public mutating func add(records: Int, at place: Int64, checksum: UInt32) {
    self.records += records
    hash = Hash64.short(hash ^ UInt64(bitPattern: place), UInt64(checksum), seed: 1)
  }
}

/// What one source gives to one batch: data, not code.
public struct SourcePlan: Sendable, Equatable {
  /// The offsets of the batch, by topic partition, sorted; empty for a source that has none.
  public var ranges: [OffsetRange]
  /// What each of the ranges holds, in their order; empty for a source that cannot tell.
  public var contents: [RangeContent] = []
  /// Records in the plan, as the headers of arrived data count them; exact for sources that hold their records.
  public var records: Int
  /// Bytes in the plan as they arrived.
  public var bytes: Int
  /// Why the plan is not larger, where something limited it.
  public var limitReason: String?
  /// What else must be known to read the same data again (files, blocks), a line each; the source's own words. Together
  /// with `ranges` the last committed plan must say how far the source has come: see `StreamSource.restore`.
  public var details: [String] = []

  /// - Parameters:
  ///   - ranges: sorted by topic partition.
  ///   - records: as far as known without reading them.
  ///   - bytes: as they arrived.
  ///   - limitReason: why the plan is not larger.
  ///   - details: lines that only the source understands.
  public init(
    ranges: [OffsetRange] = [], records: Int = 0, bytes: Int = 0, limitReason: String? = nil, details: [String] = []
  ) {
    self.ranges = ranges
    self.records = records
    self.bytes = bytes
    self.limitReason = limitReason
    self.details = details
  }
  /// Whether the batch gets nothing.
  public var isEmpty: Bool { records == 0 && bytes == 0 && ranges.allSatisfy(\.isEmpty) }
}

/// How far a source is behind.
public struct SourceLag: Sendable, Equatable {
  /// Records that can be read and are not in a batch yet, over all partitions (offsets, so gaps count).
  public var records: Int64
  /// The same, partition by partition; empty for a source that has none.
  public var partitions: [PartitionLag] = []

  /// Behind by this many records.
  public init(records: Int64) { self.records = records }

  /// Behind by what the partitions add up to.
  public init(partitions: [PartitionLag]) {
    records = partitions.reduce(0) { $0 + $1.records }
    self.partitions = partitions
  }

  /// The age of the oldest record that is in no batch yet, over all partitions; nil where none is known.
  public var time: Duration? { partitions.compactMap(\.time).max() }
  /// The most, the fewest and the mean of the partitions' records; 0 without partitions (Spark's
  /// maxOffsetsBehindLatest and so on).
  public var recordsMax: Int64 { partitions.map(\.records).max() ?? 0 }
  /// The fewest.
  public var recordsMin: Int64 { partitions.map(\.records).min() ?? 0 }
  /// The mean.
  public var recordsMean: Double { partitions.isEmpty ? 0 : Double(records) / Double(partitions.count) }
  /// Bytes that are not in a batch yet, estimated by the size of those that have arrived, compressed (Spark's
  /// estimatedTotalBytesBehindLatest).
  public var bytes: Int64 { partitions.reduce(0) { $0 + $1.bytes } }
}

/// How far a source is behind in one partition.
public struct PartitionLag: Sendable, Equatable {
  /// Which one.
  public var partition: TopicPartition
  /// The offset that the next batch begins with.
  public var next: Offset
  /// The offset after the last record that can be read now.
  public var end: Offset
  /// The age of the oldest record that is in no batch yet; nil where all are, or that record has not arrived.
  public var time: Duration?
  /// Bytes that are in no batch yet, estimated by those that have arrived.
  public var bytes: Int64

  /// - Parameters:
  ///   - partition: which one.
  ///   - next: where the next batch begins.
  ///   - end: after the last record that can be read.
  ///   - time: the age of the oldest record in no batch.
  ///   - bytes: an estimate.
  public init(_ partition: TopicPartition, next: Offset, end: Offset, time: Duration? = nil, bytes: Int64 = 0) {
    self.partition = partition
    self.next = next
    self.end = end
    self.time = time
    self.bytes = bytes
  }

  /// Offsets that are in no batch yet.
  public var records: Int64 { max(0, end - next) }
}

/// Where a stream's data comes from. All calls come on the driver's loop, and callbacks are called on it.
public protocol StreamSource: AnyObject, Sendable {
  /// For people and logs: `topics flights`.
  var name: String { get }
  /// Whether a batch's data can be read again after a failure; a source that cannot be replayed weakens every guarantee.
  var isReplayable: Bool { get }
  /// Whether datasets of batches that an earlier run has decided can be made again from their recorded plans: what windows
  /// in memory need after a restart.
  var recallsPastBatches: Bool { get }
  /// Where it is not replayable: why, and what the one who runs the job can do about it.
  var unreplayableReason: String { get }
  /// Whether what it holds is lost when the job stops, so that a graceful stop works through it first.
  var losesDataOnStop: Bool { get }
  /// Called before `start` in a restart: where the committed batches left off, as the last of their plans said it; the
  /// source goes on behind it, whatever its start policy says. Not called in a first run, or where the source is new.
  func restore(_ last: SourcePlan)
  /// Plans a recorded batch again, exactly, because nobody knows whether its output was seen: after `ready`, before the
  /// first `plan`, in the order of the batches. What comes next is behind it.
  /// - Parameter then: called once; the plan with what could be found out anew, or why the data cannot be read again.
  func replay(
    _ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable (Result<SourcePlan, any Error>) -> Void)
  /// Begins to read; `ready` once, when the first plan can be made or with why it never can.
  func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void)
  /// Whether `limit` is obeyed: the driver then measures how much the job can take in.
  var takesLimits: Bool { get }
  /// Partitions among which a limit is shared; 0 before they are known.
  var limitedPartitions: Int { get }
  /// Whether the first batches are bounded although nothing is known of the job's speed yet: for a source that may have
  /// a backlog.
  var isProbed: Bool { get }
  /// Bounds the plans from now on; called before each.
  func limit(_ decision: RateDecision)
  /// What is here for the next batch. No request goes out: it decides over data that has arrived.
  func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan
  /// Whether a plan made now would hold records.
  var hasData: Bool { get }
  /// The batch's output is committed: store how far it came. `then` is called when that is done.
  func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void)
  /// Whether a decider commits this source's offsets with its decisions, so that `commit` need not be called.
  func commitsOffsets(with decider: any Decider) -> Bool
  /// Data of this batch and before is not needed any more: neither for retries nor for windows.
  func forget(through batch: BatchNumber)
  /// From now on, plan up to the ends that the source has at this moment, and no further.
  func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void)
  /// After `limitToPresent`: whether everything up to there was planned.
  var isExhausted: Bool { get }
  /// How far it is behind, by what it knows at this moment.
  var lag: SourceLag { get }
  /// How many records of one partition can be read and are in no plan yet; nil where the source cannot tell.
  func lag(of partition: TopicPartition) -> Int64?
  /// Ends reading and gives up connections; `then` is called once when that is done.
  func stop(then: @escaping @Sendable () -> Void)
}

extension StreamSource {
  /// That it cannot be read again, without advice.
  public var unreplayableReason: String { "the source \(name) cannot be read again" }
  /// They cannot.
  public var recallsPastBatches: Bool { false }
  /// It does not.
  public var losesDataOnStop: Bool { false }
  /// No decider knows of it.
  public func commitsOffsets(with decider: any Decider) -> Bool { false }
  /// Does nothing: the source keeps its place elsewhere, or has none.
  public func restore(_ last: SourcePlan) {}
  /// Cannot tell.
  public func lag(of partition: TopicPartition) -> Int64? { nil }
  /// It does not.
  public var takesLimits: Bool { false }
  /// None.
  public var limitedPartitions: Int { 0 }
  /// They are.
  public var isProbed: Bool { true }
  /// Does nothing.
  public func limit(_ decision: RateDecision) {}
  /// Gives an empty plan: what cannot be read again is lost, which is why such a source is at-most-once.
  public func replay(
    _ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable (Result<SourcePlan, any Error>) -> Void
  ) { then(.success(SourcePlan())) }
}

/// What a source gets from its driver at start.
public struct SourceEnvironment: Sendable {
  /// Reports a failure that no batch can get past; the job stops with it.
  public var fail: @Sendable (any Error) -> Void
  /// Says that data has arrived: a driver that works as fast as it can need not wait for the tick.
  public var dataArrived: @Sendable () -> Void
  /// A line for the operator of the job.
  public var log: @Sendable (String) -> Void
  /// Made by the driver for its sources.
  public init(
    fail: @escaping @Sendable (any Error) -> Void, dataArrived: @escaping @Sendable () -> Void,
    log: @escaping @Sendable (String) -> Void
  ) {
    self.fail = fail
    self.dataArrived = dataArrived
    self.log = log
  }
}

/// One batch while its datasets are built.
public struct BatchFrame: Sendable {
  /// The batch's number and time.
  public var identity: BatchIdentity
  /// The time of the batch before; nil in a first run's first batch.
  public var previousTime: Timestamp?
  /// The plans, one a source, in the order of definition.
  public var plans: [SourcePlan]
  /// Takes the numbers of what an output hands to its sink, where the batch is computed twice.
  package var probe: OutputProbe?
  /// Made by the driver for each batch, when all sources have planned.
  public init(identity: BatchIdentity, previousTime: Timestamp?, plans: [SourcePlan]) {
    self.identity = identity
    self.previousTime = previousTime
    self.plans = plans
  }
  /// The batch's number.
  public var number: BatchNumber { identity.number }
  /// The batch's time.
  public var time: Timestamp { identity.time }
}
