// Datasets as sets of elements.

extension RDD {
  /// The elements that do not stand in the other dataset, with their repetitions. A shuffle.
  /// - Parameters:
  ///   - other: what is taken away.
  ///   - partitions: partitions of the result; the context's default parallelism where nil.
  @inlinable public func subtract(_ other: RDD<Element>, partitions: Int? = nil) -> RDD<Element>
  where Element: Hashable & Sendable {
    let mine: RDD<(Element, Bool)> = map { ($0, true) }
    return mine.subtractByKey(other.map { ($0, true) }, partitions: partitions).map { $0.0 }
  }

  /// The elements of both, each once. A shuffle.
  /// - Parameters:
  ///   - other: the other dataset.
  ///   - partitions: partitions of the result; the context's default parallelism where nil.
  @inlinable public func intersection(_ other: RDD<Element>, partitions: Int? = nil) -> RDD<Element>
  where Element: Hashable & Sendable {
    let mine: RDD<(Element, Bool)> = map { ($0, true) }
    let theirs: RDD<(Element, Bool)> = other.map { ($0, true) }
    return mine.grouping(
      theirs, mine.partitioner(partitions, with: [theirs]), label: "intersection", givesPairs: false
    ) { element, mine, theirs, output in
      if !mine.isEmpty && !theirs.isEmpty { output.append(element) }
    }
  }

  /// Each element once: the first of equals in the order of the partitions. A shuffle.
  /// - Parameter partitions: partitions of the result; as many as this dataset has where nil, as in Spark.
  @inlinable public func distinct(partitions: Int? = nil) -> RDD<Element> where Element: Hashable & Sendable {
    let partitioner = Partitioner<Element>.hash(partitions ?? Swift.max(1, partitionCount))
    let unique: RDD<(Element, Void)> = combined(partitioner, label: "distinct") { [self] partition, task, table in
      try compute(partition, task) { view in
        try table.merge(view, key: { $0 }, initial: { _ in }, update: { _, _ in })
      }
    } merge: { _, _ in
    }
    return unique.apply(.map { $0.0 }, label: "distinct")
  }

  /// Every pair of an element here and an element there: partitions here times partitions there.
  @inlinable public func cartesian<Other>(_ other: RDD<Other>) -> RDD<(Element, Other)> {
    let width = Swift.max(1, other.partitionCount)
    return RDD<(Element, Other)>(
      context, label: "cartesian", partitionCount: partitionCount * other.partitionCount,
      dependencies: [.narrow(self), .narrow(other)],
      reads: { [self] in [PartitionReference(self, $0 / width), PartitionReference(other, $0 % width)] }
    ) { [self] partition, task, emit in
      var theirs: [Other] = []
      try other.compute(partition % width, task) { theirs.append(contentsOf: $0) }
      var output = Chunk<(Element, Other)>()
      try compute(partition / width, task) { view in
        for element in view {
          for match in theirs { output.append((element, match)) }
          guard output.count >= Chunk<(Element, Other)>.usualCapacity else { continue }
          try emit(output.view)
          output.clear()
        }
      }
      if output.count > 0 { try emit(output.view) }
    }
  }
}
