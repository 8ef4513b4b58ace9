// Actions: they run a job and wait for its result, so they are called in the driver (in `foreachRDD`, in tests), never
// inside a task.

extension RDD where Element: Sendable {
  /// All elements, in the order of the partitions.
  /// - Throws: the job's failure, as every action does.
  @inlinable public func collect() throws -> [Element] { try collected(Array(0..<partitionCount)).flatMap { $0 } }

  /// Some partitions' elements.
  @inlinable func collected(_ partitions: [Int]) throws -> [ContiguousArray<Element>] {
    try context.runner.run(self, partitions: partitions, label: "collect") { dataset, partition, task in
      var elements = ContiguousArray<Element>()
      try dataset.compute(partition, task) { view in
        for element in view { elements.append(detached(element)) }
      }
      return elements
    }
  }

  /// The first `count` elements in the order of the partitions. Computes one partition first and four times as many as
  /// before each time that they did not suffice; within a partition it stops when it has enough.
  @inlinable public func take(_ count: Int) throws -> [Element] {
    var taken: [Element] = []
    var next = 0
    var width = 1
    while taken.count < count, next < partitionCount {
      let wanted = count - taken.count
      let partitions = Array(next..<Swift.min(next + width, partitionCount))
      let parts = try context.runner.run(self, partitions: partitions, label: "take") { dataset, partition, task in
        var elements = ContiguousArray<Element>()
        do {
          try dataset.compute(partition, task) { view in
            for element in view.prefix(wanted - elements.count) { elements.append(detached(element)) }
            if elements.count == wanted { throw EnoughElements() }
          }
        } catch is EnoughElements {}
        return elements
      }
      for part in parts { taken.append(contentsOf: part.prefix(count - taken.count)) }
      next += partitions.count
      width *= 4
    }
    return taken
  }

  /// The first element, nil where there is none.
  @inlinable public func first() throws -> Element? { try take(1).first }

  /// All elements combined, nil where there are none; `combine` must be associative.
  @inlinable public func reduce(
    _ combine: @escaping @Sendable (Element, Element) throws -> Element
  ) throws -> Element? {
    let parts = try context.runner.run(self, partitions: Array(0..<partitionCount), label: "reduce") {
      dataset, partition, task in
      var result: Element?
      try dataset.compute(partition, task) { view in
        guard var sum = result ?? view.first else { return }
        for index in (result == nil ? 1 : 0)..<view.count { sum = try combine(sum, view[index]) }
        result = sum
      }
      return result.map { detached($0) }
    }
    return try parts.reduce(nil) { sum, part in
      guard let sum, let part else { return sum ?? part }
      return try combine(sum, part)
    }
  }

  /// As `reduce`, beginning with `zero` in each partition and once more for the partitions' results, so `zero` must be
  /// neutral.
  @inlinable public func fold(
    _ zero: Element, _ combine: @escaping @Sendable (Element, Element) throws -> Element
  ) throws -> Element { try aggregate(zero, combine, combine) }

  /// The smallest element, the first of equals; nil where there is none.
  @inlinable public func min() throws -> Element? where Element: Comparable { try reduce { $1 < $0 ? $1 : $0 } }

  /// The largest element, the first of equals; nil where there is none.
  @inlinable public func max() throws -> Element? where Element: Comparable { try reduce { $0 < $1 ? $1 : $0 } }

  /// All elements added up. Traps on overflow, as `+` does.
  @inlinable public func sum() throws -> Element where Element: AdditiveArithmetic { try fold(.zero) { $0 + $1 } }
}

extension RDD {
  /// The number of elements.
  @inlinable public func count() throws -> Int {
    try context.runner.run(self, partitions: Array(0..<partitionCount), label: "count") { dataset, partition, task in
      var count = 0
      try dataset.compute(partition, task) { count += $0.count }
      return count
    }.reduce(0, +)
  }

  /// Whether there are no elements. Computes one partition after the other, and of each at most the first chunk.
  @inlinable public func isEmpty() throws -> Bool {
    for partition in 0..<partitionCount {
      let isEmpty = try context.runner.run(self, partitions: [partition], label: "isEmpty") {
        dataset, partition, task in
        do {
          try dataset.compute(partition, task) { if $0.count > 0 { throw EnoughElements() } }
          return true
        } catch is EnoughElements { return false }
      }
      if !isEmpty[0] { return false }
    }
    return true
  }

