import Datasets
import Groundwork
import Synchronization

/// The partitions of a dataset that is part of a stream's state: kept as soon as they were computed, and as long as
/// anybody holds this object. Unlike a block store it drops nothing for lack of room: what it holds may not be
/// computable any more, because the data it was made from are gone.
///
/// Sendable: its state stands under a lock, held for a lookup or an insertion.
@usableFromInline package final class HeldPartitions: Sendable {
  private struct State {
    var blocks: [ShuffleBlock?]
    var missing: Int
  }
  private let state: Mutex<State>
  /// How many partitions there will be.
  @usableFromInline package let partitionCount: Int

  /// - Parameter partitionCount: how many partitions there will be.
  @usableFromInline package init(_ partitionCount: Int) {
    self.partitionCount = partitionCount
    state = Mutex(State(blocks: Array(repeating: nil, count: partitionCount), missing: partitionCount))
  }

  /// Whether every partition is there.
  package var isComplete: Bool { state.withLock { $0.missing == 0 } }

  /// Elements held. O(partitions).
  package var count: Int { state.withLock { $0.blocks.reduce(0) { $0 + ($1?.count ?? 0) } } }

  @usableFromInline package func block(_ partition: Int) -> ShuffleBlock? {
    state.withLock { $0.blocks[partition] }
  }

  /// The number of elements in a partition, nil where it is not there.
  @usableFromInline package func count(of partition: Int) -> Int? { block(partition)?.count }

  /// Keeps what the first attempt computed; later ones computed the same.
  @usableFromInline package func store(_ block: ShuffleBlock, at partition: Int) {
    state.withLock { state in
      guard state.blocks[partition] == nil else { return }
      state.blocks[partition] = block
      state.missing -= 1
    }
  }
}

extension RDD {
  /// The same elements, held once they were computed.
  @inlinable package func held(in partitions: HeldPartitions) -> RDD<Element> {
    let detach = Detacher<Element>()
    return RDD(
      context, label: "hold", partitionCount: partitionCount, dependencies: [.narrow(self)], partitioning: partitioning
    ) { [self] partition, task, emit in
      if let block = partitions.block(partition) {
        return try unsafeDowncast(block, to: ArrayBlock<Element>.self).emitChunks(emit)
      }
      var elements = ContiguousArray<Element>()
      try compute(partition, task) { view in
        for index in 0..<view.count { elements.append(detach(view[index])) }
      }
      let block = ArrayBlock(elements)
      partitions.store(block, at: partition)
      try block.emitChunks(emit)
    }
  }

  /// What is held, all of it, as a dataset that depends on nothing.
  /// - Parameter like: the dataset whose elements they are.
  package static func holding(_ partitions: HeldPartitions, like original: RDD<Element>) -> RDD<Element> {
    RDD(
      original.context, label: "held", partitionCount: partitions.partitionCount, dependencies: [],
      partitioning: original.partitioning,
      // Expected work of passing an element on: 20 ns.
      weight: { Int64(partitions.count(of: $0) ?? 0) * 20 }
    ) { partition, _, emit in
      guard let block = partitions.block(partition) else { return }
      // Only datasets of this element type were held there: see `held(in:)`.
      try unsafeDowncast(block, to: ArrayBlock<Element>.self).emitChunks(emit)
    }
  }
}

extension ArrayBlock {
  /// Hands over the elements, a chunk at a time.
  @inlinable package func emitChunks(_ emit: (UnsafeBufferPointer<Element>) throws -> Void) throws {
    try elements.withUnsafeBufferPointer { whole in
      for position in stride(from: 0, to: whole.count, by: Chunk<Element>.usualCapacity) {
        let end = Swift.min(position + Chunk<Element>.usualCapacity, whole.count)
        try emit(UnsafeBufferPointer(rebasing: whole[position..<end]))
      }
    }
  }
}
