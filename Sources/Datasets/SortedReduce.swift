/// The reduce side of a sort: takes all pairs of a partition, sorts, emits; by runs on disk where they take more than a
/// task's memory (see `ExternalSorter`).
@usableFromInline enum SortedReduce {
  /// Emits the pairs that `read` hands over by their keys, equal keys in the order in which they came.
  /// - Parameters:
  ///   - label: the operator, for a warning.
  ///   - ascending: whether smaller keys come first.
  @inlinable static func emit<Key: Comparable, Value>(
    _ task: TaskContext, _ context: SluiceContext, label: String, ascending: Bool,
    _ emit: (UnsafeBufferPointer<(Key, Value)>) throws -> Void,
    read: (_ take: (UnsafeBufferPointer<(Key, Value)>) throws -> Void) throws -> Void
  ) throws {
    var sorter = ExternalSorter<(Key, Value)>(task, context, label: label)
    if ascending {
      try read { try sorter.append($0) { $0.0 < $1.0 } }
      try sorter.emitSorted({ $0.0 < $1.0 }, emit)
    } else {
      try read { try sorter.append($0) { $1.0 < $0.0 } }
      try sorter.emitSorted({ $1.0 < $0.0 }, emit)
    }
  }
}
