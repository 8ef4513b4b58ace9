import Datasets
import Groundwork
import SystemInterfaces

/// A receiver as a source of batches: a batch takes all blocks that are there, one task computes each.
///
/// A plan is a range of the stream's own offsets, which count its elements; it ends where a block ends. With a write-ahead
/// log the range can be read again after a restart.
///
/// Sendable: the supervisor guards itself; the rest is touched on the driver's loop.
final class ReceiverSource<Element: Sendable>: StreamSource, @unchecked Sendable {
  let name: String
  private let makeSupervisor: (ReceiverReports) -> ReceiverSupervisor<Element>
  private let context: StreamingContext
  private let helper: HelperLoop
  private let settings: ReceiverSettings
  private var supervisor: ReceiverSupervisor<Element>?
  private var committed: Int64 = 0
  /// The ends of planned batches, oldest first.
  private var planned: [(batch: BatchNumber, until: Int64)] = []
  private var isStopping = false
  /// What backpressure allows: elements a batch, and elements a second for the receiver; nil: it knows of no limit.
  private var recordsMax: Int?
  private var rate: Double?

  init(
    name: String, _ context: StreamingContext, _ helper: HelperLoop, _ settings: ReceiverSettings,
    makeSupervisor: @escaping (ReceiverReports) -> ReceiverSupervisor<Element>
  ) {
    self.name = name
    self.context = context
    self.helper = helper
    self.settings = settings
    self.makeSupervisor = makeSupervisor
  }

  var isReplayable: Bool { settings.logDirectory != nil }

  var unreplayableReason: String {
    "what \(name) received is kept in memory only: set sluice.streaming.receiver.writeAheadLog.enable=true"
  }

  var losesDataOnStop: Bool { !isReplayable }

  func restore(_ last: SourcePlan) { committed = last.ranges.first?.until.rawValue ?? 0 }

  func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
    let driver = context.environment.loop
    let supervisor = makeSupervisor(
      ReceiverReports(
        log: { line in driver.post { environment.log(line) } },
        tell: { [context] event in driver.post { context.tellListeners(event) } },
        dataArrived: environment.dataArrived, fail: environment.fail))
    self.supervisor = supervisor
    let committed = committed
    let files = context.environment.world.files
    let rate = rate
    helper.perform(for: driver) { [settings] in
      supervisor.obey(rate: rate)
      let log = settings.logDirectory.map { ReceiverLog(directory: $0, files: files) }
      try supervisor.begin(after: committed, log: log)
    } then: {
      ready($0)
    }
  }

  // MARK: Rate

  // The receiver is held to what batches can take in, as in Spark. Each has a rate of its own, by its own share of what the
  // batches process: together they bring what the job can do. What it brought before that was known is worked off in
  // batches of that size; meanwhile it may bring half as much.
  var takesLimits: Bool { true }
  var limitedPartitions: Int { 1 }
  var isProbed: Bool { false }

  func limit(_ decision: RateDecision) {
    recordsMax = decision.rate == nil ? nil : decision.recordsMax
    let isBehind = recordsMax.map { (supervisor?.blocks.waiting ?? 0) > Int64(clamping: $0) } ?? false
    let wanted = recordsMax.map { Double($0) / context.batchInterval.inSeconds * (isBehind ? 0.5 : 1) }
    guard wanted != rate else { return }
    rate = wanted
    if let supervisor { helper.loop.post { supervisor.obey(rate: wanted) } }
  }

  private var limitReason: String? {
    guard let supervisor else { return nil }
    let wasLimited = supervisor.takeWasLimited()
    if recordsMax != nil, supervisor.blocks.waiting > 0 { return RateDecision.limitReason }
    guard wasLimited else { return nil }
    let fixed = settings.maxRate.map(Double.init) ?? .infinity
    if let rate, rate < fixed { return RateDecision.limitReason }
    return settings.maxRate.map { "sluice.streaming.receiver.maxRate=\($0)" }
  }

  func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
    guard let supervisor else { return SourcePlan() }
    let range = supervisor.blocks.plan(elementsMax: recordsMax)
    planned.append((batch.number, range.upperBound))
    return SourcePlan(
      ranges: [
        OffsetRange(TopicPartition(name, 0), from: Offset(range.lowerBound), until: Offset(range.upperBound))
      ], records: range.count, limitReason: limitReason)
  }

  func replay(
    _ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable (Result<SourcePlan, any Error>) -> Void
  ) {
    guard let supervisor, isReplayable else { return then(.success(SourcePlan())) }
    let range = ReceiverSource.range(plan)
    guard supervisor.blocks.replay(range) else {
      return then(
        .failure(
          StreamingError.receiver(
            "\(name): elements \(range.lowerBound) to \(range.upperBound) of batch \(batch.number) are not in its log; "
              + "was \(settings.logDirectory ?? "") removed?")))
    }
    planned.append((batch.number, range.upperBound))
    then(.success(plan))
  }

  private static func range(_ plan: SourcePlan) -> Range<Int64> {
    guard let range = plan.ranges.first, range.from < range.until else { return 0..<0 }
    return range.from.rawValue..<range.until.rawValue
  }

  /// The dataset of a planned batch.
  func dataset(_ plan: SourcePlan, _ context: SluiceContext) -> RDD<Element> {
    let blocks = supervisor?.blocks.blocks(in: ReceiverSource.range(plan)) ?? []
    guard !blocks.isEmpty else { return context.empty() }
    return RDD(
      context, label: "receiver", partitionCount: blocks.count, dependencies: [],
      weight: { 5_000 + Int64(blocks[$0].elements.count) * 50 }
    ) { partition, task, emit in
      let elements = blocks[partition].elements
      task.recordsRead += elements.count
      try elements.withUnsafeBufferPointer { whole in
        for start in stride(from: 0, to: whole.count, by: Chunk<Element>.usualCapacity) {
          let end = min(start + Chunk<Element>.usualCapacity, whole.count)
          try emit(UnsafeBufferPointer(rebasing: whole[start..<end]))
        }
      }
    }
  }

  func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
    let until = ReceiverSource.range(plan).upperBound
    if isReplayable, until > 0, let supervisor { helper.loop.post { supervisor.committed(before: until) } }
    then(nil)
  }

  func forget(through batch: BatchNumber) {
    let count = planned.firstIndex { $0.batch > batch } ?? planned.count
    guard count > 0 else { return }
    supervisor?.blocks.forget(before: planned[count - 1].until)
    planned.removeFirst(count)
  }

  func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) {
    guard let supervisor else { return then(nil) }
    helper.perform(for: context.environment.loop) {
      supervisor.end("the job works through what it has")
      supervisor.blocks.limitToPresent()
    } then: { _ in
      then(nil)
    }
  }

  var hasData: Bool { (supervisor?.blocks.waiting ?? 0) > 0 }
  var isExhausted: Bool { supervisor.map { $0.blocks.isLimited && $0.blocks.waiting == 0 } ?? false }
  var lag: SourceLag { SourceLag(records: supervisor?.blocks.waiting ?? 0) }

  func stop(then: @escaping @Sendable () -> Void) {
    guard let supervisor, !isStopping else { return then() }
    isStopping = true
    helper.perform(for: context.environment.loop) {
      supervisor.end("the job stops")
    } then: { _ in
      then()
    }
  }
}
