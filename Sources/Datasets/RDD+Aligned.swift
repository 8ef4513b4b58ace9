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
    guard datasets.allSatisfy({ $0.partitionCount == first.partitionCount }) else {
      return .failing(
        context, DatasetError(.unequalPartitionCounts(datasets.map(\.partitionCount)), operation: "merge"))
    }
    let isPlaced = datasets.allSatisfy { $0.partitioning == first.partitioning }
    return RDD(
      context, label: "merge", partitionCount: first.partitionCount, dependencies: datasets.map { .narrow($0) },
      partitioning: isPlaced ? first.partitioning : nil
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
