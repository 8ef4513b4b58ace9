import Datasets
import Groundwork

// Every window operator takes a length and a slide: multiples of the batch interval, and where the stream is one of
// windows itself, of its slide. Windows end at whole multiples of the slide since 1970. A slide need not divide the length.

extension DStream {
  /// Every `slide`, the elements of all batches of the last `length`.
  ///
  /// It keeps offset ranges, not elements: what is no longer in memory is read again.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  public func window(_ length: Duration, slide: Duration? = nil) -> DStream<Element> {
    windows(WindowSpec(self, operator: "window", length: length, slide: slide))
  }

  @usableFromInline func windows(_ spec: WindowSpec) -> DStream<Element> {
    rememberLineage(spec.length + spec.slide + context.batchInterval)
    let windows = DStream<Element>(
      context, label: "window", parents: [self], slide: spec.slide, windowEnd: { spec.end($0) }
    ) { [self] frame in
      _ = dataset(frame)
      guard let end = spec.end(frame) else { return nil }
      let parts = datasets(after: spec.start(end), through: end)
      return parts.isEmpty ? context.sluice.empty() : context.sluice.union(parts)
    }
    windows.needPast(spec.length + spec.slide)
    return windows
  }
}

extension DStream where Element: Sendable {
  /// As `window` for other elements. Where windows overlap, the datasets of the stream are kept in memory, as far as there
  /// is room, because each is read for several windows; those of an input are not: its source keeps what arrived.
  public func window(_ length: Duration, slide: Duration? = nil) -> DStream<Element> {
    let spec = WindowSpec(self, operator: "window", length: length, slide: slide)
    if spec.overlaps { keepForReuse() }
    shareAmongWindows()
    return windows(spec)
  }

  /// Every `slide`, the number of elements in the last `length`, as one element; 0 where there were none.
  @inlinable public func countByWindow(_ length: Duration, slide: Duration? = nil) -> DStream<Int> {
    let spec = WindowSpec(self, operator: "countByWindow", length: length, slide: slide)
    guard keepsPanes else {
      shareAmongWindows()
      let counts: DStream<(Int, Int)> = onDatasets("count") { $0.countedAsOne() }
      return counts.slidWindows(spec, combine: { $0 + $1 }, inverse: { $0 - $1 }, filter: nil)
        .onDatasets("orZero") { $0.orZero() }
    }
    return persistedRunningWindows(
      spec, partitions: 1, label: spec.label,
      reduce: { (dataset: RDD<Element>, _: Partitioner<Int>) in dataset.countedAsOne() },
      combine: { $0 + $1 }, inverse: { $0 - $1 }, filter: nil, give: { $0.orZero() })
  }

  /// Every `slide`, the elements of the last `length` combined into one; none where there were none.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - combine: associative.
  @inlinable public func reduceByWindow(
    _ length: Duration, slide: Duration? = nil, _ combine: @escaping @Sendable (Element, Element) throws -> Element
  ) -> DStream<Element> {
    oneInMemory(WindowSpec(self, operator: "reduceByWindow", length: length, slide: slide), combine)
  }

  /// As `reduceByWindow`, each window made of the one before: `inverse(combine(a, b), a)` must be `b`.
  @inlinable public func reduceByWindow(
    _ length: Duration, slide: Duration? = nil, inverse: @escaping @Sendable (Element, Element) throws -> Element,
    _ combine: @escaping @Sendable (Element, Element) throws -> Element
  ) -> DStream<Element> {
    oneInMemory(
      WindowSpec(self, operator: "reduceByWindow", length: length, slide: slide), combine, inverse: inverse)
  }
}

extension DStream {
  /// Every `slide`, one pair a key: its values in the last `length` combined.
  ///
  /// Each batch is reduced once, each pane (the greatest common divisor of length and slide) is kept reduced, and a window
  /// merges its panes, so the cost of a window is keys × panes, not records.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - partitions: partitions of the result; the context's default parallelism where nil.
  ///   - combine: associative.
  @inlinable public func reduceByKeyAndWindow<Key: Hashable & Sendable, Value: Sendable>(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    reduceByKeyAndWindow(window: length, slide: slide, partitioner: defaultPartitioner(partitions), combine)
  }

