import Datasets
import Groundwork

/// A stream whose elements carry the time at which they happened, and whose watermark says how far that time has come.
public struct EventTimeStream<Element>: Sendable {
  /// The elements with their event times.
  public let timed: DStream<(Timestamp, Element)>
  @usableFromInline let keeper: WatermarkKeeper

  @inlinable init(_ timed: DStream<(Timestamp, Element)>, _ keeper: WatermarkKeeper) {
    self.timed = timed
    self.keeper = keeper
  }

  /// The elements without their event times.
  @inlinable public var elements: DStream<Element> { timed.map { $0.1 } }

  /// Each element transformed; it keeps its event time.
  @inlinable public func map<Output>(
    _ transform: @escaping @Sendable (Element) throws -> Output
  ) -> EventTimeStream<Output> {
    EventTimeStream<Output>(timed.map { ($0.0, try transform($0.1)) }, keeper)
  }

  /// What each element gives, where it gives something; it keeps the event time.
  @inlinable public func compactMap<Output>(
    _ transform: @escaping @Sendable (Element) throws -> Output?
  ) -> EventTimeStream<Output> {
    EventTimeStream<Output>(
      timed.compactMap { timed in try transform(timed.1).map { (timed.0, $0) } }, keeper)
  }

  /// The elements that satisfy the condition.
  @inlinable public func filter(_ isIncluded: @escaping @Sendable (Element) throws -> Bool) -> EventTimeStream<Element>
  {
    EventTimeStream(timed.filter { try isIncluded($0.1) }, keeper)
  }
}

extension DStream {
  /// Says when each element happened, and how far out of order elements come.
  ///
  /// The watermark is kept for each topic partition where this follows the source directly (through map, filter and their
  /// like), and the stream's is the least of them; a batch goes by the watermark of the batches before it. A single
  /// element with a time far in the future carries the watermark of its partition there: filter such elements out first.
  /// - Parameters:
  ///   - timestamp: an element's time.
  ///   - delay: how much older than the newest an element may come without being late.
  ///   - idleTimeout: a partition that has nothing to read for so long (of batch time) does not hold the watermark up any
  ///     more, until it has; nil: it does for ever. One that has something to read always does.
  @inlinable public func withEventTime(
    _ timestamp: @escaping @Sendable (Element) -> Timestamp, delay: Duration, idleTimeout: Duration? = nil
  ) -> EventTimeStream<Element> {
    let keeper = WatermarkKeeper(context, delay: delay, idleTimeout: idleTimeout)
    let timed = DStream<(Timestamp, Element)>(context, label: "withEventTime", parents: [self]) { [self] frame in
      guard let dataset = dataset(frame) else { return nil }
      let names = keeper.reportNames(dataset, frame)
      return RDD<(Timestamp, Element)>(
        dataset.context, label: "withEventTime", partitionCount: dataset.partitionCount,
        dependencies: [.narrow(dataset)]
      ) { partition, task, emit in
        var output = Chunk<(Timestamp, Element)>()
        try dataset.compute(partition, task) { view in
          var latest = Int64.min
          for index in 0..<view.count {
            let time = timestamp(view[index])
            if time.milliseconds > latest { latest = time.milliseconds }
            output.append((time, view[index]))
          }
          guard view.count > 0 else { return }
          task.raise(names[partition], to: latest)
          try emit(output.view)
          output.clear()
        }
      }
    }
    keeper.bind(to: timed)
    return EventTimeStream(timed, keeper)
  }
}
