import Datasets
import Groundwork

extension DStream {
  /// One pair a key and batch: its values combined by `combine`, which must be associative.
  /// - Parameter partitions: partitions of the result; the context's default parallelism where nil.
  @inlinable public func reduceByKey<Key: Hashable & Sendable, Value>(
    partitions: Int? = nil, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    onDatasets("reduceByKey") { $0.reduceByKey(partitions: partitions, combine) }
  }

  /// As `reduceByKey(partitions:_:)`, with the keys placed by a partitioner of one's own.
  @inlinable public func reduceByKey<Key: Hashable & Sendable, Value>(
    _ partitioner: Partitioner<Key>, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    onDatasets("reduceByKey") { $0.reduceByKey(partitioner, combine) }
  }

  /// All values of each key in a batch, in the order of the partitions and within them.
  @inlinable public func groupByKey<Key: Hashable & Sendable, Value>(
    partitions: Int? = nil
  ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
    onDatasets("groupByKey") { $0.groupByKey(partitions: partitions) }
  }

  /// As `groupByKey(partitions:)`, placed by a partitioner.
  @inlinable public func groupByKey<Key: Hashable & Sendable, Value>(
    _ partitioner: Partitioner<Key>
  ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
    onDatasets("groupByKey") { $0.groupByKey(partitioner) }
  }

  /// One pair a key and batch: its values combined into another type. In each partition a key's first value goes through
  /// `create` and its others through `add`; what the partitions made is then merged in their order.
  @inlinable public func combineByKey<Key: Hashable & Sendable, Value, Combined>(
    partitions: Int? = nil, create: @escaping @Sendable (Value) throws -> Combined,
    add: @escaping @Sendable (Combined, Value) throws -> Combined,
    merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> DStream<(Key, Combined)> where Element == (Key, Value) {
    onDatasets("combineByKey") { $0.combineByKey(partitions: partitions, create: create, add: add, merge: merge) }
  }

  /// As `combineByKey(partitions:create:add:merge:)`, placed by a partitioner.
  @inlinable public func combineByKey<Key: Hashable & Sendable, Value, Combined>(
    _ partitioner: Partitioner<Key>, create: @escaping @Sendable (Value) throws -> Combined,
    add: @escaping @Sendable (Combined, Value) throws -> Combined,
    merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> DStream<(Key, Combined)> where Element == (Key, Value) {
    onDatasets("combineByKey") { $0.combineByKey(partitioner, create: create, add: add, merge: merge) }
  }

  /// One pair a key and batch: in each partition `zero` with the key's values added one by one, then those merged.
  @inlinable public func aggregateByKey<Key: Hashable & Sendable, Value, Combined: Sendable>(
    _ zero: Combined, partitions: Int? = nil, add: @escaping @Sendable (Combined, Value) throws -> Combined,
    merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> DStream<(Key, Combined)> where Element == (Key, Value) {
    onDatasets("aggregateByKey") { $0.aggregateByKey(zero, partitions: partitions, add: add, merge: merge) }
  }

  /// As `aggregateByKey(_:partitions:add:merge:)`, placed by a partitioner.
  @inlinable public func aggregateByKey<Key: Hashable & Sendable, Value, Combined: Sendable>(
    _ zero: Combined, _ partitioner: Partitioner<Key>, add: @escaping @Sendable (Combined, Value) throws -> Combined,
    merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> DStream<(Key, Combined)> where Element == (Key, Value) {
    onDatasets("aggregateByKey") { $0.aggregateByKey(zero, partitioner, add: add, merge: merge) }
  }

  /// The same pairs, each in the partition of its key.
  @inlinable public func partitionBy<Key: Hashable & Sendable, Value>(
    _ partitioner: Partitioner<Key>
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    onDatasets("partitionBy") { $0.partitionBy(partitioner) }
  }

  /// Each value transformed; keys stay.
  @inlinable public func mapValues<Key, Value, Output>(
    _ transform: @escaping @Sendable (Value) throws -> Output
  ) -> DStream<(Key, Output)> where Element == (Key, Value) {
    apply(.map { ($0.0, try transform($0.1)) }, label: "mapValues", keepsPartitioning: true)
  }

  /// Each value replaced by the elements of what it gives, each with the key.
  @inlinable public func flatMapValues<Key, Value, S: Sequence & SendableMetatype>(
    _ transform: @escaping @Sendable (Value) throws -> S
  ) -> DStream<(Key, S.Element)> where Element == (Key, Value) {
    apply(
      ChunkOperator { view, output, _ in
        for index in 0..<view.count {
          for element in try transform(view[index].1) { output.append((view[index].0, element)) }
        }
      }, label: "flatMapValues", keepsPartitioning: true)
  }

  /// The keys.
  @inlinable public func keys<Key, Value>() -> DStream<Key> where Element == (Key, Value) {
    apply(.map { $0.0 }, label: "keys")
  }

  /// The values.
  @inlinable public func values<Key, Value>() -> DStream<Value> where Element == (Key, Value) {
    apply(.map { $0.1 }, label: "values")
  }
}