  /// Each partition's elements combined into a result that begins as `zero`, and those results into one.
  @inlinable public func aggregate<Output: Sendable>(
    _ zero: Output, _ add: @escaping @Sendable (Output, Element) throws -> Output,
    _ merge: @escaping @Sendable (Output, Output) throws -> Output
  ) throws -> Output {
    try context.runner.run(self, partitions: Array(0..<partitionCount), label: "aggregate") {
      dataset, partition, task in
      var result = zero
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count { result = try add(result, view[index]) }
      }
      return detached(result)
    }.reduce(zero, merge)
  }

  /// Calls `body` with each element, in tasks: on executors, several at a time, and again where a task is repeated.
  @inlinable public func foreach(_ body: @escaping @Sendable (Element) throws -> Void) throws {
    _ = try context.runner.run(self, partitions: Array(0..<partitionCount), label: "foreach") {
      dataset, partition, task in
      try dataset.compute(partition, task) { view in
        try task.naming("foreach") { for index in 0..<view.count { try body(view[index]) } }
      }
      return true
    }
  }

  /// Calls `body` with each partition's elements, in tasks; see `foreach`.
  @inlinable public func foreachPartition(_ body: @escaping @Sendable ([Element], TaskContext) throws -> Void) throws {
    _ = try context.runner.run(self, partitions: Array(0..<partitionCount), label: "foreachPartition") {
      dataset, partition, task in
      var elements: [Element] = []
      try dataset.compute(partition, task) { elements.append(contentsOf: $0) }
      try body(elements, task)
      return true
    }
  }

  /// How many pairs each key has.
  @inlinable public func countByKey<Key: Hashable & Sendable, Value>() throws -> [Key: Int]
  where Element == (Key, Value) {
    Dictionary(uniqueKeysWithValues: try keys().counted().collect())
  }

  /// How often each element occurs.
  @inlinable public func countByValue() throws -> [Element: Int] where Element: Hashable & Sendable {
    Dictionary(uniqueKeysWithValues: try counted().collect())
  }

  /// The pairs as a dictionary; of equal keys the last pair counts.
  @inlinable public func collectAsMap<Key: Hashable & Sendable, Value: Sendable>() throws -> [Key: Value]
  where Element == (Key, Value) {
    Dictionary(try collect(), uniquingKeysWith: { $1 })
  }

  /// The pairs as a dictionary, equal keys' values combined; within each partition before anything goes to the driver,
  /// without a shuffle.
  /// - Parameter combine: must be associative.
  @inlinable public func reduceByKeyLocally<Key: Hashable & Sendable, Value: Sendable>(
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) throws -> [Key: Value] where Element == (Key, Value) {
    let parts = try context.runner.run(self, partitions: Array(0..<partitionCount), label: "reduceByKeyLocally") {
      dataset, partition, task in
      var table = OrderedTable<Key, Value>()
      try dataset.compute(partition, task) { view in
        try table.merge(view, key: { $0.0 }, initial: { $0.1 }, update: { $0 = try combine($0, $1.1) })
      }
      return ContiguousArray(table.view)
    }
    var result: [Key: Value] = [:]
    for part in parts {
      for (key, value) in part { result[key] = try result[key].map { try combine($0, value) } ?? value }
    }
    return result
  }

  /// The values of one key; where the keys are placed by a known partitioner, of its partition only.
  @inlinable public func lookup<Key: Hashable & Sendable, Value: Sendable>(_ key: Key) throws -> [Value]
  where Element == (Key, Value) {
    var partitions = Array(0..<partitionCount)
    // A range partitioner that has not sampled yet knows no place: then every partition is looked at.
    if let partitioner = partitioning?.partitioner(for: Key.self), let resolved = try? partitioner.resolved() {
      partitions = [try resolved.place(key)]
    }
    return try filter { $0.0 == key }.values().collected(partitions).flatMap { $0 }
  }
}

/// Leaves a computation from which nothing more is wanted.
@usableFromInline struct EnoughElements: Error {
  @usableFromInline init() {}
}
