import Groundwork

extension RDD {
  /// One pair a key: its values combined by `combine`, which must be associative; before the shuffle within each
  /// partition, then in the order of the map partitions.
  /// - Parameter partitions: partitions of the result. Where nil, those of the partitioner that placed this dataset, so
  ///   that nothing is shuffled, else the context's default parallelism.
  @inlinable public func reduceByKey<Key: Hashable & Sendable, Value>(
    partitions: Int? = nil, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    reduceByKey(partitioner(partitions), combine)
  }

  /// As `reduceByKey(partitions:_:)`, placed by a partitioner.
  @inlinable public func reduceByKey<Key: Hashable & Sendable, Value>(
    _ partitioner: Partitioner<Key>, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    combined(partitioner, label: "reduceByKey") { [self] partition, task, table in
      try compute(partition, task) { view in
        try table.merge(view, key: { $0.0 }, initial: { $0.1 }, update: { $0 = try combine($0, $1.1) })
      }
    } merge: {
      $0 = try combine($0, $1)
    }
  }

  /// How often each element occurs.
  /// - Parameter partitions: partitions of the result; the context's default parallelism where nil.
  @inlinable public func counted(partitions: Int? = nil) -> RDD<(Element, Int)>
  where Element: Hashable & Sendable {
    combined(Partitioner<Element>.hash(partitions ?? context.defaultParallelism), label: "countByValue") {
      [self] partition, task, table in
      try compute(partition, task) { view in
        try table.merge(view, key: { $0 }, initial: { _ in 1 }, update: { count, _ in count &+= 1 })
      }
    } merge: {
      $0 += $1
    }
  }

  /// All values of each key, in the order of the partitions and within them.
  /// - Parameter partitions: partitions of the result; see `reduceByKey`.
  @inlinable public func groupByKey<Key: Hashable & Sendable, Value>(
    partitions: Int? = nil
  ) -> RDD<(Key, [Value])> where Element == (Key, Value) { groupByKey(partitioner(partitions)) }

  /// As `groupByKey(partitions:)`, placed by a partitioner.
  @inlinable public func groupByKey<Key: Hashable & Sendable, Value>(
    _ partitioner: Partitioner<Key>
  ) -> RDD<(Key, [Value])> where Element == (Key, Value) {
    combined(partitioner, label: "groupByKey") { [self] partition, task, table in
      try compute(partition, task) { view in
        try table.merge(view, key: { $0.0 }, initial: { [detached($0.1)] }, update: { $0.append(detached($1.1)) })
      }
    } merge: {
      $0.append(contentsOf: $1)
    }
  }

  /// Each value transformed; keys and partitions stay.
  @inlinable public func mapValues<Key, Value, Output>(
    _ transform: @escaping @Sendable (Value) throws -> Output
  ) -> RDD<(Key, Output)> where Element == (Key, Value) {
    apply(.map { ($0.0, try transform($0.1)) }, label: "mapValues", keepsPartitioning: true)
  }

  /// Each value replaced by the elements of what it gives, each with the key.
  @inlinable public func flatMapValues<Key, Value, S: Sequence & SendableMetatype>(
    _ transform: @escaping @Sendable (Value) throws -> S
  ) -> RDD<(Key, S.Element)> where Element == (Key, Value) {
    apply(
      ChunkOperator { view, output, _ in
        for index in 0..<view.count {
          for element in try transform(view[index].1) { output.append((view[index].0, element)) }
        }
      }, label: "flatMapValues", keepsPartitioning: true)
  }

  /// The keys.
  @inlinable public func keys<Key, Value>() -> RDD<Key> where Element == (Key, Value) {
    apply(.map { $0.0 }, label: "keys")
  }

  /// The values.
  @inlinable public func values<Key, Value>() -> RDD<Value> where Element == (Key, Value) {
    apply(.map { $0.1 }, label: "values")
  }

  /// The pairs whose key stands in the table, with the table's value; no shuffle.
  @inlinable public func join<Key: Hashable & Sendable, Value, Other: Sendable>(
    _ table: [Key: Other]
  ) -> RDD<(Key, (Value, Other))> where Element == (Key, Value) {
    apply(
      .compactMap { pair in
        guard let other = table[pair.0] else { return nil }
        return (pair.0, (pair.1, other))
      }, label: "join", keepsPartitioning: true)
  }

  /// All pairs, with the table's value where the key stands there; no shuffle.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Other: Sendable>(
    _ table: [Key: Other]
  ) -> RDD<(Key, (Value, Other?))> where Element == (Key, Value) {
    apply(.map { ($0.0, ($0.1, table[$0.0])) }, label: "leftOuterJoin", keepsPartitioning: true)
  }
}
