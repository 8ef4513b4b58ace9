extension RDD {
  /// The same pairs, each in the partition of its key; within one, in the order of the partitions they came from. The
  /// dataset itself where it is placed so already.
  @inlinable public func partitionBy<Key, Value>(
    _ partitioner: Partitioner<Key>
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    if isPlaced(by: partitioner) { return self }
    let side = GroupingSide(self, partitioner)
    return RDD<(Key, Value)>(
      context, label: "partitionBy", partitionCount: partitioner.partitionCount, dependencies: [side.dependency],
      partitioning: partitioner.placement, compute: side.read)
  }

  /// The same elements in another number of partitions, evenly: each partition deals its elements out in turn, beginning
  /// at its own number. A shuffle.
  @inlinable public func repartition(_ count: Int) -> RDD<Element> {
    let count = Swift.max(1, count)
    let shuffle = ShuffleDependency(parent: self, reducePartitions: count) { [self] partition, task in
      var buckets = ShuffleBuckets<Element>(count, task, context, label: "repartition")
      var next = partition % count
      try compute(partition, task) { view in
        for index in 0..<view.count {
          buckets.append(detached(view[index]), to: next)
          next += 1
          if next == count { next = 0 }
        }
        try buckets.settle(view.count)
      }
      return try buckets.finish()
    }
    return RDD<Element>(
      context, label: "repartition", partitionCount: count, dependencies: [.shuffle(shuffle)]
    ) { partition, task, emit in try shuffle.read(partition, task, emit) }
  }

  /// The same elements in fewer partitions, each made of neighbours, without a shuffle; more are not possible this way,
  /// and the dataset itself is given.
  /// - Parameter shuffle: deal the elements out instead, as `repartition` does.
  @inlinable public func coalesce(_ count: Int, shuffle: Bool = false) -> RDD<Element> {
    if shuffle { return repartition(count) }
    let count = Swift.max(1, count)
    let whole = partitionCount
    guard count < whole else { return self }
    let parts: @Sendable (Int) -> Range<Int> = { whole * $0 / count..<whole * ($0 + 1) / count }
    return RDD<Element>(
      context, label: "coalesce", partitionCount: count, dependencies: [.narrow(self)],
      reads: { [self] in parts($0).map { PartitionReference(self, $0) } }
    ) { [self] partition, task, emit in
      for part in parts(partition) { try compute(part, task, emit) }
    }
  }
}
