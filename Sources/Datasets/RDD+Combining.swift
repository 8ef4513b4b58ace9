extension RDD {
  /// One pair a key: its values combined into another type. In each partition a key's first value goes through `create`
  /// and its others through `add`; what the partitions made is then merged in their order.
  @inlinable public func combineByKey<Key: Hashable & Sendable, Value, Combined>(
    partitions: Int? = nil, create: @escaping @Sendable (Value) throws -> Combined,
    add: @escaping @Sendable (Combined, Value) throws -> Combined,
    merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
    combining(.hash(partitions ?? context.defaultParallelism), label: "combineByKey", create, add, merge)
  }

  /// One pair a key: in each partition `zero` with the key's values added one by one, then those merged.
  @inlinable public func aggregateByKey<Key: Hashable & Sendable, Value, Combined: Sendable>(
    _ zero: Combined, partitions: Int? = nil, add: @escaping @Sendable (Combined, Value) throws -> Combined,
    merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
    combining(
      .hash(partitions ?? context.defaultParallelism), label: "aggregateByKey", { try add(zero, $0) }, add, merge)
  }

  /// As `reduceByKey`, beginning with `zero` in each partition, so `zero` must be neutral.
  @inlinable public func foldByKey<Key: Hashable & Sendable, Value: Sendable>(
    _ zero: Value, partitions: Int? = nil, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    combining(
      .hash(partitions ?? context.defaultParallelism), label: "foldByKey", { try combine(zero, $0) }, combine, combine)
  }

  @inlinable func combining<Key: Hashable & Sendable, Value, Combined>(
    _ partitioner: Partitioner<Key>, label: String, _ create: @escaping @Sendable (Value) throws -> Combined,
    _ add: @escaping @Sendable (Combined, Value) throws -> Combined,
    _ merge: @escaping @Sendable (Combined, Combined) throws -> Combined
  ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
    let shuffle = ShuffleDependency(parent: self, reducePartitions: partitioner.partitionCount) {
      [self] partition, task in
      var table = SpillingTable<Key, Combined>(task, context, label: label, partitioner)
      try compute(partition, task) { view in
        try table.merge(
          view, key: { $0.0 }, initial: { try create($0.1) }, update: { $0 = try add($0, $1.1) }, merge)
      }
      return try table.finish()
    }
    return RDD<(Key, Combined)>.merging(shuffle, context, partitioner, label: label, merge)
  }
}
