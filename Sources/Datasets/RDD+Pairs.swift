import Groundwork

extension RDD {
  /// One pair a key: its values combined by `combine`, which must be associative; before the shuffle within each
  /// partition, then in the order of the map partitions.
  /// - Parameter partitions: partitions of the result; the context's default parallelism where nil.
  @inlinable public func reduceByKey<Key: Hashable & Sendable, Value>(
    partitions: Int? = nil, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    reduceByKey(.hash(partitions ?? context.defaultParallelism), combine)
  }

  /// As `reduceByKey(partitions:_:)`, with the keys of the result placed by `partitioner`.
  @inlinable public func reduceByKey<Key: Hashable & Sendable, Value>(
    _ partitioner: Partitioner<Key>, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    let shuffle = ShuffleDependency(parent: self, reducePartitions: partitioner.partitionCount) {
      [self] partition, task in
      var table = SpillingTable<Key, Value>(task, context, label: "reduceByKey", partitioner)
      try compute(partition, task) { view in
        try table.merge(view, key: { $0.0 }, initial: { $0.1 }, update: { $0 = try combine($0, $1.1) }, combine)
      }
      return try table.finish()
    }
    return RDD<(Key, Value)>.merging(shuffle, context, partitioner, label: "reduceByKey", combine)
  }

  /// How often each element occurs.
  @inlinable public func counted(partitions: Int? = nil) -> RDD<(Element, Int)>
  where Element: Hashable & Sendable {
    let partitioner = Partitioner<Element>.hash(partitions ?? context.defaultParallelism)
    let shuffle = ShuffleDependency(parent: self, reducePartitions: partitioner.partitionCount) {
      [self] partition, task in
      var table = SpillingTable<Element, Int>(task, context, label: "countByValue", partitioner)
      try compute(partition, task) { view in
        try table.merge(view, key: { $0 }, initial: { _ in 1 }, update: { count, _ in count &+= 1 }, +)
      }
      return try table.finish()
    }
    return RDD<(Element, Int)>.merging(shuffle, context, partitioner, label: "countByValue") { $0 + $1 }
  }

  /// All values of each key, in the order of the partitions and within them.
  @inlinable public func groupByKey<Key: Hashable & Sendable, Value>(
    partitions: Int? = nil
  ) -> RDD<(Key, [Value])> where Element == (Key, Value) {
    let partitioner = Partitioner<Key>.hash(partitions ?? context.defaultParallelism)
    let shuffle = ShuffleDependency(parent: self, reducePartitions: partitioner.partitionCount) {
      [self] partition, task in
      var table = SpillingTable<Key, [Value]>(task, context, label: "groupByKey", partitioner)
      try compute(partition, task) { view in
        try table.merge(
          view, key: { $0.0 }, initial: { [detached($0.1)] }, update: { $0.append(detached($1.1)) }, +)
      }
      return try table.finish()
    }
    return RDD<(Key, [Value])>.merging(shuffle, context, partitioner, label: "groupByKey") { $0 + $1 }
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

  /// The reduce side of a shuffle whose map side combined: entries of equal keys combined in the order of the map
  /// partitions.
  @inlinable public static func merging<Key: Hashable & Sendable, Value>(
    _ shuffle: ShuffleDependency, _ context: SluiceContext, _ partitioner: Partitioner<Key>, label: String,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> RDD where Element == (Key, Value) {
    RDD(
      context, label: label, partitionCount: shuffle.reducePartitions, dependencies: [.shuffle(shuffle)],
      partitioning: partitioner.identity
    ) { partition, task, emit in
      let blocks = try shuffle.output.blocks(forReduce: partition)
      if blocks.count == 1, !blocks[0].isSpilled {
        // One map task's entries are combined already.
        let elements = unsafeDowncast(blocks[0], to: ArrayBlock<(Key, Value)>.self).elements
        try elements.withUnsafeBufferPointer { try emit($0) }
        return
      }
      var table = SpillingTable<Key, Value>(
        task, context, label: label, capacity: blocks.reduce(0) { Swift.max($0, $1.count) })
      try shuffle.read(blocks, task) { (view: UnsafeBufferPointer<(Key, Value)>) in
        try table.merge(view, key: { $0.0 }, initial: { $0.1 }, update: { $0 = try combine($0, $1.1) }, combine)
      }
      try table.emitAll(combine, emit)
    }
  }
}
