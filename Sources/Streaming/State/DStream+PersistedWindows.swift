import Datasets
import Groundwork

// The reduced windows over keys and values that have an encoding: where the job has a checkpoint folder their panes (with
// an inverse also the running window) are kept as state, and a restart goes on with them, whatever is left of the input.
// The operator is found again by its name: give it one with `named`. Another length or slide is taken over where both are
// multiples of the panes that are stored; else the start says what they would have to be.
//
// Keys are placed by the hash of their encoding. Where a partitioner is asked for, the pairs of each window are then
// brought into its order.

extension DStream {
  /// As for any pairs, one pair a key and window, which survives a restart; see `reduceByKeyAndWindow`.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - partitions: partitions of the result; where none is given it stays what it was at the first start.
  ///   - combine: associative; called with older values first.
  @inlinable public func reduceByKeyAndWindow<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    let spec = WindowSpec(self, operator: "reduceByKeyAndWindow", length: length, slide: slide)
    guard keepsPanes else { return windowsInMemory(spec, defaultPartitioner(partitions), combine) }
    return windowsInState(spec, partitions: partitions, combine) { $0 }
  }

  /// As `reduceByKeyAndWindow(window:slide:partitions:_:)`, with the keys placed by a partitioner of one's own.
  @inlinable public func reduceByKeyAndWindow<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    window length: Duration, slide: Duration? = nil, partitioner: Partitioner<Key>,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    let spec = WindowSpec(self, operator: "reduceByKeyAndWindow", length: length, slide: slide)
    guard keepsPanes else { return windowsInMemory(spec, partitioner, combine) }
    return windowsInState(spec, partitions: partitioner.partitionCount, combine) { $0.partitionBy(partitioner) }
  }

  /// As for any pairs, each window made of the one before, which survives a restart; see `reduceByKeyAndWindow`.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - partitions: partitions of the result; where none is given it stays what it was at the first start.
  ///   - inverse: takes back what `combine` did: `inverse(combine(a, b), a)` is `b`.
  ///   - filter: which pairs are given; the others stay in the window all the same.
  ///   - combine: associative and commutative.
  @inlinable public func reduceByKeyAndWindow<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil,
    inverse: @escaping @Sendable (Value, Value) throws -> Value,
    filter: (@Sendable ((Key, Value)) throws -> Bool)? = nil,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    let spec = WindowSpec(self, operator: "reduceByKeyAndWindow", length: length, slide: slide)
    guard keepsPanes else {
      return windowsInMemory(spec, defaultPartitioner(partitions), combine, inverse: inverse, filter: filter)
    }
    return windowsInState(spec, partitions: partitions, combine, inverse: inverse, filter: filter) { $0 }
  }

  /// As `reduceByKeyAndWindow(window:slide:partitions:inverse:filter:_:)`, with the keys placed by a partitioner of one's
  /// own.
  @inlinable public func reduceByKeyAndWindow<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    window length: Duration, slide: Duration? = nil, partitioner: Partitioner<Key>,
    inverse: @escaping @Sendable (Value, Value) throws -> Value,
    filter: (@Sendable ((Key, Value)) throws -> Bool)? = nil,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    let spec = WindowSpec(self, operator: "reduceByKeyAndWindow", length: length, slide: slide)
    guard keepsPanes else {
      return windowsInMemory(spec, partitioner, combine, inverse: inverse, filter: filter)
    }
    return windowsInState(
      spec, partitions: partitioner.partitionCount, combine, inverse: inverse, filter: filter
    ) { $0.partitionBy(partitioner) }
  }

  /// As for any pairs, all values of each key in a window, oldest batch first, which survive a restart: they are kept as
  /// state, batch by batch.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - partitions: partitions of the result; where none is given it stays what it was at the first start.
  @inlinable public func groupByKeyAndWindow<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil
  ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
    let spec = WindowSpec(self, operator: "groupByKeyAndWindow", length: length, slide: slide)
    guard keepsPanes else { return groupsInMemory(spec, defaultPartitioner(partitions)) }
    return groupsInState(spec, partitions: partitions) { $0 }
  }

  /// As `groupByKeyAndWindow(window:slide:partitions:)`, with the keys placed by a partitioner of one's own.
  @inlinable public func groupByKeyAndWindow<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    window length: Duration, slide: Duration? = nil, partitioner: Partitioner<Key>
  ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
    let spec = WindowSpec(self, operator: "groupByKeyAndWindow", length: length, slide: slide)
    guard keepsPanes else { return groupsInMemory(spec, partitioner) }
    return groupsInState(spec, partitions: partitioner.partitionCount) { $0.partitionBy(partitioner) }
  }

  /// As for any elements, how often each occurred in a window, which survives a restart; see `countByValueAndWindow`.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - partitions: partitions of the result; where none is given it stays what it was at the first start.
  @inlinable public func countByValueAndWindow(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil
  ) -> DStream<(Element, Int)> where Element: Hashable & StreamCodable {
    let spec = WindowSpec(self, operator: "countByValueAndWindow", length: length, slide: slide)
    guard keepsPanes else { return countsInMemory(spec, partitions: partitions) }
    return persistedRunningWindows(
      spec, partitions: partitions, label: spec.label,
      reduce: { (dataset: RDD<Element>, partitioner: Partitioner<Element>) -> RDD<(Element, Int)> in
        dataset.map { ($0, 1) }.reduceByKey(partitioner) { $0 + $1 }
      }, combine: { $0 + $1 }, inverse: { $0 - $1 }, filter: nil, give: { $0 })
  }
}

