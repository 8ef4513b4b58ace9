import Datasets
import Groundwork

/// What the graph sees of a stream, without the element type.
///
/// Sendable: a stream is defined before its context starts; afterwards only the driver's loop touches it.
public class AnyDStream: @unchecked Sendable {
  /// Where the stream was defined.
  public let context: StreamingContext
  /// The streams this one is computed from.
  public let parents: [AnyDStream]
  /// What it does, for people: `map`, `window`.
  public let label: String
  /// How far apart the stream's datasets are: the batch interval, or the slide of the windows it is made of.
  public let slideDuration: Duration
  /// The number under which its context knows it.
  package let operatorIndex: Int
  /// How many windows are made of it.
  package private(set) var windowCount = 0
  private var ownRememberDuration: Duration = .zero
  /// How far back it needs batches of an earlier run: windows in memory do.
  private(set) var pastNeeded: Duration = .zero
  /// Whether it is computed from state.
  private(set) var hasState = false
  private var discards: [@Sendable (BatchNumber) -> Void] = []

  init(_ context: StreamingContext, label: String, parents: [AnyDStream], slide: Duration?) {
    self.context = context
    self.label = label
    self.parents = parents
    slideDuration = slide ?? parents.first?.slideDuration ?? context.batchInterval
    operatorIndex = context.register(operator: label)
    context.register(stream: self)
    if parents.contains(where: { $0.context !== context }) {
      context.note(
        .invalidDefinition("\(label): its streams belong to different streaming contexts; define them all on one"))
    }
    if let first = parents.first, let other = parents.first(where: { $0.slideDuration != first.slideDuration }) {
      context.note(
        .invalidDefinition(
          "\(label): its streams have datasets every \(first.slideDuration.text) and every "
            + "\(other.slideDuration.text); give their windows the same slide"))
    }
  }

  /// The operator's name: as given by `named`, else derived from its kind and place.
  public var name: String { context.operators[operatorIndex].name }

  /// The time that the stream's dataset of this batch stands for: the batch's, or for windows the end of the window.
  public func time(_ frame: BatchFrame) -> Timestamp { parents.first?.time(frame) ?? frame.time }

  /// How long the datasets of past batches are kept: for windows, and as `StreamingContext.remember` says.
  package var rememberDuration: Duration { max(ownRememberDuration, context.rememberDuration) }

  /// Says that a restart has to give it the batches of so long before.
  @usableFromInline package func needPast(_ duration: Duration) { pastNeeded = duration }

  func noteState() { hasState = true }

  /// Takes a batch of an earlier run: makes its dataset, without computing it.
  func recall(_ frame: BatchFrame) {}

  package func remember(_ duration: Duration) { ownRememberDuration = max(ownRememberDuration, duration) }

  /// As `remember`, for this stream and all it is computed from: so that what is cached up there is still there when a
  /// window computes batches of the past.
  package func rememberLineage(_ duration: Duration) {
    var pending: [AnyDStream] = [self]
    while let stream = pending.popLast() {
      guard stream.ownRememberDuration < duration else { continue }
      stream.remember(duration)
      pending += stream.parents
    }
  }

  /// Drops datasets of batches whose time is at or before `time`, as far as no window needs them.
  package func forget(through time: Timestamp) {}

  /// A batch failed: its dataset goes, and what windows kept of it. It may run again, and is then made anew.
  package func discard(_ batch: BatchNumber) { for discard in discards { discard(batch) } }

  /// The job has ended: what it is computed with goes, and with it what holds the stream in turn.
  package func release() { discards = [] }

  package func onDiscard(_ body: @escaping @Sendable (BatchNumber) -> Void) { discards.append(body) }

  /// Counts a window that is made of the stream; true where there was one before.
  package func noteWindow() -> Bool {
    windowCount += 1
    return windowCount > 1
  }

  /// How many datasets of past batches it keeps.
  package var rememberedCount: Int { 0 }
}

/// A stream of batches: for every batch, one dataset.
///
/// Defining one does nothing; output operations compute it batch by batch (Zaharia et al., "Discretized Streams",
/// SOSP 2013).
///
/// Sendable: as AnyDStream; the functions it holds are @Sendable.
public class DStream<Element>: AnyDStream, @unchecked Sendable {
  /// Makes the dataset of a batch; nil where the stream has none at that time (a window between its slides).
  public typealias Generate = @Sendable (BatchFrame) -> RDD<Element>?

  /// nil once the job has ended.
  private var generate: Generate?
  private var windowEnd: (@Sendable (BatchFrame) -> Timestamp?)?
  /// Marks a batch's dataset to be kept, or not to be kept any more; nil where it is computed anew for each use.
  private var keeping: (@Sendable (RDD<Element>) -> Void)?
  /// Cuts the lineage of the datasets of batches whose times are multiples of the duration; see `checkpoint`.
  private var cutting: (interval: Duration, cut: @Sendable (RDD<Element>) -> Void)?
  private var remembered: [Remembered] = []

