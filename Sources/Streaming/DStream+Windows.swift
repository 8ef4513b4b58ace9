import Datasets
import Groundwork

/// Where windows lie in time. Panes and windows end at whole multiples of the slide since 1970, so that a restart finds
/// the same ones.
@usableFromInline package struct WindowSpec: Sendable {
  package let length: Duration
  package let slide: Duration

  /// Checks both against the batch interval; what is wrong is noted in the context, whose start then fails with it.
  @usableFromInline package init(
    _ context: StreamingContext, operator label: String, length: Duration, slide: Duration?
  ) {
    let interval = context.batchInterval
    self.length = length
    self.slide = slide ?? interval
    for (what, duration) in [("window", length), ("slide", self.slide)] {
      let whole = duration.inMilliseconds / max(1, interval.inMilliseconds)
      if whole < 1 || interval * Int(whole) != duration {
        context.note(
          .invalidDefinition(
            "\(label): the \(what) of \(duration.text) is not a multiple of the batch interval of \(interval.text); "
              + "choose \(what)s of \(interval.text), \((interval * 2).text), \((interval * 3).text) …"))
      }
    }
    let panes = length.inMilliseconds / max(1, self.slide.inMilliseconds)
    if self.slide * Int(panes) != length || panes < 1 {
      context.note(
        .invalidDefinition(
          "\(label): the slide of \(self.slide.text) does not divide the window of \(length.text); choose a window of "
            + "\((self.slide * Int(panes + 1)).text)"))
    }
  }

  /// The end of the window that is due with this batch: the last multiple of the slide since the batch before; nil where
  /// there is none.
  @usableFromInline package func end(_ frame: BatchFrame) -> Timestamp? {
    let step = max(1, slide.inMilliseconds)
    let end = frame.time.milliseconds / step * step
    guard let previous = frame.previousTime else { return end == frame.time.milliseconds ? frame.time : nil }
    return end > previous.milliseconds ? Timestamp(milliseconds: end) : nil
  }

  /// The ends of the panes of the window that ends at `end`, oldest first.
  @usableFromInline package func panes(endingAt end: Timestamp) -> [Timestamp] {
    let step = max(1, slide.inMilliseconds)
    let count = max(1, length.inMilliseconds / step)
    return (0..<count).map { Timestamp(milliseconds: end.milliseconds - (count - 1 - $0) * step) }
  }

  /// The end of the pane that holds a batch of this time.
  @usableFromInline package func pane(of time: Timestamp) -> Timestamp {
    let step = max(1, slide.inMilliseconds)
    return Timestamp(milliseconds: (time.milliseconds + step - 1) / step * step)
  }
}

extension DStream {
  /// Every `slide`, the elements of all batches of the last `length`.
  ///
  /// It keeps offset ranges, not elements: what is no longer in memory is read again.
  /// - Parameters:
  ///   - length: a multiple of the batch interval and of the slide.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  public func window(_ length: Duration, slide: Duration? = nil) -> DStream<Element> {
    let spec = WindowSpec(context, operator: "window", length: length, slide: slide)
    rememberLineage(length + spec.slide + context.batchInterval)
    return DStream<Element>(context, label: "window", parents: [self], windowEnd: { spec.end($0) }) { [self] frame in
      _ = dataset(frame)
      guard let end = spec.end(frame) else { return nil }
      let parts = datasets(
        after: Timestamp(milliseconds: end.milliseconds - length.inMilliseconds), through: end)
      return parts.isEmpty ? context.sluice.empty() : context.sluice.union(parts)
    }
  }

  /// Every `slide`, one pair a key: its values in the last `length` combined.
  ///
  /// Each batch is reduced once, each pane (one slide) is kept reduced, and a window merges its panes, so the cost of a
  /// window is keys × panes, not records.
  /// - Parameters:
  ///   - combine: associative.
  ///   - length: a multiple of the slide.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  @inlinable public func reduceByKeyAndWindow<Key: Hashable & Sendable, Value: Sendable>(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    let spec = WindowSpec(context, operator: "reduceByKeyAndWindow", length: length, slide: slide)
    let partitioner = Partitioner<Key>.hash(partitions ?? context.sluice.defaultParallelism)
    let reduced = DStream<(Key, Value)>(context, label: "reduceByKey", parents: [self]) { [self] frame in
      dataset(frame)?.reduceByKey(partitioner, combine)
    }
    reduced.keep(for: spec)
    // A pane is computed when its window is due, up to a slide after its batches.
    keepLineage(for: spec)
    let panes = PaneStore<(Key, Value)>()
    return DStream<(Key, Value)>(
      context, label: "reduceByKeyAndWindow", parents: [reduced], windowEnd: { spec.end($0) }
    ) { [context] frame in
      _ = reduced.dataset(frame)
      guard let end = spec.end(frame) else { return nil }
      let parts = panes.update(spec, windowEnd: end) { start, end in
        let batches = reduced.batches(after: start, through: end)
        return batches.isEmpty ? nil : RDD<(Key, Value)>.mergingAligned(batches, context.sluice, combine).persist()
      }
      return RDD<(Key, Value)>.mergingAligned(parts, context.sluice, combine)
    }
  }

  @usableFromInline package func keep(for spec: WindowSpec) {
    remember(spec.length + spec.slide + context.batchInterval)
  }

  @usableFromInline package func keepLineage(for spec: WindowSpec) {
    if spec.slide > context.batchInterval { rememberLineage(spec.slide + context.batchInterval) }
  }

  @usableFromInline package func batches(after: Timestamp, through: Timestamp) -> [RDD<Element>] {
    datasets(after: after, through: through)
  }

  /// Every `slide`, how often each element occurred in the last `length`.
  @inlinable public func countByValueAndWindow(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil
  ) -> DStream<(Element, Int)> where Element: Hashable & Sendable {
    map { ($0, 1) }.reduceByKeyAndWindow(window: length, slide: slide, partitions: partitions) { $0 + $1 }
  }
}

/// The reduced panes of one windowed operator.
///
/// Sendable: only the driver's loop touches it.
@usableFromInline package final class PaneStore<Element>: @unchecked Sendable {
  private var panes: [(end: Timestamp, dataset: RDD<Element>?)] = []

  @usableFromInline package init() {}

  /// Makes the panes that are missing for the window, drops those before it, and gives the datasets of the window's.
  @usableFromInline package func update(
    _ spec: WindowSpec, windowEnd: Timestamp, make: (_ after: Timestamp, _ through: Timestamp) -> RDD<Element>?
  ) -> [RDD<Element>] {
    let wanted = spec.panes(endingAt: windowEnd)
    while let first = panes.first, first.end < wanted[0] {
      first.dataset?.unpersist()
      panes.removeFirst()
    }
    for end in wanted where panes.last.map({ $0.end < end }) ?? true {
      let start = Timestamp(milliseconds: end.milliseconds - spec.slide.inMilliseconds)
      panes.append((end, make(start, end)))
    }
    return panes.compactMap(\.dataset)
  }
}
