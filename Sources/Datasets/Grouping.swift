/// One of the datasets that an operator brings together by key: read in place where it is placed alike already, else
/// through a shuffle that does not combine.
public struct GroupingSide<Key, Value>: Sendable {
  @usableFromInline let dependency: Dependency
  @usableFromInline let read: RDD<(Key, Value)>.Compute

  /// - Parameters:
  ///   - dataset: the pairs.
  ///   - partitioner: where they are wanted.
  @inlinable public init(_ dataset: RDD<(Key, Value)>, _ partitioner: Partitioner<Key>) {
    if dataset.isPlaced(by: partitioner) {
      dependency = .narrow(dataset)
      read = { partition, task, emit in try dataset.compute(partition, task, emit) }
      return
    }
    let shuffle = ShuffleDependency(placing: dataset, partitioner)
    dependency = .shuffle(shuffle)
    read = { partition, task, emit in try shuffle.read(partition, task, emit) }
  }

  /// Adds the values of one partition to the groups that each key has.
  @inlinable func group<Groups>(
    _ partition: Int, _ task: TaskContext, _ empty: Groups, into table: inout SpillingTable<Key, Groups>,
    _ add: (inout Groups, Value) -> Void
  ) throws where Key: Hashable & Sendable {
    try read(partition, task) { view in
      try table.merge(
        view, key: { $0.0 },
        initial: {
          var groups = empty
          add(&groups, detached($0.1))
          return groups
        }, update: { add(&$0, detached($1.1)) })
    }
  }
}

extension ShuffleDependency {
  /// Brings each pair into the partition of its key, without combining.
  @inlinable convenience init<Key, Value>(placing dataset: RDD<(Key, Value)>, _ partitioner: Partitioner<Key>) {
    let parent = dataset.ready(for: partitioner)
    self.init(parent: parent, reducePartitions: partitioner.partitionCount) { partition, task in
      let partitioner = try partitioner.resolved()
      var buckets = ShuffleBuckets<(Key, Value)>(
        partitioner.partitionCount, task, dataset.context, label: "the shuffle of \(dataset.label)")
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count {
          buckets.append(
            (detached(view[index].0), detached(view[index].1)), to: try partitioner.place(view[index].0))
        }
        try buckets.settle(view.count)
      }
      return try buckets.finish()
    }
  }
}
