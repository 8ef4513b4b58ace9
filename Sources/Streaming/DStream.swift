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
  /// How long the datasets of past batches are kept for windows.
  package private(set) var rememberDuration: Duration = .zero
  /// The number under which its context knows it.
  package let operatorIndex: Int

  init(_ context: StreamingContext, label: String, parents: [AnyDStream]) {
    self.context = context
    self.label = label
    self.parents = parents
    operatorIndex = context.register(operator: label)
    context.register(stream: self)
  }

  /// The operator's name: as given by `named`, else derived from its kind and place.
  public var name: String { context.operators[operatorIndex].name }

  /// The time that the stream's dataset of this batch stands for: the batch's, or for windows the end of the window.
  public func time(_ frame: BatchFrame) -> Timestamp { parents.first?.time(frame) ?? frame.time }

  package func remember(_ duration: Duration) { rememberDuration = max(rememberDuration, duration) }

  /// As `remember`, for this stream and all it is computed from: so that what is cached up there is still there when a
  /// window computes batches of the past.
  package func rememberLineage(_ duration: Duration) {
    var pending: [AnyDStream] = [self]
    while let stream = pending.popLast() {
      guard stream.rememberDuration < duration else { continue }
      stream.remember(duration)
      pending += stream.parents
    }
  }

  /// Drops datasets of batches whose time is at or before `time`, as far as no window needs them.
  package func forget(through time: Timestamp) {}

  /// Drops the dataset of a batch that failed and may run again: it is then made anew.
  package func drop(_ batch: BatchNumber) {}
}

/// A stream of batches: for every batch, one dataset.
///
/// Defining one does nothing; output operations compute it batch by batch (Zaharia et al., "Discretized Streams",
/// SOSP 2013).
///
/// Sendable: as AnyDStream; the functions it holds are @Sendable.
public final class DStream<Element>: AnyDStream, @unchecked Sendable {
  /// Makes the dataset of a batch; nil where the stream has none at that time (a window between its slides).
  public typealias Generate = @Sendable (BatchFrame) -> RDD<Element>?

  private let generate: Generate
  private let windowEnd: (@Sendable (BatchFrame) -> Timestamp?)?
  /// Marks a batch's dataset to be kept in memory; nil where it is computed anew for each use.
  private var keep: (@Sendable (RDD<Element>) -> Void)?
  private var remembered: [(frame: BatchIdentity, dataset: RDD<Element>?)] = []

  /// - Parameters:
  ///   - label: what the operator does, for people.
  ///   - windowEnd: for windows, the end of the one that is due with a batch.
  ///   - generate: called at most once a batch, on the driver's loop.
  public init(
    _ context: StreamingContext, label: String, parents: [AnyDStream],
    windowEnd: (@Sendable (BatchFrame) -> Timestamp?)? = nil, generate: @escaping Generate
  ) {
    self.generate = generate
    self.windowEnd = windowEnd
    super.init(context, label: label, parents: parents)
  }

  /// For a window the end of the one that is due with the batch; else as the stream's parents say.
  public override func time(_ frame: BatchFrame) -> Timestamp { windowEnd?(frame) ?? super.time(frame) }

  /// The dataset of the batch; the same object however often it is asked for. On the driver's loop.
  public func dataset(_ frame: BatchFrame) -> RDD<Element>? {
    if let last = remembered.last, last.frame.number == frame.number { return last.dataset }
    let dataset = generate(frame)
    if let dataset { keep?(dataset) }
    remembered.append((frame.identity, dataset))
    return dataset
  }

  /// The datasets of batches with times in `(after, through]`, oldest first, as far as they are remembered.
  package func datasets(after: Timestamp, through: Timestamp) -> [RDD<Element>] {
    remembered.compactMap { entry in
      entry.frame.time > after && entry.frame.time <= through ? entry.dataset : nil
    }
  }

  package override func forget(through time: Timestamp) {
    let limit = Timestamp(milliseconds: time.milliseconds - rememberDuration.inMilliseconds)
    // Times grow from batch to batch.
    remembered.removeFirst(remembered.firstIndex { $0.frame.time > limit } ?? remembered.count)
  }

  package override func drop(_ batch: BatchNumber) { remembered.removeAll { $0.frame.number == batch } }

  package func keepDatasets(_ mark: @escaping @Sendable (RDD<Element>) -> Void) { keep = mark }

  /// Gives the operator a name, under which its state is found again after the code has changed. Names are unique in a
  /// job.
  @discardableResult
  public func named(_ name: String) -> Self {
    context.rename(operator: operatorIndex, to: name)
    return self
  }

  /// The stream after a narrow operator, which is made here, once, and not for every batch.
  @inlinable public func apply<Output>(_ operation: ChunkOperator<Element, Output>, label: String) -> DStream<Output> {
    DStream<Output>(context, label: label, parents: [self]) { [self] frame in
      dataset(frame)?.apply(operation, label: label)
    }
  }
}
