extension RDD {
  /// Pairs of an element here and the element there at the same place of the same partition.
  ///
  /// Both datasets must have as many partitions and as many elements in each; an action fails with `DatasetError` where
  /// they have not. The other dataset's partition is held in memory while it is paired.
  @inlinable public func zip<Other>(_ other: RDD<Other>) -> RDD<(Element, Other)> {
    guard partitionCount == other.partitionCount else {
      return .failing(
        context, DatasetError(.unequalPartitionCounts([partitionCount, other.partitionCount]), operation: "zip"))
    }
    return RDD<(Element, Other)>(
      context, label: "zip", partitionCount: partitionCount, dependencies: [.narrow(self), .narrow(other)]
    ) { [self] partition, task, emit in
      var theirs: [Other] = []
      try other.compute(partition, task) { theirs.append(contentsOf: $0) }
      var output = Chunk<(Element, Other)>()
      var place = 0
      try compute(partition, task) { view in
        for index in 0..<Swift.min(view.count, theirs.count - Swift.min(place, theirs.count)) {
          output.append((view[index], theirs[place + index]))
        }
        place += view.count
        guard output.count > 0 else { return }
        try emit(output.view)
        output.clear()
      }
      guard place == theirs.count else {
        throw DatasetError(.unequalElementCounts(partition: partition, place, theirs.count), operation: "zip")
      }
    }
  }

  /// Each partition transformed together with the other dataset's of the same number; both are given as arrays. An action
  /// fails with `DatasetError` where the numbers of partitions differ.
  /// - Parameter preservesPartitioning: whether equal keys stay where they are here.
  @inlinable public func zipPartitions<Other, S: Sequence & SendableMetatype>(
    _ other: RDD<Other>, preservesPartitioning: Bool = false,
    _ transform: @escaping @Sendable ([Element], [Other]) throws -> S
  ) -> RDD<S.Element> {
    zippingPartitions([other], preservesPartitioning) { [self] partition, task in
      try transform(elements(partition, task), other.elements(partition, task))
    }
  }

  /// As `zipPartitions` of two, of three datasets.
  @inlinable public func zipPartitions<A, B, S: Sequence & SendableMetatype>(
    _ a: RDD<A>, _ b: RDD<B>, preservesPartitioning: Bool = false,
    _ transform: @escaping @Sendable ([Element], [A], [B]) throws -> S
  ) -> RDD<S.Element> {
    zippingPartitions([a, b], preservesPartitioning) { [self] partition, task in
      try transform(elements(partition, task), a.elements(partition, task), b.elements(partition, task))
    }
  }

  /// As `zipPartitions` of two, of four datasets.
  @inlinable public func zipPartitions<A, B, C, S: Sequence & SendableMetatype>(
    _ a: RDD<A>, _ b: RDD<B>, _ c: RDD<C>, preservesPartitioning: Bool = false,
    _ transform: @escaping @Sendable ([Element], [A], [B], [C]) throws -> S
  ) -> RDD<S.Element> {
    zippingPartitions([a, b, c], preservesPartitioning) { [self] partition, task in
      try transform(
        elements(partition, task), a.elements(partition, task), b.elements(partition, task),
        c.elements(partition, task))
    }
  }

  @inlinable func zippingPartitions<S: Sequence & SendableMetatype>(
    _ others: [AnyRDD], _ preservesPartitioning: Bool,
    _ transform: @escaping @Sendable (_ partition: Int, _ task: TaskContext) throws -> S
  ) -> RDD<S.Element> {
    let counts = [partitionCount] + others.map(\.partitionCount)
    guard counts.allSatisfy({ $0 == partitionCount }) else {
      return .failing(context, DatasetError(.unequalPartitionCounts(counts), operation: "zipPartitions"))
    }
    return RDD<S.Element>(
      context, label: "zipPartitions", partitionCount: partitionCount,
      dependencies: ([self as AnyRDD] + others).map { .narrow($0) },
      partitioning: preservesPartitioning ? partitioning : nil
    ) { partition, task, emit in
      var output = Chunk<S.Element>()
      for element in try task.naming("zipPartitions", { try transform(partition, task) }) {
        output.append(element)
        guard output.count == Chunk<S.Element>.usualCapacity else { continue }
        try emit(output.view)
        output.clear()
      }
      if output.count > 0 { try emit(output.view) }
    }
  }

  /// The elements of one partition.
  @inlinable func elements(_ partition: Int, _ task: TaskContext) throws -> [Element] {
    var elements: [Element] = []
    try compute(partition, task) { elements.append(contentsOf: $0) }
    return elements
  }

  /// Each element with its place in the whole dataset, in the order of the partitions.
  ///
  /// Of several partitions, the number of elements in each must be known first: a stage of its own counts them within the
  /// same job, so that the dataset is computed twice unless it is kept in memory.
  @inlinable public func zipWithIndex() -> RDD<(Element, Int)> {
    if partitionCount <= 1 {
      return numbering("zipWithIndex", [.narrow(self)]) { _ in (0, 1) }
    }
    let counts = ShuffleDependency(parent: self, reducePartitions: 1) { [self] partition, task in
      var count = 0
      try compute(partition, task) { count += $0.count }
      return [ArrayBlock([count])]
    }
    return numbering("zipWithIndex", [.narrow(self), .shuffle(counts)]) { partition in
      var start = 0
      var place = 0
      try counts.read(0) { (view: UnsafeBufferPointer<Int>) in
        for count in view {
          if place < partition { start += count }
          place += 1
        }
      }
      return (start, 1)
    }
  }

  /// Each element with a number of its own: in partition k of n, k, n + k, 2n + k and so on. Nothing is counted before.
  @inlinable public func zipWithUniqueId() -> RDD<(Element, Int)> {
    let step = Swift.max(1, partitionCount)
    return numbering("zipWithUniqueId", [.narrow(self)]) { ($0, step) }
  }

  /// Each element with a number: those of a partition begin at `start` and grow by `step`.
  @inlinable func numbering(
    _ label: String, _ dependencies: [Dependency],
    _ numbers: @escaping @Sendable (_ partition: Int) throws -> (start: Int, step: Int)
  ) -> RDD<(Element, Int)> {
    RDD<(Element, Int)>(
      context, label: label, partitionCount: partitionCount, dependencies: dependencies
    ) { [self] partition, task, emit in
      let numbers = try numbers(partition)
      var number = numbers.start
      var output = Chunk<(Element, Int)>()
      try compute(partition, task) { view in
        for index in 0..<view.count {
          output.append((view[index], number))
          number &+= numbers.step
        }
        guard output.count > 0 else { return }
        try emit(output.view)
        output.clear()
      }
    }
  }
}