extension DStream where Element: StreamCodable {
  /// As for any elements, those of a window combined into one, which survives a restart; see `reduceByWindow`.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - combine: associative.
  @inlinable public func reduceByWindow(
    _ length: Duration, slide: Duration? = nil, _ combine: @escaping @Sendable (Element, Element) throws -> Element
  ) -> DStream<Element> {
    let spec = WindowSpec(self, operator: "reduceByWindow", length: length, slide: slide)
    guard keepsPanes else { return oneInMemory(spec, combine) }
    return persistedWindows(
      spec, partitions: 1, label: spec.label,
      reduce: { (dataset: RDD<Element>, _: Partitioner<Int>) in dataset.reducedToOne(combine) },
      update: { $0 = try combine($0, $1) }, give: { $0.values() })
  }

  /// As for any elements, each window made of the one before, which survives a restart; see `reduceByWindow`.
  @inlinable public func reduceByWindow(
    _ length: Duration, slide: Duration? = nil, inverse: @escaping @Sendable (Element, Element) throws -> Element,
    _ combine: @escaping @Sendable (Element, Element) throws -> Element
  ) -> DStream<Element> {
    let spec = WindowSpec(self, operator: "reduceByWindow", length: length, slide: slide)
    guard keepsPanes else { return oneInMemory(spec, combine, inverse: inverse) }
    return persistedRunningWindows(
      spec, partitions: 1, label: spec.label,
      reduce: { (dataset: RDD<Element>, _: Partitioner<Int>) in dataset.reducedToOne(combine) },
      combine: combine, inverse: inverse, filter: nil, give: { $0.values() })
  }
}

extension DStream {
  /// Whether reduced windows keep their panes over a restart.
  @usableFromInline package var keepsPanes: Bool { context.environment.checkpointDirectory != nil }

  @inlinable func windowsInState<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    _ spec: WindowSpec, partitions: Int?, _ combine: @escaping @Sendable (Value, Value) throws -> Value,
    give: @escaping @Sendable (RDD<(Key, Value)>) -> RDD<(Key, Value)>
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    persistedWindows(
      spec, partitions: partitions, label: spec.label, reduce: { $0.reduceByKey($1, combine) },
      update: { $0 = try combine($0, $1) }, give: give)
  }

  @inlinable func windowsInState<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    _ spec: WindowSpec, partitions: Int?, _ combine: @escaping @Sendable (Value, Value) throws -> Value,
    inverse: @escaping @Sendable (Value, Value) throws -> Value, filter: (@Sendable ((Key, Value)) throws -> Bool)?,
    give: @escaping @Sendable (RDD<(Key, Value)>) -> RDD<(Key, Value)>
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    persistedRunningWindows(
      spec, partitions: partitions, label: spec.label, reduce: { $0.reduceByKey($1, combine) }, combine: combine,
      inverse: inverse, filter: filter, give: give)
  }

  @inlinable func groupsInState<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    _ spec: WindowSpec, partitions: Int?,
    give: @escaping @Sendable (RDD<(Key, [Value])>) -> RDD<(Key, [Value])>
  ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
    persistedWindows(
      spec, partitions: partitions, label: spec.label, keepsBatches: true, reduce: { $0.groupByKey($1) },
      update: { $0.append(contentsOf: $1) }, give: give)
  }
}
