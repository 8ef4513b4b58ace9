/// One of the datasets that an operator brings together by key: read in place where it is partitioned alike already, else
/// through a shuffle that does not combine.
public struct GroupingSide<Key: Hashable & Sendable, Value>: Sendable {
  @usableFromInline let dependency: Dependency
  @usableFromInline let read: RDD<(Key, Value)>.Compute

  /// Decides how `dataset` is read: in place where a partitioner of the same identity and count has placed its elements,
  /// else through a new shuffle whose map tasks detach them.
  @inlinable public init(_ dataset: RDD<(Key, Value)>, _ partitioner: Partitioner<Key>) {
    if let identity = partitioner.identity, dataset.partitioning == identity,
      dataset.partitionCount == partitioner.partitionCount
    {
      dependency = .narrow(dataset)
      read = { partition, task, emit in try dataset.compute(partition, task, emit) }
      return
    }
    let shuffle = ShuffleDependency(parent: dataset, reducePartitions: partitioner.partitionCount) { partition, task in
      var buckets = ShuffleBuckets<(Key, Value)>(
        partitioner.partitionCount, task, dataset.context, label: "a shuffle by key")
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count {
          buckets.append((detached(view[index].0), detached(view[index].1)), to: partitioner.partition(view[index].0))
        }
        try buckets.settle(view.count)
      }
      return try buckets.finish()
    }
    dependency = .shuffle(shuffle)
    read = { partition, task, emit in try shuffle.read(partition, task, emit) }
  }
}

extension RDD {
  /// The partitioner for bringing this dataset and `other` together: what one of them has already, where that has the
  /// asked number of partitions, else a new one of `partitions` or of the larger of the two counts, as in Spark.
  @inlinable func commonPartitioner<Key: Hashable & Sendable>(
    _ other: AnyRDD, _ partitions: Int?, _ key: Key.Type = Key.self
  ) -> Partitioner<Key> {
    if let partitions { return .hash(partitions) }
    for dataset in [self as AnyRDD, other].sorted(by: { $0.partitionCount > $1.partitionCount }) {
      let partitioner = Partitioner<Key>.hash(dataset.partitionCount)
      if dataset.partitioning != nil, dataset.partitioning == partitioner.identity { return partitioner }
    }
    return .hash(context.defaultParallelism)
  }
}
