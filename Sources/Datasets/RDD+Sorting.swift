// Sorting is a shuffle by ranges of keys, whose bounds come from a sample, and a sort of each partition. The sample is a
// stage of the same job, so defining a sorted dataset runs nothing; in the job the dataset before is computed twice, once
// for the sample, unless it is kept in memory or its last shuffle is there.

extension RDD {
  /// The pairs in the order of their keys, over all partitions; equal keys stay in the order of the partitions.
  /// - Parameters:
  ///   - ascending: whether smaller keys come first.
  ///   - partitions: partitions of the result; as many as this dataset has where nil, as in Spark. Some stay empty where
  ///     few keys are different.
  @inlinable public func sortByKey<Key: Comparable & Sendable, Value>(
    ascending: Bool = true, partitions: Int? = nil
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    let partitioner = Partitioner<Key>.range(partitions ?? partitionCount, of: self, ascending: ascending)
    return sorting(partitioner, ascending: ascending, label: "sortByKey")
  }

  /// The elements in the order of what `key` gives for them, over all partitions; of equals, in the order of the
  /// partitions.
  /// - Parameters:
  ///   - ascending: whether smaller keys come first.
  ///   - partitions: partitions of the result; as many as this dataset has where nil.
  ///   - key: is called twice for an element.
  @inlinable public func sortBy<Key: Comparable & Sendable>(
    ascending: Bool = true, partitions: Int? = nil, _ key: @escaping @Sendable (Element) throws -> Key
  ) -> RDD<Element> {
    let pairs = keyBy(key)
    let partitioner = Partitioner<Key>.range(partitions ?? partitionCount, of: pairs, ascending: ascending)
    return pairs.sorting(partitioner, ascending: ascending, label: "sortBy").values()
  }

  /// The pairs placed by a partitioner and, within each partition, in the order of their keys: less work than
  /// `partitionBy` and a sort after it.
  @inlinable public func repartitionAndSortWithinPartitions<Key: Comparable & Sendable, Value>(
    _ partitioner: Partitioner<Key>
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    sorting(partitioner, ascending: true, label: "repartitionAndSortWithinPartitions")
  }

  @inlinable func sorting<Key: Comparable & Sendable, Value>(
    _ partitioner: Partitioner<Key>, ascending: Bool, label: String
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    if isPlaced(by: partitioner) {
      return RDD<(Key, Value)>(
        context, label: label, partitionCount: partitionCount, dependencies: [.narrow(self)], partitioning: partitioning
      ) { [self] partition, task, emit in
        try SortedReduce.emit(task, context, label: label, ascending: ascending, emit) { take in
          var detaching = Chunk<(Key, Value)>()
          try compute(partition, task) { view in
            for index in 0..<view.count { detaching.append((detached(view[index].0), detached(view[index].1))) }
            try take(detaching.view)
            detaching.clear()
          }
        }
      }
    }
    let shuffle = ShuffleDependency(placing: self, partitioner)
    return RDD<(Key, Value)>(
      context, label: label, partitionCount: partitioner.partitionCount, dependencies: [.shuffle(shuffle)],
      partitioning: partitioner.placement
    ) { [context] partition, task, emit in
      try SortedReduce.emit(task, context, label: label, ascending: ascending, emit) { take in
        try shuffle.read(partition, task, take)
      }
    }
  }

  /// The pairs whose keys lie in `lower ... upper`. Of a dataset that is placed by ranges, as after `sortByKey`, only the
  /// partitions that can have such keys are computed.
  @inlinable public func filterByRange<Key: Comparable & Sendable, Value>(
    _ lower: Key, _ upper: Key
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    let kept = apply(
      .filter { !($0.0 < lower) && !(upper < $0.0) }, label: "filterByRange", keepsPartitioning: true)
    guard let partitioner = partitioning?.partitioner(for: Key.self), partitioner.isOrdered else { return kept }
    return RDD<(Key, Value)>(
      context, label: "filterByRange", partitionCount: partitionCount,
      dependencies: dependencies(placedBy: partitioner), partitioning: partitioning,
      reads: { [self] in [PartitionReference(self, $0)] }
    ) { partition, task, emit in
      let ends = try partitioner.resolved()
      let (a, b) = (try ends.place(lower), try ends.place(upper))
      guard upper >= lower, partition >= Swift.min(a, b), partition <= Swift.max(a, b) else { return }
      try kept.compute(partition, task, emit)
    }
  }
}
