/// The reduce side of a sort: reads all blocks of a partition, sorts, emits. The one place that decides how much of a
/// partition stands in memory while it is sorted: all of it.
@usableFromInline enum SortedReduce {
  /// Emits a partition's pairs by their keys, equal keys in the order of the map partitions and within them.
  /// - Parameters:
  ///   - shuffle: its map side writes `ArrayBlock<(Key, Value)>`.
  ///   - ascending: whether smaller keys come first.
  @inlinable static func emit<Key: Comparable, Value>(
    _ shuffle: ShuffleDependency, _ partition: Int, ascending: Bool,
    _ emit: (UnsafeBufferPointer<(Key, Value)>) throws -> Void
  ) throws {
    let blocks = try shuffle.output.blocks(forReduce: partition)
    var pairs = ContiguousArray<(Key, Value)>()
    pairs.reserveCapacity(blocks.reduce(0) { $0 + $1.count })
    for block in blocks { pairs.append(contentsOf: unsafeDowncast(block, to: ArrayBlock<(Key, Value)>.self).elements) }
    try SortedReduce.emit(&pairs, ascending: ascending, emit)
  }

  /// Sorts pairs by their keys, equal keys staying in their order, and emits them a chunk at a time.
  @inlinable static func emit<Key: Comparable, Value>(
    _ pairs: inout ContiguousArray<(Key, Value)>, ascending: Bool,
    _ emit: (UnsafeBufferPointer<(Key, Value)>) throws -> Void
  ) throws {
    // `sort(by:)` is documented to be stable.
    if ascending { pairs.sort { $0.0 < $1.0 } } else { pairs.sort { $1.0 < $0.0 } }
    try pairs.withUnsafeBufferPointer { whole in
      for position in stride(from: 0, to: whole.count, by: Chunk<(Key, Value)>.usualCapacity) {
        let end = Swift.min(position + Chunk<(Key, Value)>.usualCapacity, whole.count)
        try emit(UnsafeBufferPointer(rebasing: whole[position..<end]))
      }
    }
  }
}
