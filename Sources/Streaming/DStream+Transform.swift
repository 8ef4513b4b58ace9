import Datasets
import Groundwork

extension DStream {
  /// Each batch's dataset transformed by any dataset operation. `transform` runs on the driver, once a batch; the time is
  /// the batch's, or the end of the window where the stream is one of windows.
  public func transform<Output>(
    _ transform: @escaping @Sendable (RDD<Element>, Timestamp) -> RDD<Output>
  ) -> DStream<Output> {
    DStream<Output>(context, label: "transform", parents: [self]) { [self] frame in
      dataset(frame).map { transform($0, time(frame)) }
    }
  }

  /// Each batch's dataset transformed by any dataset operation.
  public func transform<Output>(_ transform: @escaping @Sendable (RDD<Element>) -> RDD<Output>) -> DStream<Output> {
    self.transform { dataset, _ in transform(dataset) }
  }

  /// A stream of what `transform` makes of this stream's dataset and another's in each batch. It runs on the driver, once
  /// a batch; see `transform`.
  /// - Parameters:
  ///   - other: a stream of the same slide.
  ///   - transform: gets both datasets and the time.
  public func transformWith<Other, Output>(
    _ other: DStream<Other>,
    _ transform: @escaping @Sendable (RDD<Element>, RDD<Other>, Timestamp) -> RDD<Output>
  ) -> DStream<Output> { combined(with: other, label: "transformWith", transform) }

  /// As `transformWith`, without the time.
  public func transformWith<Other, Output>(
    _ other: DStream<Other>, _ transform: @escaping @Sendable (RDD<Element>, RDD<Other>) -> RDD<Output>
  ) -> DStream<Output> {
    combined(with: other, label: "transformWith") { mine, theirs, _ in transform(mine, theirs) }
  }

  /// The elements of both streams.
  public func union(_ other: DStream<Element>) -> DStream<Element> { context.union([self, other]) }

  /// The elements of this stream and the others.
  public func merge(_ others: DStream<Element>...) -> DStream<Element> { context.union([self] + others) }

  @usableFromInline func combined<Other, Output>(
    with other: DStream<Other>, label: String,
    _ make: @escaping @Sendable (RDD<Element>, RDD<Other>, Timestamp) -> RDD<Output>
  ) -> DStream<Output> {
    DStream<Output>(context, label: label, parents: [self, other]) { [self] frame in
      // Both are asked for, whatever the first says: streams keep for windows what they are asked for.
      let mine = dataset(frame)
      let theirs = other.dataset(frame)
      guard let mine, let theirs else { return nil }
      return make(mine, theirs, time(frame))
    }
  }
}
