extension RDD where Element: Sendable {
  /// The elements one after the other, in the order of the partitions; a partition is computed, by a job of its own, when
  /// the first of its elements is asked for, so that only one is held in memory.
  public func toLocalIterator() -> LocalIterator<Element> { LocalIterator(self) }
}

/// Walks over a dataset's elements in the driver; see `RDD.toLocalIterator`.
public struct LocalIterator<Element: Sendable> {
  private let dataset: RDD<Element>
  private var nextPartition = 0
  private var elements: ContiguousArray<Element> = []
  private var place = 0

  init(_ dataset: RDD<Element>) { self.dataset = dataset }

  /// The next element, nil after the last. Runs a job where the next partition begins, and further ones past partitions
  /// that are empty.
  /// - Throws: the job's failure; the next call tries the same partition again.
  public mutating func next() throws -> Element? {
    while place == elements.count {
      guard nextPartition < dataset.partitionCount else { return nil }
      elements = try dataset.collected([nextPartition])[0]
      place = 0
      nextPartition += 1
    }
    defer { place += 1 }
    return elements[place]
  }
}
