extension RDD {
  /// Each element transformed.
  @inlinable public func map<Output>(_ transform: @escaping @Sendable (Element) throws -> Output) -> RDD<Output> {
    apply(.map(transform), label: "map")
  }

  /// The elements of what each element gives, in order.
  @inlinable public func flatMap<S: Sequence & SendableMetatype>(
    _ transform: @escaping @Sendable (Element) throws -> S
  ) -> RDD<S.Element> {
    apply(.flatMap(transform), label: "flatMap")
  }

  /// What each element gives, where it gives something.
  @inlinable public func compactMap<Output>(
    _ transform: @escaping @Sendable (Element) throws -> Output?
  ) -> RDD<Output> {
    apply(.compactMap(transform), label: "compactMap")
  }

  /// The elements that satisfy the condition.
  @inlinable public func filter(_ isIncluded: @escaping @Sendable (Element) throws -> Bool) -> RDD<Element> {
    apply(.filter(isIncluded), label: "filter", keepsPartitioning: true)
  }

  /// Each partition transformed as a whole: `transform` gets all its elements as an array, and its task, and gives a
  /// sequence. The array takes as much memory as the partition has elements.
  /// - Parameters:
  ///   - preservesPartitioning: whether equal keys stay where they are: the transformation changes no key.
  ///   - transform: is called once a partition.
  @inlinable public func mapPartitions<S: Sequence & SendableMetatype>(
    preservesPartitioning: Bool = false, _ transform: @escaping @Sendable ([Element], TaskContext) throws -> S
  ) -> RDD<S.Element> {
    mappingPartitions("mapPartitions", preservesPartitioning) { _, elements, task in try transform(elements, task) }
  }

  /// As `mapPartitions`, with the partition's number first.
  @inlinable public func mapPartitionsWithIndex<S: Sequence & SendableMetatype>(
    preservesPartitioning: Bool = false, _ transform: @escaping @Sendable (Int, [Element]) throws -> S
  ) -> RDD<S.Element> {
    mappingPartitions("mapPartitionsWithIndex", preservesPartitioning) { partition, elements, _ in
      try transform(partition, elements)
    }
  }

  @inlinable func mappingPartitions<S: Sequence & SendableMetatype>(
    _ label: String, _ preservesPartitioning: Bool,
    _ transform: @escaping @Sendable (Int, [Element], TaskContext) throws -> S
  ) -> RDD<S.Element> {
    RDD<S.Element>(
      context, label: label, partitionCount: partitionCount, dependencies: [.narrow(self)],
      partitioning: preservesPartitioning ? partitioning : nil
    ) { [self] partition, task, emit in
      var elements: [Element] = []
      try compute(partition, task) { elements.append(contentsOf: $0) }
      var output = Chunk<S.Element>()
      for element in try task.naming(label, { try transform(partition, elements, task) }) {
        output.append(element)
        guard output.count == Chunk<S.Element>.usualCapacity else { continue }
        try emit(output.view)
        output.clear()
      }
      if output.count > 0 { try emit(output.view) }
    }
  }

  /// Each partition as one array.
  public func glom() -> RDD<[Element]> {
    mappingPartitions("glom", false) { _, elements, _ in CollectionOfOne(elements) }
  }

  /// Pairs of a key that `key` derives and the element.
  @inlinable public func keyBy<Key>(_ key: @escaping @Sendable (Element) throws -> Key) -> RDD<(Key, Element)> {
    apply(.map { (try key($0), $0) }, label: "keyBy")
  }

  /// The elements of each group that `key` puts together, in the order of the partitions and within them.
  @inlinable public func groupBy<Key: Hashable & Sendable>(
    partitions: Int? = nil, _ key: @escaping @Sendable (Element) throws -> Key
  ) -> RDD<(Key, [Element])> { keyBy(key).groupByKey(partitions: partitions) }
}
