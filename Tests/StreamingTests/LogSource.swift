import Datasets
import Groundwork

@testable import Streaming

/// A source as a topic is one, without a broker: partitions that only grow and can be read again at any offset. Tests put
/// elements in; each batch takes what is there, up to a limit.
///
/// It lives longer than the job's processes, as a broker does; `Reader` is one process's view of it.
final class TestLog<Element: Sendable>: Sendable {
  let name: String
  let partitions: Cell<[[Element]]>

  init(_ name: String = "log", partitions count: Int = 2) {
    self.name = name
    partitions = Cell(Array(repeating: [], count: count))
  }

  func append(_ elements: [Element], to partition: Int) { partitions.value[partition].append(contentsOf: elements) }

  /// The elements of a range.
  subscript(range: OffsetRange) -> [Element] {
    let all = partitions.value[Int(range.topicPartition.partition.rawValue)]
    return Array(all[Int(range.from.rawValue)..<Int(range.until.rawValue)])
  }

  /// A stream of the log; one dataset partition a log partition.
  /// - Parameters:
  ///   - limit: records a partition and batch.
  ///   - isRateLimited: whether the job's rate is controlled.
  func stream(
    _ context: StreamingContext, limit: Int = .max, isRateLimited: Bool = false
  ) -> DStream<Element> {
    let reader = Reader(self, limit: limit, isRateLimited: isRateLimited)
    return context.inputStream(reader, label: "log") { [sluice = context.sluice] _, plan in
      let ranges = plan.ranges
      return RDD<Element>(
        sluice, label: "log", partitionCount: Swift.max(1, ranges.count), dependencies: []
      ) { partition, task, emit in
        guard partition < ranges.count else { return }
        let elements = self[ranges[partition]]
        task.recordsRead += elements.count
        try elements.withUnsafeBufferPointer { if $0.count > 0 { try emit($0) } }
      }
    }
  }

  /// Sendable: touched on the driver's loop alone.
  final class Reader: StreamSource, @unchecked Sendable {
    let log: TestLog
    let limit: Int
    let isRateLimited: Bool
    private var next: [Int: Int] = [:]
    private var ends: [Int]?

    init(_ log: TestLog, limit: Int, isRateLimited: Bool) {
      self.log = log
      self.limit = limit
      self.isRateLimited = isRateLimited
    }

    var name: String { log.name }
    var isReplayable: Bool { true }
    var recallsPastBatches: Bool { true }
    func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
      ready(.success(()))
    }
    func restore(_ last: SourcePlan) { advance(last) }
    func replay(
      _ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable (Result<SourcePlan, any Error>) -> Void
    ) {
      advance(plan)
      then(.success(plan))
    }
    private func advance(_ plan: SourcePlan) {
      for range in plan.ranges { next[Int(range.topicPartition.partition.rawValue)] = Int(range.until.rawValue) }
    }
    private func end(_ partition: Int) -> Int { ends?[partition] ?? log.partitions.value[partition].count }
    func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
      var plan = SourcePlan()
      let lags = log.partitions.value.indices.map { Int64(end($0) - (next[$0] ?? 0)) }
      let shares = RateShares.shares(total: sharesMax, lags: lags)
      for partition in log.partitions.value.indices {
        let from = next[partition] ?? 0
        let until = from + min(shares[partition], limit)
        plan.ranges.append(
          OffsetRange(
            TopicPartition(log.name, PartitionIndex(Int32(partition))), from: Offset(Int64(from)),
            until: Offset(Int64(until))))
        plan.records += until - from
      }
      advance(plan)
      return plan
    }
    private var sharesMax: Int?
    var takesLimits: Bool { isRateLimited }
    var limitedPartitions: Int { log.partitions.value.count }
    func limit(_ decision: RateDecision) { sharesMax = decision.recordsMax }
    var hasData: Bool { log.partitions.value.indices.contains { (next[$0] ?? 0) < end($0) } }
    func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
      then(nil)
    }
    func forget(through batch: BatchNumber) {}
    func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) {
      ends = log.partitions.value.map(\.count)
      then(nil)
    }
    var isExhausted: Bool { ends != nil && !hasData }
    var lag: SourceLag {
      SourceLag(records: Int64(log.partitions.value.indices.reduce(0) { $0 + end($1) - (next[$1] ?? 0) }))
    }
    func stop(then: @escaping @Sendable () -> Void) { then() }
  }
}
