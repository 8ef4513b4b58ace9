import Datasets
import Groundwork

extension DStream {
  /// Each element transformed.
  @inlinable public func map<Output>(_ transform: @escaping @Sendable (Element) throws -> Output) -> DStream<Output> {
    apply(.map(transform), label: "map")
  }

  /// The elements of what each element gives, in order.
  @inlinable public func flatMap<S: Sequence & SendableMetatype>(
    _ transform: @escaping @Sendable (Element) throws -> S
  ) -> DStream<S.Element> {
    apply(.flatMap(transform), label: "flatMap")
  }

  /// What each element gives, where it gives something.
  @inlinable public func compactMap<Output>(
    _ transform: @escaping @Sendable (Element) throws -> Output?
  ) -> DStream<Output> {
    apply(.compactMap(transform), label: "compactMap")
  }

  /// The elements that satisfy the condition.
  @inlinable public func filter(_ isIncluded: @escaping @Sendable (Element) throws -> Bool) -> DStream<Element> {
    apply(.filter(isIncluded), label: "filter", keepsPartitioning: true)
  }

  /// The same elements; `body` sees each on its way, in tasks, and again where a task is repeated or the stream is
  /// computed for another output.
  @inlinable public func peek(_ body: @escaping @Sendable (Element) throws -> Void) -> DStream<Element> {
    apply(
      ChunkOperator { view, output, _ in
        for index in 0..<view.count {
          try body(view[index])
          output.append(view[index])
        }
      }, label: "peek", keepsPartitioning: true)
  }

  /// Several streams of one: each element goes to the first stream whose condition it satisfies, and to none where it
  /// satisfies none. Each of them computes this stream; `cache` it where that is costly.
  /// - Parameter conditions: one for each stream, in their order.
  @inlinable public func branch(
    _ conditions: [@Sendable (Element) throws -> Bool]
  ) -> [DStream<Element>] {
    conditions.indices.map { number in
      apply(
        .filter { element in
          for condition in conditions[..<number] where try condition(element) { return false }
          return try conditions[number](element)
        }, label: "branch", keepsPartitioning: true)
    }
  }

  /// As `branch(_:)` with an array.
  @inlinable public func branch(
    _ conditions: (@Sendable (Element) throws -> Bool)...
  ) -> [DStream<Element>] { branch(conditions) }

  /// Pairs of a key that `key` derives and the element.
  @inlinable public func keyBy<Key>(_ key: @escaping @Sendable (Element) throws -> Key) -> DStream<(Key, Element)> {
    apply(.map { (try key($0), $0) }, label: "keyBy")
  }

  /// Each partition of each batch transformed as a whole; the task tells the batch, draws random numbers that a replay
  /// draws again, and counts by name.
  @inlinable public func mapPartitions<Output>(
    _ transform: @escaping @Sendable ([Element], TaskContext) throws -> [Output]
  ) -> DStream<Output> {
    onDatasets("mapPartitions") { $0.mapPartitions(transform) }
  }

  /// As `mapPartitions`, with the partition's number first.
  @inlinable public func mapPartitionsWithIndex<Output>(
    _ transform: @escaping @Sendable (Int, [Element]) throws -> [Output]
  ) -> DStream<Output> {
    onDatasets("mapPartitionsWithIndex") { dataset in
      dataset.mapPartitions { elements, task in try transform(task.partition, elements) }
    }
  }

  /// Each partition of each batch as one array.
  public func glom() -> DStream<[Element]> { onDatasets("glom") { $0.glom() } }

  /// The same elements in another number of partitions, evenly: for more tasks at once than the source has partitions.
  @inlinable public func repartition(_ count: Int) -> DStream<Element> {
    onDatasets("repartition") { $0.repartition(count) }
  }

  /// How often each element occurs in each batch.
  @inlinable public func countByValue(partitions: Int? = nil) -> DStream<(Element, Int)>
  where Element: Hashable & Sendable {
    onDatasets("countByValue") { $0.counted(partitions: partitions) }
  }

  /// The number of elements of each batch, as one element; 0 for an empty batch.
  public func count() -> DStream<Int> {
    onDatasets("count") { $0.countedAsOne().values() }
  }

  /// The elements of each batch combined into one; none for an empty batch.
  /// - Parameter combine: associative; it goes through each partition in order, then through the partitions' results in
  ///   theirs.
  @inlinable public func reduce(
    _ combine: @escaping @Sendable (Element, Element) throws -> Element
  ) -> DStream<Element> {
    onDatasets("reduce") { $0.reducedToOne(combine).values() }
  }

  /// A stream of what `make` makes of each batch's dataset.
  @inlinable func onDatasets<Output>(
    _ label: String, _ make: @escaping @Sendable (RDD<Element>) -> RDD<Output>
  ) -> DStream<Output> {
    DStream<Output>(context, label: label, parents: [self]) { [self] frame in dataset(frame).map(make) }
  }
}

extension RDD {
  /// The number of elements, as one pair in one partition.
  @usableFromInline func countedAsOne() -> RDD<(Int, Int)> {
    let ones = RDD<(Int, Int)>(
      context, label: "count", partitionCount: partitionCount, dependencies: [.narrow(self)]
    ) { [self] partition, task, emit in
      var count = 0
      try compute(partition, task) { count += $0.count }
      try withUnsafePointer(to: (0, count)) { try emit(UnsafeBufferPointer(start: $0, count: 1)) }
    }
    return ones.reduceByKey(partitions: 1) { $0 + $1 }
  }

  /// All elements combined, as one pair in one partition; none where there are none.
  @inlinable func reducedToOne(
    _ combine: @escaping @Sendable (Element, Element) throws -> Element
  ) -> RDD<(Int, Element)> {
    let ones = RDD<(Int, Element)>(
      context, label: "reduce", partitionCount: partitionCount, dependencies: [.narrow(self)]
    ) { [self] partition, task, emit in
      var result: Element?
      try compute(partition, task) { view in
        guard view.count > 0 else { return }
        var sum = view[0]
        if let before = result { sum = try combine(before, sum) }
        for index in 1..<view.count { sum = try combine(sum, view[index]) }
        result = sum
      }
      guard let result else { return }
      try withUnsafePointer(to: (0, result)) { try emit(UnsafeBufferPointer(start: $0, count: 1)) }
    }
    return ones.reduceByKey(partitions: 1, combine)
  }
}
