import Datasets
import Groundwork

// Streams of pairs brought together by key, batch by batch; for more than a batch, join their windows. Where both sides
// were placed by the same partitioner (after `reduceByKey`, say) nothing is shuffled.

extension DStream {
  /// For each key of both streams in a batch: every pair of a value here and a value there.
  /// - Parameters:
  ///   - other: a stream of the same slide.
  ///   - partitions: partitions of the result; nil takes over a partitioning that is there, else the default.
  @inlinable public func join<Key: Hashable & Sendable, Value, Other>(
    _ other: DStream<(Key, Other)>, partitions: Int? = nil
  ) -> DStream<(Key, (Value, Other))> where Element == (Key, Value) {
    combined(with: other, label: "join") { mine, theirs, _ in mine.join(theirs, partitions: partitions) }
  }

  /// As `join`, and the values here whose key has none there, once, with nil.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: DStream<(Key, Other)>, partitions: Int? = nil
  ) -> DStream<(Key, (Value, Other?))> where Element == (Key, Value) {
    combined(with: other, label: "leftOuterJoin") { mine, theirs, _ in
      mine.leftOuterJoin(theirs, partitions: partitions)
    }
  }

  /// As `join`, and the values there whose key has none here, once, with nil.
  @inlinable public func rightOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: DStream<(Key, Other)>, partitions: Int? = nil
  ) -> DStream<(Key, (Value?, Other))> where Element == (Key, Value) {
    combined(with: other, label: "rightOuterJoin") { mine, theirs, _ in
      mine.rightOuterJoin(theirs, partitions: partitions)
    }
  }

  /// As `join`, and the values whose key has none on the other side, once, with nil.
  @inlinable public func fullOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: DStream<(Key, Other)>, partitions: Int? = nil
  ) -> DStream<(Key, (Value?, Other?))> where Element == (Key, Value) {
    combined(with: other, label: "fullOuterJoin") { mine, theirs, _ in
      mine.fullOuterJoin(theirs, partitions: partitions)
    }
  }

  /// For each key of either stream in a batch: its values here and its values there.
  @inlinable public func cogroup<Key: Hashable & Sendable, Value, Other>(
    _ other: DStream<(Key, Other)>, partitions: Int? = nil
  ) -> DStream<(Key, ([Value], [Other]))> where Element == (Key, Value) {
    combined(with: other, label: "cogroup") { mine, theirs, _ in mine.cogroup(theirs, partitions: partitions) }
  }

  /// As `join(_:partitions:)`, placed by a partitioner.
  @inlinable public func join<Key: Hashable & Sendable, Value, Other>(
    _ other: DStream<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> DStream<(Key, (Value, Other))> where Element == (Key, Value) {
    combined(with: other, label: "join") { mine, theirs, _ in mine.join(theirs, partitioner) }
  }

  /// As `leftOuterJoin(_:partitions:)`, placed by a partitioner.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: DStream<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> DStream<(Key, (Value, Other?))> where Element == (Key, Value) {
    combined(with: other, label: "leftOuterJoin") { mine, theirs, _ in mine.leftOuterJoin(theirs, partitioner) }
  }

  /// As `rightOuterJoin(_:partitions:)`, placed by a partitioner.
  @inlinable public func rightOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: DStream<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> DStream<(Key, (Value?, Other))> where Element == (Key, Value) {
    combined(with: other, label: "rightOuterJoin") { mine, theirs, _ in mine.rightOuterJoin(theirs, partitioner) }
  }

  /// As `fullOuterJoin(_:partitions:)`, placed by a partitioner.
  @inlinable public func fullOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: DStream<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> DStream<(Key, (Value?, Other?))> where Element == (Key, Value) {
    combined(with: other, label: "fullOuterJoin") { mine, theirs, _ in mine.fullOuterJoin(theirs, partitioner) }
  }

  /// As `cogroup(_:partitions:)`, placed by a partitioner.
  @inlinable public func cogroup<Key: Hashable & Sendable, Value, Other>(
    _ other: DStream<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> DStream<(Key, ([Value], [Other]))> where Element == (Key, Value) {
    combined(with: other, label: "cogroup") { mine, theirs, _ in mine.cogroup(theirs, partitioner) }
  }
}

// With a dataset: one that `dataset` gives for each batch, so it may be another one from some batch on. It is called on
// the driver, once a batch; give the same, persisted dataset as long as it holds.

extension DStream {
  /// For each key of both the batch and the dataset: every pair of a value here and a value there.
  /// - Parameters:
  ///   - partitions: partitions of the result; nil takes over a partitioning that is there, else the default.
  ///   - dataset: gives the other side for a batch.
  @inlinable public func join<Key: Hashable & Sendable, Value, Other>(
    partitions: Int? = nil, with dataset: @escaping @Sendable (BatchFrame) -> RDD<(Key, Other)>
  ) -> DStream<(Key, (Value, Other))> where Element == (Key, Value) {
    withDataset("join", dataset) { $0.join($1, partitions: partitions) }
  }