  private struct Remembered {
    var frame: BatchIdentity
    /// What its dataset stands for: for windows their end, which may lie before the batch.
    var time: Timestamp
    var dataset: RDD<Element>?
  }

  /// - Parameters:
  ///   - context: where the stream is defined.
  ///   - label: what the operator does, for people.
  ///   - parents: what it is computed from; they must belong to the context and have the same slide.
  ///   - slide: how far apart its datasets are; where nil, as those of its parents.
  ///   - windowEnd: for windows, the end of the one that is due with a batch.
  ///   - generate: called at most once a batch, on the driver's loop.
  public init(
    _ context: StreamingContext, label: String, parents: [AnyDStream], slide: Duration? = nil,
    windowEnd: (@Sendable (BatchFrame) -> Timestamp?)? = nil, generate: @escaping Generate
  ) {
    self.generate = generate
    self.windowEnd = windowEnd
    super.init(context, label: label, parents: parents, slide: slide)
  }

  /// For a window the end of the one that is due with the batch; else as the stream's parents say.
  public override func time(_ frame: BatchFrame) -> Timestamp { windowEnd?(frame) ?? super.time(frame) }

  /// The dataset of the batch; the same object however often it is asked for. On the driver's loop.
  public func dataset(_ frame: BatchFrame) -> RDD<Element>? {
    let place = place(of: frame.number)
    if place > 0, remembered[place - 1].frame.number == frame.number { return remembered[place - 1].dataset }
    let entry = Remembered(frame: frame.identity, time: time(frame), dataset: generate?(frame))
    if let dataset = entry.dataset {
      keeping?(dataset)
      if let cutting, frame.time.isMultiple(of: cutting.interval) { cutting.cut(dataset) }
    }
    // A batch behind this one may have come while it was made.
    remembered.insert(entry, at: self.place(of: frame.number))
    return entry.dataset
  }

  /// Behind the entries of a batch and of those before it: nearly always the end.
  private func place(of batch: BatchNumber) -> Int {
    var place = remembered.count
    while place > 0, remembered[place - 1].frame.number > batch { place -= 1 }
    return place
  }

  override func recall(_ frame: BatchFrame) { _ = dataset(frame) }

  /// The datasets that stand for times in `(after, through]`, oldest first, as far as they are remembered.
  package func datasets(after: Timestamp, through: Timestamp) -> [RDD<Element>] {
    remembered.compactMap { entry in
      entry.time > after && entry.time <= through ? entry.dataset : nil
    }
  }

  package override func forget(through time: Timestamp) {
    let limit = Timestamp(milliseconds: time.milliseconds - rememberDuration.inMilliseconds)
    // Times grow from batch to batch.
    let count = remembered.firstIndex { $0.frame.time > limit } ?? remembered.count
    if keeping != nil, context.unpersistsForgotten {
      for entry in remembered.prefix(count) { entry.dataset?.unpersist() }
    }
    remembered.removeFirst(count)
  }

  package override func discard(_ batch: BatchNumber) {
    remembered.removeAll { $0.frame.number == batch }
    super.discard(batch)
  }

  package override func release() {
    (generate, windowEnd, keeping, cutting) = (nil, nil, nil, nil)
    remembered = []
    super.release()
  }

  package override var rememberedCount: Int { remembered.count }

  /// Has each batch's dataset marked when it is made. What the job's author asks for wins over what an operator does.
  package func keepDatasets(isImplicit: Bool = false, _ mark: @escaping @Sendable (RDD<Element>) -> Void) {
    if isImplicit, keeping != nil { return }
    keeping = mark
  }

  package func cutDatasets(every interval: Duration, _ cut: @escaping @Sendable (RDD<Element>) -> Void) {
    cutting = (interval, cut)
  }

  /// Gives the operator a name, under which its state is found again after the code has changed. Names are unique in a
  /// job.
  @discardableResult
  public func named(_ name: String) -> Self {
    context.rename(operator: operatorIndex, to: name)
    return self
  }

  /// The stream after a narrow operator, which is made here, once, and not for every batch.
  /// - Parameters:
  ///   - operation: what is done with each chunk.
  ///   - label: what it does, for people.
  ///   - keepsPartitioning: whether equal keys stay where they are: the operator changes no key.
  @inlinable public func apply<Output>(
    _ operation: ChunkOperator<Element, Output>, label: String, keepsPartitioning: Bool = false
  ) -> DStream<Output> {
    DStream<Output>(context, label: label, parents: [self]) { [self] frame in
      dataset(frame)?.apply(operation, label: label, keepsPartitioning: keepsPartitioning)
    }
  }
}
