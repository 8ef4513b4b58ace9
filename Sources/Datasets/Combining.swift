extension RDD {
  /// One entry a key: each partition's are put into a table by `fill`; what the tables have of a key is merged in the
  /// order of the partitions. Where the keys are placed by the partitioner already, the tables are the result.
  @inlinable func combined<Key: Hashable & Sendable, Combined>(
    _ partitioner: Partitioner<Key>, label: String,
    _ fill:
      @escaping @Sendable (_ partition: Int, _ task: TaskContext, inout SpillingTable<Key, Combined>) throws -> Void,
    merge: @escaping @Sendable (inout Combined, Combined) throws -> Void
  ) -> RDD<(Key, Combined)> {
    if isPlaced(by: partitioner) {
      return RDD<(Key, Combined)>(
        context, label: label, partitionCount: partitionCount, dependencies: [.narrow(self)], partitioning: partitioning
      ) { [context] partition, task, emit in
        var table = SpillingTable<Key, Combined>(task, context, label: label)
        try task.naming(label, byElement: false) { try fill(partition, task, &table) }
        try table.emitAll(merge, emit)
      }
    }
    let shuffle = ShuffleDependency(
      parent: ready(for: partitioner), reducePartitions: partitioner.partitionCount
    ) { [context] partition, task in
      try task.naming(label, byElement: false) {
        var table = SpillingTable<Key, Combined>(task, context, label: label, try partitioner.resolved())
        try fill(partition, task, &table)
        return try table.finish()
      }
    }
    return RDD<(Key, Combined)>(
      context, label: label, partitionCount: partitioner.partitionCount, dependencies: [.shuffle(shuffle)],
      partitioning: partitioner.placement
    ) { [context] partition, task, emit in try shuffle.merge(partition, task, context, label: label, merge, emit) }
  }
}

extension ShuffleDependency {
  /// The reduce side of a shuffle whose map side combined: entries of equal keys merged in the order of the map
  /// partitions. Only for a shuffle whose map side writes the blocks of a `SpillingTable<Key, Value>`.
  @inlinable func merge<Key: Hashable & Sendable, Value>(
    _ partition: Int, _ task: TaskContext, _ context: SluiceContext, label: String,
    _ merge: @escaping (inout Value, Value) throws -> Void, _ emit: (UnsafeBufferPointer<(Key, Value)>) throws -> Void
  ) throws {
    let blocks = try output.blocks(forReduce: partition)
    if blocks.count == 1, !blocks[0].isSpilled {
      // One map task's entries are combined already.
      let elements = unsafeDowncast(blocks[0], to: ArrayBlock<(Key, Value)>.self).elements
      try elements.withUnsafeBufferPointer { try emit($0) }
      return
    }
    var table = SpillingTable<Key, Value>(
      task, context, label: label, capacity: blocks.reduce(0) { Swift.max($0, $1.count) })
    try read(blocks, task) { (view: UnsafeBufferPointer<(Key, Value)>) in
      do {
        try table.merge(view, key: { $0.0 }, initial: { $0.1 }, update: { try merge(&$0, $1.1) })
      } catch {
        task.noteFailure(in: label, byElement: false)
        throw error
      }
    }
    try table.emitAll(merge, emit)
  }
}