  /// As `reduceByKeyAndWindow(window:slide:partitions:_:)`, with the keys placed by a partitioner of one's own.
  @inlinable public func reduceByKeyAndWindow<Key: Hashable & Sendable, Value: Sendable>(
    window length: Duration, slide: Duration? = nil, partitioner: Partitioner<Key>,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    windowsInMemory(
      WindowSpec(self, operator: "reduceByKeyAndWindow", length: length, slide: slide), partitioner, combine)
  }

  /// As `reduceByKeyAndWindow`, each window made of the one before: what left it is taken back and what came into it is
  /// added, so the cost is that of the panes at both ends, not of the window. A key whose last value has left is not in
  /// the result; nothing has to filter it out.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - partitions: partitions of the result; the context's default parallelism where nil.
  ///   - inverse: takes back what `combine` did: `inverse(combine(a, b), a)` is `b`.
  ///   - filter: which pairs are given; the others stay in the window all the same.
  ///   - combine: associative and commutative.
  @inlinable public func reduceByKeyAndWindow<Key: Hashable & Sendable, Value: Sendable>(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil,
    inverse: @escaping @Sendable (Value, Value) throws -> Value,
    filter: (@Sendable ((Key, Value)) throws -> Bool)? = nil,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    reduceByKeyAndWindow(
      window: length, slide: slide, partitioner: defaultPartitioner(partitions), inverse: inverse, filter: filter,
      combine)
  }

  /// As `reduceByKeyAndWindow(window:slide:partitions:inverse:filter:_:)`, with the keys placed by a partitioner of one's
  /// own.
  @inlinable public func reduceByKeyAndWindow<Key: Hashable & Sendable, Value: Sendable>(
    window length: Duration, slide: Duration? = nil, partitioner: Partitioner<Key>,
    inverse: @escaping @Sendable (Value, Value) throws -> Value,
    filter: (@Sendable ((Key, Value)) throws -> Bool)? = nil,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    windowsInMemory(
      WindowSpec(self, operator: "reduceByKeyAndWindow", length: length, slide: slide), partitioner, combine,
      inverse: inverse, filter: filter)
  }

  /// Every `slide`, all values of each key in the last `length`, oldest batch first.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - partitions: partitions of the result; the context's default parallelism where nil.
  @inlinable public func groupByKeyAndWindow<Key: Hashable & Sendable, Value: Sendable>(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil
  ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
    groupsInMemory(
      WindowSpec(self, operator: "groupByKeyAndWindow", length: length, slide: slide), defaultPartitioner(partitions))
  }

  /// As `groupByKeyAndWindow(window:slide:partitions:)`, with the keys placed by a partitioner of one's own.
  @inlinable public func groupByKeyAndWindow<Key: Hashable & Sendable, Value: Sendable>(
    window length: Duration, slide: Duration? = nil, partitioner: Partitioner<Key>
  ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
    groupsInMemory(WindowSpec(self, operator: "groupByKeyAndWindow", length: length, slide: slide), partitioner)
  }

  /// Every `slide`, how often each element occurred in the last `length`; each window is made of the one before.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - partitions: partitions of the result; the context's default parallelism where nil.
  @inlinable public func countByValueAndWindow(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil
  ) -> DStream<(Element, Int)> where Element: Hashable & Sendable {
    countsInMemory(
      WindowSpec(self, operator: "countByValueAndWindow", length: length, slide: slide), partitions: partitions)
  }
}

extension RDD where Element == (Int, Int) {
  /// The second of one pair in one partition; 0 where there is none.
  @usableFromInline func orZero() -> RDD<Int> { mapPartitions { pairs, _ in [pairs.first?.1 ?? 0] } }
}
