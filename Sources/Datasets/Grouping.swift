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
    read = { partition, _, emit in try shuffle.read(partition, emit) }
  }

  /// Adds the values of one partition to the groups that each key has.
  @inlinable func group<Groups>(
    _ partition: Int, _ task: TaskContext, _ empty: Groups, into table: inout OrderedTable<Key, Groups>,
    _ add: (inout Groups, Value) -> Void
  ) throws where Key: Hashable {
    try read(partition, task) { view in
      for index in 0..<view.count {
        let (entry, _) = table.entry(view[index].0, empty)
        add(&table[entry], view[index].1)
      }
    }
  }
}

extension ShuffleDependency {
  /// Brings each pair into the partition of its key, without combining.
  @inlinable convenience init<Key, Value>(placing dataset: RDD<(Key, Value)>, _ partitioner: Partitioner<Key>) {
    let parent = dataset.ready(for: partitioner)
    self.init(parent: parent, reducePartitions: partitioner.partitionCount) { partition, task in
      let partitioner = try partitioner.resolved()
      var buckets = ShuffleBuckets<(Key, Value)>(partitioner.partitionCount)
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count {
          buckets.append(
            (detached(view[index].0), detached(view[index].1)), to: try partitioner.place(view[index].0))
        }
      }
      return buckets.blocks()
    }
  }

  /// Hands over the elements for one reduce partition, in the order of the map partitions. Only for a shuffle whose map
  /// side writes `ArrayBlock<Element>`.
  @inlinable public func read<Element>(
    _ partition: Int, _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    for block in try output.blocks(forReduce: partition) {
      try unsafeDowncast(block, to: ArrayBlock<Element>.self).elements.withUnsafeBufferPointer { try emit($0) }
    }
  }
}

/// Elements on their way into the blocks of a shuffle that does not combine.
public struct ShuffleBuckets<Element> {
  @usableFromInline var buckets: [ContiguousArray<Element>]

  /// - Parameter count: the shuffle's reduce partitions.
  @inlinable public init(_ count: Int) { buckets = Array(repeating: [], count: count) }

  /// Adds an element, which must be detached, to the block of a reduce partition, which must exist.
  @inlinable public mutating func append(_ element: Element, to bucket: Int) { buckets[bucket].append(element) }

  /// The blocks, nil for each partition that got nothing.
  @inlinable public func blocks() -> [ShuffleBlock?] { buckets.map { $0.isEmpty ? nil : ArrayBlock($0) } }
}
