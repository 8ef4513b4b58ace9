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

  /// Each partition transformed as a whole: `transform` gets all its elements as an array, and its task.
  @inlinable public func mapPartitions<Output>(
    _ transform: @escaping @Sendable ([Element], TaskContext) throws -> [Output]
  ) -> RDD<Output> {
    RDD<Output>(
      context, label: "mapPartitions", partitionCount: partitionCount, dependencies: [.narrow(self)]
    ) { [self] partition, task, emit in
      var elements: [Element] = []
      try compute(partition, task) { elements.append(contentsOf: $0) }
      let output = try transform(elements, task)
      if !output.isEmpty { try output.withUnsafeBufferPointer { try emit($0) } }
    }
  }

  /// Each partition as one array.
  public func glom() -> RDD<[Element]> { mapPartitions { elements, _ in [elements] } }

  /// The elements of both, with repetitions.
  public func union(_ other: RDD<Element>) -> RDD<Element> { context.union([self, other]) }

  /// Pairs of a key that `key` derives and the element.
  @inlinable public func keyBy<Key>(_ key: @escaping @Sendable (Element) throws -> Key) -> RDD<(Key, Element)> {
    apply(.map { (try key($0), $0) }, label: "keyBy")
  }
}
