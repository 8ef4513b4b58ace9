import Datasets
import Groundwork

extension DStream {
  /// Each element transformed.
  @inlinable public func map<Output>(_ transform: @escaping @Sendable (Element) throws -> Output) -> DStream<Output> {
    apply(.map(transform), label: "map")
  }

  /// The elements of what each element gives, in order.
  @inlinable public func flatMap<S: Sequence & SendableMetatype>(
    _ transform: @escaping @Sendable (Element) throws -> S
  ) -> DStream<S.Element> {
    apply(.flatMap(transform), label: "flatMap")
  }

  /// What each element gives, where it gives something.
  @inlinable public func compactMap<Output>(
    _ transform: @escaping @Sendable (Element) throws -> Output?
  ) -> DStream<Output> {
    apply(.compactMap(transform), label: "compactMap")
  }

  /// The elements that satisfy the condition.
  @inlinable public func filter(_ isIncluded: @escaping @Sendable (Element) throws -> Bool) -> DStream<Element> {
    apply(.filter(isIncluded), label: "filter")
  }

  /// Each partition of each batch transformed as a whole; the task tells the batch, draws random numbers that a replay
  /// draws again, and counts by name.
  public func mapPartitions<Output>(
    _ transform: @escaping @Sendable ([Element], TaskContext) throws -> [Output]
  ) -> DStream<Output> {
    DStream<Output>(context, label: "mapPartitions", parents: [self]) { [self] frame in
      dataset(frame)?.mapPartitions(transform)
    }
  }

  /// The elements of both streams.
  public func union(_ other: DStream<Element>) -> DStream<Element> {
    context.union([self, other])
  }

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

  /// How often each element occurs in each batch.
  @inlinable public func countByValue(partitions: Int? = nil) -> DStream<(Element, Int)>
  where Element: Hashable & Sendable {
    DStream<(Element, Int)>(context, label: "countByValue", parents: [self]) { [self] frame in
      dataset(frame)?.counted(partitions: partitions)
    }
  }

  /// The number of elements of each batch, as one element.
  public func count() -> DStream<Int> {
    DStream<Int>(context, label: "count", parents: [self]) { [self] frame in
      dataset(frame)?.countedAsOne()
    }
  }
}

extension DStream where Element: Sendable {
  /// Keeps each batch's dataset in memory once it was computed, until no window needs it: for a stream that several
  /// outputs use, which would otherwise each compute it, and count what it counts, anew. Returns the same stream.
  @discardableResult public func cache() -> DStream<Element> {
    keepDatasets { $0.persist() }
    return self
  }
}

extension RDD {
  /// The number of elements, as a dataset of one element.
  func countedAsOne() -> RDD<Int> {
    let parent = compute
    let ones = RDD<(Int, Int)>(
      context, label: "count", partitionCount: partitionCount, dependencies: [.narrow(self)]
    ) { partition, task, emit in
      var count = 0
      try parent(partition, task) { count += $0.count }
      let result = [(0, count)]
      try result.withUnsafeBufferPointer { try emit($0) }
    }
    return ones.reduceByKey(partitions: 1) { $0 + $1 }.values()
  }
}
