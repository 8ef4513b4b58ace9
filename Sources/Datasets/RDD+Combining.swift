extension RDD {
  /// One pair a key: its values combined into another type. In each partition a key's first value goes through `create`
  /// and its others through `add`; what the partitions made is then merged in their order.
  /// - Parameters:
  ///   - partitions: partitions of the result; see `reduceByKey`.
  ///   - create: makes a combination of one value.
  ///   - add: adds a value to a combination.
  ///   - merge: merges the combinations of two partitions.
  @inlinable public func combineByKey<Key: Hashable & Sendable, Value, Combined>(
    partitions: Int? = nil, create: @escaping @Sendable (Value) throws -> Combined,
    add: @escaping @Sendable (Combined, Value) throws -> Combined,
    merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
    combining(partitioner(partitions), label: "combineByKey", create, add, merge)
  }

  /// As `combineByKey(partitions:create:add:merge:)`, placed by a partitioner.
  @inlinable public func combineByKey<Key: Hashable & Sendable, Value, Combined>(
    _ partitioner: Partitioner<Key>, create: @escaping @Sendable (Value) throws -> Combined,
    add: @escaping @Sendable (Combined, Value) throws -> Combined,
    merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
    combining(partitioner, label: "combineByKey", create, add, merge)
  }

  /// One pair a key: in each partition `zero` with the key's values added one by one, then those merged.
  /// - Parameters:
  ///   - zero: where each partition begins for each key.
  ///   - partitions: partitions of the result; see `reduceByKey`.
  ///   - add: adds a value to a combination.
  ///   - merge: merges the combinations of two partitions.
  @inlinable public func aggregateByKey<Key: Hashable & Sendable, Value, Combined: Sendable>(
    _ zero: Combined, partitions: Int? = nil, add: @escaping @Sendable (Combined, Value) throws -> Combined,
    merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
    combining(partitioner(partitions), label: "aggregateByKey", { try add(zero, $0) }, add, merge)
  }

  /// As `aggregateByKey(_:partitions:add:merge:)`, placed by a partitioner.
  @inlinable public func aggregateByKey<Key: Hashable & Sendable, Value, Combined: Sendable>(
    _ zero: Combined, _ partitioner: Partitioner<Key>, add: @escaping @Sendable (Combined, Value) throws -> Combined,
    merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
    combining(partitioner, label: "aggregateByKey", { try add(zero, $0) }, add, merge)
  }

  /// As `reduceByKey`, beginning with `zero` in each partition, so `zero` must be neutral.
  /// - Parameters:
  ///   - zero: what changes nothing where it is combined.
  ///   - partitions: partitions of the result; see `reduceByKey`.
  ///   - combine: must be associative.
  @inlinable public func foldByKey<Key: Hashable & Sendable, Value: Sendable>(
    _ zero: Value, partitions: Int? = nil, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    combining(partitioner(partitions), label: "foldByKey", { try combine(zero, $0) }, combine, combine)
  }

  /// As `foldByKey(_:partitions:_:)`, placed by a partitioner.
  @inlinable public func foldByKey<Key: Hashable & Sendable, Value: Sendable>(
    _ zero: Value, _ partitioner: Partitioner<Key>, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    combining(partitioner, label: "foldByKey", { try combine(zero, $0) }, combine, combine)
  }

  @inlinable func combining<Key: Hashable & Sendable, Value, Combined>(
    _ partitioner: Partitioner<Key>, label: String, _ create: @escaping @Sendable (Value) throws -> Combined,
    _ add: @escaping @Sendable (Combined, Value) throws -> Combined,
    _ merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
    combined(partitioner, label: label) { [self] partition, task, table in
      try compute(partition, task) { view in
        try table.merge(view, key: { $0.0 }, initial: { try create($0.1) }, update: { $0 = try add($0, $1.1) })
      }
    } merge: {
      $0 = try merge($0, $1)
    }
  }

  /// The number of different values of each key, by estimate; see `countApproxDistinct`.
  /// - Parameters:
  ///   - relativeSD: the relative standard deviation of the estimates.
  ///   - partitions: partitions of the result; see `reduceByKey`.
  @inlinable public func countApproxDistinctByKey<Key: Hashable & Sendable, Value: Hashable & Sendable>(
    relativeSD: Double = 0.05, partitions: Int? = nil
  ) -> RDD<(Key, Int)> where Element == (Key, Value) {
    let empty = HyperLogLog(relativeSD: relativeSD)
    return combined(partitioner(partitions), label: "countApproxDistinctByKey") { [self] partition, task, table in
      try compute(partition, task) { view in
        try table.merge(
          view, key: { $0.0 },
          initial: {
            var sketch = empty
            sketch.insert($0.1)
            return sketch
          }, update: { $0.insert($1.1) })
      }
    } merge: {
      $0.merge($1)
    }.mapValues { $0.estimate }
  }
}
