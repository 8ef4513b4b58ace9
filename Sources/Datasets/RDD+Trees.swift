// Reductions whose partial results are merged by tasks, in several rounds, before the driver merges the rest: for many
// partitions with large results.

extension RDD {
  /// As `aggregate`, merging in rounds. Neighbours are merged, so `merge` needs to be associative only.
  /// - Parameters:
  ///   - zero: where each partition begins.
  ///   - depth: about how many rounds of merging there are, that of the driver included; at least 1.
  ///   - add: adds an element to a result.
  ///   - merge: merges the results of two partitions, or of two rounds.
  @inlinable public func treeAggregate<Output: Sendable>(
    _ zero: Output, depth: Int = 2, _ add: @escaping @Sendable (Output, Element) throws -> Output,
    _ merge: @escaping @Sendable (Output, Output) throws -> Output
  ) throws -> Output {
    let partial = RDD<Output>(
      context, label: "treeAggregate", partitionCount: partitionCount, dependencies: [.narrow(self)]
    ) { [self] partition, task, emit in
      var result = zero
      try compute(partition, task) { view in
        for index in 0..<view.count { result = try add(result, view[index]) }
      }
      try withUnsafePointer(to: detached(result)) { try emit(UnsafeBufferPointer(start: $0, count: 1)) }
    }
    return try partial.mergedInRounds(depth, merge) ?? zero
  }

  /// As `reduce`, merging in rounds; nil where there are no elements.
  /// - Parameters:
  ///   - depth: see `treeAggregate`.
  ///   - combine: must be associative.
  @inlinable public func treeReduce(
    depth: Int = 2, _ combine: @escaping @Sendable (Element, Element) throws -> Element
  ) throws -> Element? where Element: Sendable {
    let partial = RDD(
      context, label: "treeReduce", partitionCount: partitionCount, dependencies: [.narrow(self)]
    ) { [self] partition, task, emit in
      var result: Element?
      try compute(partition, task) { view in
        for index in 0..<view.count {
          if let sum = result { result = try combine(sum, view[index]) } else { result = view[index] }
        }
      }
      guard let result else { return }
      try withUnsafePointer(to: detached(result)) { try emit(UnsafeBufferPointer(start: $0, count: 1)) }
    }
    return try partial.mergedInRounds(depth, combine)
  }

  /// The elements merged, about the depth-th root of the number of partitions of them in a task.
  @inlinable func mergedInRounds(
    _ depth: Int, _ merge: @escaping @Sendable (Element, Element) throws -> Element
  ) throws -> Element? where Element: Sendable {
    var merged = self
    // The smallest scale of at least 2 whose depth-th power reaches the number of partitions.
    var scale = 2
    while (0..<Swift.max(1, depth)).reduce(1.0, { product, _ in product * Double(scale) }) < Double(partitionCount) {
      scale += 1
    }
    // Another round pays as long as it saves more than it costs, as in Spark.
    while merged.partitionCount > scale + (merged.partitionCount + scale - 1) / scale {
      merged = merged.mergedOnce(to: merged.partitionCount / scale, merge)
    }
    return try merged.reduce(merge)
  }

  /// One round: each partition of the result merges the elements of neighbours.
  @inlinable func mergedOnce(
    to count: Int, _ merge: @escaping @Sendable (Element, Element) throws -> Element
  ) -> RDD where Element: Sendable {
    let whole = partitionCount
    let shuffle = ShuffleDependency(parent: self, reducePartitions: count) { [self] partition, task in
      var buckets = ShuffleBuckets<Element>(count, task, context, label: "merge")
      try compute(partition, task) { view in
        for index in 0..<view.count { buckets.append(detached(view[index]), to: partition * count / whole) }
        try buckets.settle(view.count)
      }
      return try buckets.finish()
    }
    return RDD(
      context, label: "merge", partitionCount: count, dependencies: [.shuffle(shuffle)]
    ) { partition, task, emit in
      var result: Element?
      try shuffle.read(partition, task) { (view: UnsafeBufferPointer<Element>) in
        for index in 0..<view.count {
          if let sum = result { result = try merge(sum, view[index]) } else { result = view[index] }
        }
      }
      guard let result else { return }
      try withUnsafePointer(to: result) { try emit(UnsafeBufferPointer(start: $0, count: 1)) }
    }
  }
}