  /// As `join(partitions:with:)`, and the values here whose key has none there, once, with nil.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Other>(
    partitions: Int? = nil, with dataset: @escaping @Sendable (BatchFrame) -> RDD<(Key, Other)>
  ) -> DStream<(Key, (Value, Other?))> where Element == (Key, Value) {
    withDataset("leftOuterJoin", dataset) { $0.leftOuterJoin($1, partitions: partitions) }
  }

  /// As `join(partitions:with:)`, and the values there whose key has none here, once, with nil.
  @inlinable public func rightOuterJoin<Key: Hashable & Sendable, Value, Other>(
    partitions: Int? = nil, with dataset: @escaping @Sendable (BatchFrame) -> RDD<(Key, Other)>
  ) -> DStream<(Key, (Value?, Other))> where Element == (Key, Value) {
    withDataset("rightOuterJoin", dataset) { $0.rightOuterJoin($1, partitions: partitions) }
  }

  /// As `join(partitions:with:)`, and the values whose key has none on the other side, once, with nil.
  @inlinable public func fullOuterJoin<Key: Hashable & Sendable, Value, Other>(
    partitions: Int? = nil, with dataset: @escaping @Sendable (BatchFrame) -> RDD<(Key, Other)>
  ) -> DStream<(Key, (Value?, Other?))> where Element == (Key, Value) {
    withDataset("fullOuterJoin", dataset) { $0.fullOuterJoin($1, partitions: partitions) }
  }

  /// For each key of either the batch or the dataset: its values here and its values there.
  @inlinable public func cogroup<Key: Hashable & Sendable, Value, Other>(
    partitions: Int? = nil, with dataset: @escaping @Sendable (BatchFrame) -> RDD<(Key, Other)>
  ) -> DStream<(Key, ([Value], [Other]))> where Element == (Key, Value) {
    withDataset("cogroup", dataset) { $0.cogroup($1, partitions: partitions) }
  }

  /// As `join(partitions:with:)`, placed by a partitioner.
  @inlinable public func join<Key: Hashable & Sendable, Value, Other>(
    _ partitioner: Partitioner<Key>, with dataset: @escaping @Sendable (BatchFrame) -> RDD<(Key, Other)>
  ) -> DStream<(Key, (Value, Other))> where Element == (Key, Value) {
    withDataset("join", dataset) { $0.join($1, partitioner) }
  }

  /// As `leftOuterJoin(partitions:with:)`, placed by a partitioner.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ partitioner: Partitioner<Key>, with dataset: @escaping @Sendable (BatchFrame) -> RDD<(Key, Other)>
  ) -> DStream<(Key, (Value, Other?))> where Element == (Key, Value) {
    withDataset("leftOuterJoin", dataset) { $0.leftOuterJoin($1, partitioner) }
  }

  /// As `rightOuterJoin(partitions:with:)`, placed by a partitioner.
  @inlinable public func rightOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ partitioner: Partitioner<Key>, with dataset: @escaping @Sendable (BatchFrame) -> RDD<(Key, Other)>
  ) -> DStream<(Key, (Value?, Other))> where Element == (Key, Value) {
    withDataset("rightOuterJoin", dataset) { $0.rightOuterJoin($1, partitioner) }
  }

  /// As `fullOuterJoin(partitions:with:)`, placed by a partitioner.
  @inlinable public func fullOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ partitioner: Partitioner<Key>, with dataset: @escaping @Sendable (BatchFrame) -> RDD<(Key, Other)>
  ) -> DStream<(Key, (Value?, Other?))> where Element == (Key, Value) {
    withDataset("fullOuterJoin", dataset) { $0.fullOuterJoin($1, partitioner) }
  }

  /// As `cogroup(partitions:with:)`, placed by a partitioner.
  @inlinable public func cogroup<Key: Hashable & Sendable, Value, Other>(
    _ partitioner: Partitioner<Key>, with dataset: @escaping @Sendable (BatchFrame) -> RDD<(Key, Other)>
  ) -> DStream<(Key, ([Value], [Other]))> where Element == (Key, Value) {
    withDataset("cogroup", dataset) { $0.cogroup($1, partitioner) }
  }

  @inlinable func withDataset<Other, Output>(
    _ label: String, _ other: @escaping @Sendable (BatchFrame) -> RDD<Other>,
    _ make: @escaping @Sendable (RDD<Element>, RDD<Other>) -> RDD<Output>
  ) -> DStream<Output> {
    DStream<Output>(context, label: label, parents: [self]) { [self] frame in
      dataset(frame).map { make($0, other(frame)) }
    }
  }
}

// With a table in memory, which every task reads in place: no shuffle.

extension DStream {
  /// The pairs whose key stands in a table in memory, with the table's value.
  @inlinable public func join<Key: Hashable & Sendable, Value, Other: Sendable>(
    _ table: [Key: Other]
  ) -> DStream<(Key, (Value, Other))> where Element == (Key, Value) {
    onDatasets("join") { $0.join(table) }
  }

  /// All pairs, with the value of a table in memory where the key stands there.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Other: Sendable>(
    _ table: [Key: Other]
  ) -> DStream<(Key, (Value, Other?))> where Element == (Key, Value) {
    onDatasets("leftOuterJoin") { $0.leftOuterJoin(table) }
  }
}
