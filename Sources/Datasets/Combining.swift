extension RDD {
  /// One entry a key: each partition's are put into a table by `fill`; what the tables have of a key is merged in the
  /// order of the partitions. Where the keys are placed by the partitioner already, the tables are the result.
  @inlinable func combined<Key: Hashable & Sendable, Combined>(
    _ partitioner: Partitioner<Key>, label: String,
    _ fill: @escaping @Sendable (_ partition: Int, _ task: TaskContext) throws -> OrderedTable<Key, Combined>,
    merge: @escaping @Sendable (inout Combined, Combined) throws -> Void
  ) -> RDD<(Key, Combined)> {
    if isPlaced(by: partitioner) {
      return RDD<(Key, Combined)>(
        context, label: label, partitionCount: partitionCount, dependencies: [.narrow(self)], partitioning: partitioning
      ) { partition, task, emit in
        let table = try task.naming(label) { try fill(partition, task) }
        try table.emitPairs(emit)
      }
    }
    let shuffle = ShuffleDependency(
      parent: ready(for: partitioner), reducePartitions: partitioner.partitionCount
    ) { partition, task in
      try task.naming(label) { try fill(partition, task).blocks(partitioner.resolved()) }
    }
    return RDD<(Key, Combined)>(
      context, label: label, partitionCount: partitioner.partitionCount, dependencies: [.shuffle(shuffle)],
      partitioning: partitioner.placement
    ) { partition, task, emit in try shuffle.merge(partition, task, label, merge, emit) }
  }
}

extension ShuffleDependency {
  /// The reduce side of a shuffle whose map side combined: entries of equal keys merged in the order of the map
  /// partitions. Only for a shuffle whose map side writes the blocks of an `OrderedTable<Key, Value>`.
  @inlinable func merge<Key: Hashable & Sendable, Value>(
    _ partition: Int, _ task: TaskContext, _ label: String, _ merge: (inout Value, Value) throws -> Void,
    _ emit: (UnsafeBufferPointer<(Key, Value)>) throws -> Void
  ) throws {
    let blocks = try output.blocks(forReduce: partition)
    if blocks.count == 1 {
      // One map task's entries are combined already.
      let elements = unsafeDowncast(blocks[0], to: ArrayBlock<(Key, Value)>.self).elements
      try elements.withUnsafeBufferPointer { try emit($0) }
      return
    }
    var table = OrderedTable<Key, Value>(capacity: blocks.reduce(0) { Swift.max($0, $1.count) })
    for block in blocks {
      try unsafeDowncast(block, to: ArrayBlock<(Key, Value)>.self).elements.withUnsafeBufferPointer { view in
        do {
          try table.merge(view, key: { $0.0 }, initial: { $0.1 }, update: { try merge(&$0, $1.1) })
        } catch {
          task.noteFailure(in: label)
          throw error
        }
      }
    }
    try table.emitPairs(emit)
  }
}

extension OrderedTable where Key: Sendable {
  /// The entries as one block for each partition that has some, in the order of insertion.
  /// - Throws: `DatasetError` where the partitioner gives a partition that does not exist.
  @inlinable public func blocks(_ partitioner: Partitioner<Key>) throws -> [ShuffleBlock?] {
    if partitioner.partitionCount == 1 { return [count == 0 ? nil : ArrayBlock(ContiguousArray(view))] }
    var buckets = ShuffleBuckets<(Key, Value)>(partitioner.partitionCount)
    for index in 0..<count { buckets.append(entries[index], to: try partitioner.place(entries[index].0)) }
    return buckets.blocks()
  }
}
