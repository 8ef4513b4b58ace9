extension RDD {
  /// Datasets with equal partitioners merged partition by partition: values of equal keys combined in the order of the
  /// datasets. No shuffle.
  ///
  /// All must have the same number of partitions and have their keys placed by the same partitioner; without any, the
  /// result is empty.
  @inlinable public static func mergingAligned<Key: Hashable & Sendable, Value>(
    _ datasets: [RDD], _ context: SluiceContext, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> RDD where Element == (Key, Value) {
    guard let first = datasets.first else { return context.empty() }
    precondition(datasets.allSatisfy { $0.partitionCount == first.partitionCount }, "datasets that are not aligned")
    return RDD(
      context, label: "merge", partitionCount: first.partitionCount, dependencies: datasets.map { .narrow($0) }
    ) { partition, task, emit in
      var table = OrderedTable<Key, Value>()
      for dataset in datasets {
        try dataset.compute(partition, task) { view in
          for index in 0..<view.count {
            try table.merge(view[index].0, view[index].1, combine)
          }
        }
      }
      try table.emitPairs(emit)
    }
  }
}
