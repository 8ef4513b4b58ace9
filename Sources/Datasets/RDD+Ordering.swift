extension RDD where Element: Sendable {
  /// The `count` smallest elements in ascending order, of equals the first; all of them where there are fewer.
  ///
  /// Each task keeps twice as many at most: n elements take O(n log count).
  /// - Parameters:
  ///   - count: how many; none where it is below 1.
  ///   - isBefore: a strict order.
  @inlinable public func takeOrdered(
    _ count: Int, by isBefore: @escaping @Sendable (Element, Element) throws -> Bool
  ) throws -> [Element] { try smallest(count, "takeOrdered", isBefore) }

  /// The `count` smallest elements in ascending order; see `takeOrdered(_:by:)`.
  @inlinable public func takeOrdered(_ count: Int) throws -> [Element] where Element: Comparable {
    try smallest(count, "takeOrdered") { $0 < $1 }
  }

  /// The `count` greatest elements in descending order, of equals the first; all of them where there are fewer.
  @inlinable public func top(_ count: Int) throws -> [Element] where Element: Comparable {
    try smallest(count, "top") { $1 < $0 }
  }

  /// The `count` greatest elements in descending order; see `takeOrdered(_:by:)`.
  @inlinable public func top(
    _ count: Int, by isBefore: @escaping @Sendable (Element, Element) throws -> Bool
  ) throws -> [Element] { try smallest(count, "top") { try isBefore($1, $0) } }

  @inlinable func smallest(
    _ count: Int, _ label: String, _ isBefore: @escaping @Sendable (Element, Element) throws -> Bool
  ) throws -> [Element] {
    guard count > 0 else { return [] }
    let parts = try context.runner.run(self, partitions: Array(0..<partitionCount), label: label) {
      dataset, partition, task in
      var smallest = SmallestElements<Element>(count, by: isBefore)
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count { try smallest.insert(view[index]) }
      }
      return try smallest.sorted().map { detached($0) }
    }
    var smallest = SmallestElements<Element>(count, by: isBefore)
    for part in parts { for element in part { try smallest.insert(element) } }
    return try smallest.sorted()
  }

  /// The element for which `isBefore` says of no other that it comes before: the first of equals; nil where there is none.
  @inlinable public func min(
    by isBefore: @escaping @Sendable (Element, Element) throws -> Bool
  ) throws -> Element? { try reduce { try isBefore($1, $0) ? $1 : $0 } }

  /// The element that comes before no other: the first of equals; nil where there is none.
  @inlinable public func max(
    by isBefore: @escaping @Sendable (Element, Element) throws -> Bool
  ) throws -> Element? { try reduce { try isBefore($0, $1) ? $1 : $0 } }
}

/// The smallest of many elements, of equals the first: gathers twice as many as are wanted, sorts and drops the rest.
@usableFromInline struct SmallestElements<Element> {
  @usableFromInline let count: Int
  @usableFromInline let isBefore: (Element, Element) throws -> Bool
  @usableFromInline var kept: [Element] = []
  /// What does not come before this one is of no use; nil until there are enough.
  @usableFromInline var bound: Element?

  @inlinable init(_ count: Int, by isBefore: @escaping (Element, Element) throws -> Bool) {
    self.count = count
    self.isBefore = isBefore
  }

  @inlinable mutating func insert(_ element: Element) throws {
    if let bound, try !isBefore(element, bound) { return }
    kept.append(element)
    // Not `count * 2`, which overflows for a caller who wants all there is.
    if kept.count - count >= Swift.max(64, count) { try cut() }
  }

  @inlinable mutating func cut() throws {
    try kept.sort(by: isBefore)
    guard kept.count >= count else { return }
    kept.removeSubrange(count...)
    bound = kept.last
  }

  /// The smallest in order.
  @inlinable mutating func sorted() throws -> [Element] {
    try cut()
    return kept
  }
}
